package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/admin"
	"executionbackup/internal/evidence"
	"executionbackup/internal/history"
)

func (p *program) statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", ArgsUsage: "[URL]",
		Usage: "show how a running ExecutionBackup is: its nodes, the last payloads, disputes",
		Description: `Example:
  executionbackup status http://10.0.0.5:7000`,
		Flags:           p.remoteFlags(),
		HideHelpCommand: true,
		Action:          p.status,
	}
}

// shownBlocks is how many of the last payloads status shows.
const shownBlocks = 8

func (p *program) status(ctx context.Context, cmd *cli.Command) error {
	if cmd.NArg() > 1 {
		return usageError("status: write one URL at most")
	}
	if cmd.NArg() == 1 {
		if err := cmd.Set("url", cmd.Args().First()); err != nil {
			return err
		}
	}
	r, err := p.remote(cmd, healthTimeout)
	if err != nil {
		return err
	}
	var nodes []admin.Node
	var blocks []history.Record
	var disputes []evidence.Entry
	var forks admin.Forks
	for _, question := range []struct {
		path string
		into any
	}{{"/nodes", &nodes}, {"/blocks", &blocks}, {"/evidence", &disputes}, {"/forks", &forks}} {
		if err := r.call(ctx, question.path, nil, question.into); err != nil {
			return err
		}
	}
	fmt.Fprintln(p.stdout, summary(nodes, blocks, disputes, time.Now()))
	for _, line := range forkLines(&forks) {
		fmt.Fprintln(p.stdout, printable(line))
	}
	fmt.Fprintln(p.stdout)
	if err := printTable(p.stdout, nodeRows(nodes, time.Now())); err != nil {
		return err
	}
	for _, n := range nodes {
		if n.Reason != "" {
			fmt.Fprintln(p.stdout, printable(n.Name+": "+n.Reason))
		}
	}
	if len(blocks) == 0 {
		return nil
	}
	fmt.Fprintln(p.stdout)
	return printTable(p.stdout, blockRows(nodes, blocks[max(0, len(blocks)-shownBlocks):]))
}

// summary is the state as a whole in one line.
func summary(nodes []admin.Node, blocks []history.Record, disputes []evidence.Entry, now time.Time) string {
	line := fmt.Sprintf("%d of %d nodes vote, ", voting(nodes), len(nodes))
	var took []history.Micros
	for _, b := range blocks {
		if b.Verdict != "" {
			took = append(took, b.Took)
		}
	}
	if len(took) == 0 {
		line += "no payload yet, "
	} else {
		slices.Sort(took)
		line += "verdicts in " + time.Duration(took[len(took)/2]).Round(time.Millisecond).String() + ", "
	}
	if len(disputes) == 0 {
		return line + "no dispute on record"
	}
	last := disputes[len(disputes)-1]
	ago := age(now.Sub(last.Time))
	return line + fmt.Sprintf("last dispute %s ago on block %d (%d on record)", ago, last.Number, len(disputes))
}

// forkLines tell when the next fork is, and whose forks differ.
func forkLines(forks *admin.Forks) (lines []string) {
	if next := forks.Countdown(); next != "" {
		lines = append(lines, next)
	}
	for _, n := range forks.Nodes {
		if n.Says != "" {
			lines = append(lines, n.Node+" isn't ready for it: "+n.Says)
		}
		for _, d := range n.Differences {
			lines = append(lines, n.Node+"'s "+d.String())
		}
	}
	return lines
}

// voting is how many of the nodes vote.
func voting(nodes []admin.Node) (count int) {
	for _, n := range nodes {
		if n.State == "alive" && n.Votes {
			count++
		}
	}
	return count
}

func nodeRows(nodes []admin.Node, now time.Time) [][]string {
	table := [][]string{
		{"NAME", "URL", "STATE", "SINCE", "PRIMARY", "LAGGARD", "OBJECTIONS", "CLIENT", "RESPONSE TIME"},
	}
	for _, n := range nodes {
		table = append(table, []string{
			n.Name, n.URL, stateOf(&n), age(now.Sub(n.Since)), yes(n.Primary), yes(n.Laggard),
			strconv.Itoa(n.Objections), clientOf(&n), microseconds(n.ResponseTime),
		})
	}
	return table
}

// blockRows has the last payloads, each with what every node said and when.
func blockRows(nodes []admin.Node, blocks []history.Record) [][]string {
	heads := []string{"NUMBER", "BLOCK", "HEARD", "AFTER", "IN SLOT"}
	for _, n := range nodes {
		heads = append(heads, n.Name)
	}
	table := [][]string{heads}
	for _, b := range blocks {
		heard := b.Verdict
		if b.Dispute {
			heard += ", dispute"
		}
		row := []string{strconv.FormatUint(b.Number, 10), short(b.Block.Hex()), heard, rounded(b.Took), inSlot(&b)}
		for _, n := range nodes {
			cell := ""
			for _, v := range b.Votes {
				if v.Node == n.Name {
					cell = strings.TrimSpace(v.Status + " " + rounded(v.Took))
				}
			}
			row = append(row, cell)
		}
		table = append(table, row)
	}
	return table
}

// rounded writes a time span as people read it; 0 is none.
func rounded(m history.Micros) string {
	if m == 0 {
		return ""
	}
	return time.Duration(m).Round(100 * time.Microsecond).String()
}

// inSlot is when in its slot the consensus client asked about a block, and had its answer: "1.9s to 2.1s". Of a block
// that is two slots old it is the age, because nobody attests to that; where our clock can't be right, nothing.
func inSlot(b *history.Record) string {
	if b.Asked == nil {
		return ""
	}
	asked := time.Duration(*b.Asked)
	if asked >= 24*time.Second {
		return age(asked) + " old"
	}
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Round(100*time.Millisecond).Seconds()) }
	if b.Verdict == "" {
		return seconds(asked)
	}
	return seconds(asked) + " to " + seconds(asked+time.Duration(b.Took))
}

// age writes a time span as people say it.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*366*day:
		return fmt.Sprintf("%dy", int(d.Hours()/24/365.25))
	case d >= 2*day:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%dmin", int(d.Minutes()))
	}
	return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
}
