package overview

import (
	"slices"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/config"
	"executionbackup/internal/fleet"
	"executionbackup/internal/history"
)

// shadowed are the last payloads in mode shadow, by what the consensus client would have heard and did hear, as in
// SYNCING/VALID; without the second it has no answer yet.
func shadowed(verdicts string) []history.Record {
	words := strings.Fields(verdicts)
	blocks := heard(strings.Repeat("VALID ", len(words)))
	for i, word := range words {
		blocks[i].Shadow = true
		blocks[i].Verdict, blocks[i].Did, _ = strings.Cut(word, "/")
		blocks[i].Votes = []history.Vote{{Node: "n1", Status: blocks[i].Did}, {Node: "n2", Status: "VALID"}}
	}
	return blocks
}

// Where one node alone answers the headline says so, and that it protects from nothing; what the consensus client
// would have heard of us is never told as if it had.
func TestMode(t *testing.T) {
	const alone = "Mode shadow protects from nothing: n1 alone answers the consensus client"
	const off = "Mode off protects from nothing: n1 alone answers the consensus client"
	shadow := func(d *history.Dispute) { d.Shadow, d.Would, d.Heard = true, "SYNCING", "VALID" }
	built := func(d *history.Dispute) { d.Kind, d.Shadow, d.Heard = history.BeforeProposal, true, "" }
	for _, test := range []struct {
		mode     config.Mode
		nodes    string
		blocks   []history.Record
		disputes []history.Dispute
		level    Level
		text     string
		notes    string
		commands string
	}{
		{config.Shadow, "alive alive alive", shadowed("VALID/VALID"), nil, Warn, alone,
			"3 of 3 nodes would vote, verdicts worked out in 41 ms, no dispute for 24 hours", "mode active"},
		{config.Shadow, "alive syncing alive+unused", shadowed("SYNCING/VALID SYNCING/VALID"), nil, Warn, alone,
			"1 of 2 nodes would vote, verdicts worked out in 41 ms, no dispute for 24 hours; n2 has been syncing",
			"mode active"},
		{config.Shadow, "alive alive+drained", shadowed("INVALID/VALID VALID"), nil, Warn, alone,
			"1 of 1 node would vote, verdicts worked out in 41 ms, no dispute for 24 hours; n2 is drained",
			"mode active"},
		{config.Shadow, "alive alive alive", shadowed("VALID/VALID VALID/SYNCING VALID/SYNCING"), nil, Bad,
			alone + "; the consensus client hears SYNCING to its payloads",
			"3 of 3 nodes would vote, verdicts worked out in 41 ms, no dispute for 24 hours", "mode active; check"},
		{config.Shadow, "alive alive alive", shadowed("VALID/INVALID"), nil, Bad,
			alone + "; the consensus client hears INVALID about block 100: n1 says so, n2 says VALID",
			"3 of 3 nodes would vote, verdicts worked out in 41 ms, no dispute for 24 hours", "mode active"},
		{config.Shadow, "dead alive alive", shadowed("VALID/VALID"), nil, Bad,
			alone + "; it is dead: the consensus client hears SYNCING, or an error",
			"2 of 3 nodes would vote, verdicts worked out in 41 ms, no dispute for 24 hours; " +
				"n1 has been dead (no connection: connection refused)", "mode active; check"},
		{config.Shadow, "syncing dead", shadowed("VALID/VALID"), nil, Bad,
			alone + "; it is syncing: the consensus client hears SYNCING",
			"0 of 2 nodes would vote, no dispute for 24 hours; n1 has been syncing; " +
				"n2 has been dead (no connection: connection refused)", "mode active"},
		{config.Shadow, "alive+laggard alive", shadowed("VALID/VALID"), nil, Bad, alone + "; it doesn't answer in time",
			"1 of 2 nodes would vote, verdicts worked out in 41 ms, no dispute for 24 hours; " +
				"n1 is late: nobody waits for it", "mode active; check"},
		{config.Shadow, "alive alive+objects alive", shadowed("SYNCING/VALID"),
			[]history.Dispute{disputed(0, shadow)}, Warn, alone,
			"dispute: n2 calls block 7 INVALID, the consensus client would have heard SYNCING, and heard VALID; " +
				"Objections stand, also in mode active: find out who is right.; " +
				"it began 1 minute ago, 3 calls so far; 3 of 3 nodes would vote, verdicts worked out in 41 ms, " +
				"last dispute less than a minute ago; " +
				"n2 objects to 1 block",
			"nodes drain n2; nodes clear-objections n2; mode active"},
		{config.Shadow, "alive alive alive", shadowed("VALID/VALID"), []history.Dispute{disputed(0, built)}, Warn,
			alone,
			"dispute: n2 calls block 7 INVALID before it was proposed; In mode shadow nothing follows from that.; " +
				"it began 1 minute ago, 3 calls so far; 3 of 3 nodes would vote, verdicts worked out in 41 ms, " +
				"last dispute less than a minute ago", "mode active"},
		{config.Shadow, "alive alive alive", heard("SYNCING VALID"), []history.Dispute{disputed(0, nil)}, Warn, alone,
			"3 of 3 nodes would vote, verdicts worked out in 41 ms, last dispute less than a minute ago",
			"mode active"},

		{config.Off, "alive alive+objects dead", heard("VALID VALID"), []history.Dispute{disputed(0, nil)}, Warn, off,
			"answers in 41 ms; n2 objects to 1 block; n3 has been dead (no connection: connection refused)",
			"mode active"},
		{config.Off, "alive alive alive", heard("VALID SYNCING SYNCING"), nil, Bad,
			off + "; the consensus client hears SYNCING to its payloads", "answers in 41 ms", "mode active; check"},
		{config.Off, "dead alive alive", shadowed("VALID/VALID"), []history.Dispute{disputed(0, shadow)}, Bad,
			off + "; it is dead: the consensus client hears SYNCING, or an error",
			"answers in 41 ms; n1 has been dead (no connection: connection refused)", "mode active; check"},

		{config.Active, "alive alive alive", shadowed("SYNCING/VALID SYNCING/VALID INVALID/VALID"), nil, Good,
			"3 of 3 nodes vote, verdicts in 41 ms, no dispute for 24 hours", "", ""},
	} {
		s := State{
			Now: noon, Instance: started(24 * time.Hour), Nodes: nodesOf(test.nodes), Blocks: test.blocks,
			Disputes: test.disputes,
		}
		if s.Mode = test.mode; s.Mode != config.Active {
			s.Alone = "n1"
		}
		o := Of(s)
		var commands []string
		for _, step := range o.Do {
			if step.Command != "" {
				commands = append(commands, strings.TrimPrefix(step.Command, "executionbackup "))
			}
		}
		notes := strings.Join(o.Notes, "; ")
		got := join([]string{string(o.Level), o.Headline, notes, strings.Join(commands, "; ")}, "\n")
		want := join([]string{string(test.level), test.text, test.notes, test.commands}, "\n")
		if got != want {
			t.Errorf("mode %s, %s:\ngot  %s\nwant %s", test.mode, test.nodes, got, want)
		}
	}
}

