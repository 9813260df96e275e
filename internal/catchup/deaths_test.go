package catchup_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

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

// A payload under which a node died twice isn't fed to it again for ten minutes.
func TestDeadlyPayloadIsNotFed(t *testing.T) {
	bubble.OnBench(t, []*bubble.Fake{{}, {}}, bubble.ReplayBytes, func(t *testing.T, b *bubble.Bubble) {
		other, n := b.Fleet.Pool.Nodes()[0], b.Fleet.Pool.Nodes()[1]
		way := []common.Hash{bubble.Hash(7), bubble.Hash(8)}
		for died, want := range []bool{false, false, true} {
			if died > 0 {
				b.CatchUp.Died(n.ID, bubble.Hash(8))
			}
			if got := b.CatchUp.Withholds(n, way...); got != want {
				t.Errorf("after %d deaths: withheld %t", died, got)
			}
		}
		if b.CatchUp.Withholds(other, way...) {
			t.Error("it is withheld from another node, too")
		}
		time.Sleep(10 * time.Minute) // the bubble's clock
		if b.CatchUp.Withholds(n, way...) {
			t.Error("it is withheld after ten minutes, too")
		}
	})
}
