package proxy

import (
	"testing"
	"time"
)

// says answers a payload with a status after a time.
func says(status string, after time.Duration) *fake {
	return &fake{
		delay:  func(string, int) time.Duration { return after },
		status: func(string, int) string { return status },
	}
}

// A VALID never waits for the check of the block hash: that of a SYNCING which came before is given up.
func TestHashCheckIsNotOnTheWayOfValid(t *testing.T) {
	inBubble(t, []*fake{says("SYNCING", 0), says("VALID", good), says("VALID", good)}, func(t *testing.T, b *bubble) {
		for range cap(b.hashChecks) { // no check gets anywhere
			b.hashChecks <- struct{}{}
		}
		if status, took := b.send(payloadCall(1)); status != "VALID" || took != good {
			t.Errorf("got %s after %v", status, took)
		}
		// If the check were not given up, the drain at the end would wait for it, and the bubble would be stuck.
	})
}

// A SYNCING waits for the check, which begins when the first node says so; not more of them run than there are places.
func TestHashCheckBeforeSyncing(t *testing.T) {
	inBubble(t, []*fake{says("SYNCING", 0), says("SYNCING", good)}, func(t *testing.T, b *bubble) {
		for range cap(b.hashChecks) {
			b.hashChecks <- struct{}{}
		}
		time.AfterFunc(time.Second, func() { <-b.hashChecks })
		if status, took := b.send(payloadCall(1)); status != "SYNCING" || took != time.Second {
			t.Errorf("got %s after %v", status, took)
		}
	})
}
