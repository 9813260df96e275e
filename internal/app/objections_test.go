package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// dispute is a multiplexer with three nodes that all followed the first payload of a chain. n3 calls the second one
// INVALID, in the method given, until undo is called.
func dispute(
	t testing.TB, method string,
) (m *multiplexer, nodes []*enginetest.Node, chain []enginetest.Payload, undo func()) {
	t.Helper()
	nodes = three(t)
	m = start(t, apptest.Fakes(nodes...), nil)
	chain = enginetest.Chain(4, 4, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	undo = nodes[2].Script(enginetest.Rule{
		Method: method, BlockHash: chain[1].Hash(), Status: "INVALID", ValidationError: "bad",
	})
	if method == "engine_forkchoiceUpdated" {
		m.hears(t, "VALID", "engine_newPayload", chain[1])
	}
	m.hears(t, "SYNCING", method, chain[1])
	return m, nodes, chain, undo
}

// hears sends a payload, or makes it the head, and fails the test unless the CL hears a status.
func (m *multiplexer) hears(t testing.TB, want, method string, p enginetest.Payload) {
	t.Helper()
	ask := m.newPayload
	if method == "engine_forkchoiceUpdated" {
		ask = m.forkchoice
	}
	if got := ask(t, p); got.Status != want {
		t.Fatalf("%s %d: got %+v, want %s", method, p.Number, got, want)
	}
}

var bothMethods = []string{"engine_newPayload", "engine_forkchoiceUpdated"}

// A dispute binds: the block, its child and its grandchild stay SYNCING in both methods, whatever the objector does.
func TestDisputeBinds(t *testing.T) {
	for _, method := range bothMethods {
		for _, next := range []string{
			"SYNCING", "ACCEPTED", "INVALID", "error", "hangs", "dies", "restarts", "drops out of sync",
		} {
			t.Run(method+", and then it "+next, func(t *testing.T) {
				t.Parallel()
				m, nodes, chain, undo := dispute(t, method)
				objector := nodes[2]
				undo()
				switch next {
				case "error":
					fails(objector, "engine_", -32000, "x")
				case "hangs":
					// Its VALID would end the dispute, to the block as to a descendant that is new to it.
					defer objector.Script(enginetest.Rule{Method: "engine_", Hang: true})()
					begun := time.Now()
					m.hears(t, "SYNCING", "engine_forkchoiceUpdated", chain[1])
					for _, p := range chain[2:] {
						m.hears(t, "SYNCING", "engine_newPayload", p)
						m.hears(t, "SYNCING", "engine_forkchoiceUpdated", p)
					}
					// Three graces for its VALID to the block, and to each of two new payloads until it is a laggard.
					if took := time.Since(begun); took > 6*time.Second {
						t.Errorf("a hung objector cost %v", took)
					}
					return
				case "dies":
					objector.Close()
				case "restarts":
					objector.Script(enginetest.Rule{Method: "engine_", Status: "SYNCING"})
					restart(t, m, objector)
				case "drops out of sync":
					objector.Script(enginetest.Rule{Method: "engine_", Status: "SYNCING"})
					objector.Update(func(c *enginetest.Client) { c.Syncing = true })
					m.Recheck(t)
				default:
					for _, p := range chain[1:] {
						objector.Script(enginetest.Rule{Method: "engine_", BlockHash: p.Hash(), Status: next})
					}
				}
				for _, p := range chain[1:] {
					m.hears(t, "SYNCING", "engine_newPayload", p)
					m.hears(t, "SYNCING", "engine_forkchoiceUpdated", p)
				}
				m.hears(t, "VALID", "engine_newPayload", chain[0])
				m.Log.Wait(t, "level=ERROR", "dispute", chain[3].Hash(), "n3")
				if got := m.Node(t, "n3").Objections; got != 1 {
					t.Errorf("n3 has %d objections, want the one", got)
				}
			})
		}
	}
}

// restart ends a node and starts it again, and lets both be noticed.
func restart(t testing.TB, m *multiplexer, n *enginetest.Node) {
	t.Helper()
	n.Close()
	m.Recheck(t)
	n.Reopen()
	m.Recheck(t)
}

// A dispute ends with the objector's VALID on that very block, or to the newPayload of a descendant that it had never
// been sent before; with its objections cleared; and with the objector.
func TestDisputeEnds(t *testing.T) {
	for _, end := range []struct {
		name string
		by   func(t *testing.T, m *multiplexer, objector apptest.Node, block enginetest.Payload)
	}{
		{"VALID to newPayload", func(t *testing.T, m *multiplexer, _ apptest.Node, block enginetest.Payload) {
			m.hears(t, "VALID", "engine_newPayload", block)
		}},
		{"VALID to forkchoiceUpdated", func(t *testing.T, m *multiplexer, _ apptest.Node, block enginetest.Payload) {
			m.hears(t, "VALID", "engine_forkchoiceUpdated", block)
		}},
		{"VALID to a new child", func(t *testing.T, m *multiplexer, _ apptest.Node, block enginetest.Payload) {
			m.hears(t, "VALID", "engine_newPayload", block.Child(func(p *enginetest.Payload) { p.GasUsed = 1 }))
		}},
		{"VALID to a new grandchild", func(t *testing.T, m *multiplexer, _ apptest.Node, block enginetest.Payload) {
			m.hears(t, "VALID", "engine_newPayload", block.Child(nil).Child(nil))
		}},
		{"cleared", func(t *testing.T, m *multiplexer, _ apptest.Node, _ enginetest.Payload) {
			m.must(t, "/clear_objections", "n3")
		}},
		{"removed", func(t *testing.T, m *multiplexer, objector apptest.Node, _ enginetest.Payload) {
			m.must(t, "/remove_nodes", objector.URL)
		}},
		{"set aside", func(t *testing.T, m *multiplexer, _ apptest.Node, _ enginetest.Payload) {
			c := *m.Config
			c.Nodes = slices.Clone(c.Nodes)
			c.Nodes[2].DoNotUse = true
			m.Reload(&c)
		}},
	} {
		for _, method := range bothMethods {
			t.Run(method+", "+end.name, func(t *testing.T) {
				t.Parallel()
				m, nodes, chain, undo := dispute(t, method)
				child := nodes[2].Script(enginetest.Rule{
					Method: "engine_", BlockHash: chain[2].Hash(), Status: "SYNCING",
				})
				m.hears(t, "SYNCING", "engine_newPayload", chain[2])
				undo()
				child()
				// its VALID to a child that it has been sent before ends nothing, nor that to a forkchoiceUpdated
				for range 2 {
					m.hears(t, "SYNCING", "engine_forkchoiceUpdated", chain[2])
					m.hears(t, "SYNCING", "engine_newPayload", chain[2])
				}
				end.by(t, m, apptest.Fakes(nodes...)[2], chain[1])
				if end.name == "removed" || end.name == "set aside" {
					nodes[2].Script(enginetest.Rule{Method: "engine_", Status: "INVALID"})
				}
				for _, p := range chain[1:] {
					m.hears(t, "VALID", "engine_newPayload", p)
					m.hears(t, "VALID", "engine_forkchoiceUpdated", p)
				}
			})
		}
	}
}

// Who has not followed since our start may not object, if others have.
func TestObjectionAfterStart(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	chain := enginetest.Chain(4, 4, nil)

	// Nobody has followed yet: all may object.
	undo := nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: chain[0].Hash(), Status: "INVALID"})
	m.hears(t, "SYNCING", "engine_newPayload", chain[0])
	undo()

	// n1 and n2 have by now, n3 has not, and what it said before that has lapsed.
	apptest.Until(t, "n1 and n2 have proved themselves", func() bool {
		return m.Node(t, "n1").Qualified && m.Node(t, "n2").Qualified
	})
	m.mayNotObject(t, nodes[2], chain[1])
	m.hears(t, "VALID", "engine_newPayload", chain[2])
	m.mayObject(t, nodes[2], chain[3])
}

