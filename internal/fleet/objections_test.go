package fleet

import "testing"

// The command can be pasted into a shell, whatever a node is called.
func TestHowObjectionsEnd(t *testing.T) {
	const names = `geth-a 127.0.0.1:8551 'my node' 'it'\''s' 'a;b' nœud`
	const want = "an objection ends when its node says VALID to the block or to a new payload on top of it, or by: " +
		"executionbackup nodes clear-objections " + names +
		"; where it is wrong and goes on objecting: executionbackup nodes drain " + names
	if got := HowObjectionsEnd("geth-a", "127.0.0.1:8551", "my node", "it's", "a;b", "nœud"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
