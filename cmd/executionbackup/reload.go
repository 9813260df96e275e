package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/admin"
	"executionbackup/internal/config"
	"executionbackup/internal/engine"
)

func (p *program) reloadCommand() *cli.Command {
	return &cli.Command{
		Name:  "reload",
		Usage: "have a running ExecutionBackup read its configuration again, and say what became of it",
		Description: `Needs the admin token, or, with --pid, the right to send that process a signal. Prints what ` +
			`changed, and what
changes at the next start only. The exit status is 1 where the configuration is no good: then nothing has changed.

Example:
  executionbackup reload --admin-token-file /etc/executionbackup/admin.token
  executionbackup reload --pid $MAINPID      # in a unit of systemd`,
		Flags: append(p.remoteFlags("admin-token-file"), jsonFlag(),
			&cli.IntFlag{Name: "pid", Usage: "send this process SIGHUP, and wait for what it makes of it"}),
		Action: alone(p.reload),
	}
}

func (p *program) reload(ctx context.Context, cmd *cli.Command) error {
	r, err := p.remote(cmd, restTimeout)
	if err != nil {
		return err
	}
	var outcome *admin.Reload
	var unreached []string
	if pid := cmd.Int("pid"); pid != 0 {
		var now *admin.Settings
		if now, err = r.hangUp(ctx, pid); err == nil {
			outcome, unreached = now.LastReload, p.unreached(now)
		}
	} else {
		outcome, err = r.reload(ctx)
	}
	if err != nil {
		return err
	}
	if cmd.Bool("json") {
		err = printJSON(p.stdout, outcome)
	} else {
		p.printReload(outcome)
	}
	switch {
	case outcome.Error != "":
		return errors.New("nothing has changed: " + outcome.Error)
	case len(unreached) > 0:
		return fmt.Errorf("a process keeps the environment that it was started with, and this one has another %s: "+
			"restart it", strings.Join(unreached, ", "))
	}
	return err
}

// reload asks for it over the REST API.
func (r *remote) reload(ctx context.Context) (*admin.Reload, error) {
	if err := r.readToken(); err != nil {
		return nil, err
	}
	outcome := new(admin.Reload)
	return outcome, r.call(ctx, "/reload", struct{}{}, outcome)
}

// lookEvery is how often we look whether a reload has ended.
const lookEvery = 50 * time.Millisecond

// hangUp asks for it by a signal, and waits for what becomes of it.
func (r *remote) hangUp(ctx context.Context, pid int) (*admin.Settings, error) {
	var before admin.Settings
	unknown := r.call(ctx, "/config", nil, &before)
	switch {
	case unknown != nil && !isProgram(pid):
		return nil, fmt.Errorf("nothing was reloaded: %w", unknown)
	case unknown == nil && before.PID != pid:
		return nil, fmt.Errorf("nothing was reloaded: at %s answers process %d, not %d", r.url.Host, before.PID, pid)
	}
	process, err := os.FindProcess(pid)
	if err == nil {
		err = process.Signal(syscall.SIGHUP)
	}
	if err != nil {
		return nil, fmt.Errorf("nothing was reloaded: --pid %d: %w", pid, err)
	}
	if unknown != nil {
		return nil, fmt.Errorf("process %d took the signal, but doesn't answer: its log says what became of it "+
			"(where it listens changes at the next start only): %w", pid, unknown)
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		var now admin.Settings // anew: what an answer leaves out stays as it was
		if err := r.call(ctx, "/config", nil, &now); err != nil {
			return nil, err
		}
		if now.Reloads > before.Reloads && now.LastReload != nil {
			return &now, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("process %d took the signal, but %s has not reloaded", pid, r.url.Host)
		}
	}
}

// isProgram reports whether a process runs the same program as we do, where the system tells.
func isProgram(pid int) bool {
	ours, err := os.Executable()
	if err != nil {
		return false
	}
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && strings.TrimSuffix(theirs, " (deleted)") == ours
}

// unreached returns the variables that have another value here than the process goes by, because they have changed
// since it was started: systemd gives whoever reloads the environment file as it is now.
func (p *program) unreached(now *admin.Settings) (variables []string) {
	c, err := config.Look(p.inputs())
	if err != nil {
		return nil
	}
	for _, here := range c.Values() {
		there := now.Settings[here.YAML()]
		text := there.Value
		if there.NextStart != nil {
			text = *there.NextStart
		}
		isHere, isThere := here.From == here.Env(), there.From == here.Env()
		beaten := strings.HasPrefix(there.From, "--") // by a flag
		if isHere != isThere && !beaten || isHere && isThere && here.Text != text {
			variables = append(variables, here.Env())
		}
	}
	return variables
}

// printReload says what a reload changed, and what it can't reach.
func (p *program) printReload(outcome *admin.Reload) {
	say := func(text string) { fmt.Fprintln(p.stdout, engine.Printable(text)) }
	if outcome.Error != "" {
		return
	}
	for _, change := range outcome.Changed {
		say(change)
	}
	for _, change := range outcome.NextStart {
		say(change + " (at the next start only)")
	}
	if len(outcome.Changed)+len(outcome.NextStart) == 0 {
		say("nothing is other than it was")
	}
}