// mayNotObject lets n3 call a block INVALID in both methods and expects that it doesn't count.
func (m *multiplexer) mayNotObject(t testing.TB, n3 *enginetest.Node, block enginetest.Payload) {
	t.Helper()
	if m.Node(t, "n3").Qualified {
		t.Fatal("n3 is qualified")
	}
	defer n3.Script(enginetest.Rule{Method: "engine_", BlockHash: block.Hash(), Status: "INVALID"})()
	m.hears(t, "VALID", "engine_newPayload", block)
	m.hears(t, "VALID", "engine_forkchoiceUpdated", block)
	// nobody waits for it
	apptest.Until(t, "/blocks shows n3's INVALID", func() bool { return m.said(t, block, "n3").Status == "INVALID" })
	if said := m.said(t, block, "n3"); said.Vote != "" {
		t.Errorf("/blocks shows %+v", said)
	}
	if got := m.Node(t, "n3").Objections; got != 0 {
		t.Errorf("n3 has %d objections", got)
	}
}

// mayObject is the opposite of mayNotObject.
func (m *multiplexer) mayObject(t testing.TB, n3 *enginetest.Node, block enginetest.Payload) {
	t.Helper()
	// nobody waits for the VALID that does it
	apptest.Until(t, "n3 is qualified", func() bool { return m.Node(t, "n3").Qualified })
	defer n3.Script(enginetest.Rule{Method: "engine_", BlockHash: block.Hash(), Status: "INVALID"})()
	m.hears(t, "SYNCING", "engine_newPayload", block)
	m.hears(t, "SYNCING", "engine_forkchoiceUpdated", block)
	if said := m.said(t, block, "n3"); said.Status != "INVALID" || said.Vote != "INVALID" {
		t.Errorf("/blocks shows %+v", said)
	}
}

