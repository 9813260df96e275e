// Command bench measures what ExecutionBackup costs beside the calls themselves.
//
// One consensus client, with one outstanding call, talks to execution clients that answer at once: directly, to three
// at once (the least that asking three takes), through ExecutionBackup with 1, 3 and 8 nodes, and through nginx and
// HAProxy where they are installed. All of them take turns in every round, so that whatever else the machine does hits
// all alike. ExecutionBackup is a process of its own, with the default of every setting.
//
// Then real geths are brought to the head of a chain: three directly, three through ExecutionBackup, and one directly.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
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
	blocks   int
	state    bool
	shadow   bool
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
	flag.IntVar(&o.blocks, "blocks", 2000, "how many blocks geths are brought to the head of; 0 = none")
	flag.StringVar(&o.profiles, "profiles", "",
		"write a CPU profile of each workload, with three nodes, into this directory")
	flag.BoolVar(&o.state, "state", false, "measure what a state directory costs, and nothing else")
	flag.BoolVar(&o.shadow, "shadow", false,
		"measure what shadow mode costs beside the node that answers, and nothing else")
	match := flag.String("match", "", "only workloads that match this regular expression (\"sync\": geths)")
	nodes := flag.Int("serve", 0, "be so many nodes (this program starts itself so)")
	probe := flag.String("probe", "", "be this probe before the nodes in the arguments (this program starts itself so)")
	dir := flag.String("geth", "", "be a geth with this data directory (this program starts itself so)")
	slowed := flag.Duration("slowed", 0, "with -geth: how much longer each newPayload shall take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *nodes > 0 {
		err = serveNodes(*nodes)
	} else if *probe != "" {
		err = serveProbe(*probe, flag.Args())
	} else if *dir != "" {
		err = serveGeth(*dir, *slowed)
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
	os.Setenv("XDG_STATE_HOME", directory) // no ExecutionBackup finds what another one left
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
	r := newResult(o.rounds)
	if err = measureCalls(ctx, o, r); err == nil && o.state {
		err = r.measureDisk()
	} else if err == nil && !o.shadow {
		err = measureSync(ctx, o, r)
	}
	r.print(os.Stdout) // what there is
	if err == nil {
		err = r.checkShadow()
	}
	if err != nil || o.out == "" {
		return err
	}
	return r.write(o.out)
}

// measureCalls adds what single calls take to the result.
func measureCalls(ctx context.Context, o options, r *Result) error {
	all := workloads()
	if o.state {
		all = stateWorkloads()
	} else if o.shadow {
		all = shadowWorkloads()
	}
	all = slices.DeleteFunc(all, func(w *workload) bool { return !o.match.MatchString(w.name) })
	if len(all) == 0 {
		return nil
	}
	b, err := newBench(ctx, o)
	defer b.close()
	if err != nil {
		return err
	}
	r.IdleMB = b.idle(ctx)
	for _, w := range all {
		fmt.Fprintln(os.Stderr, w.name)
		rows, err := b.measure(ctx, w)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		r.Rows = append(r.Rows, rows...)
	}
	return nil
}
