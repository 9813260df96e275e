package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

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
	a, err := app.New(app.Options{
		Config: c, Log: log, Listener: socket, Load: p.load, Level: level,
		Reloading: func() (done func()) {
			tellSystemd(log, reloading())
			return func() { tellSystemd(log, sd.SdNotifyReady) }
		},
	})
	if err != nil {
		return err
	}
	log.Info("starting", "version", fullVersion())
	if len(p.links) > 0 {
		log.Info("Kubernetes' variables for a Service are no settings: ignored", "variables", p.links)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	tellSystemd(log, sd.SdNotifyReady)
	watched, unwatch := context.WithCancel(context.Background()) // also while we drain
	var watching sync.WaitGroup
	us := ourselves{calls: a.Addr(), admin: a.AdminAddr(), tls: c.TLSCertFile != ""}
	watching.Go(func() { feedWatchdog(watched, log, us) })
	defer watching.Wait()
	defer unwatch()
	looks := new(time.Ticker)
	if c.Watch {
		looks = time.NewTicker(watchInterval)
		defer looks.Stop()
	}
	for stopping := ctx.Done(); ; {
		select {
		case <-hangups:
			a.Reload("SIGHUP")
		case <-looks.C:
			if p.files.Changed() {
				a.Reload("--watch")
			}
		case <-stopping:
			tellSystemd(log, sd.SdNotifyStopping)
			stopping = nil
		case err := <-ended:
			return err
		}
	}
}

// watchInterval is how often --watch looks at the files. A change counts when two looks find the same.
const watchInterval = time.Second

// newLogger returns a logger that writes in a format of --log-format.
func newLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// readable names the levels that slog has no name for, and gives durations their unit in JSON too: there they would be
// bare nanoseconds.
func readable(_ []string, attr slog.Attr) slog.Attr {
	switch v := attr.Value.Any().(type) {
	case time.Duration:
		attr.Value = slog.StringValue(v.String())
	case slog.Level:
		switch v {
		case config.LevelTrace:
			attr.Value = slog.StringValue("TRACE")
		case config.LevelCritical:
			attr.Value = slog.StringValue("CRITICAL")
		}
	}
	return attr
}
