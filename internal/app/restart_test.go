package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// killed is a state directory as kill -9 leaves it at this moment.
func killed(t testing.TB, dir string) (left string) {
	t.Helper()
	left = t.TempDir()
	state, err := os.ReadFile(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "state"), state, 0o600); err != nil {
		t.Fatal(err)
	}
	return left
}

// isKept returns what reports whether a word is in what is kept in a directory.
func isKept(dir, word string) func() bool {
	return func() bool {
		state, _ := os.ReadFile(filepath.Join(dir, "state"))
		return strings.Contains(string(state), word)
	}
}

// Who was ignored before our restart, because it hadn't proved itself and others had, is ignored after it, though there
// was no dispute. A break isn't forgotten either.
func TestTrustOutlivesARestart(t *testing.T) {
	for _, broke := range []bool{true, false} {
		t.Run(map[bool]string{true: "a break", false: "never proved"}[broke], func(t *testing.T) {
			t.Parallel()
			nodes, dir := three(t), t.TempDir()
			m := start(t, apptest.Fakes(nodes...), keeping(dir))
			proving := nodes[:2]
			if broke {
				proving = nodes
			} else {
				nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Times: 1, Status: "SYNCING"})
			}
			m.prove(t, proving...)
			if broke {
				m.Stop()
				m = start(t, apptest.Fakes(nodes...), keeping(dir))
				nodes[2].Close()
				m.Recheck(t)
				nodes[2].Reopen()
				m.Recheck(t)
			}
			m.Stop()
			chain := enginetest.Chain(4, 1, nil)
			forgets(nodes[2], chain[0])
			m = start(t, apptest.Fakes(nodes...), keeping(dir))
			m.hears(t, "VALID", "engine_newPayload", chain[0])
		})
	}
}

// Where nobody had proved itself before our restart, anybody may object after it, as if there had been none.
func TestNobodyHadProvedItself(t *testing.T) {
	t.Parallel()
	nodes, dir := three(t), t.TempDir()
	first := enginetest.Chain(4, 1, nil)[0]
	second := enginetest.Chain(4, 1, func(p *enginetest.Payload) { p.ExtraData = []byte("second") })[0]
	forgets(nodes[2], first)
	forgets(nodes[2], second)
	for _, n := range nodes[:2] {
		n.Script(enginetest.Rule{BlockHash: first.Hash(), Status: "SYNCING"})
	}
	m := start(t, apptest.Fakes(nodes...), keeping(dir))
	m.hears(t, "SYNCING", "engine_newPayload", first)
	for range 2 {
		m.Stop()
		m = start(t, apptest.Fakes(nodes...), keeping(dir))
	}
	m.hears(t, "SYNCING", "engine_newPayload", second)
}

// Drains outlive us, but never so that nobody is left who may vote: the nodes may be others now.
func TestDrainsNeverTakeTheLastVoter(t *testing.T) {
	t.Parallel()
	nodes, dir := three(t), t.TempDir()
	m := start(t, apptest.Fakes(nodes...), keeping(dir))
	m.must(t, "/drain_nodes", "n3")
	m.must(t, "/drain_nodes", "n2")
	m.Stop()
	list := apptest.Fakes(nodes...)
	list[0].DoNotUse = true
	m = start(t, list, keeping(dir))
	m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 1, nil)[0])
	if m.Node(t, "n2").Drained || m.Node(t, "n3").Drained {
		t.Error("drains took the last voters")
	}
	m.Log.Wait(t, "level=WARN", "drain")
}

// An id that a node gave when the CL had its own outlives kill -9, and so does whose payload was proposed.
func TestLateIdsOutliveAKill(t *testing.T) {
	t.Parallel()
	nodes, dir := builders(t, 3), t.TempDir()
	m := startLed(t, apptest.Fakes(nodes...), keeping(dir))
	m.prove(t, nodes...)
	head := enginetest.Chain(4, 1, nil)[0]
	late := nodes[1].Script(enginetest.Rule{Method: "engine_forkchoiceUpdated", Hang: true})
	id := m.build(t, head).PayloadID
	late()
	offer(nodes[0], head, "0x1", nil)
	best := offer(nodes[1], head, "0x3", nil)
	apptest.Until(t, "the id is kept", isKept(dir, ownID(1)))
	after := start(t, apptest.Fakes(nodes...), keeping(killed(t, dir)))
	if got := after.call(t, "engine_getPayloadV4", id); got != best {
		t.Errorf("the payload is %s, want %s", got, best)
	}
	m.call(t, "engine_getPayloadV4", id)
	apptest.Until(t, "the winner is kept", isKept(dir, `"winner"`))
}

