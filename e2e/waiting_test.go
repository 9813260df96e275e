//go:build e2e

package e2e

import (
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

const (
	// On a simulated clock these times are exact (internal/proxy, waiting_test.go). Here they have room for a machine
	// that does something else for a moment, and tell a grace from none.
	quick   = 100 * time.Millisecond // a call that nobody was waited for
	slack   = 200 * time.Millisecond
	grace   = 500 * time.Millisecond
	payload = "engine_newPayload"
)

// What the CL sees in a minute of a block every two seconds, in real time, over TCP.
func TestNeverHeldUp(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes int
		fault func(nodes []*enginetest.Node, second int)
		most  time.Duration // that a call may take
		slow  int           // how many may take longer than the good nodes and a little
	}{
		{"one hangs from second 10", 3, func(n []*enginetest.Node, second int) {
			if second == 10 {
				n[2].Script(enginetest.Rule{Hang: true})
			}
		}, grace + slack, 2},
		{"one is three seconds late", 3, func(n []*enginetest.Node, second int) {
			if second == 0 {
				n[2].Script(enginetest.Rule{Method: payload, Delay: 3 * time.Second})
			}
		}, grace + slack, 2},
		{"one refuses connections", 3, func(n []*enginetest.Node, second int) {
			if second == 10 {
				n[2].Close()
			}
		}, quick, 0},
		{"one of two hangs behind good probes", 2, func(n []*enginetest.Node, second int) {
			if second == 10 {
				n[1].Script(enginetest.Rule{Method: "engine_", Hang: true})
			}
		}, 3*grace + slack, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var nodes []*enginetest.Node
			for range c.nodes {
				nodes = append(nodes, enginetest.New(t, enginetest.Client{}))
			}
			cl := apptest.Start(t, apptest.Options{Nodes: apptest.Fakes(nodes...)})
			chain := enginetest.Chain(4, 30, nil)
			slow := 0
			tick := time.NewTicker(2 * time.Second)
			defer tick.Stop()
			for i, p := range chain {
				c.fault(nodes, 2*i)
				begun := time.Now()
				status, err := cl.NewPayload(t.Context(), p)
				took := time.Since(begun)
				if err != nil || status.Status != "VALID" || took > c.most {
					t.Errorf("newPayload %d: %+v, %v after %v", p.Number, status, err, took)
				}
				if took > quick {
					slow++
					t.Logf("newPayload %d took %v", p.Number, took)
				}
				begun = time.Now()
				status, err = cl.ForkchoiceUpdated(t.Context(), p, nil)
				if took := time.Since(begun); err != nil || status.Status != "VALID" || took > c.most {
					t.Errorf("forkchoiceUpdated %d: %+v, %v after %v", p.Number, status, err, took)
				}
				<-tick.C
			}
			if slow > c.slow {
				t.Errorf("%d slow calls, want at most %d", slow, c.slow)
			}
			if c.name == "one is three seconds late" {
				sameOrder(t, nodes[0], nodes[2], chain)
			}
		})
	}
}

// sameOrder checks that a late node gets every payload in the good node's order, and ends on the same head.
func sameOrder(t *testing.T, good, late *enginetest.Node, chain []enginetest.Payload) {
	t.Helper()
	calls := late.WaitEnded(payload, len(chain)/2) // it is still at it
	for i, call := range calls {
		if call.BlockHash != chain[i].Hash() {
			t.Errorf("payload %d came as number %d", i+1, chain[i].Number)
		}
	}
}