// doing is something that happens to n3. It comes with a payload that everybody calls VALID.
type doing struct {
	name string
	by   func(t *testing.T, m *multiplexer, n3 *enginetest.Node, next enginetest.Payload)
}

// breaks are the ways in which n3's past comes into doubt.
var breaks = []doing{
	{"restart", func(t *testing.T, m *multiplexer, n3 *enginetest.Node, _ enginetest.Payload) { restart(t, m, n3) }},
	{"a reset that the retry got over",
		func(t *testing.T, m *multiplexer, n3 *enginetest.Node, next enginetest.Payload) {
			n3.Script(enginetest.Rule{Method: "engine_newPayload", Fault: enginetest.Reset, Times: 1})
			m.hears(t, "VALID", "engine_newPayload", next)
			if got := len(n3.CallsOf("engine_newPayload")); got != 3 {
				t.Errorf("n3 got %d newPayloads, want one more than there were", got)
			}
		}},
	{"a connection that ended though it was to be kept",
		func(t *testing.T, m *multiplexer, n3 *enginetest.Node, _ enginetest.Payload) {
			n3.Script(enginetest.Rule{Method: "eth_syncing", Times: 1, Reply: &enginetest.Reply{
				Header: http.Header{"Connection": {"keep-alive"}}, Body: `{"jsonrpc":"2.0","id":$ID,"result":false}`}})
			m.Recheck(t)
			m.Recheck(t)
		}},
	{"another version", func(t *testing.T, m *multiplexer, n3 *enginetest.Node, _ enginetest.Payload) {
		heal := n3.Script(enginetest.Rule{Method: "eth_syncing", Reply: &enginetest.Reply{Status: 500}})
		m.Recheck(t)
		n3.Update(func(c *enginetest.Client) { c.Version = "v9.9.9" })
		heal()
		m.Recheck(t)
	}},
}

