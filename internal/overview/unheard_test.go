package overview

import (
	"testing"
	"time"
)

// That the consensus client hears no VALID is bad, however well the nodes look.
func TestUnheard(t *testing.T) {
	const well = "3 of 3 nodes vote, verdicts in 41 ms, no dispute for 1 hour"
	for verdicts, want := range map[string]string{
		"VALID VALID":                 well,
		"VALID SYNCING":               well,
		"SYNCING SYNCING VALID":       well,
		"VALID SYNCING SYNCING":       "The consensus client hears SYNCING to its payloads",
		"VALID SYNCING - SYNCING":     "The consensus client hears SYNCING to its payloads",
		"VALID SYNCING error":         "The consensus client hears an error to its payloads",
		"SYNCING ACCEPTED":            "The consensus client hears ACCEPTED to its payloads",
		"INVALID SYNCING SYNCING":     "The consensus client hears INVALID about block 100",
		"SYNCING SYNCING VALID error": well,
	} {
		got := Of(State{
			Now: noon, Instance: started(time.Hour), Nodes: nodesOf("alive alive alive"), Blocks: heard(verdicts),
		})
		if got.Headline != want || (got.Level == Bad) != (want != well) {
			t.Errorf("%s: got %s %q, want %q", verdicts, got.Level, got.Headline, want)
		}
	}
}
