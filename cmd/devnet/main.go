// Command devnet is the demonstration: three real geth nodes in this process, ExecutionBackup before them, and a
// consensus client that makes a block every few seconds through ExecutionBackup alone. Keys stop nodes, hang them, or
// make them lie.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run carries out a command line until ctx ends and returns the exit status: 0, or 1 where something failed, or 2 where
// the command line has no meaning.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil: // the flag package has said it
		return 2
	}
	if err := demonstrate(ctx, o, stdin, stdout); err != nil {
		fmt.Fprintln(stderr, "devnet:", err)
		return 1
	}
	return 0
}

// options are what the flags say.
type options struct {
	port   int
	period time.Duration
	blocks int
	chaos  bool
	data   string
}

func parseOptions(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("devnet", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.port, "port", 7000, "`port` of ExecutionBackup; the nodes have the next three; 0 = any free ones")
	flags.DurationVar(&o.period, "period", 2*time.Second,
		"`time` from block to block; with less than 1s the chain runs ahead of the clock")
	flags.IntVar(&o.blocks, "blocks", 0,
		"end after this `number` of blocks, with status 1 if one was missed or a call failed")
	flags.BoolVar(&o.chaos, "chaos", false, "break the nodes by itself, one after the other")
	flags.StringVar(&o.data, "data", "", "empty or new `directory` for the nodes' data and the log, kept at the end")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "Three geth nodes, ExecutionBackup before them, "+
			"and a consensus client that makes blocks through it.\n\nFlags:")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	complain := func(text string) (options, error) {
		fmt.Fprintln(stderr, "devnet:", text)
		return o, errors.New(text)
	}
	switch {
	case flags.NArg() > 0:
		return complain(fmt.Sprintf("unexpected %q: there are only flags (see --help)", flags.Arg(0)))
	case o.period <= 0:
		return complain("--period must be more than 0")
	case o.port < 0 || o.port > 65535-len(nodeNames):
		return complain("--port must have room for three more ports after it")
	}
	return o, nil
}

// demonstrate runs the whole until ctx or a key ends it, or the blocks that were asked for are there.
func demonstrate(ctx context.Context, o options, stdin io.Reader, stdout io.Writer) error {
	screen := newScreen(stdout)
	net, err := newNetwork(o, screen)
	if err != nil {
		return err
	}
	banner(screen, net)
	story := newStory(net, screen)
	err = net.start(ctx)
	if err == nil {
		err = play(ctx, o, net, story, stdin)
	}
	if ctx.Err() != nil {
		err = nil // what failed did so because the end has come
	}
	if err := errors.Join(err, net.stop()); err != nil {
		return err
	}
	story.end()
	if story.enough(o.blocks) && story.missed+story.failed > 0 {
		return errors.New("a block was missed or a call failed")
	}
	return nil
}

// play makes blocks and takes keys.
func play(ctx context.Context, o options, net *network, story *story, stdin io.Reader) (err error) {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	keys, release, err := story.screen.keys(ctx, stdin)
	if err != nil {
		return err
	}
	defer release()
	client, err := newConsensusClient(ctx, net)
	if err != nil {
		return err
	}
	operator := startOperator(ctx, net, story.screen, o.chaos, keys, quit)
	defer func() {
		quit()
		err = errors.Join(err, operator.wait())
	}()
	for {
		// A slot begins with a multiple of the period: with a whole second, as a timestamp is, if periods are of such.
		select {
		case <-time.After(time.Until(time.Now().Truncate(o.period).Add(o.period))):
		case <-ctx.Done():
			return nil
		}
		if slot := client.slot(ctx); ctx.Err() == nil {
			operator.hear(story.tell(ctx, slot))
		}
		if story.enough(o.blocks) {
			return nil
		}
	}
}

// banner says what runs, and how to break it.
func banner(s *screen, net *network) {
	kept := "kept at the end"
	if net.remove {
		kept = "removed at the end"
	}
	s.write(
		"",
		s.paint(bold,
			"Three geth nodes, ExecutionBackup before them. Each block is put to all of them, and their votes decide."),
		"",
		"  ExecutionBackup  "+net.url+"    look there at /nodes /blocks /metrics",
	)
	for _, n := range net.nodes {
		s.line("  %-15s  %s", n.name, n.gate.url())
	}
	s.write("  data and log     "+net.dir+"    "+kept, "")
	help(s)
}

// help tells the keys.
func help(s *screen) {
	s.write(
		"  keys   1 2 3   stop geth-1, geth-2, geth-3; again: start it",
		"         q w e   hang it: it takes calls in and doesn't answer; again: resume",
		"         a s d   make it lie: INVALID for VALID; again: make it honest",
		"         c       clear objections      ?  these keys      x  end",
		"         m       mode shadow: geth-1 alone answers; again: off; again: active",
		"",
	)
}