// noBreaks cast no doubt: one slow probe must not mute an honest minority.
var noBreaks = []doing{
	{"a probe that took too long", func(t *testing.T, m *multiplexer, n3 *enginetest.Node, _ enginetest.Payload) {
		n3.Script(enginetest.Rule{Method: "eth_syncing", Delay: 1200 * time.Millisecond, Times: 1})
		m.Recheck(t)
	}},
	{"a probe that got HTTP 500", func(t *testing.T, m *multiplexer, n3 *enginetest.Node, _ enginetest.Payload) {
		heal := n3.Script(enginetest.Rule{Method: "eth_syncing", Reply: &enginetest.Reply{Status: 500}})
		m.Recheck(t)
		heal()
		m.Recheck(t)
	}},
	{"a malformed answer", func(t *testing.T, m *multiplexer, n3 *enginetest.Node, next enginetest.Payload) {
		n3.Script(enginetest.Rule{Method: "engine_newPayload", Reply: &enginetest.Reply{Body: "{"}, Times: 1})
		m.hears(t, "VALID", "engine_newPayload", next)
	}},
	{"a call that took too long", func(t *testing.T, m *multiplexer, n3 *enginetest.Node, next enginetest.Payload) {
		n3.Script(enginetest.Rule{Method: "engine_newPayload", Hang: true, Times: 1})
		m.hears(t, "VALID", "engine_newPayload", next)
		apptest.Until(t, "n3's call has failed", func() bool {
			return m.Node(t, "n3").LastError == "no answer in time"
		})
	}},
	{"a refused token", func(t *testing.T, m *multiplexer, n3 *enginetest.Node, _ enginetest.Payload) {
		heal := n3.Script(enginetest.Rule{Method: "eth_syncing", Reply: &enginetest.Reply{Status: 401}})
		m.Recheck(t)
		heal()
		m.Recheck(t)
	}},
	{"a goodbye", func(t *testing.T, m *multiplexer, n3 *enginetest.Node, _ enginetest.Payload) {
		n3.Script(enginetest.Rule{Method: "eth_syncing", Times: 1, Reply: &enginetest.Reply{
			Header: http.Header{"Connection": {"close"}}, Body: `{"jsonrpc":"2.0","id":$ID,"result":false}`}})
		m.Recheck(t)
		m.Recheck(t)
	}},
}

// What is no break leaves a node its say.
func TestObjectionWithoutABreak(t *testing.T) {
	for _, b := range noBreaks {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			nodes := three(t)
			configured := apptest.Fakes(nodes...)
			configured[2].Timeout = time.Second
			m := start(t, configured, func(c *config.Config) { c.Grace = 1200 * time.Millisecond })
			chain := enginetest.Chain(4, 3, nil)
			m.hears(t, "VALID", "engine_newPayload", chain[0])
			b.by(t, m, nodes[2], chain[1])
			for range 2 { // so that n3 isn't a laggard; it proves nothing, since n3 has been sent this before
				m.hears(t, "VALID", "engine_newPayload", chain[0])
			}
			m.mayObject(t, nodes[2], chain[2])
		})
	}
}

// After a break a node may not object until it has called VALID what it had never been sent before.
func TestObjectionAfterABreak(t *testing.T) {
	for _, b := range breaks {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			nodes := three(t)
			configured := apptest.Fakes(nodes...)
			configured[2].Timeout = time.Second
			m := start(t, configured, func(c *config.Config) { c.Grace = 1200 * time.Millisecond })
			chain := enginetest.Chain(4, 6, nil)
			m.hears(t, "VALID", "engine_newPayload", chain[0])

			b.by(t, m, nodes[2], chain[1])
			m.mayNotObject(t, nodes[2], chain[2])
			m.hears(t, "VALID", "engine_newPayload", chain[0]) // sent before the break
			m.hears(t, "VALID", "engine_forkchoiceUpdated", chain[2])
			m.mayNotObject(t, nodes[2], chain[3])
			m.hears(t, "VALID", "engine_newPayload", chain[4])
			m.mayObject(t, nodes[2], chain[5])
		})
	}
}

