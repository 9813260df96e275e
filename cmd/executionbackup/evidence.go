package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/engine"
	"executionbackup/internal/evidence"
)

func (p *program) evidenceCommand() *cli.Command {
	return &cli.Command{
		Name:  "evidence",
		Usage: "list the disputes on record, or show one",
		Description: `Without a subcommand: lists them. They are read from the directory of --evidence-dir, ` +
			`or asked of the
ExecutionBackup at --url. zcat FILE has all of one as JSON, the call itself too.

Example:
  executionbackup evidence list --evidence-dir /var/lib/executionbackup/evidence
  executionbackup evidence list --url http://127.0.0.1:7000`,
		Flags:  append(p.remoteFlags("evidence-dir", "admin-token-file"), jsonFlag()),
		Action: alone(p.listEvidence),
		Commands: []*cli.Command{
			{
				Name: "list", Usage: "list the disputes on record, the last one at the end",
				Description: "Example:\n  executionbackup evidence list",
				Action:      alone(p.listEvidence),
			},
			{
				Name: "show", ArgsUsage: "FILE|NUMBER|last",
				Usage: "show who said what, and what the consensus client heard",
				Description: `FILE is a path, or a name in the list; NUMBER is a block's, last the last of the list. ` +
					`With --url it takes the
admin token.

Example:
  executionbackup evidence show last
  executionbackup evidence show 22345678 --url http://127.0.0.1:7000 --admin-token-file /path/admin.token`,
				HideHelpCommand: true,
				Action:          p.showEvidence,
			},
		},
	}
}

func (p *program) listEvidence(ctx context.Context, cmd *cli.Command) error {
	a, err := p.archive(cmd)
	if err != nil {
		return err
	}
	entries, err := a.list(ctx)
	if err != nil {
		return err
	}
	if cmd.Bool("json") {
		return printJSON(p.stdout, entries)
	}
	table := [][]string{{"TIME", "KIND", "METHOD", "NUMBER", "HEARD", "INVALID SAID", "FILE"}}
	for _, e := range entries {
		kind := string(e.Kind)
		if e.Damaged != "" {
			kind = "damaged"
		}
		table = append(table, []string{
			moment(e.Time), kind, strings.TrimPrefix(e.Method, "engine_"), number(e.Number), heardIn(&e.Record),
			strings.Join(objectors(e.Replies), ", "), e.File,
		})
	}
	return printTable(p.stdout, table)
}

// objectors names the nodes whose INVALID counts, or that said so.
func objectors(replies []evidence.Reply) (names []string) {
	for _, r := range replies {
		if r.Status == "INVALID" || r.Vote == "INVALID" {
			names = append(names, r.Node)
		}
	}
	return names
}

func (p *program) showEvidence(ctx context.Context, cmd *cli.Command) error {
	if cmd.NArg() != 1 {
		return usageError("evidence show: write one FILE, the number of a block, or last")
	}
	a, err := p.archive(cmd)
	if err != nil {
		return err
	}
	f, err := a.find(ctx, cmd.Args().First())
	if err != nil {
		return err
	}
	if cmd.Bool("json") {
		return printJSON(p.stdout, f)
	}
	p.printCase(&f.Case)
	table := [][]string{{"NODE", "STATUS", "VOTE", "AFTER", "STATE", "CLIENT", "REASON"}}
	for _, r := range f.Replies() {
		about := evidence.Node{}
		if r.About != nil {
			about = *r.About
		}
		table = append(table, []string{
			r.Node, r.Status, r.Vote, microseconds(r.Took), about.State, about.Client, r.Reason,
		})
	}
	err = printTable(p.stdout, table)
	if len(f.Records) == 0 {
		return err
	}
	fmt.Fprintln(p.stdout, "\nwhat followed, on the block and its descendants:")
	table = [][]string{{"TIME", "METHOD", "NUMBER", "BLOCK", "HEARD", "NODES"}}
	for _, r := range f.Records {
		heard := cmp.Or(heardIn(&r), "(a late reply)")
		table = append(table, []string{
			moment(r.Time), strings.TrimPrefix(r.Method, "engine_"), number(r.Number), short(r.Block.Hex()),
			heard, votes(r.Replies),
		})
	}
	return errors.Join(err, printTable(p.stdout, table))
}

// printCase writes what doesn't depend on a node.
func (p *program) printCase(c *evidence.Case) {
	say := func(format string, args ...any) {
		fmt.Fprintln(p.stdout, engine.Printable(fmt.Sprintf(format, args...)))
	}
	say("%s, %s, seen by ExecutionBackup %s", c.Kind, moment(c.Time), cmp.Or(c.Program, "(unknown version)"))
	say("%s on block %d, %s, child of %s", c.Method, c.Number, c.Block, c.Parent)
	if c.Builder != "" {
		say("built by %s", c.Builder)
	}
	if c.Reason != "" {
		say("the payload is wrong by itself: %s", c.Reason)
	}
	switch {
	case c.Did != "":
		say("in mode shadow the consensus client heard %s, and would have heard %s of us after %s: %s",
			c.Did, c.Verdict, microseconds(c.Took), c.Answer)
	case c.Verdict != "":
		say("the consensus client heard %s after %s: %s", c.Verdict, microseconds(c.Took), c.Answer)
	}
	switch {
	case c.Rule != "":
		say("decided by the rule %s: %s", c.Rule, c.Why)
	case c.Why != "":
		say("%s", c.Why)
	}
	s := c.Settings
	say("fcu-invalid-threshold %s, min-valid %d, on-dispute %s, vote-by %s, grace %s, cross-check %s",
		s.Threshold, s.MinValid, s.OnDispute, s.VoteBy, s.Grace, s.CrossCheck)
	fmt.Fprintln(p.stdout)
}

// heardIn is what the consensus client heard in a recorded call; "" where that isn't said.
func heardIn(r *evidence.Record) string { return heardText(r.Verdict, r.Did != "", r.Did) }

// votes writes what nodes said in a few words each.
func votes(replies []evidence.Reply) string {
	var words []string
	for _, r := range replies {
		word := r.Node + "=" + cmp.Or(r.Status, r.Reason, "-")
		if r.Vote != "" && r.Vote != r.Status {
			word += " (counts as " + r.Vote + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// moment writes a time for people.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05.000Z")
}

// number writes a block number; 0 is none.
func number(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}