// The command that ends a mode has the flags that it needs; where there is no admin token, it can't be ended so.
func TestModeEnds(t *testing.T) {
	s := State{Now: noon, Instance: started(time.Hour), Nodes: nodesOf("alive alive"), Blocks: payloads(41)}
	s.Mode, s.Alone, s.Flags.Remote = config.Off, "n1", " --port 7001"
	if got, want := Of(s).Do[0].Command, "executionbackup mode active --port 7001"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.Flags.NoToken = true
	if got := Of(s).Do; len(got) != 1 || got[0].Command != "" || !strings.Contains(got[0].Text, "set mode to active") {
		t.Errorf("without a token: %+v", got)
	}
}

// What would have been otherwise by us is told in numbers, and how often.
func TestDifferences(t *testing.T) {
	s := State{Now: noon, Instance: started(time.Hour), Nodes: nodesOf("alive alive"), Blocks: shadowed("VALID/VALID")}
	s.Mode, s.Alone = config.Shadow, "n1"
	for _, test := range []struct {
		decisions []fleet.ShadowDecision
		want      string
	}{
		{nil, ""},
		{[]fleet.ShadowDecision{{Would: "VALID", Did: "VALID", Calls: 7}, {Would: "payload", Did: "payload", Calls: 1}},
			"since the start all 8 verdicts and proposals were as they would have been by us"},
		{[]fleet.ShadowDecision{
			{Would: "VALID", Did: "VALID", Calls: 43190}, {Would: "VALID", Did: "SYNCING", Calls: 3},
			{Would: "better_payload", Did: "payload", Calls: 1}, {Would: "SYNCING", Did: "SYNCING", Calls: 6},
		}, "since the start 4 of 43200 verdicts and proposals would have been others by us: VALID instead of SYNCING " +
			"3 times, better_payload instead of payload once"},
	} {
		s.Decisions = test.decisions
		if notes := Of(s).Notes; test.want != "" && !slices.Contains(notes, test.want) ||
			test.want == "" && strings.Contains(strings.Join(notes, " "), "since the start") {
			t.Errorf("%v: got %q, want %q", test.decisions, notes, test.want)
		}
	}
}

// A consensus client whose token is refused is silent, but not to the operator.
func TestRefusedTokens(t *testing.T) {
	s := State{Now: noon, Instance: started(time.Hour), Nodes: nodesOf("alive alive"), Refused: Refusals{
		Count: 22, Time: noon.Add(-time.Minute), From: "127.0.0.1:4", Reason: "token is signed with another secret",
	}}
	o := Of(s)
	const want = "22 requests were refused: the last one, from 127.0.0.1:4, because token is signed with another secret"
	if !strings.Contains(o.Headline, want) || !strings.Contains(o.Do[0].Text, "--jwt-secret") {
		t.Errorf("got %s, %v", o.Headline, o.Do)
	}
	s.Blocks = payloads(41)
	if o := Of(s); strings.Contains(o.Headline+strings.Join(o.Notes, " "), "refused") {
		t.Errorf("though a payload has come since: %s, %q", o.Headline, o.Notes)
	}
}
