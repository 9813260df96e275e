package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// keeping keeps what outlives us in a directory. A proposal waits for all nodes, on a busy machine, too.
func keeping(dir string) func(*config.Config) {
	return func(c *config.Config) {
		untilAll(c)
		c.StateDir = dir
	}
}

// forgets lets a node say INVALID to a block, and SYNCING to all that is under it, as clients do that forget.
func forgets(n *enginetest.Node, block enginetest.Payload, under ...enginetest.Payload) {
	n.Script(enginetest.Rule{BlockHash: block.Hash(), Status: "INVALID"})
	for _, p := range under {
		n.Script(enginetest.Rule{BlockHash: p.Hash(), Status: "SYNCING"})
	}
}

// disputes brings about a dispute: the third node objects to the second block of a chain, and forgets that.
func (m *multiplexer) disputes(t testing.TB, nodes []*enginetest.Node, chain []enginetest.Payload) {
	t.Helper()
	forgets(nodes[2], chain[1], chain[2:]...)
	m.prove(t, nodes...)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	m.hears(t, "SYNCING", "engine_newPayload", chain[1])
}

// A dispute goes on over our restart, and over as many as there are; where nothing is kept it has ended with the first.
func TestDisputeOutlivesARestart(t *testing.T) {
	for _, kept := range []bool{true, false} {
		t.Run(map[bool]string{true: "kept", false: "in memory only"}[kept], func(t *testing.T) {
			t.Parallel()
			nodes, dir := three(t), ""
			if kept {
				dir = t.TempDir()
			}
			chain := enginetest.Chain(4, 6, nil)
			m := start(t, apptest.Fakes(nodes...), keeping(dir))
			m.disputes(t, nodes, chain)
			m.hears(t, "SYNCING", "engine_newPayload", chain[2])
			for _, block := range chain[3:] {
				m.Stop()
				m = start(t, apptest.Fakes(nodes...), keeping(dir))
				want := "VALID"
				if kept {
					want = "SYNCING"
				}
				m.hears(t, want, "engine_newPayload", block)
			}
			if got := m.Node(t, "n3").Objections; got != map[bool]int{true: 1}[kept] {
				t.Errorf("n3 objects to %d blocks", got)
			}
			m.must(t, "/clear_objections", "n3")
			m.Stop()
			m = start(t, apptest.Fakes(nodes...), keeping(dir))
			m.hears(t, "VALID", "engine_newPayload", chain[5].Child(nil))
		})
	}
}

// Blocks that came while we were down are asked of the nodes, to know whether they are under an objection: those of the
// disputed branch are, and others aren't.
func TestBlocksOfTheMeantime(t *testing.T) {
	for _, disputed := range []bool{true, false} {
		t.Run(map[bool]string{true: "on the disputed block", false: "beside it"}[disputed], func(t *testing.T) {
			t.Parallel()
			nodes, dir := three(t), t.TempDir()
			chain := enginetest.Chain(4, 2, nil)
			branch := enginetest.Chain(4, 1, nil)
			for range 9 { // on block 1, beside block 2 or on it
				parent := branch[len(branch)-1]
				if len(branch) == 1 && disputed {
					branch = append(branch, chain[1])
					continue
				}
				branch = append(branch, parent.Child(func(p *enginetest.Payload) { p.ExtraData = []byte("beside") }))
			}
			next := branch[len(branch)-1].Child(nil)
			forgets(nodes[2], chain[1], append(branch[2:], next)...)
			m := start(t, apptest.Fakes(nodes...), keeping(dir))
			m.prove(t, nodes...)
			m.hears(t, "VALID", "engine_newPayload", chain[0])
			m.hears(t, "SYNCING", "engine_newPayload", chain[1])
			m.Stop()

			other := start(t, apptest.Fakes(nodes[:2]...), nil)
			for _, p := range branch {
				other.hears(t, "VALID", "engine_newPayload", p)
			}
			other.Stop()
			m = start(t, apptest.Fakes(nodes...), keeping(dir))
			want := map[bool]string{true: "SYNCING", false: "VALID"}[disputed]
			m.hears(t, want, "engine_newPayload", next)
			m.Log.Wait(t, "asked for ancestors")
		})
	}
}

