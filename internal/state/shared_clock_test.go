package state

import (
	"testing"
	"time"
)

// The offset of the server's clock comes from the quickest answer, and from a slower one when that is old.
func TestSharedClock(t *testing.T) {
	var s Shared
	begun := time.Now()
	at := func(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }
	for _, c := range []struct {
		said, asked, answered int // in milliseconds
		want                  time.Duration
	}{
		{5010, 0, 20, 5 * time.Second},
		{6000, 100, 200, 5 * time.Second},                        // slower
		{5203, 200, 206, 5 * time.Second},                        // quicker
		{5000 + 61_250, 61_000, 61_100, 5200 * time.Millisecond}, // slower, and the last is old
	} {
		s.setClock(at(c.said), at(c.asked), at(c.answered))
		if got := s.Offset(); got != c.want {
			t.Errorf("asked at %d: the offset is %v, want %v", c.asked, got, c.want)
		}
	}
}
