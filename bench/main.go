// Command bench measures what ExecutionBackup costs beside the calls themselves.
//
// One consensus client, with one outstanding call, talks to execution clients that answer at once: directly, to three
// at once (the least that asking three takes), through ExecutionBackup with 1, 3 and 8 nodes, and through nginx and
// HAProxy where they are installed. All of them take turns in every round, so that whatever else the machine does hits
// all alike. ExecutionBackup is a process of its own, with the default of every setting.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
)

// directory has the secrets, configurations and logs of one run.
var directory string

func file(name string) string { return filepath.Join(directory, name) }

const (
	secret     = "0101010101010101010101010101010101010101010101010101010101010101"
	adminToken = "benchmark-admin-token"
)

type options struct {
	program  string
	against  string
	out      string
	rounds   int
	match    *regexp.Regexp
	profiles string
}

func main() {
	var o options
	flag.StringVar(&o.program, "program", "bin/executionbackup", "the ExecutionBackup to measure")
	flag.StringVar(&o.against, "against", "",
		"another ExecutionBackup to measure beside it, with three nodes: the one before a change, say")
	flag.StringVar(&o.out, "out", "", "keep the result here, as JSON")
	flag.IntVar(&o.rounds, "rounds", 15, "how many rounds")
	flag.StringVar(&o.profiles, "profiles", "",
		"write a CPU profile of each workload, with three nodes, into this directory")
	match := flag.String("match", "", "only workloads that match this regular expression")
	nodes := flag.Int("serve", 0, "be so many nodes (this program starts itself so)")
	probe := flag.String("probe", "", "be this probe before the nodes in the arguments (this program starts itself so)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *nodes > 0 {
		err = serveNodes(*nodes)
	} else if *probe != "" {
		err = serveProbe(*probe, flag.Args())
	} else if o.match, err = regexp.Compile(*match); err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if directory, err = os.MkdirTemp("", "executionbackup-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	if o.profiles != "" {
		if err := os.MkdirAll(o.profiles, 0o755); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"jwt.hex": secret, "admin.token": adminToken} {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	b, err := newBench(ctx, o)
	defer b.close()
	if err != nil {
		return err
	}
	r := newResult(o.rounds)
	r.IdleMB = b.idle(ctx)
	for _, w := range workloads() {
		if !o.match.MatchString(w.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, w.name)
		rows, failed := b.measure(ctx, w)
		if failed != nil {
			err = fmt.Errorf("%s: %w", w.name, failed)
			break
		}
		r.Rows = append(r.Rows, rows...)
	}
	r.print(os.Stdout) // what there is
	if err != nil || o.out == "" {
		return err
	}
	return r.write(o.out)
}