// Right after our restart a node that followed before it has its say, though it hasn't been probed yet, or says that it
// is syncing: who answers the probe first doesn't decide alone.
func TestWhoFollowedHasItsSayAtOnce(t *testing.T) {
	for _, probe := range []enginetest.Rule{
		{Method: "eth_syncing", Hang: true},
		{Method: "eth_syncing", Result: `{"startingBlock":"0x0","currentBlock":"0x1","highestBlock":"0x9"}`},
	} {
		t.Run(map[bool]string{true: "not probed", false: "says it is syncing"}[probe.Hang], func(t *testing.T) {
			t.Parallel()
			nodes, dir := three(t), t.TempDir()
			now := uint64(time.Now().Unix())
			chain := enginetest.Chain(4, 2, func(p *enginetest.Payload) { p.Timestamp = now + p.Number })
			m := start(t, apptest.Fakes(nodes...), keeping(dir))
			m.hears(t, "VALID", "engine_newPayload", chain[0])
			m.awaitProof(t, "n3")
			m.Stop()
			block := chain[1]
			forgets(nodes[2], block)
			nodes[2].Script(probe)
			m = run(t, apptest.Fakes(nodes...), keeping(dir))
			m.awaitAlive(t, "n1", "n2")
			if !probe.Hang {
				m.WaitReady(t)
			}
			m.hears(t, "SYNCING", "engine_newPayload", block)
		})
	}
}

// What a backup objected to while it had no vote outlives us, and binds when it votes.
func TestBackupsObjectionOutlivesARestart(t *testing.T) {
	t.Parallel()
	nodes, dir := three(t), t.TempDir()
	list := apptest.Fakes(nodes...)
	list[2].Backup = true
	chain := enginetest.Chain(4, 3, nil)
	forgets(nodes[2], chain[0])
	m := start(t, list, keeping(dir))
	m.prove(t, nodes...)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	apptest.Until(t, "its objection is known", func() bool { return m.Node(t, "n3").Objections == 1 })
	m.Stop()
	m = start(t, list, keeping(dir))
	nodes[2].Script(enginetest.Rule{BlockHash: chain[1].Hash(), Status: "SYNCING"})
	m.hears(t, "VALID", "engine_newPayload", chain[1]) // it rests
	nodes[0].Close()
	nodes[1].Script(enginetest.Rule{BlockHash: chain[2].Hash(), Fault: enginetest.Reset})
	nodes[2].Script(enginetest.Rule{BlockHash: chain[2].Hash(), Status: "SYNCING"})
	m.Recheck(t)
	m.hears(t, "SYNCING", "engine_newPayload", chain[2])
	if got := m.Node(t, "n3").Objections; got != 1 {
		t.Errorf("n3 objects to %d blocks", got)
	}
}

// A node's objections are gone with the node, and with its vote, for good: they don't come back when the node does.
func TestRemovedObjectionsStayGone(t *testing.T) {
	for _, c := range []struct {
		name   string
		remove func(m *multiplexer, nodes []*enginetest.Node)
	}{
		{"removed and added again", func(m *multiplexer, nodes []*enginetest.Node) {
			m.must(t, "/remove_nodes", "n3")
			m.must(t, "/add_nodes", nodes[2].URL+"#name=n3#jwt-secret="+nodes[2].SecretFile)
		}},
		{"do-not-use and back", func(m *multiplexer, nodes []*enginetest.Node) {
			m.doNotUse(2, true)
			m.doNotUse(2, false)
		}},
		{"started without it, and with it again", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			nodes, dir := three(t), t.TempDir()
			chain := enginetest.Chain(4, 2, nil)
			forgets(nodes[2], chain[0], chain[1])
			m := start(t, apptest.Fakes(nodes...), keeping(dir))
			m.prove(t, nodes...)
			m.hears(t, "SYNCING", "engine_newPayload", chain[0])
			if c.remove != nil {
				c.remove(m, nodes)
			} else {
				m.Stop()
				m = start(t, apptest.Fakes(nodes[:2]...), keeping(dir))
			}
			m.Stop()
			m = start(t, apptest.Fakes(nodes...), keeping(dir))
			m.hears(t, "VALID", "engine_newPayload", chain[1])
		})
	}
}

