package app_test

import (
	"sync"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// Connections to nodes are kept: once there have been as many calls at a time as there are now, no call waits for a new
// one. A node that comes back has lost them all, and needs one for calls that come one after the other, and one for
// probes beside them.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 2)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	chain := enginetest.Chain(4, 60, nil)
	const atATime = 8
	burst := func() {
		for _, n := range nodes {
			n.Script(enginetest.Rule{Method: "engine_newPayload", Delay: 300 * time.Millisecond, Times: atATime})
		}
		sent := len(nodes[0].CallsOf("engine_newPayload"))
		var calls sync.WaitGroup
		for range atATime {
			calls.Go(func() {
				if _, err := m.NewPayload(t.Context(), chain[0]); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		for _, n := range nodes {
			n.WaitEnded("engine_newPayload", sent+atATime)
		}
	}
	follow := func(blocks []enginetest.Payload) {
		for _, p := range blocks {
			m.newPayload(t, p)
			m.forkchoice(t, p)
		}
	}
	burst()
	before := []int{nodes[0].Connections(), nodes[1].Connections()}
	follow(chain[:30])
	burst()
	for i, n := range nodes {
		if got := n.Connections() - before[i]; got > 1 { // a probe may have come on top
			t.Errorf("n%d: %d new connections", i+1, got)
		}
	}
	nodes[1].Close()
	m.Recheck(t)
	before[1] = nodes[1].Connections()
	nodes[1].Reopen()
	m.Recheck(t)
	follow(chain[30:])
	if got := nodes[1].Connections() - before[1]; got > 3 {
		t.Errorf("n2 came back: %d connections for calls and probes", got)
	}
}
