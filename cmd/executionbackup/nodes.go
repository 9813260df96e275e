package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/admin"
	"executionbackup/internal/engine"
)

// restTimeout is long enough for nodes that don't answer the probe after a change.
const restTimeout = 30 * time.Second

func (p *program) nodesCommand() *cli.Command {
	return &cli.Command{
		Name:  "nodes",
		Usage: "list the nodes of a running ExecutionBackup, add, remove or drain some",
		Description: `Without a subcommand: lists the nodes.

Example:
  executionbackup nodes --url http://10.0.0.5:7000`,
		Flags:  append(p.remoteFlags("admin-token-file"), jsonFlag()),
		Action: alone(p.listNodes),
		Commands: []*cli.Command{
			p.changeCommand("add", "/add_nodes", "SPEC…", "add nodes, all or none",
				`A SPEC is written as in --nodes: `+
					`URL[#jwt-secret=PATH][#timeout=MS][#do-not-use][#shadow][#backup][#name=NAME]. `+
					`The secret is read
where ExecutionBackup runs, not here. A node added so is gone after a restart or a reload: write it into the
configuration as well.

Example:
  executionbackup nodes add 'http://10.0.0.7:8551#name=besu' --admin-token-file /etc/executionbackup/admin.token`),
			p.changeCommand("remove", "/remove_nodes", "NODE…", "remove nodes, all or none",
				`A NODE is a URL or a name. The last voter that is alive can't be removed.

Example:
  executionbackup nodes remove besu --admin-token-file /etc/executionbackup/admin.token`),
			p.changeCommand("drain", "/drain_nodes", "NODE…",
				"keep nodes up to date, but ask nothing of them, all or none",
				`A NODE is a URL or a name. A drained node gets every payload, but has no vote: `+
					`stop and upgrade it at will. The
last voter that is alive can't be drained.

Example:
  executionbackup nodes drain besu --admin-token-file /etc/executionbackup/admin.token`),
			p.changeCommand("undrain", "/undrain_nodes", "NODE…", "use drained nodes again, all or none",
				`A NODE is a URL or a name.

Example:
  executionbackup nodes undrain besu --admin-token-file /etc/executionbackup/admin.token`),
			p.changeCommand("clear-objections", "/clear_objections", "NODE…",
				"forget every INVALID of nodes, all or none",
				`A NODE is a URL or a name. It ends the disputes that these nodes' objections keep up, `+
					`until they say INVALID again.

Example:
  executionbackup nodes clear-objections besu --admin-token-file /etc/executionbackup/admin.token`),
		},
	}
}

// changeCommand is a command that the REST API has, too, for the nodes that its arguments name.
func (p *program) changeCommand(name, path, argument, usage, description string) *cli.Command {
	return &cli.Command{
		Name: name, ArgsUsage: argument, Usage: usage, Description: description,
		HideHelpCommand: true, // a node may have the name help
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if !cmd.Args().Present() {
				return usageError("nodes %s: write at least one %s", name, strings.TrimRight(argument, "…"))
			}
			return p.changeNodes(ctx, cmd, path)
		},
	}
}

// changeNodes has a running ExecutionBackup change something, and lists the nodes as they are then.
func (p *program) changeNodes(ctx context.Context, cmd *cli.Command, path string) error {
	r, err := p.remote(cmd, restTimeout)
	if err != nil {
		return err
	}
	if err := r.readToken(); err != nil {
		return err
	}
	var report admin.Report
	change := map[string][]string{"nodes": cmd.Args().Slice()}
	if err := r.call(ctx, path, change, &report); err != nil {
		return err
	}
	return p.showNodes(ctx, cmd, r)
}

func (p *program) listNodes(ctx context.Context, cmd *cli.Command) error {
	r, err := p.remote(cmd, restTimeout)
	if err != nil {
		return err
	}
	return p.showNodes(ctx, cmd, r)
}

// showNodes lists the nodes of a running ExecutionBackup.
func (p *program) showNodes(ctx context.Context, cmd *cli.Command, r *remote) error {
	var nodes []admin.Node
	if err := r.call(ctx, "/nodes", nil, &nodes); err != nil {
		return err
	}
	if cmd.Bool("json") {
		return printJSON(p.stdout, nodes)
	}
	table := [][]string{{"NAME", "URL", "STATE", "PRIMARY", "LAGGARD", "CLIENT", "RESPONSE TIME"}}
	var reasons []string
	for _, n := range nodes {
		table = append(table, []string{
			n.Name, n.URL, stateOf(&n), yes(n.Primary), yes(n.Laggard), clientOf(&n), microseconds(n.ResponseTime),
		})
		if n.Reason != "" {
			reasons = append(reasons, n.Name+": "+n.Reason)
		}
	}
	if err := printTable(p.stdout, table); err != nil {
		return err
	}
	for _, reason := range reasons {
		fmt.Fprintln(p.stdout, engine.Printable(reason))
	}
	return nil
}

// microseconds writes a time of the REST API; none is empty.
func microseconds(n int64) string {
	if n == 0 {
		return ""
	}
	return (time.Duration(n) * time.Microsecond).String()
}