// Nodes that hang or know nothing when they are asked for the blocks of the meantime hold an answer up for a while, and
// never end a dispute.
func TestAskedForAncestorsInVain(t *testing.T) {
	for name, rule := range map[string]enginetest.Rule{
		"all hang": {Hang: true}, "nobody knows": {Result: "null"}, "nonsense": {Result: `{"hash":[]}`},
		"an error": {Error: &enginetest.RPCError{Code: -32000}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes, dir := three(t), t.TempDir()
			chain := enginetest.Chain(4, 6, nil)
			m := start(t, apptest.Fakes(nodes...), keeping(dir))
			m.disputes(t, nodes, chain)
			m.Stop()
			rule.Method = "eth_getBlockByHash"
			for _, n := range nodes {
				n.Script(rule)
			}
			m = start(t, apptest.Fakes(nodes...), keeping(dir))
			for _, p := range chain[4:] { // two blocks are missing
				begun := time.Now()
				m.hears(t, "SYNCING", "engine_newPayload", p)
				m.hears(t, "SYNCING", "engine_forkchoiceUpdated", p)
				if took := time.Since(begun); took > 6*time.Second {
					t.Errorf("block %d took %v", p.Number, took)
				}
			}
			m.must(t, "/clear_objections", "n3")
			m.hears(t, "VALID", "engine_newPayload", chain[5].Child(nil))
		})
	}
}

// A liar can't lead around a dispute by a wrong parent, where others tell the right one or nothing.
func TestLyingAncestor(t *testing.T) {
	for _, alone := range []bool{false, true} {
		t.Run(fmt.Sprintf("the only one that tells: %t", alone), func(t *testing.T) {
			t.Parallel()
			testLyingAncestor(t, alone)
		})
	}
}

func testLyingAncestor(t *testing.T, alone bool) {
	nodes, dir := three(t), t.TempDir()
	chain := enginetest.Chain(4, 4, nil)
	m := start(t, apptest.Fakes(nodes...), keeping(dir))
	m.disputes(t, nodes, chain)
	m.Stop()
	other := start(t, apptest.Fakes(nodes[:2]...), nil)
	other.hears(t, "VALID", "engine_newPayload", chain[2])
	other.Stop()
	nodes[0].Script(enginetest.Rule{Method: "eth_getBlockByHash", Result: fmt.Sprintf(
		`{"hash":%q,"parentHash":%q,"number":"0x3","timestamp":"0x1"}`, chain[2].Hash(), chain[0].Hash())})
	if alone {
		nodes[1].Script(enginetest.Rule{Method: "eth_getBlockByHash", Hang: true})
		nodes[2].Script(enginetest.Rule{Method: "eth_getBlockByHash", Result: "null"})
	}
	m = start(t, apptest.Fakes(nodes...), keeping(dir))
	m.hears(t, "SYNCING", "engine_newPayload", chain[3])
}

// A node that was repaired while we were down, in a dispute, calls the first new payload VALID: with that its objection
// has ended, though it isn't known yet that the block is under it. So the CL hears VALID to the head, too.
func TestRepairedWhileWeWereDown(t *testing.T) {
	for _, missing := range []int{0, 1, 9, 200} {
		t.Run(fmt.Sprint(missing, " blocks are missing"), func(t *testing.T) {
			nodes, dir := three(t), t.TempDir()
			chain := enginetest.Chain(4, 5+missing, nil)
			undo := nodes[2].Script(enginetest.Rule{BlockHash: chain[1].Hash(), Status: "INVALID"})
			m := start(t, apptest.Fakes(nodes...), keeping(dir))
			m.prove(t, nodes...)
			m.hears(t, "VALID", "engine_newPayload", chain[0])
			m.hears(t, "SYNCING", "engine_newPayload", chain[1])
			m.Stop()
			undo()

			other := start(t, apptest.Fakes(nodes...), nil)
			for _, p := range chain[1 : 2+missing] {
				other.hears(t, "VALID", "engine_newPayload", p)
			}
			other.Stop()
			m = start(t, apptest.Fakes(nodes...), keeping(dir))
			m.follows(t, chain[2+missing:]...)
		})
	}
}
