// Command executionbackup stands between one Ethereum consensus client and many execution clients (nodes). Without a
// subcommand it is the daemon; the subcommands help its operator.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/engine"
)

// The kept payloads (--replay-bytes) are most of the heap. With Go's own setting there might be as much garbage again;
// with a low one alone a nearly empty heap would be collected all the time. So, unless GOGC says otherwise, the heap
// may grow by a fifth between two collections, of what is live and of a ballast: an array that is never written, and so
// takes no memory.
const (
	gcPercent = 20
	ballast   = 64 << 20 // bytes
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
		defer runtime.KeepAlive(make([]byte, ballast))
	}
	os.Exit(run(untilSignal(context.Background()), os.Args, os.Environ(), os.Stdout, os.Stderr))
}

// The exit statuses beside 0, where all is well.
const (
	exitWrong         = 1  // something is wrong with what was looked at, or done, or a file isn't there yet
	exitUsage         = 2  // the command line has no meaning
	exitConfiguration = 78 // the configuration is no good (EX_CONFIG): to start again would not help
)

// run carries out a command line and returns the exit status. An error is one line on stderr.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	p := &program{stdout: stdout, stderr: stderr, given: make(map[string][]string)}
	p.environ, p.links = config.WithoutServiceLinks(environ)
	if len(args) > 1 && args[1] == "container" {
		p.enterContainer()
		args = slices.Delete(slices.Clone(args), 1, 2)
	}
	root := p.command()
	err := root.Run(ctx, spread(root, args))
	if err == nil {
		return 0
	}
	text, status := err.Error(), exitWrong
	if _, ok := errors.AsType[cli.ExitCoder](err); ok { // a usageError, or the library's own
		text, status = auth.Redact(text), exitUsage // it repeats what was typed
	} else if _, ok := errors.AsType[config.Invalid](err); ok && !errors.Is(err, fs.ErrNotExist) {
		status = exitConfiguration
	}
	fmt.Fprintln(stderr, "executionbackup: "+engine.Printable(text))
	return status
}

// untilSignal returns a context that the first SIGINT or SIGTERM ends. The second one ends the process at once.
func untilSignal(ctx context.Context) context.Context {
	ctx, stop := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop()
		<-signals
		os.Exit(1)
	}()
	return ctx
}
