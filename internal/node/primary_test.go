package node

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/health"
	"executionbackup/internal/memory"
	"executionbackup/internal/quorum"
)

// states are what a node can be in, one word each.
var states = map[string]func(*health.Health){
	"fast":    func(h *health.Health) { h.Probed(true, time.Millisecond) },
	"slow":    func(h *health.Health) { h.Probed(true, 100*time.Millisecond) },
	"laggard": func(h *health.Health) { h.Probed(true, time.Microsecond); h.Hung() },
	"syncing": func(h *health.Health) { h.Probed(false, time.Microsecond) },
	"hung":    func(h *health.Health) { h.Probed(false, time.Microsecond); h.Hung() },
	"dead":    func(h *health.Health) { h.Failed("gone") },
	"unknown": func(h *health.Health) {},
}

// pooled is a pool of n nodes that can't be called.
func pooled(t *testing.T, n int) *Pool {
	var addresses []string
	for i := range n {
		addresses = append(addresses, fmt.Sprintf("n%d:8551", i+1))
	}
	return newTestPool(t, addresses...)
}

// become puts a node into a new state.
func (n *Node) become(state string) {
	n.update(func(h *health.Health) {
		*h = health.Health{}
		states[state](h)
	})
}

var blocks = []common.Hash{{1}, {2}, {3}}

func (p *Pool) primaryIs(t *testing.T, want string) {
	t.Helper()
	got := ""
	if n := p.Primary(); n != nil {
		got = n.Name()
	}
	if got != want {
		t.Errorf("the primary is %q, want %q", got, want)
	}
}

// Who leads, of three nodes that have become what they are in their order. Those that object do so to the head's
// parent.
func TestPrimary(t *testing.T) {
	for _, test := range []struct {
		states  [3]string
		objects [3]bool
		want    string
	}{
		{states: [3]string{"dead", "slow", "fast"}, want: "n2"}, // sticky
		{states: [3]string{"slow", "fast", "fast"}, want: "n1"},
		{states: [3]string{"syncing", "slow", "fast"}, want: "n2"},
		{states: [3]string{"laggard", "syncing", "slow"}, want: "n3"},
		{states: [3]string{"laggard", "syncing", "unknown"}, want: "n1"}, // it has the chain
		{states: [3]string{"syncing", "laggard", "dead"}, want: "n2"},
		{states: [3]string{"hung", "syncing", "dead"}, want: "n2"},
		{states: [3]string{"hung", "dead", "dead"}, want: "n1"},
		{states: [3]string{"dead", "dead", "unknown"}, want: "n3"},
		{states: [3]string{"dead", "dead", "dead"}, want: ""},
		{states: [3]string{"fast", "slow", "syncing"}, objects: [3]bool{true, false, false}, want: "n2"},
		{states: [3]string{"slow", "laggard", "syncing"}, objects: [3]bool{true, false, false}, want: "n1"},
		{states: [3]string{"slow", "fast", "syncing"}, objects: [3]bool{true, true, true}, want: "n1"}, // sticky
		{states: [3]string{"dead", "slow", "fast"}, objects: [3]bool{true, true, true}, want: "n2"},
	} {
		p := pooled(t, 3)
		p.Memory.Learn(engine.Payload{Hash: blocks[1], Parent: blocks[0]}, memory.Proven, nil)
		p.Memory.Learn(engine.Payload{Hash: blocks[2], Parent: blocks[1]}, memory.Proven, nil)
		for i, n := range p.Nodes() {
			n.become(test.states[i])
			if test.objects[i] {
				objects(p, n.ID, blocks[1])
			}
		}
		p.Lead(blocks[2])
		t.Run(fmt.Sprint(test.states, test.objects), func(t *testing.T) { p.primaryIs(t, test.want) })
	}
}

// The primary changes when its objection comes and not back when that goes, and when it dies or lags.
func TestPrimaryChanges(t *testing.T) {
	p := pooled(t, 3)
	n := p.Nodes()
	n[0].become("fast")
	n[1].become("slow")
	n[2].become("fast")
	p.Lead(blocks[0])
	p.primaryIs(t, "n1")
	objects(p, n[0].ID, blocks[0])
	p.Elect()
	p.primaryIs(t, "n3")
	if err := p.ClearObjections([]string{"n1"}); err != nil {
		t.Fatal(err)
	}
	p.primaryIs(t, "n3")
	n[2].become("laggard")
	p.primaryIs(t, "n1")
	n[0].become("dead")
	p.primaryIs(t, "n2")
	objects(p, n[1].ID, blocks[0])
	p.Elect()
	p.primaryIs(t, "n2") // of those that are alive and timely it is the only one
	n[0].become("slow")
	p.primaryIs(t, "n2") // n1 has just come back
	n[0].CameInTime()
	p.primaryIs(t, "n1")
	objects(p, n[0].ID, blocks[0])
	p.Elect()
	p.primaryIs(t, "n1")
	if err := p.ClearObjections([]string{"n2"}); err != nil {
		t.Fatal(err)
	}
	p.primaryIs(t, "n2")
}

// Whoever dies while somebody else's death is dealt with doesn't stay the primary.
func TestElectionsAtATime(t *testing.T) {
	p := pooled(t, 3)
	nodes := p.Nodes()
	for round := range 5000 {
		for _, n := range nodes {
			n.become("fast")
		}
		alive := round % 3
		var dying sync.WaitGroup
		for i, n := range nodes {
			if i != alive {
				dying.Go(func() { n.become("dead") })
			}
		}
		dying.Wait()
		if got := p.Primary(); got != nodes[alive] {
			t.Fatalf("round %d: %s, which is alive, is not the primary", round, nodes[alive].Name())
		}
	}
}

// objects makes a node object to a block.
func objects(p *Pool, node quorum.NodeID, block common.Hash) {
	p.Memory.Keep(memory.Note{Node: node, Block: block, Status: engine.Invalid, MayObject: true, Proved: true})
}
