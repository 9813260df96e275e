package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/admin"
	"executionbackup/internal/fleet"
	"executionbackup/internal/history"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

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

// disputed is a dispute about block 7 whose last call came some time ago.
func disputed(ago time.Duration, change func(*history.Dispute)) history.Dispute {
	d := history.Dispute{Record: &history.Record{}, Calls: 3, Last: noon.Add(-ago)}
	d.Number, d.Time, d.Verdict, d.Dispute = 7, noon.Add(-ago-time.Minute), "SYNCING", true
	d.Votes = []history.Vote{
		{Node: "n1", Status: "VALID", Vote: "VALID"},
		{Node: "n2", Status: "SYNCING", Vote: "INVALID"},
		{Node: "n3", Status: "VALID", Vote: "VALID"},
	}
	if change != nil {
		change(&d)
	}
	return d
}

func TestSummarize(t *testing.T) {
	const day = 24 * time.Hour
	live := func(d *history.Dispute) { d.Verdict, d.Rule, d.Why = "VALID", "live", "why" }
	late := func(d *history.Dispute) { d.Dispute, d.Late, d.Verdict = false, true, "VALID" }
	both := func(d *history.Dispute) { d.Votes[0].Status, d.Verdict = "INVALID", "INVALID" }
	unproposed := func(d *history.Dispute) { d.Verdict = "" }
	proposed := func(d *history.Dispute) { d.Dispute, d.Late, d.Verdict = false, true, "" }
	for _, test := range []struct {
		nodes    string
		blocks   []history.Record
		disputes []history.Dispute
		up       time.Duration
		level    string
		text     string
		notes    string
	}{
		{"alive alive alive", payloads(40, 41, 90), nil, 6 * day, good,
			"3 of 3 nodes vote, verdicts in 41 ms, no dispute for 6 days", ""},
		{"alive alive alive", payloads(40, 41, 90, 0), []history.Dispute{disputed(50*time.Hour, nil)}, 6 * day, good,
			"3 of 3 nodes vote, verdicts in 41 ms, no dispute for 2 days", ""},
		{"alive alive alive", payloads(41), []history.Dispute{disputed(5*time.Minute, nil)}, day, warn,
			"3 of 3 nodes vote, verdicts in 41 ms, last dispute 5 minutes ago", ""},
		{"alive alive alive", nil, nil, 10 * time.Second, good,
			"3 of 3 nodes vote, no call from the consensus client yet, no dispute yet", ""},
		{"alive alive alive", nil, nil, 3 * time.Minute, warn,
			"3 of 3 nodes vote, no payload from the consensus client since the start 3 minutes ago, " +
				"no dispute for 3 minutes", ""},
		{"alive alive", payloads(2500), nil, time.Hour, warn,
			"2 of 2 nodes vote, verdicts in 2.5 s, no dispute for 1 hour", ""},
		{"alive alive", payloads(3), nil, time.Hour, good,
			"2 of 2 nodes vote, verdicts in 3.0 ms, no dispute for 1 hour", ""},

		{"alive dead alive", payloads(41), nil, day, warn,
			"2 of 3 nodes vote, verdicts in 41 ms, no dispute for 24 hours",
			"n2 is dead (no connection: connection refused)"},
		{"alive alive+laggard alive", payloads(41), nil, day, warn,
			"3 of 3 nodes vote, verdicts in 41 ms, no dispute for 24 hours", "n2 is a laggard: nobody waits for it"},
		{"alive alive alive+objects", payloads(41), nil, day, warn,
			"3 of 3 nodes vote, verdicts in 41 ms, no dispute for 24 hours",
			"n3 objects to 1 block: " + fleet.HowObjectionsEnd("n3")},
		{"alive alive syncing+objects alive+objects+drained", payloads(41), nil, day, warn,
			"2 of 3 nodes vote, verdicts in 41 ms, no dispute for 24 hours",
			"n3 is syncing and objects to 1 block; n4 objects to 1 block and is drained"},
		{"alive alive alive+drained dead+unused", payloads(41), nil, day, good,
			"2 of 2 nodes vote, verdicts in 41 ms, no dispute for 24 hours",
			"n3 is drained; n4 is dead (no connection: connection refused)"},
		{"alive syncing dead", payloads(41), nil, day, bad, "Only 1 of 3 nodes votes: nothing checks it",
			"verdicts in 41 ms, no dispute for 24 hours; n2 is syncing; " +
				"n3 is dead (no connection: connection refused)"},
		{"syncing dead", payloads(41), nil, day, bad, "No node is synced: the 1 node that can be reached votes",
			"verdicts in 41 ms, no dispute for 24 hours; n1 is syncing; " +
				"n2 is dead (no connection: connection refused)"},
		{"dead dead", payloads(41), nil, day, bad, "No node can be reached: the consensus client hears SYNCING",
			"verdicts in 41 ms, no dispute for 24 hours; n1 is dead (no connection: connection refused); " +
				"n2 is dead (no connection: connection refused)"},
		{"unknown unknown", nil, nil, time.Second, warn,
			"Nodes are being probed for the first time, no call from the consensus client yet, no dispute yet", ""},

		{"alive", payloads(41), nil, day, good, "The only node answers, and nothing checks it, verdicts in 41 ms", ""},
		{"alive+laggard", payloads(41), nil, day, warn,
			"The only node is late, and nothing checks it, verdicts in 41 ms", "n1 is a laggard: nobody waits for it"},
		{"dead", payloads(41), nil, day, bad, "No node can be reached: the consensus client hears SYNCING",
			"verdicts in 41 ms; n1 is dead (no connection: connection refused)"},

		{"alive alive+objects alive", payloads(41), []history.Dispute{disputed(0, nil)}, day, bad,
			"Dispute: n2 calls block 7 INVALID, the consensus client hears SYNCING",
			"it began 1 minute ago, 3 calls so far; 3 of 3 nodes vote, verdicts in 41 ms; " +
				"n2 objects to 1 block: " + fleet.HowObjectionsEnd("n2")},
		{"alive alive alive", payloads(41, 0), []history.Dispute{disputed(15*time.Second, nil)}, day, bad,
			"Dispute: n2 calls block 7 INVALID, the consensus client hears SYNCING",
			"it began 1 minute ago, 3 calls so far; 3 of 3 nodes vote, verdicts in 41 ms"},
		{"alive alive alive", payloads(41), []history.Dispute{disputed(0, both)}, day, bad,
			"Dispute: n1 and n2 call block 7 INVALID, the consensus client hears INVALID",
			"it began 1 minute ago, 3 calls so far; 3 of 3 nodes vote, verdicts in 41 ms"},
		{"alive alive alive", payloads(41), []history.Dispute{disputed(0, live)}, day, warn,
			"Dispute: n2 calls block 7 INVALID, the consensus client hears VALID",
			"it began 1 minute ago, 3 calls so far; decided by the rule live: why; " +
				"3 of 3 nodes vote, verdicts in 41 ms"},
		{"alive alive alive", payloads(41), []history.Dispute{disputed(0, late)}, day, bad,
			"Late objection: n2 calls block 7 INVALID after the consensus client heard VALID",
			"it began 1 minute ago, 3 calls so far; 3 of 3 nodes vote, verdicts in 41 ms"},
		{"alive alive alive", payloads(41), []history.Dispute{disputed(0, unproposed)}, day, bad,
			"Dispute: n2 calls block 7 INVALID before it was proposed",
			"it began 1 minute ago, 3 calls so far; 3 of 3 nodes vote, verdicts in 41 ms"},
		{"alive alive alive", payloads(41), []history.Dispute{disputed(0, proposed)}, day, bad,
			"Late objection: n2 calls block 7 INVALID after it was proposed",
			"it began 1 minute ago, 3 calls so far; 3 of 3 nodes vote, verdicts in 41 ms"},
	} {
		got := Summarize(State{
			Now: noon, Started: noon.Add(-test.up), Nodes: nodesOf(test.nodes),
			Blocks: test.blocks, Disputes: test.disputes,
		})
		if got.Notes == nil {
			t.Errorf("%s: no notes, which is null in JSON", test.nodes)
		}
		if got.Level != test.level || got.Text != test.text || strings.Join(got.Notes, "; ") != test.notes {
			t.Errorf("%s, %d blocks, %d disputes:\ngot  %s %q\n     %q\nwant %s %q\n     %q",
				test.nodes, len(test.blocks), len(test.disputes),
				got.Level, got.Text, strings.Join(got.Notes, "; "), test.level, test.text, test.notes)
		}
	}
}

// No consensus client for a while is told, whatever came before.
func TestSummaryOfSilence(t *testing.T) {
	s := State{
		Now: noon.Add(10 * time.Minute), Started: noon.Add(-time.Hour),
		Nodes: nodesOf("alive alive"), Blocks: payloads(41),
	}
	got, want := Summarize(s).Text,
		"2 of 2 nodes vote, no payload from the consensus client for 10 minutes, no dispute for 1 hour"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What isn't kept is a warning and a note, and no headline.
func TestSummaryOfWhatIsNotKept(t *testing.T) {
	s := State{Now: noon, Started: noon.Add(-time.Hour), Nodes: nodesOf("alive alive"), Blocks: payloads(41)}
	was := Summarize(s)
	s.Kept = []string{"the disk is full"}
	if got := Summarize(s); got.Level != warn || got.Text != was.Text || !slices.Contains(got.Notes, s.Kept[0]) {
		t.Errorf("got %+v, without it %+v", got, was)
	}
}
