package overview

import (
	"strings"
	"testing"
	"time"

	"executionbackup/internal/history"
)

// INVALID is bad as long as no VALID came after it, whatever else came, and whoever says VALID to that very block.
func TestLastInvalid(t *testing.T) {
	for verdicts, want := range map[string]string{
		"VALID INVALID":                 "The consensus client hears INVALID about block 101",
		"VALID INVALID -":               "The consensus client hears INVALID about block 101",
		"VALID INVALID SYNCING INVALID": "The consensus client hears INVALID about block 101",
		"INVALID SYNCING":               "The consensus client hears INVALID about block 100",
		"INVALID error":                 "The consensus client hears INVALID about block 100",
		"INVALID VALID":                 "3 of 3 nodes vote, verdicts in 41 ms, no dispute for 1 hour",
		"INVALID INVALID VALID SYNCING": "3 of 3 nodes vote, verdicts in 41 ms, no dispute for 1 hour",
	} {
		got := Of(State{
			Now: noon, Instance: started(time.Hour), Nodes: nodesOf("alive alive alive"), Blocks: heard(verdicts),
		})
		if bad := strings.Contains(want, "INVALID"); got.Headline != want || (got.Level == Bad) != bad {
			t.Errorf("%s: got %s %q, want %q", verdicts, got.Level, got.Headline, want)
		}
	}
}

// Who said so is told, and what to do about it; a command is offered only where it can be done.
func TestWhoSaysInvalid(t *testing.T) {
	const (
		compare = "Compare with a block explorer, and with other clients: does the network build on the block?"
		forget  = "If it was valid, the consensus client must forget the INVALID, too: restart it, or let it sync " +
			"from a checkpoint, once the nodes that are wrong are set aside or repaired."
	)
	dispute := func(b *history.Record) { b.Dispute = true }
	for _, test := range []struct {
		votes    string
		change   func(*history.Record)
		disputes []history.Dispute
		text     string
		meaning  string
		do       string
		notes    string
	}{
		{"INVALID INVALID INVALID", nil, nil, "block 101: n1 and n2 and n3 say so", forGood,
			compare + "; executionbackup nodes clear-objections n1 n2 n3; " + forget,
			"3 of 3 nodes vote, verdicts in 41 ms"},
		{"INVALID INVALID VALID", dispute, nil, "block 101: n1 and n2 say so, n3 says VALID", forGood,
			compare + "; executionbackup evidence show last; executionbackup nodes drain n1 n2; " +
				"executionbackup nodes drain n3; executionbackup nodes clear-objections n1 n2; " + forget,
			"3 of 3 nodes vote, verdicts in 41 ms"},
		{"INVALID INVALID SYNCING", nil, []history.Dispute{disputed(0, nil)},
			"block 101: n1 and n2 say so", forGood,
			compare + "; executionbackup nodes drain n1 n2; executionbackup nodes drain n3; " +
				"executionbackup nodes clear-objections n1 n2; " + forget,
			"dispute: n2 calls block 7 INVALID, the consensus client hears SYNCING; " +
				"3 of 3 nodes vote, verdicts in 41 ms"},
		{"SYNCING SYNCING SYNCING", func(b *history.Record) { b.Wrong = "hash" }, nil,
			"block 101: it isn't the block whose hash it claims",
			"The proposer's fault, or the consensus client's. One such payload costs nothing; of more, look at the " +
				"consensus client.",
			"executionbackup evidence show last", "3 of 3 nodes vote, verdicts in 41 ms"},
	} {
		s := State{
			Now: noon, Instance: started(time.Hour), Nodes: nodesOf("alive alive alive"),
			Blocks: heard("VALID INVALID"), Disputes: test.disputes, Evidence: true,
		}
		for i, status := range strings.Fields(test.votes) {
			s.Blocks[1].Votes = append(s.Blocks[1].Votes,
				history.Vote{Node: s.Nodes[i].Name, Status: status, Vote: status})
		}
		if test.change != nil {
			test.change(&s.Blocks[1])
		}
		o := Of(s)
		var do []string
		for _, step := range o.Do {
			if step.Command == "" {
				step.Command = step.Text
			}
			do = append(do, step.Command)
		}
		if !strings.HasSuffix(o.Headline, test.text) || o.Level != Bad || !o.Since.Equal(s.Blocks[1].Time) ||
			o.Meaning != test.meaning || strings.Join(do, "; ") != test.do ||
			strings.Join(o.Notes, "; ") != test.notes {
			t.Errorf("%s:\ngot  %q, %q\n     %q\n     %q\nwant %q, %q\n     %q\n     %q", test.votes,
				o.Headline, o.Meaning, do, o.Notes, test.text, test.meaning, test.do, test.notes)
		}
	}
}
