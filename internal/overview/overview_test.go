package overview

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/admin"
	"executionbackup/internal/history"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// started is an instance that started so long ago.
func started(up time.Duration) Instance { return Instance{Started: noon.Add(-up)} }

// nodesOf makes nodes out of words: a state, and after a plus what else there is to say.
func nodesOf(words string) (nodes []admin.Node) {
	for i, word := range strings.Fields(words) {
		parts := strings.Split(word, "+")
		n := admin.Node{Name: fmt.Sprintf("n%d", i+1), State: parts[0]}
		if n.State == "dead" {
			n.Reason = "no connection: connection refused"
		}
		for _, more := range parts[1:] {
			n.Laggard = n.Laggard || more == "laggard"
			n.Drained = n.Drained || more == "drained"
			n.DoNotUse = n.DoNotUse || more == "unused"
			if more == "objects" {
				n.Objections = 1
			}
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// blocks are the last payloads, 12 seconds apart: the verdicts' times in milliseconds, 0 for one that is being judged.
func payloads(ms ...int) (blocks []history.Record) {
	for i, took := range ms {
		b := history.Record{
			Number: uint64(100 + i), Time: noon.Add(time.Duration(i-len(ms)) * 12 * time.Second),
			Took: history.Micros(took) * history.Micros(time.Millisecond), Verdict: "VALID",
		}
		if took == 0 {
			b.Verdict = ""
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// heard are the last payloads by what the consensus client heard; - for one that is being judged.
func heard(verdicts string) []history.Record {
	words := strings.Fields(verdicts)
	blocks := payloads(slices.Repeat([]int{41}, len(words))...)
	for i, word := range words {
		blocks[i].Verdict = strings.Trim(word, "-")
	}
	return blocks
}

// disputed is a dispute about block 7 whose last call came some time ago.
func disputed(ago time.Duration, change func(*history.Dispute)) history.Dispute {
	d := history.Dispute{Record: &history.Record{}, Calls: 3, Last: noon.Add(-ago)}
	d.Number, d.Time, d.Verdict, d.Dispute = 7, noon.Add(-ago-time.Minute), "SYNCING", true
	d.Votes = []history.Vote{
		{Node: "n1", Status: "VALID", Vote: "VALID"},
		{Node: "n2", Status: "SYNCING", Vote: "INVALID"},
		{Node: "n3", Status: "VALID", Vote: "VALID"},
	}
	d.Kind, d.Standing, d.Heard, d.Objectors = history.OfTheChain, ago < time.Minute, "SYNCING", []string{"n2"}
	if change != nil {
		change(&d)
	}
	return d
}

func TestOf(t *testing.T) {
	const day = 24 * time.Hour
	live := func(d *history.Dispute) { d.Heard, d.Rule, d.Why = "VALID", "live", "why" }
	late := func(d *history.Dispute) { d.Kind, d.Heard = history.LateObjection, "VALID" }
	both := func(d *history.Dispute) { d.Objectors, d.Heard = []string{"n1", "n2"}, "INVALID" }
	unproposed := func(d *history.Dispute) { d.Kind, d.Heard = history.BeforeProposal, "" }
	proposed := func(d *history.Dispute) { unproposed(d); d.Dispute, d.Late = false, true }
	for _, test := range []struct {
		nodes    string
		blocks   []history.Record
		disputes []history.Dispute
		up       time.Duration
		level    Level
		text     string
		notes    string
	}{
		{"alive alive alive", payloads(40, 41, 90), nil, 6 * day, Good,
			"3 of 3 nodes vote, verdicts in 41 ms, no dispute for 6 days", ""},
		{"alive alive alive", payloads(40, 41, 90, 0), []history.Dispute{disputed(50*time.Hour, nil)}, 6 * day, Good,
			"3 of 3 nodes vote, verdicts in 41 ms, no dispute for 2 days", ""},
		{"alive alive alive", payloads(41), []history.Dispute{disputed(5*time.Minute, nil)}, day, Warn,
			"3 of 3 nodes vote, verdicts in 41 ms, last dispute 5 minutes ago", ""},
		{"alive alive alive", nil, nil, 10 * time.Second, Good,
			"3 of 3 nodes vote, no payload from the consensus client yet, no dispute yet", ""},
		{"alive alive alive", nil, nil, 3 * time.Minute, Warn,
			"No payload from the consensus client since the start 3 minutes ago",
			"3 of 3 nodes vote, no dispute for 3 minutes"},
		{"alive alive", payloads(2500), nil, time.Hour, Warn,
			"2 of 2 nodes vote, verdicts in 2.5 s, no dispute for 1 hour", ""},
		{"alive alive", payloads(3), nil, time.Hour, Good,
			"2 of 2 nodes vote, verdicts in 3.0 ms, no dispute for 1 hour", ""},

		{"alive dead alive", payloads(41), nil, day, Warn,
			"2 of 3 nodes vote, verdicts in 41 ms, no dispute for 24 hours",
			"n2 has been dead (no connection: connection refused)"},
		{"alive alive+laggard alive", payloads(41), nil, day, Warn,
			"2 of 3 nodes vote, 1 is late, verdicts in 41 ms, no dispute for 24 hours",
			"n2 is late: nobody waits for it"},
		{"alive alive alive+objects", payloads(41), nil, day, Warn,
			"3 of 3 nodes vote, verdicts in 41 ms, no dispute for 24 hours",
			"n3 objects to 1 block"},
		{"alive alive syncing+objects alive+objects+drained", payloads(41), nil, day, Warn,
			"2 of 3 nodes vote, verdicts in 41 ms, no dispute for 24 hours",
			"n3 has been syncing and objects to 1 block; n4 objects to 1 block and is drained"},
		{"alive alive alive+drained dead+unused", payloads(41), nil, day, Good,
			"2 of 2 nodes vote, verdicts in 41 ms, no dispute for 24 hours",
			"n3 is drained; n4 has been dead (no connection: connection refused)"},
		{"alive syncing dead", payloads(41), nil, day, Bad, "Only 1 of 3 nodes votes: nothing checks it",
			"verdicts in 41 ms, no dispute for 24 hours; n2 has been syncing; " +
				"n3 has been dead (no connection: connection refused)"},
		{"syncing dead", payloads(41), nil, day, Bad, "No node is synced: the 1 node that can be reached votes",
			"no dispute for 24 hours; n1 has been syncing; " +
				"n2 has been dead (no connection: connection refused)"},
		{"dead dead", payloads(41), nil, day, Bad, "No node can be reached: the consensus client hears SYNCING",
			"no dispute for 24 hours; n1 has been dead (no connection: connection refused); " +
				"n2 has been dead (no connection: connection refused)"},
		{"unknown unknown", nil, nil, time.Second, Warn,
			"Nodes are being probed for the first time, no payload from the consensus client yet, no dispute yet", ""},

		{"alive", payloads(41), nil, day, Good, "The only node answers, and nothing checks it, verdicts in 41 ms", ""},
		{"alive+laggard", payloads(41), nil, day, Bad,
			"The only node doesn't answer in time", "n1 is late: nobody waits for it"},
		{"alive+laggard", heard("VALID error"), nil, day, Bad,
			"The only node doesn't answer in time: the consensus client hears an error",
			"n1 is late: nobody waits for it"},
		{"alive+laggard alive+laggard dead", heard("VALID SYNCING"), nil, day, Bad,
			"None of 3 nodes answers in time: the consensus client hears SYNCING",
			"no dispute for 24 hours; n1 is late: nobody waits for it; n2 is late: nobody waits for it; " +
				"n3 has been dead (no connection: connection refused)"},
		{"alive+laggard alive+laggard alive+unused", heard("VALID -"), nil, day, Bad, "None of 2 nodes answers in time",
			"no dispute for 24 hours; n1 is late: nobody waits for it; n2 is late: nobody waits for it"},
		{"dead", payloads(41), nil, day, Bad, "No node can be reached: the consensus client hears SYNCING",
			"n1 has been dead (no connection: connection refused)"},

		{"alive alive+objects alive", payloads(41), []history.Dispute{disputed(0, nil)}, day, Bad,
			"Dispute: n2 calls block 7 INVALID, the consensus client hears SYNCING",
			"it began 1 minute ago, 3 calls so far; 3 of 3 nodes vote, verdicts in 41 ms; " +
				"n2 objects to 1 block"},
		{"alive alive alive", payloads(41, 0), []history.Dispute{disputed(15*time.Second, nil)}, day, Bad,
			"Dispute: n2 calls block 7 INVALID, the consensus client hears SYNCING",
			"it began 1 minute ago, 3 calls so far; 3 of 3 nodes vote, verdicts in 41 ms"},
		{"alive alive alive", payloads(41), []history.Dispute{disputed(0, both)}, day, Bad,
			"Dispute: n1 and n2 call block 7 INVALID, the consensus client hears INVALID",
			"it began 1 minute ago, 3 calls so far; 3 of 3 nodes vote, verdicts in 41 ms"},
		{"alive alive alive", payloads(41), []history.Dispute{disputed(0, live)}, day, Warn,
			"Dispute: n2 calls block 7 INVALID, the consensus client hears VALID",
			"it began 1 minute ago, 3 calls so far; decided by the rule live: why; " +
				"3 of 3 nodes vote, verdicts in 41 ms"},
		{"alive alive alive", payloads(41), []history.Dispute{disputed(0, late)}, day, Warn,
			"Late objection: n2 calls block 7 INVALID after the consensus client heard VALID",
			"it began 1 minute ago, 3 calls so far; 3 of 3 nodes vote, verdicts in 41 ms"},
		{"alive alive alive", payloads(41), []history.Dispute{disputed(0, unproposed)}, day, Warn,
			"Dispute: n2 calls block 7 INVALID before it was proposed",
			"it began 1 minute ago, 3 calls so far; 3 of 3 nodes vote, verdicts in 41 ms"},
		{"alive alive alive", payloads(41), []history.Dispute{disputed(0, proposed)}, day, Warn,
			"Late objection: n2 calls block 7 INVALID after it was proposed",
			"it began 1 minute ago, 3 calls so far; 3 of 3 nodes vote, verdicts in 41 ms"},
	} {
		got := Of(State{
			Now: noon, Instance: started(test.up), Nodes: nodesOf(test.nodes),
			Blocks: test.blocks, Disputes: test.disputes,
		})
		if got.Notes == nil {
			t.Errorf("%s: no notes, which is null in JSON", test.nodes)
		}
		if got.Level != test.level || got.Headline != test.text || strings.Join(got.Notes, "; ") != test.notes {
			t.Errorf("%s, %d blocks, %d disputes:\ngot  %s %q\n     %q\nwant %s %q\n     %q",
				test.nodes, len(test.blocks), len(test.disputes),
				got.Level, got.Headline, strings.Join(got.Notes, "; "), test.level, test.text, test.notes)
		}
	}
}

// No consensus client for a while is told, whatever came before.
func TestSilence(t *testing.T) {
	s := State{
		Now: noon.Add(10 * time.Minute), Instance: started(time.Hour),
		Nodes: nodesOf("alive alive"), Blocks: payloads(41),
	}
	got := Of(s)
	if got.Headline != "No payload from the consensus client for 10 minutes" || got.Level != Warn ||
		!got.Since.Equal(s.Blocks[0].Time) || len(got.Do) != 1 ||
		got.Notes[0] != "2 of 2 nodes vote, no dispute for 1 hour" {
		t.Errorf("got %+v", got)
	}
}

// A standing dispute about a block of the chain is told before others, whichever came last; what it means and what to
// do about it depends on what the consensus client hears, and each command can be pasted.
func TestWhatToDo(t *testing.T) {
	of := func(kind history.Kind, heard string, number uint64, last time.Duration) history.Dispute {
		return disputed(last, func(d *history.Dispute) { d.Kind, d.Heard, d.Number = kind, heard, number })
	}
	s := State{
		Now: noon, Instance: started(time.Hour), Blocks: payloads(41), Evidence: true,
		Nodes: nodesOf("alive alive+objects alive alive+drained alive+objects"),
	}
	s.Policy.OnDispute = "halt"
	for _, test := range []struct {
		disputes []history.Dispute
		want     string
	}{
		{[]history.Dispute{of(history.OfTheChain, "SYNCING", 7, time.Second), of(history.BeforeProposal, "", 9, 0)},
			"block 7; Validators don't attest to the block or to what is built on it, and don't propose, until this " +
				"is over.; executionbackup evidence show last; executionbackup nodes drain n2; " +
				"executionbackup nodes drain n1 n3 n5; executionbackup nodes clear-objections n2; " +
				"executionbackup nodes clear-objections n5"},
		{[]history.Dispute{of(history.OfTheChain, "VALID", 7, time.Second), of(history.LateObjection, "VALID", 9, 0)},
			"block 7; Validators go on, as --on-dispute=halt has it: they attest to the block.; " +
				"executionbackup evidence show last; executionbackup nodes drain n2; " +
				"executionbackup nodes drain n1 n3 n5; executionbackup nodes clear-objections n2; " +
				"executionbackup nodes clear-objections n5"},
		{[]history.Dispute{of(history.LateObjection, "VALID", 7, time.Second), of(history.BeforeProposal, "", 9, 0)},
			"block 7; Validators go on. With the next block it may become a dispute.; " +
				"executionbackup evidence show last; executionbackup nodes drain n2; " +
				"executionbackup nodes drain n1 n3 n5; executionbackup nodes clear-objections n2; " +
				"executionbackup nodes clear-objections n5"},
		{[]history.Dispute{of(history.BeforeProposal, "", 9, 0)},
			"block 9; Another payload was proposed, if there was one. Validators go on, but a node that is wrong can " +
				"make worse payloads be proposed, its own among them.; " +
				"executionbackup evidence show last; executionbackup nodes clear-objections n5"},
	} {
		s.Disputes = test.disputes
		o := Of(s)
		said := []string{fmt.Sprint("block ", test.disputes[0].Number), o.Meaning}
		for _, step := range o.Do {
			said = append(said, step.Command)
		}
		if got := strings.Join(said, "; "); got != test.want || !strings.Contains(o.Headline, said[0]) ||
			!o.Since.Equal(test.disputes[0].Time) {
			t.Errorf("%s, since %v\ngot  %s\nwant %s", o.Headline, o.Since, got, test.want)
		}
	}
}

// The network is that of most nodes, by its name where it has one.
func TestNetwork(t *testing.T) {
	for chains, want := range map[string]string{
		"": "", "0x1": "mainnet", "- 0xaa36a7": "sepolia", "0x88bb0 0x1 0x88bb0": "hoodi", "0x1 0x539": "mainnet",
		"0x539": "chain 1337", "nonsense": "", "0x64": "gnosis", "0x27d8": "chiado", "0x4268": "holesky",
	} {
		var nodes []admin.Node
		for _, id := range strings.Fields(chains) {
			nodes = append(nodes, admin.Node{ChainID: strings.Trim(id, "-")})
		}
		if got := network(nodes); got != want {
			t.Errorf("%s: got %q, want %q", chains, got, want)
		}
	}
}

// What isn't kept is a warning and a note, and no headline.
func TestSummaryOfWhatIsNotKept(t *testing.T) {
	s := State{Now: noon, Instance: started(time.Hour), Nodes: nodesOf("alive alive"), Blocks: payloads(41)}
	was := Of(s)
	s.Untold = true
	if got := Of(s); got.Level != Warn || got.Headline != was.Headline ||
		!slices.Contains(got.Notes, "alerts don't reach --webhook-url: the log says why") {
		t.Errorf("nobody is told: got %+v, without it %+v", got, was)
	}
	s.Untold = false
	s.Kept.File = "the disk is full"
	if got := Of(s); got.Level != Warn || got.Headline != was.Headline || !slices.Contains(got.Notes, s.Kept.File) {
		t.Errorf("got %+v, without it %+v", got, was)
	}
}

// A node whose INVALID doesn't count is named all the same.
func TestIgnored(t *testing.T) {
	for _, c := range []struct{ node, vote, want string }{
		{"alive", "", "n2 calls the last block INVALID, which doesn't count: started, and not yet seen to follow"},
		{"alive", "INVALID", ""},
		{"alive+drained", "", "n2 is drained"},
	} {
		s := State{Now: noon, Nodes: nodesOf("alive " + c.node), Blocks: payloads(41)}
		s.Blocks[0].Votes = []history.Vote{
			{Node: "n1", Status: "VALID", Vote: "VALID"}, {Node: "n2", Status: "INVALID", Vote: c.vote},
		}
		if got := strings.Join(s.nodeNotes(), "; "); got != c.want {
			t.Errorf("%s, vote %q: %q, want %q", c.node, c.vote, got, c.want)
		}
	}
}
