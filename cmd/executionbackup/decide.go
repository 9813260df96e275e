package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

func (p *program) decideCommand() *cli.Command {
	return &cli.Command{
		Name: "decide", ArgsUsage: "[NAME[:CLIENT]=]WORD…",
		Usage: "show what the consensus client hears where nodes say this, and why",
		Description: `Decides as the daemon does, by its own code and settings, and asks no node. ` +
			`A WORD is VALID, INVALID, SYNCING or
ACCEPTED; none of a node that answers with an error or hangs, late of a laggard, dead of one that can't be reached.
CLIENT is the implementation, for --vote-by=client and --on-dispute=live.

The nodes are taken to have proved themselves, to have the same fork configuration and to have objected to nothing
before, and the payload to be the block whose hash it claims.

Example:
  executionbackup decide VALID VALID INVALID --on-dispute majority
  executionbackup decide a:geth=INVALID b:geth=INVALID c:besu=VALID --vote-by client`,
		Flags: append(p.someSettings("fcu-invalid-threshold", "min-valid", "on-dispute", "majority-implementations",
			"vote-by", "config"), jsonFlag()),
		HideHelpCommand: true, // it would be a word
		Action:          p.decide,
	}
}

// decision is what decide prints as JSON.
type decision struct {
	Verdict string    `json:"verdict"` // what the consensus client hears
	Dispute bool      `json:"dispute"`
	Rule    string    `json:"rule"` // that decided the dispute; "" where there is none
	Why     string    `json:"why"`
	Votes   int       `json:"votes"` // of nodes, or of implementations with --vote-by=client; so are the counts below
	Asked   int       `json:"asked"` // the denominator of VALID
	Heard   int       `json:"heard"` // the denominator of INVALID
	Valid   int       `json:"valid"`
	Invalid int       `json:"invalid"`
	Syncing int       `json:"syncing"`
	Nodes   []decider `json:"nodes"`
}

// decider is a node in a decision.
type decider struct {
	Name   string `json:"name"`
	Client string `json:"client"` // "" where it wasn't given
	Said   string `json:"said"`
	Vote   string `json:"vote"` // the status that counts; "" where none does
}

func (p *program) decide(_ context.Context, cmd *cli.Command) error {
	rules, err := p.rules()
	if err != nil {
		return err
	}
	d := decision{Nodes: []decider{}}
	var seats []quorum.Seat
	for i, arg := range cmd.Args().Slice() {
		node, seat, err := readSeat(i, arg)
		if err != nil {
			return err
		}
		d.Nodes, seats = append(d.Nodes, node), append(seats, seat)
	}
	if len(seats) == 0 {
		return usageError("decide: write at least one WORD, such as VALID")
	}
	if rules.MinValid > len(seats) {
		return usageError("decide: min-valid is %d, and these are %d nodes: the daemon would refuse that",
			rules.MinValid, len(seats))
	}
	poll := quorum.NewPoll(rules, quorum.Clock{}, len(seats))
	poll.Cast(seats)
	for i := range poll.Ballots {
		d.Nodes[i].Vote = poll.Ballots[i].Vote.String()
	}
	d.explain(rules.Explain(poll.Ballots))
	if cmd.Bool("json") {
		return printJSON(p.stdout, d)
	}
	return p.printDecision(&d, rules)
}

// rules are those of the daemon, with or without nodes.
func (p *program) rules() (quorum.Rules, error) {
	c, err := config.Look(p.inputs())
	if err != nil {
		return quorum.Rules{}, err
	}
	return c.Rules, nil
}

// silences are the words of nodes that give no status.
var silences = map[string]func(*quorum.Seat){
	"NONE": func(*quorum.Seat) {},
	"LATE": func(s *quorum.Seat) { s.Laggard = true },
	"DEAD": func(s *quorum.Seat) { s.Dead = true },
}

// readSeat reads what the i-th node says.
func readSeat(i int, arg string) (decider, quorum.Seat, error) {
	name, word, named := strings.Cut(arg, "=")
	if !named {
		name, word = "", arg
	}
	name, client, _ := strings.Cut(name, ":")
	if name == "" {
		name = fmt.Sprintf("n%d", i+1)
	}
	word = strings.ToUpper(word)
	seat := quorum.Seat{
		Node: quorum.NodeID(fmt.Sprint(i)), Client: strings.ToLower(client), Configured: true, MayVote: true,
		Voter: true, MayObject: true, Proved: true, Ended: true,
	}
	if put := silences[word]; put != nil {
		put(&seat)
	} else if seat.Said = statusOf(word); seat.Said == engine.None {
		return decider{}, seat, usageError(
			"decide: %q is none of VALID, INVALID, SYNCING, ACCEPTED, none, late and dead%s", word,
			config.Suggest(word, []string{"VALID", "INVALID", "SYNCING", "ACCEPTED", "NONE", "LATE", "DEAD"}))
	}
	return decider{Name: name, Client: client, Said: word}, seat, nil
}

// statusOf is the status with that name; None where there is none.
func statusOf(word string) engine.Status {
	for _, s := range []engine.Status{engine.Valid, engine.Invalid, engine.Syncing, engine.Accepted} {
		if word == s.String() || word == "INVALID_BLOCK_HASH" && s == engine.Invalid {
			return s
		}
	}
	return engine.None
}

// explain takes in the verdict. A single node's answer isn't judged, which comes to the same; and where no node gives a
// status the consensus client hears SYNCING.
func (d *decision) explain(e quorum.Explanation) {
	d.Verdict, d.Dispute, d.Rule, d.Why = e.Status.String(), e.Dispute, e.Rule.String(), e.Why
	d.Votes, d.Asked, d.Heard, d.Valid, d.Invalid, d.Syncing = e.Votes, e.Asked, e.Heard, e.Valid, e.Invalid, e.Syncing
	switch {
	case e.Status == engine.None:
		d.Verdict = engine.Syncing.String()
		d.Why += " (or the JSON-RPC error, where nodes give one)"
	case len(d.Nodes) == 1:
		d.Why = "a single node's answer passes through"
	}
}

func (p *program) printDecision(d *decision, rules quorum.Rules) error {
	table := [][]string{{"NODE", "CLIENT", "SAYS", "VOTE"}}
	for _, n := range d.Nodes {
		table = append(table, []string{n.Name, n.Client, n.Said, n.Vote})
	}
	if !slices.ContainsFunc(d.Nodes, func(n decider) bool { return n.Client != "" }) {
		for i := range table {
			table[i] = slices.Delete(table[i], 1, 2)
		}
	}
	if err := printTable(p.stdout, table); err != nil {
		return err
	}
	who := "node"
	if rules.ByClient {
		who = "client"
	}
	_, err := fmt.Fprintf(p.stdout, "\n%s: %s\n"+
		"votes: %d (%d VALID, %d INVALID, %d SYNCING), one for each %s; asked: %d; heard: %d\n"+
		"settings: fcu-invalid-threshold %s, min-valid %d, on-dispute %s\n",
		verdictText(d.Verdict, d.Dispute), d.Why,
		d.Votes, d.Valid, d.Invalid, d.Syncing, who, d.Asked, d.Heard,
		rules.Threshold, rules.MinValid, rules.OnDispute)
	return err
}
