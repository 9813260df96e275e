package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/admin"
	"executionbackup/internal/engine"
	"executionbackup/internal/history"
	"executionbackup/internal/overview"
)

func (p *program) statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", ArgsUsage: "[URL]",
		Usage: "show how a running ExecutionBackup is: what is wrong, what to do, its nodes, the last payloads",
		Description: `The exit status is 0 where nothing is wrong, 1 where something is: no node votes, say, or a
dispute stands.

Example:
  executionbackup status http://10.0.0.5:7000`,
		Flags: append(p.remoteFlags(),
			&cli.BoolFlag{Name: "json", Usage: `print {"status": …, "nodes": […]} as the REST API has them`}),
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
	if cmd.Bool("json") {
		return p.statusJSON(ctx, r)
	}
	var overall overview.Overview
	var nodes []admin.Node
	var blocks []history.Record
	var forks admin.Forks
	for _, question := range []struct {
		path string
		into any
	}{{"/status", &overall}, {"/nodes", &nodes}, {"/blocks", &blocks}, {"/forks", &forks}} {
		if err := r.call(ctx, question.path, nil, question.into); err != nil {
			return err
		}
	}
	for _, line := range overviewLines(&overall, time.Now()) {
		fmt.Fprintln(p.stdout, engine.Printable(line))
	}
	fmt.Fprintln(p.stdout)
	if err := printTable(p.stdout, nodeRows(nodes, time.Now())); err != nil {
		return err
	}
	for _, n := range nodes {
		if n.Reason != "" {
			fmt.Fprintln(p.stdout, engine.Printable(n.Name+": "+n.Reason))
		}
	}
	if len(blocks) > 0 {
		fmt.Fprintln(p.stdout)
		if err := printTable(p.stdout, blockRows(nodes, blocks[max(0, len(blocks)-shownBlocks):])); err != nil {
			return err
		}
	}
	return wrong(&overall)
}

// statusJSON prints what the REST API says, for programs.
func (p *program) statusJSON(ctx context.Context, r *remote) error {
	var answer struct {
		Status json.RawMessage `json:"status"`
		Nodes  json.RawMessage `json:"nodes"`
	}
	if err := r.call(ctx, "/status", nil, &answer.Status); err != nil {
		return err
	}
	if err := r.call(ctx, "/nodes", nil, &answer.Nodes); err != nil {
		return err
	}
	text, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, string(text))
	var overall overview.Overview
	if err := json.Unmarshal(answer.Status, &overall); err != nil {
		return fmt.Errorf("%s doesn't answer as ExecutionBackup does: %w", r.url.Host, err)
	}
	return wrong(&overall)
}

// wrong is an error where something is wrong with what was looked at: see overview.Bad.
func wrong(o *overview.Overview) error {
	if o.Level != overview.Bad {
		return nil
	}
	return errors.New("something is wrong: " + o.Headline)
}

// overviewLines tell how things are as a whole, as the page does.
func overviewLines(o *overview.Overview, now time.Time) []string {
	lines := []string{o.Headline}
	if !o.Since.IsZero() {
		lines = append(lines, "since "+o.Since.Local().Format("2006-01-02 15:04:05 MST")+", "+age(now.Sub(o.Since)))
	}
	if o.Meaning != "" {
		lines = append(lines, o.Meaning)
	}
	for _, step := range o.Do {
		lines = append(lines, "- "+step.Text)
		if step.Command != "" {
			lines = append(lines, "    "+step.Command)
		}
	}
	isCommand := func(step overview.Step) bool { return step.Command != "" }
	if host, _ := os.Hostname(); host != o.Name && slices.ContainsFunc(o.Do, isCommand) {
		lines = append(lines, "(the commands are for "+cmp.Or(o.Name, "the machine that it runs on")+")")
	}
	if o.Fork != "" {
		lines = append(lines, o.Fork)
	}
	lines = append(lines, o.Notes...)
	who := []string{o.Name, o.Network, "version " + o.Version, "up " + age(now.Sub(o.Started)),
		fmt.Sprintf("on dispute: %s, threshold %s, vote by %s, min valid %d",
			o.Policy.OnDispute, o.Policy.Threshold, o.Policy.VoteBy, o.Policy.MinValid)}
	isEmpty := func(word string) bool { return word == "" }
	return append(lines, strings.Join(slices.DeleteFunc(who, isEmpty), " · "))
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
		heard := heardText(b.Verdict, b.Shadow, b.Did)
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
