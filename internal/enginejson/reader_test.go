package enginejson

import (
	"strings"
	"testing"

	"executionbackup/internal/engine"
)

// A list of a length that the call leaves open must not take many times its own size in memory.
func TestListIsBounded(t *testing.T) {
	c := &engine.Call{List: engine.List{Kind: engine.Anything, Size: 1 << 40, Short: true}}
	r, taken := NewListReader(&c.List), 0
	list := "[null" + strings.Repeat(",null", 2*maxEntries) + "]"
	if err := r.Read(strings.NewReader(list), func(*engine.Entry, bool) { taken++ }); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Answer(c); err != errTooMany || len(r.entries) != maxEntries || taken != maxEntries {
		t.Errorf("%d entries, %d taken, %v", len(r.entries), taken, err)
	}
}
