package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/evidence"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
)

func (p *program) replayCommand() *cli.Command {
	return &cli.Command{
		Name: "replay", ArgsUsage: "FILE|NUMBER|last",
		Usage: "put a recorded call to nodes again, and show what they say now",
		Description: `FILE is as with evidence show. Takes its settings as the daemon does, from flags, ` +
			`environment and file, but doesn't
listen: give it the nodes that were there then, or others. A recorded newPayload changes nothing that a node follows. A
recorded forkchoiceUpdated moves its head, so it is sent with --forkchoice only: not to a node that a validator needs.

Example:
  executionbackup replay 20261125T120007.000Z-22345678-0x….json.gz ` +
			`--nodes http://127.0.0.1:8551 --jwt-secret /etc/ethereum/jwt.hex`,
		Flags: append(p.settingFlags(),
			&cli.BoolFlag{Name: "forkchoice", Usage: "send a recorded forkchoiceUpdated, too", Local: true}),
		HideHelpCommand: true,
		Action:          p.replay,
	}
}

func (p *program) replay(ctx context.Context, cmd *cli.Command) error {
	name := cmd.Args().First()
	if cmd.NArg() != 1 {
		return usageError("replay: write one FILE, the number of a block, or last")
	}
	c, err := p.load()
	if err != nil {
		return err
	}
	f, err := (&archive{dir: c.EvidenceDir}).find(ctx, name)
	if err != nil {
		return err
	}
	calls, err := replayable(f.Calls, cmd.Bool("forkchoice"))
	if err != nil {
		return err
	}
	p.printCase(&f.Case)
	nodes, stop, err := connect(ctx, c)
	if err != nil {
		return err
	}
	defer stop()
	silent := 0
	for _, call := range calls {
		var recorded []evidence.Reply
		if call.Method.Name == f.Case.Method {
			recorded = f.Replies()
		}
		now := ask(ctx, nodes, call)
		if err := p.printSideBySide(call.Method.Name, recorded, now); err != nil {
			return err
		}
		p.printVerdicts(&f.Case, recorded != nil, c.Rules, now)
		silent += len(slices.DeleteFunc(now, func(w word) bool { return w.status != engine.None }))
	}
	if silent > 0 {
		return fmt.Errorf("there was no status %d times", silent)
	}
	return nil
}

// replayable returns the calls that are put to nodes. The file may come from anywhere: nothing else is ever sent.
func replayable(calls []evidence.Call, forkchoice bool) (good []*engine.Call, err error) {
	for _, c := range calls {
		var r jsonrpc.Request
		if err := jsonrpc.ParseRequest(c.Body, &r); err != nil {
			return nil, fmt.Errorf("the recorded call is none: %w", err)
		}
		method := string(r.Method)
		family := engine.ParseMethod(method).Family
		if family == engine.NewPayload || family == engine.ForkchoiceUpdated && forkchoice {
			good = append(good, enginejson.NewCall(method, r.Params))
		}
	}
	if len(good) == 0 {
		return nil, errors.New("there is no newPayload in it: a forkchoiceUpdated moves a node's head, " +
			"and is sent with --forkchoice only")
	}
	return good, nil
}

// connect probes the nodes of a configuration once. stop ends that.
func connect(ctx context.Context, c *config.Config) (nodes []*node.Node, stop func(), err error) {
	pool := newPool(c.Nodes, nil)
	watching, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { pool.Run(watching) })
	stop = func() { cancel(); running.Wait() }
	select {
	case <-pool.Ready():
		return pool.Nodes(), stop, nil
	case <-ctx.Done():
		stop()
		return nil, nil, ctx.Err()
	}
}

// word is what a node says now.
type word struct {
	node   *node.Node
	status engine.Status // None where there was none
	reason string        // its validationError, or why there was no status
	took   time.Duration
	fork   string // its present fork configuration
}

// ask puts a call to all nodes side by side.
func ask(ctx context.Context, nodes []*node.Node, call *engine.Call) []word {
	words := make([]word, len(nodes))
	var asking sync.WaitGroup
	for i, n := range nodes {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, n.Timeout(call.Method))
			defer cancel()
			begun := time.Now()
			answer, err := n.Call(ctx, call)
			words[i] = word{node: n, took: time.Since(begun), status: answer.Status, reason: answer.ValidationError}
			if err == nil && answer.Err != nil {
				err = answer.Err
			}
			if err != nil {
				words[i].reason = err.Error()
			}
			n.AskForks(ctx) // where it doesn't tell, it isn't known
			words[i].fork = n.Fork(time.Now())
		})
	}
	asking.Wait()
	return words
}

// printSideBySide writes what nodes said then and what they say now, matched by their names.
func (p *program) printSideBySide(method string, recorded []evidence.Reply, now []word) error {
	table := [][]string{{"NODE", "RECORDED", "NOW", "AFTER", "CLIENT THEN", "CLIENT NOW", "REASON NOW"}}
	known := make(map[string]evidence.Reply)
	for _, r := range recorded {
		known[r.Node] = r
	}
	for _, w := range now {
		then := known[w.node.Name()]
		delete(known, w.node.Name())
		info := w.node.Status().Info
		table = append(table, []string{
			w.node.Name(), then.Status, w.status.String(), w.took.Round(time.Microsecond).String(),
			clientThen(then), info.Label(), w.reason,
		})
	}
	for _, r := range recorded {
		if _, left := known[r.Node]; left {
			table = append(table, []string{r.Node, r.Status, "(not asked)", "", clientThen(r), "", ""})
		}
	}
	fmt.Fprintln(p.stdout, engine.Printable(method)+":")
	return printTable(p.stdout, table)
}

func clientThen(r evidence.Reply) string {
	if r.About == nil {
		return ""
	}
	parts := strings.Split(r.About.Client, "/")
	return strings.Join(parts[:min(2, len(parts))], "/")
}

// printVerdicts writes what the consensus client heard, and what it would hear now.
func (p *program) printVerdicts(c *evidence.Case, recorded bool, rules quorum.Rules, now []word) {
	var voters node.Electorate
	for _, w := range now {
		status := w.node.Status()
		voters.Add(status.Part())
	}
	seats := make([]quorum.Seat, len(now))
	for i, w := range now {
		status := w.node.Status()
		voter, rests := voters.Has(status.Part()), voters.Rests(status.Part())
		seats[i] = quorum.Seat{
			Configured: !status.DoNotUse, MayVote: status.MayVote(), Voter: voter, Rests: rests,
			MayObject: voter || rests, Proved: true, // as if it had been seen to follow
			Said: w.status, Ended: true, Dead: w.status == engine.None && !status.Reachable(),
			Client: status.Info.Implementation(), Fork: w.fork, NearFork: true, // as far as the recorded call tells
		}
	}
	poll := quorum.NewPoll(rules, quorum.Clock{}, len(seats))
	poll.Cast(seats)
	v := rules.Decide(poll.Ballots)
	if recorded && c.Verdict != "" {
		then := verdictText(c.Verdict, c.Dispute)
		if c.Did != "" {
			then += " (in mode shadow: the consensus client heard " + c.Did + ")"
		}
		fmt.Fprintf(p.stdout, "verdict then: %s\n", engine.Printable(then))
	}
	fmt.Fprintf(p.stdout, "verdict now: %s\n\n", verdictText(v.Status.String(), v.Dispute))
}

func verdictText(status string, dispute bool) string {
	if dispute {
		return status + ", a dispute"
	}
	return cmp.Or(status, "none")
}
