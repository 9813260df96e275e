package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/urfave/cli/v3"

	"executionbackup/internal/app"
	"executionbackup/internal/config"
)

// daemon runs ExecutionBackup until ctx ends. SIGHUP, which Windows never sends, reloads the configuration.
func (p *program) daemon(ctx context.Context, _ *cli.Command) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)

	c, err := p.load()
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(c.LogLevel)
	log := newLogger(p.stderr, c.LogFormat, level)
	socket, err := passedSocket()
	if err != nil {
		return err
	}
	a, err := app.New(app.Options{Config: c, Log: log, Listener: socket})
	if err != nil {
		return fmt.Errorf("%w: choose another address with --listen-addr and --port", err)
	}
	log.Info("starting", "version", fullVersion())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	tellSystemd(log, sd.SdNotifyReady)
	watched, unwatch := context.WithCancel(context.Background()) // also while we drain
	var watching sync.WaitGroup
	watching.Go(func() { feedWatchdog(watched, log, a.Addr()) })
	defer watching.Wait()
	defer unwatch()
	for stopping := ctx.Done(); ; {
		select {
		case <-hangups:
			tellSystemd(log, reloading())
			p.reload(a, level)
			tellSystemd(log, sd.SdNotifyReady)
		case <-stopping:
			tellSystemd(log, sd.SdNotifyStopping)
			stopping = nil
		case err := <-ended:
			return err
		}
	}
}

// reload puts the configuration in force as it stands now, if it is good.
func (p *program) reload(a *app.App, level *slog.LevelVar) {
	c, err := p.load()
	if err != nil {
		a.ReloadFailed(err)
		return
	}
	level.Set(c.LogLevel)
	a.Reload(c)
}

// newLogger returns a logger that writes in a format of --log-format.
func newLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: nameLevel}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// nameLevel names the levels that slog has no name for.
func nameLevel(_ []string, attr slog.Attr) slog.Attr {
	if level, ok := attr.Value.Any().(slog.Level); ok && attr.Key == slog.LevelKey {
		switch level {
		case config.LevelTrace:
			attr.Value = slog.StringValue("TRACE")
		case config.LevelCritical:
			attr.Value = slog.StringValue("CRITICAL")
		}
	}
	return attr
}
