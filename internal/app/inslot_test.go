package app_test

import (
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// These tests watch the clock, and so aren't run beside others. slack is what a busy machine may add to a time, less
// than what one rule differs from another by.
const slack = 250 * time.Millisecond

// slowNodes are three that take 20, 60 and 400 ms over each payload.
func slowNodes(t *testing.T) []*enginetest.Node {
	nodes := three(t)
	for i, d := range []time.Duration{20, 60, 400} {
		nodes[i].Script(enginetest.Rule{Method: "engine_newPayload", Delay: d * time.Millisecond})
	}
	return nodes
}

// at waits until a time in a slot, and returns the slot's payload, a child of another, and the time in the slot.
func at(parent enginetest.Payload, asked time.Duration) (p enginetest.Payload, now time.Duration) {
	whole := asked.Truncate(time.Second)
	next := time.Now().Truncate(time.Second).Add(asked - whole)
	if time.Until(next) < 0 {
		next = next.Add(time.Second)
	}
	<-time.After(time.Until(next))
	slot := next.Truncate(time.Second).Add(-whole)
	p = parent.Child(func(p *enginetest.Payload) { p.Timestamp = uint64(slot.Unix()) })
	return p, time.Since(slot)
}

// When the consensus client has VALID, in real time: what it is paid for.
func TestInTimeInTheSlot(t *testing.T) {
	const heard, late = 400 * time.Millisecond, 110 * time.Millisecond // all three; the quorum, and the late grace
	for _, asked := range []time.Duration{1000 * time.Millisecond, 2900 * time.Millisecond, 3500 * time.Millisecond} {
		t.Run(asked.String(), func(t *testing.T) {
			m := start(t, apptest.Fakes(slowNodes(t)...), nil)
			p, now := at(enginetest.Genesis(4), asked)
			want := late
			if now < 2*time.Second {
				want = heard
			} else if left := 3*time.Second - now; left > late {
				want = left
			}
			begun := time.Now()
			m.hears(t, "VALID", "engine_newPayload", p)
			if took := time.Since(begun); took < want-time.Millisecond || took > want+slack {
				t.Errorf("asked at %v: VALID after %v, want %v", now, took, want)
			}
			var blocks []struct{ Asked, Took int64 } // microseconds
			m.Get(t, "/blocks", &blocks)
			if got := time.Duration(blocks[0].Asked) * time.Microsecond; got < now || got > now+slack {
				t.Errorf("/blocks says that it was asked at %v, want %v", got, now)
			}
		})
	}
}

// A consensus client that syncs isn't held up by the slowest node, and that isn't left behind.
func TestSyncInRealTime(t *testing.T) {
	nodes := slowNodes(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	old := uint64(time.Now().Add(-2 * time.Minute).Unix())
	parent := enginetest.Genesis(4)
	const blocks = 15
	begun := time.Now()
	for n := range blocks {
		parent = parent.Child(func(p *enginetest.Payload) { p.Timestamp = old + uint64(n) })
		m.hears(t, "VALID", "engine_newPayload", parent)
		m.hears(t, "VALID", "engine_forkchoiceUpdated", parent)
	}
	if took := time.Since(begun); took > blocks*400*time.Millisecond {
		t.Errorf("%d blocks took %v: as long as the slowest node", blocks, took)
	}
	for i, n := range nodes {
		n.Wait("engine_newPayload", blocks)
		calls := n.WaitEnded("engine_forkchoiceUpdated", 1)
		apptest.Until(t, "the node has the head", func() bool {
			calls = n.CallsOf("engine_forkchoiceUpdated")
			return calls[len(calls)-1].BlockHash == parent.Hash()
		})
		if got := len(n.CallsOf("engine_newPayload")); got != blocks {
			t.Errorf("n%d got %d payloads, want %d", i+1, got, blocks)
		}
	}
	for _, n := range m.Nodes(t) {
		if n.Laggard {
			t.Errorf("%s is a laggard for being late with old payloads", n.Name)
		}
	}
}

// An objection that comes after the answer binds from then on: what was answered before stays answered.
func TestObjectionAfterTheAnswer(t *testing.T) {
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	m.prove(t, nodes...)
	for i, d := range []time.Duration{20, 60} {
		nodes[i].Script(enginetest.Rule{Method: "engine_newPayload", Delay: d * time.Millisecond})
	}
	p, _ := at(enginetest.Genesis(4), 3500*time.Millisecond)
	// The third has not said so before it is let go: so it is late, however slow the machine.
	nodes[2].Script(enginetest.Rule{Status: "SYNCING"}) // to the children, as clients do
	nodes[2].Script(enginetest.Rule{Status: "INVALID", BlockHash: p.Hash()})
	letGo := nodes[2].Script(enginetest.Rule{Status: "INVALID", BlockHash: p.Hash(), Hang: true})
	m.hears(t, "VALID", "engine_newPayload", p)
	m.hears(t, "VALID", "engine_forkchoiceUpdated", p)
	letGo()
	apptest.Until(t, "n3 has objected", func() bool { return m.Node(t, "n3").Objections == 1 })
	m.hears(t, "SYNCING", "engine_forkchoiceUpdated", p)
	child := p.Child(func(c *enginetest.Payload) { c.Timestamp = p.Timestamp + 1 })
	m.hears(t, "SYNCING", "engine_newPayload", child)
	m.hears(t, "SYNCING", "engine_forkchoiceUpdated", child)
}

// One of three is killed and comes back: no call is slower than the two good nodes, and a little; though the third
// takes two seconds over a payload, which isn't late with this grace.
func TestNoCallWaitsForOneThatIsKilled(t *testing.T) {
	nodes := slowNodes(t)
	nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Delay: 2 * time.Second})
	m := start(t, apptest.Fakes(nodes...), func(c *config.Config) { c.Grace = 5 * time.Second })
	parent := enginetest.Genesis(4)
	follow := func(n int) {
		t.Helper()
		for range n {
			parent, _ = at(parent, time.Duration(0))
			begun := time.Now()
			m.hears(t, "VALID", "engine_newPayload", parent)
			m.hears(t, "VALID", "engine_forkchoiceUpdated", parent)
			if took := time.Since(begun); took > time.Second {
				t.Errorf("block %d took %v", parent.Number, took)
			}
		}
	}
	nodes[2].Close()
	m.Recheck(t)
	follow(3)
	nodes[2].Reopen()
	m.Recheck(t)
	m.awaitAlive(t, "n3")
	follow(1) // nobody waits for it
	apptest.Until(t, "n3 has answered in time", func() bool { return !m.Node(t, "n3").Laggard })
}