// What else outlives us: builds, drains, what the CL can do, and what nodes that can't be reached had.
func TestRestOutlivesARestart(t *testing.T) {
	t.Parallel()
	nodes, dir := builders(t, 3), t.TempDir()
	nodes[2].Update(func(c *enginetest.Client) { c.Capabilities = append(c.Capabilities, "engine_somethingV7") })
	m := startLed(t, apptest.Fakes(nodes...), keeping(dir))
	m.prove(t, nodes...)
	head := enginetest.Chain(4, 1, nil)[0]
	m.call(t, "engine_exchangeCapabilities", []string{"engine_newPayloadV4", "engine_mine"})
	id := m.build(t, head).PayloadID
	offer(nodes[0], head, "0x1", nil)
	best := offer(nodes[1], head, "0x3", nil)
	m.must(t, "/drain_nodes", "n3")
	m.Stop()

	nodes[2].Script(enginetest.Rule{Fault: enginetest.Reset})
	m = start(t, apptest.Fakes(nodes...), keeping(dir))
	if got := m.call(t, "engine_getPayloadV4", id); got != best {
		t.Errorf("the payload is %s, want %s", got, best)
	}
	if !strings.Contains(asked(nodes[1]), ownID(1)) {
		t.Errorf("n2 was asked for %s", asked(nodes[1]))
	}
	if !m.Node(t, "n3").Drained {
		t.Error("n3 is no longer drained")
	}
	if got := m.call(t, "engine_exchangeCapabilities", []string{}); !strings.Contains(got, "engine_somethingV7") {
		t.Errorf("what n3 had is forgotten: %s", got)
	}
	m.must(t, "/undrain_nodes", "n3")
	m.Stop()
	if m = start(t, apptest.Fakes(nodes...), keeping(dir)); m.Node(t, "n3").Drained {
		t.Error("n3 is drained again")
	}
}

// No secret and no payload is in what is kept.
func TestStateHasNoSecret(t *testing.T) {
	t.Parallel()
	nodes, dir := builders(t, 2), t.TempDir()
	m := start(t, apptest.Fakes(nodes...), keeping(dir))
	m.prove(t, nodes...)
	forgets(nodes[1], enginetest.Chain(4, 1, nil)[0])
	m.newPayload(t, enginetest.Chain(4, 1, nil)[0])
	m.build(t, enginetest.Chain(4, 2, nil)[1])
	m.Stop()
	text, err := os.ReadFile(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "objection/") || !strings.Contains(string(text), "build/") {
		t.Fatalf("not what was to be kept: %s", text)
	}
	for _, word := range []string{clSecret, "Bearer", "transactions", "jwt"} {
		if strings.Contains(string(text), word) {
			t.Errorf("%q is in what is kept", word)
		}
	}
}

// A restarted client's VALID to what it was sent before our restart proves nothing; one to a new payload does.
func TestOldPayloadsProveNothing(t *testing.T) {
	t.Parallel()
	nodes, dir := three(t), t.TempDir()
	now := uint64(time.Now().Unix())
	chain := enginetest.Chain(4, 3, func(p *enginetest.Payload) { p.Timestamp = now - 60 + 12*p.Number })
	m := start(t, apptest.Fakes(nodes...), keeping(dir))
	m.hears(t, "VALID", "engine_newPayload", chain[1])
	m.Stop()
	m = start(t, apptest.Fakes(nodes...), keeping(dir))
	for _, p := range chain[:2] {
		if m.hears(t, "VALID", "engine_newPayload", p); m.Node(t, "n1").Qualified {
			t.Errorf("n1 has proved itself with block %d", p.Number)
		}
	}
	if m.hears(t, "VALID", "engine_newPayload", chain[2]); !m.Node(t, "n1").Qualified {
		t.Error("n1 has not proved itself with a new block")
	}
}
