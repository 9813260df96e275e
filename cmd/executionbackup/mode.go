package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/admin"
	"executionbackup/internal/config"
	"executionbackup/internal/engine"
)

func (p *program) modeCommand() *cli.Command {
	return &cli.Command{
		Name: "mode", ArgsUsage: "[active|shadow|off]",
		Usage: "show what becomes of the consensus client's calls, or choose it",
		Description: `Without an argument: says which mode there is, and who answers. With one it chooses that mode, ` +
			`which takes the
admin token, and stands, also after a restart, until the configuration says another mode than it did then.

active asks all nodes and decides. In shadow the node of --shadow-node alone answers; the others get every call too, and
what we would have said is counted and recorded. In off that node alone is asked. Neither protects from anything.

The exit status is 0 where the mode is known or chosen, 1 where ExecutionBackup doesn't answer or refuses, 2 for a mode
that there isn't.

Example:
  executionbackup mode
  executionbackup mode active --admin-token-file /etc/executionbackup/admin.token`,
		Flags:           append(p.remoteFlags("admin-token-file"), jsonFlag()),
		HideHelpCommand: true,
		Action:          p.mode,
	}
}

func (p *program) mode(ctx context.Context, cmd *cli.Command) error {
	var wanted config.Mode
	switch word := cmd.Args().First(); {
	case cmd.NArg() > 1:
		return usageError("mode: write one of active, shadow and off at most")
	case cmd.NArg() == 1:
		var err error
		if wanted, err = config.ParseMode(word); err != nil {
			return usageError("mode: %w%s", err, config.Suggest(word, modeNames()))
		}
	}
	r, err := p.remote(cmd, restTimeout)
	if err != nil {
		return err
	}
	now := admin.ModeReport{}
	if wanted == "" {
		err = r.call(ctx, "/status", nil, &now)
	} else if err = r.readToken(); err == nil {
		err = r.call(ctx, "/mode", map[string]config.Mode{"mode": wanted}, &now)
	}
	switch {
	case err != nil:
		return err
	case cmd.Bool("json"):
		return printJSON(p.stdout, now)
	}
	fmt.Fprintln(p.stdout, engine.Printable(modeText(now)))
	if now.Configured != "" && now.Configured != now.Mode {
		const chosen = "(the configuration says %s: this one was chosen since, and stands until that says another)\n"
		fmt.Fprintf(p.stdout, chosen, engine.Printable(string(now.Configured)))
	}
	if wanted != config.Active {
		return nil
	}
	var nodes []admin.Node
	if err := r.call(ctx, "/nodes", nil, &nodes); err != nil {
		return err
	}
	for i := range nodes {
		if note := activeNote(&nodes[i]); note != "" {
			fmt.Fprintln(p.stdout, engine.Printable(note))
		}
	}
	return nil
}

// activeNote says what of a node the consensus client may notice in mode active; "" where there is nothing.
func activeNote(n *admin.Node) string {
	switch {
	case n.DoNotUse || n.Drained:
	case n.Objections > 0:
		const halts = "if the head is on one there is a dispute now, and with --on-dispute=halt the consensus client " +
			"hears SYNCING (executionbackup status says what to do; executionbackup mode shadow takes it back)"
		return fmt.Sprintf("note: %s objects to %d blocks: %s", n.Name, n.Objections, halts)
	case n.State != "alive":
		return fmt.Sprintf("note: %s is %s, and doesn't vote", n.Name, n.State)
	}
	return ""
}

// modeNames are all modes, as one writes them.
func modeNames() (names []string) {
	for _, m := range config.Modes() {
		names = append(names, string(m))
	}
	return names
}

// modeText says what becomes of the consensus client's calls.
func modeText(m admin.ModeReport) string {
	mode := cmp.Or(m.Mode, config.Active) // one of before there were others doesn't say
	switch mode {
	case config.Shadow:
		return fmt.Sprintf("mode shadow: %s alone answers the consensus client, which is protected from nothing; the "+
			"others get every call too, and what we would have said is recorded", m.Alone)
	case config.Off:
		return fmt.Sprintf("mode off: %s alone is asked, and the consensus client is protected from nothing", m.Alone)
	case config.Active:
		return "mode active: all nodes are asked, and we decide"
	}
	return strings.TrimSpace("mode " + string(mode) + " " + m.Alone) // of a later version
}