// A break takes back no objection from before it, and when all nodes had one, all may object.
func TestBreakOfAllNodes(t *testing.T) {
	t.Parallel()
	m, nodes, chain, undo := dispute(t, "engine_newPayload")
	undo()
	nodes[2].Script(enginetest.Rule{Method: "engine_", BlockHash: chain[1].Hash(), Status: "SYNCING"})
	for _, n := range nodes {
		n.Close()
	}
	m.Recheck(t)
	for _, n := range nodes {
		n.Reopen()
	}
	m.Recheck(t)
	m.hears(t, "SYNCING", "engine_forkchoiceUpdated", chain[1])
	sibling := chain[0].Child(func(p *enginetest.Payload) { p.GasUsed = 1 })
	nodes[0].Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: sibling.Hash(), Status: "INVALID"})
	m.hears(t, "SYNCING", "engine_newPayload", sibling)
}

// A node that called a block VALID and now says SYNCING or ACCEPTED still votes VALID.
func TestStandingValid(t *testing.T) {
	for _, now := range []string{"SYNCING", "ACCEPTED"} {
		for _, method := range bothMethods {
			t.Run(method+" "+now, func(t *testing.T) {
				t.Parallel()
				nodes := three(t)
				m := start(t, apptest.Fakes(nodes...), nil)
				chain := enginetest.Chain(4, 2, nil)
				m.hears(t, "VALID", "engine_newPayload", chain[0])
				for _, n := range nodes {
					n.Script(enginetest.Rule{Method: "engine_", Status: now})
				}
				ask := m.newPayload
				if method == "engine_forkchoiceUpdated" {
					ask = m.forkchoice
				}
				got, want := ask(t, chain[0]), (enginetest.Status{Status: "VALID", LatestValidHash: chain[0].Hash()})
				if got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
				if got := ask(t, chain[1]).Status; got == "VALID" {
					t.Error("the child is VALID, too")
				}
			})
		}
	}
}

// An objection that comes after the CL has heard VALID binds from then on.
func TestLateObjection(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), func(c *config.Config) { c.Grace = 100 * time.Millisecond })
	chain := enginetest.Chain(4, 3, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	m.awaitProof(t, "n3")
	release := nodes[2].Script(enginetest.Rule{
		Method: "engine_newPayload", Hang: true, Status: "INVALID", ValidationError: "bad state root",
	})
	defer release()
	m.hears(t, "VALID", "engine_newPayload", chain[1])
	release()
	nodes[2].Script(enginetest.Rule{Method: "engine_", Status: "SYNCING"})
	m.Log.Wait(t, "level=ERROR", "late objection", "node=n3", chain[1].Hash(), "bad state root")
	m.hears(t, "SYNCING", "engine_forkchoiceUpdated", chain[1])
	m.hears(t, "SYNCING", "engine_newPayload", chain[2])
	if got := m.Metric(t, "executionbackup_late_objections_total"); got != 1 {
		t.Errorf("%v late objections are counted", got)
	}
}

// The primary gives way where it objects to what the consensus client goes on with: it stays behind. It stays where all
// others have died.
func TestObjectorIsNotPrimary(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	chain := enginetest.Chain(4, 5, nil)
	m.follow(t, chain[:1])
	old := slices.IndexFunc(m.Nodes(t), func(n apptest.NodeState) bool { return n.Primary })
	nodes[old].Script(enginetest.Rule{Method: "engine_", Status: "INVALID"})
	for _, p := range chain[1:] {
		m.hears(t, "SYNCING", "engine_newPayload", p)
		m.hears(t, "SYNCING", "engine_forkchoiceUpdated", p)
	}
	name := fmt.Sprintf("n%d", old+1)
	if m.Node(t, name).Primary {
		t.Errorf("%s objects to all since block 2, and is the primary at block 5", name)
	}
	for i, n := range nodes {
		if i != old {
			n.Close()
		}
	}
	m.Recheck(t)
	if !m.Node(t, name).Primary {
		t.Errorf("%s alone is alive, and isn't the primary", name)
	}
}
