package verdict_test

import (
	"testing"
	"time"

	"executionbackup/internal/bubble"
)

// onBench runs a test in a bubble with a bench at hand that keeps payloads as usual.
func onBench(t *testing.T, nodes fakes, test func(t *testing.T, b *bubble.Bubble)) {
	bubble.OnBench(t, nodes, bubble.ReplayBytes, test)
}

// says answers a payload with a status after a time.
func says(status string, after time.Duration) *bubble.Fake {
	return &bubble.Fake{
		Delay:  func(string, int) time.Duration { return after },
		Status: func(string, int) string { return status },
	}
}

// A VALID never waits for the check of the block hash: that of a SYNCING which came before is given up.
func TestHashCheckIsNotOnTheWayOfValid(t *testing.T) {
	onBench(t, fakes{says("SYNCING", 0), says("VALID", good), says("VALID", good)},
		func(t *testing.T, b *bubble.Bubble) {
			for range cap(b.Bench.Checks()) { // no check gets anywhere
				b.Bench.Checks() <- struct{}{}
			}
			if status, took := b.Send(bubble.PayloadCall(1)); status != "VALID" || took != good {
				t.Errorf("got %s after %v", status, took)
			}
			// If the check were not given up, the drain at the end would wait for it, and the bubble would be stuck.
		})
}

// A SYNCING waits for the check, which begins when the first node says so; not more of them run than there are places.
func TestHashCheckBeforeSyncing(t *testing.T) {
	onBench(t, fakes{says("SYNCING", 0), says("SYNCING", good)}, func(t *testing.T, b *bubble.Bubble) {
		for range cap(b.Bench.Checks()) {
			b.Bench.Checks() <- struct{}{}
		}
		time.AfterFunc(time.Second, func() { <-b.Bench.Checks() })
		if status, took := b.Send(bubble.PayloadCall(1)); status != "SYNCING" || took != time.Second {
			t.Errorf("got %s after %v", status, took)
		}
	})
}
