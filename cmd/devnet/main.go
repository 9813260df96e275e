// Command devnet is the demonstration: three real geth nodes in this process, ExecutionBackup before them, and a
// consensus client that makes a block every few seconds through ExecutionBackup alone, or your own in its place. Keys
// stop nodes, hang them, or make them lie.
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

// play tells of block after block, and takes keys.
func play(ctx context.Context, o options, net *network, story *story, stdin io.Reader) (err error) {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	keys, release, err := story.screen.keys(ctx, stdin)
	if err != nil {
		return err
	}
	defer release()
	next, period := story.follow, glance
	if !o.cl {
		client, err := newConsensusClient(ctx, net)
		if err != nil {
			return err
		}
		next = func(ctx context.Context) (well, news bool) { return story.tell(ctx, client.slot(ctx)), true }
		period = o.period
	}
	operator := startOperator(ctx, net, story.screen, o.chaos, keys, quit)
	defer func() {
		quit()
		err = errors.Join(err, operator.wait())
	}()
	for {
		// A slot begins with a multiple of the period: with a whole second, as a timestamp is, if periods are of such.
		select {
		case <-time.After(time.Until(time.Now().Truncate(period).Add(period))):
		case <-ctx.Done():
			return nil
		}
		if well, news := next(ctx); news && ctx.Err() == nil {
			operator.hear(well)
		}
		if story.enough(o.blocks) {
			return nil
		}
	}
}
