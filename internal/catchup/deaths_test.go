package catchup_test

import (
	"sync/atomic"
	"testing"
	"time"

	"executionbackup/internal/bubble"
)

// A node that died once under a payload has died once.
func TestOneDeathIsCountedOnce(t *testing.T) {
	var dies atomic.Bool
	f := &bubble.Fake{Reset: dies.Load}
	nodes := []*bubble.Fake{
		bubble.Speaker(3, "SYNCING", 0), bubble.Speaker(3, "VALID", 20*time.Millisecond),
		bubble.Speaker(3, "VALID", 30*time.Millisecond), f,
	}
	bubble.OnBench(t, nodes, bubble.ReplayBytes, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 2)
		dies.Store(true)
		b.Send(bubble.PayloadCall(3))
		dies.Store(false)
		if n := b.CatchUp.Deaths(b.Fleet.Pool.Nodes()[3].ID, bubble.Hash(3)); n != 1 {
			t.Errorf("%d deaths", n)
		}
	})
}
