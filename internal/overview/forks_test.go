package overview

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/admin"
	"executionbackup/internal/history"
)

// forksIn are what nodes say of a fork that is so far away, in words: ready, late, mute, and after a plus a field of
// theirs that differs.
func forksIn(in time.Duration, words string) (all admin.Forks) {
	if in > 0 {
		all.Next = &admin.NextFork{
			ActivationTime: uint64(noon.Add(in).Unix()), In: uint64(in / time.Second), ForkID: "0x0000000a",
		}
	}
	for i, word := range strings.Fields(words) {
		said, field, differs := strings.Cut(word, "+")
		n := admin.NodeForks{Node: fmt.Sprintf("n%d", i+1)}
		if said != "mute" {
			n.Ready = new(said == "ready")
		}
		if said == "late" {
			n.Says = "it knows of no next fork"
		}
		if differs {
			n.Differences = []admin.Difference{{Field: field, Own: "mine", Others: "theirs"}}
		}
		all.Nodes = append(all.Nodes, n)
	}
	return all
}

// What is told of forks, beside nodes that vote, in verdicts of 41 ms.
func TestForks(t *testing.T) {
	const (
		hour = time.Hour
		day  = 24 * hour
		line = "3 of 3 nodes vote, verdicts in 41 ms, no dispute for 24 hours"
	)
	halted := func(d *history.Dispute) { d.Rule, d.Why = "live_configurations_differ", "they differ" }
	standing := []history.Dispute{disputed(0, halted)}
	for _, test := range []struct {
		nodes    string
		in       time.Duration
		said     string
		disputes []history.Dispute
		level    Level
		text     string
		notes    string
	}{
		{"alive alive alive", 0, "mute mute mute", nil, Good, line, ""},
		{"alive alive alive", hour / 2, "ready ready ready", nil, Good, line, ""},
		{"alive alive alive", hour / 2, "ready mute ready", nil, Good, line, ""},
		{"alive alive alive", 8 * day, "ready late+next ready", nil, Good, line, "n2's next: mine; the others: theirs"},
		{"alive alive alive", 7 * day, "ready late+next ready", nil, Warn,
			"n2 isn't ready for the fork in 7 days: it knows of no next fork",
			line + "; n2's next: mine; the others: theirs"},
		{"alive alive alive", day + time.Second, "ready late ready", nil, Warn,
			"n2 isn't ready for the fork in 24 hours: it knows of no next fork",
			line + "; n2 isn't ready for the next fork: it knows of no next fork"},
		{"alive alive alive", day, "ready late+next ready", nil, Bad,
			"n2 isn't ready for the fork in 24 hours: it knows of no next fork",
			line + "; n2's next: mine; the others: theirs"},
		{"alive alive alive", 5 * hour, "late late ready", nil, Bad, "n1 and n2 aren't ready for the fork in 5 hours",
			line + "; n1 isn't ready for the next fork: it knows of no next fork; " +
				"n2 isn't ready for the next fork: it knows of no next fork"},
		{"alive alive alive+drained alive+unused", 5 * hour, "ready ready late late+current.forkId", nil, Good,
			"2 of 2 nodes vote, verdicts in 41 ms, no dispute for 24 hours",
			"n3 is drained; n3 isn't ready for the next fork: it knows of no next fork; " +
				"n4's current.forkId: mine; the others: theirs"},
		{"alive alive alive", 0, "mute mute+current.systemContracts mute", nil, Bad,
			"The present fork configuration of n2 differs: systemContracts",
			line + "; n2's current.systemContracts: mine; the others: theirs"},
		{"alive alive alive", hour, "ready+current.forkId late+current.precompiles ready", nil, Bad,
			"The present fork configurations of n1 and n2 differ: forkId, precompiles",
			line + "; n1's current.forkId: mine; the others: theirs; " +
				"n2's current.precompiles: mine; the others: theirs"},
		{"alive alive alive", hour, "ready late+next.forkId ready+last", nil, Bad,
			"n2 isn't ready for the fork in 60 minutes: it knows of no next fork",
			line + "; n2's next.forkId: mine; the others: theirs; n3's last: mine; the others: theirs"},
		{"syncing dead alive", hour, "ready ready late", nil, Bad, "Only 1 of 3 nodes votes: nothing checks it",
			"n3 isn't ready for the fork in 60 minutes: it knows of no next fork; " +
				"verdicts in 41 ms, no dispute for 24 hours; n1 has been syncing; " +
				"n2 has been dead (no connection: connection refused); " +
				"n3 isn't ready for the next fork: it knows of no next fork"},
		{"alive alive alive", 0, "mute mute+current.systemContracts mute", standing, Bad,
			"Dispute: n2 calls block 7 INVALID, the consensus client hears SYNCING, " +
				"and the nodes' fork configurations differ: systemContracts",
			"it began 1 minute ago, 3 calls so far; decided by the rule live_configurations_differ: they differ; " +
				"the present fork configuration of n2 differs: systemContracts; " +
				"3 of 3 nodes vote, verdicts in 41 ms; " +
				"n2's current.systemContracts: mine; the others: theirs"},
		{"alive alive alive", hour, "ready late ready", standing, Bad,
			"Dispute: n2 calls block 7 INVALID, the consensus client hears SYNCING",
			"it began 1 minute ago, 3 calls so far; decided by the rule live_configurations_differ: they differ; " +
				"n2 isn't ready for the fork in 60 minutes: it knows of no next fork; " +
				"3 of 3 nodes vote, verdicts in 41 ms; n2 isn't ready for the next fork: it knows of no next fork"},
	} {
		s := State{
			Now: noon, Instance: started(day), Nodes: nodesOf(test.nodes), Blocks: payloads(41),
			Disputes: test.disputes, Forks: forksIn(test.in, test.said),
		}
		for i := range s.Nodes {
			s.Nodes[i].Forks = &s.Forks.Nodes[i].Readiness
		}
		got := Of(s)
		if got.Level != test.level || got.Headline != test.text || strings.Join(got.Notes, "; ") != test.notes {
			t.Errorf("%s, %s in %v, %d disputes:\ngot  %s %q\n     %q\nwant %s %q\n     %q",
				test.nodes, test.said, test.in, len(test.disputes),
				got.Level, got.Headline, strings.Join(got.Notes, "; "), test.level, test.text, test.notes)
		}
		if got.Fork != s.Forks.Countdown() || (got.Fork == "") != (test.in == 0) {
			t.Errorf("%s in %v: the countdown is %q", test.said, test.in, got.Fork)
		}
	}
}

// Nodes that have not been probed yet say nothing.
func TestBeforeForks(t *testing.T) {
	got := Of(State{Now: noon, Instance: started(0), Nodes: nodesOf("alive"), Forks: forksIn(time.Hour, "")})
	const want = "The only node answers, and nothing checks it, no payload from the consensus client yet"
	if got.Level != Good || got.Headline != want {
		t.Errorf("got %+v", got)
	}
}
