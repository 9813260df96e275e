package app_test

import (
	"fmt"
	"strings"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// A dispute goes on over the switch and the return, and one that ended stays ended, whatever becomes of the Redis
// meanwhile: what begins or ends while it is away is there when it is back.
func TestDisputesOverFaultsOfRedis(t *testing.T) {
	for _, c := range []struct {
		name       string
		away, back func(r *apptest.Redis)
	}{
		{"killed and started again, empty", (*apptest.Redis).Kill, (*apptest.Redis).Start},
		{"hangs", (*apptest.Redis).Stop, (*apptest.Redis).Continue},
		{"flushed", func(r *apptest.Redis) { r.Do("FLUSHALL") }, func(*apptest.Redis) {}},
		{"full", func(r *apptest.Redis) { r.Do("CONFIG SET maxmemory 1") },
			func(r *apptest.Redis) { r.Do("CONFIG SET maxmemory 0") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			nodes, r := three(t), apptest.StartRedis(t)
			a, b := startPair(t, r, nodes...)
			chain := enginetest.Chain(4, 8, nil)
			other := enginetest.Chain(4, 6, func(p *enginetest.Payload) { p.ExtraData = []byte("other") })
			third := enginetest.Chain(4, 3, func(p *enginetest.Payload) { p.ExtraData = []byte("third") })
			forgets(nodes[2], other[1], other[2:]...)
			forgets(nodes[2], third[1], third[2:]...)
			a.disputes(t, nodes, chain)
			a.hears(t, "VALID", "engine_newPayload", other[0])
			b.objects(t, "n3", 1)

			c.away(r)
			a.hears(t, "SYNCING", "engine_newPayload", other[1]) // begins while it is away
			b.hears(t, "SYNCING", "engine_newPayload", chain[2]) // goes on at the other
			c.back(r)
			b.objects(t, "n3", 2)
			b.hears(t, "SYNCING", "engine_newPayload", other[2])
			a.hears(t, "SYNCING", "engine_newPayload", chain[3])

			c.away(r)
			a.must(t, "/clear_objections", "n3") // ends while it is away
			c.back(r)
			b.objects(t, "n3", 0)
			a.hears(t, "VALID", "engine_newPayload", third[0])
			a.awaitAlive(t, "n3")
			a.hears(t, "SYNCING", "engine_newPayload", third[1])
			b.objects(t, "n3", 1)
			late := start(t, apptest.Fakes(nodes...), sharing(r))
			late.objects(t, "n3", 1)
			late.hears(t, "SYNCING", "engine_newPayload", third[2])
			for _, m := range []*multiplexer{late, b, a} {
				m.hears(t, "VALID", "engine_newPayload", chain[4])
				m.hears(t, "VALID", "engine_newPayload", other[3])
			}
		})
	}
}

// Where a dispute ended at one instance while another was cut off and the objection was said to that one anew, the
// greater number stands at both.
func TestObjectionSaidAnew(t *testing.T) {
	t.Parallel()
	nodes, r := three(t), apptest.StartRedis(t)
	a, b := startPair(t, r, nodes...)
	chain := enginetest.Chain(4, 5, nil)
	a.disputes(t, nodes, chain)
	b.objects(t, "n3", 1)
	r.Stop()
	b.must(t, "/clear_objections", "n3")                 // number 1 ends there
	a.hears(t, "SYNCING", "engine_newPayload", chain[1]) // the same one, which both know
	r.Continue()
	a.objects(t, "n3", 0)
	b.objects(t, "n3", 0)
	apptest.Until(t, "n3 may object", func() bool { return a.Node(t, "n3").Qualified })
	r.Stop()
	a.hears(t, "SYNCING", "engine_newPayload", chain[1]) // number 2
	r.Continue()
	b.objects(t, "n3", 1)
	a.objects(t, "n3", 1)
	b.hears(t, "SYNCING", "engine_newPayload", chain[2])
}

// Late ids of a build reach the other instance, also where it has read the build before.
func TestLateIDsGoToTheOtherInstance(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 3)
	r, dir := apptest.StartRedis(t), t.TempDir()
	a := start(t, apptest.Fakes(nodes...), func(c *config.Config) { sharing(r)(c); c.StateDir = dir })
	b := start(t, apptest.Fakes(nodes...), sharing(r))
	a.prove(t, nodes...)
	head := enginetest.Chain(4, 1, nil)[0]
	offer(nodes[0], head, "0x1", nil)
	best := offer(nodes[2], head, "0x3", nil)
	hangs := nodes[2].Script(enginetest.Rule{Method: "engine_forkchoiceUpdated", Hang: true})
	id := a.build(t, head).PayloadID
	told := func(node string) { // of the build, and a drain after it
		a.must(t, "/drain_nodes", node)
		apptest.Until(t, node+" is drained", func() bool { return b.Node(t, node).Drained })
		a.must(t, "/undrain_nodes", node)
		apptest.Until(t, node+" is no longer drained", func() bool { return !b.Node(t, node).Drained })
	}
	told("n2")
	hangs()
	nodes[2].WaitEnded("engine_forkchoiceUpdated", 1)
	apptest.Until(t, "the late id is saved", isKept(dir, ownID(2)))
	told("n2")
	if got := b.call(t, "engine_getPayloadV4", id); got != best {
		t.Errorf("got %s, want %s", got, best)
	}
}

// A break that one instance alone has seen disqualifies a node at the other, until it has proved itself again.
func TestBreakGoesToTheOtherInstance(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	a, b := startPair(t, apptest.StartRedis(t), nodes...)
	chain := enginetest.Chain(4, 3, nil)
	qualified := func(m *multiplexer, want bool) {
		t.Helper()
		apptest.Until(t, fmt.Sprintf("n3 may object: %t", want), func() bool {
			return m.Node(t, "n3").Qualified == want
		})
	}
	a.prove(t, nodes...)
	a.hears(t, "VALID", "engine_newPayload", chain[0])
	a.hears(t, "VALID", "engine_forkchoiceUpdated", chain[0])
	qualified(b, true)
	nodes[2].Script(enginetest.Rule{BlockHash: chain[1].Hash(), Fault: enginetest.Reset})
	a.hears(t, "VALID", "engine_newPayload", chain[1])
	qualified(a, false)
	qualified(b, false)
	a.Recheck(t)
	a.awaitAlive(t, "n3")
	a.hears(t, "VALID", "engine_newPayload", chain[2])
	qualified(a, true)
	qualified(b, true)
}

// A forkchoice that waits for a slow node isn't sent to it any more where the CL has gone to the other instance, also
// where its answer comes only then. Beside that, a passive instance sends a node that returns neither forkchoices nor
// capabilities, and goes on probing it.
func TestPassiveInstanceLeadsNoNode(t *testing.T) {
	t.Parallel()
	nodes, r := three(t), apptest.StartRedis(t)
	keeps := func(c *config.Config) { sharing(r)(c); c.ReplayBytes = 64 << 20 }
	a, b := start(t, apptest.Fakes(nodes...), keeps), start(t, apptest.Fakes(nodes...), keeps)
	chain := enginetest.Chain(4, 4, nil)
	a.call(t, "engine_exchangeCapabilities", []string{"engine_mine"})
	a.hears(t, "VALID", "engine_newPayload", chain[0])
	a.hears(t, "VALID", "engine_forkchoiceUpdated", chain[0])
	var undo []func()
	for _, n := range nodes[:2] {
		undo = append(undo,
			n.Script(enginetest.Rule{Method: "engine_forkchoiceUpdated", BlockHash: chain[1].Hash(), Hang: true}))
	}
	slow := nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: chain[1].Hash(), Hang: true})
	a.hears(t, "VALID", "engine_newPayload", chain[1])
	answered := later(func() enginetest.Status { return a.forkchoice(t, chain[1]) })
	nodes[0].Wait("engine_forkchoiceUpdated", 2)
	nodes[1].Wait("engine_forkchoiceUpdated", 2)
	b.hears(t, "VALID", "engine_newPayload", chain[2])
	b.hears(t, "VALID", "engine_forkchoiceUpdated", chain[2])
	apptest.Until(t, "it is passive", func() bool { return a.Metric(t, "executionbackup_active") == 0 })
	for _, u := range undo {
		u()
	}
	if got := <-answered; got.Status != "VALID" {
		t.Errorf("the last forkchoice is %+v", got)
	}
	slow()
	apptest.Until(t, "the lane is empty", func() bool {
		const calls = "executionbackup_node_lane_calls"
		return a.Metric(t, calls) == 0 && b.Metric(t, calls) == 0
	})
	heads := func(n *enginetest.Node) (heads []string) {
		for _, c := range n.CallsOf("engine_forkchoiceUpdated") {
			for i, p := range chain {
				if strings.Contains(string(c.Params), p.Hash()) {
					heads = append(heads, fmt.Sprint(i))
				}
			}
		}
		return heads
	}
	if got := strings.Join(heads(nodes[2]), " "); got != "0 2" {
		t.Errorf("the slow node has heard the heads %s", got)
	}

	// n3 falls back and returns: b, which is active, brings it to the head, and a doesn't say a word but its probes.
	b.Stop()
	before, probes := len(heads(nodes[2])), len(nodes[2].CallsOf("eth_syncing"))
	told := len(nodes[2].CallsOf("engine_exchangeCapabilities"))
	dead := nodes[2].Script(enginetest.Rule{Fault: enginetest.Reset})
	a.Recheck(t)
	apptest.Until(t, "n3 is dead", func() bool { return a.Node(t, "n3").State == "dead" })
	nodes[2].Rewind(1)
	dead()
	a.Recheck(t)
	apptest.Until(t, "n3 is back", func() bool { return a.Node(t, "n3").State != "dead" })
	if len(nodes[2].CallsOf("eth_syncing")) <= probes {
		t.Error("n3 isn't probed")
	}
	if len(heads(nodes[2])) != before || len(nodes[2].CallsOf("engine_exchangeCapabilities")) != told {
		t.Errorf("a passive instance tells n3 the heads %v, and what the CL can do", heads(nodes[2])[before:])
	}
	a.hears(t, "VALID", "engine_newPayload", chain[3])
	a.hears(t, "VALID", "engine_forkchoiceUpdated", chain[3])
	apptest.Until(t, "it is active", func() bool { return a.Metric(t, "executionbackup_active") == 1 })
}

// Blocks that came to the other instance alone, in a dispute that both know and while no Redis is there, are asked of
// the nodes.
func TestBlocksOfTheOtherInstance(t *testing.T) {
	t.Parallel()
	nodes, r := three(t), apptest.StartRedis(t)
	a, b := startPair(t, r, nodes...)
	chain := enginetest.Chain(4, 12, nil)
	beside := []enginetest.Payload{chain[0]}
	for range 9 {
		last := beside[len(beside)-1]
		beside = append(beside, last.Child(func(p *enginetest.Payload) { p.ExtraData = []byte("beside") }))
	}
	a.disputes(t, nodes, chain)
	b.objects(t, "n3", 1)
	r.Kill()
	for i := 2; i < 10; i++ {
		a.hears(t, "SYNCING", "engine_newPayload", chain[i])
		a.hears(t, "VALID", "engine_newPayload", beside[i-1])
	}
	a.Stop()
	b.hears(t, "SYNCING", "engine_newPayload", chain[10])
	b.Log.Wait(t, "asked for ancestors")
	b.hears(t, "VALID", "engine_newPayload", beside[9])
}

// What another secret seals under our prefix is ignored, counted and alarmed; pairs with other prefixes don't see each
// other.
func TestStrangersInRedis(t *testing.T) {
	t.Parallel()
	nodes, r := three(t), apptest.StartRedis(t)
	a, _ := startPair(t, r, nodes...)
	chain := enginetest.Chain(4, 3, nil)
	forgets(nodes[2], chain[1], chain[2:]...)
	strange := options(apptest.Fakes(nodes...), sharing(r))
	strange.Secret = []byte(strings.Repeat("s", 32))
	stranger := &multiplexer{apptest.Start(t, strange)}
	aside := start(t, apptest.Fakes(nodes...), func(c *config.Config) { sharing(r)(c); c.StatePrefix = "aside" })
	for _, m := range []*multiplexer{stranger, aside} {
		m.prove(t, nodes...)
		m.hears(t, "VALID", "engine_newPayload", chain[0])
		m.hears(t, "SYNCING", "engine_newPayload", chain[1])
		m.must(t, "/drain_nodes", "n1")
	}
	a.Log.Wait(t, "level=ERROR", "somebody else writes there")
	apptest.Until(t, "it is counted", func() bool {
		return a.Metric(t, "executionbackup_shared_state_refused_total") > 0
	})
	barrier := a.Metric(t, "executionbackup_shared_state_refused_total")
	apptest.Until(t, "it is counted again", func() bool {
		return a.Metric(t, "executionbackup_shared_state_refused_total") > barrier+3
	})
	if n := a.Node(t, "n3").Objections; n != 0 || a.Node(t, "n1").Drained {
		t.Errorf("a stranger is believed: n3 objects to %d blocks, n1 drained: %t", n, a.Node(t, "n1").Drained)
	}
	peers := "executionbackup_shared_state_peers"
	if a.Metric(t, peers) != 1 || aside.Metric(t, peers) != 0 {
		t.Error("strangers are peers")
	}
}

// A drain never takes the last voter of another instance, and isn't ended there for that, nor by an instance that has
// no such node.
func TestDrainThatAnotherInstanceCantFollow(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(nodes []apptest.Node) []apptest.Node
		says   string
	}{
		{"the last voter", func(n []apptest.Node) []apptest.Node {
			n[1].DoNotUse, n[2].DoNotUse = true, true
			return n
		}, "we don't"},
		{"not its node", func(n []apptest.Node) []apptest.Node { return n[1:] }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			nodes, r := three(t), apptest.StartRedis(t)
			a := start(t, apptest.Fakes(nodes...), sharing(r))
			b := start(t, c.change(apptest.Fakes(nodes...)), sharing(r))
			a.must(t, "/drain_nodes", "n1")
			a.must(t, "/drain_nodes", "n2")
			if c.says != "" {
				b.Log.Wait(t, c.says)
			} else {
				apptest.Until(t, "n2 is drained", func() bool { return b.Node(t, "n2").Drained })
			}
			b.must(t, "/clear_objections", "n3") // all is saved
			b.Stop()
			late := start(t, apptest.Fakes(nodes...), sharing(r))
			apptest.Until(t, "n1 is drained", func() bool {
				return late.Node(t, "n1").Drained && a.Node(t, "n1").Drained
			})
		})
	}
}

// What the operator said last of a drain stands, over our restart and Redis's.
func TestLastWordOnADrain(t *testing.T) {
	t.Parallel()
	nodes, r, dir := three(t), apptest.StartRedis(t), t.TempDir()
	keeps := func(c *config.Config) { sharing(r)(c); c.StateDir = dir }
	a, b := start(t, apptest.Fakes(nodes...), sharing(r)), start(t, apptest.Fakes(nodes...), keeps)
	drained := func(want bool, all ...*multiplexer) {
		t.Helper()
		for _, m := range all {
			apptest.Until(t, fmt.Sprintf("n2 is drained: %t", want), func() bool {
				return m.Node(t, "n2").Drained == want
			})
		}
	}
	a.must(t, "/drain_nodes", "n2")
	drained(true, b)
	b.Stop()
	a.must(t, "/undrain_nodes", "n2")
	b = start(t, apptest.Fakes(nodes...), keeps)
	drained(false, b, a)
	r.Kill()
	b.must(t, "/drain_nodes", "n2")
	r.Start()
	drained(true, a, b)
	r.Stop()
	a.must(t, "/undrain_nodes", "n2")
	r.Continue()
	drained(false, b, a)
}

// Two operators who drain a node each, at once, leave each instance a voter: also when it has heard of the other's.
func TestTwoOperatorsDrain(t *testing.T) {
	t.Parallel()
	nodes := three(t)[:2]
	a, b := startPair(t, apptest.StartRedis(t), nodes...)
	answers := []<-chan apptest.Answer{
		later(func() apptest.Answer { return a.ChangeNodes(t, "/drain_nodes", "n1") }),
		later(func() apptest.Answer { return b.ChangeNodes(t, "/drain_nodes", "n2") }),
	}
	drained := 0
	for i, name := range []string{"n1", "n2"} {
		if got := <-answers[i]; got.Status != 200 { // the other's was there before
			continue
		}
		drained++
		other := []*multiplexer{b, a}[i]
		apptest.Until(t, "the other instance has heard that "+name+" is drained", func() bool {
			return other.Node(t, name).Drained || len(other.Log.Lines("and we don't", "node="+name)) > 0
		})
	}
	if drained == 0 {
		t.Error("no node was drained")
	}
	for _, m := range []*multiplexer{a, b} {
		if m.Node(t, "n1").Drained && m.Node(t, "n2").Drained {
			t.Error("an instance has no voter left")
		}
	}
}

// /readyz?voters=N is 503 while fewer than N voters are alive.
func TestReadyByVoters(t *testing.T) {
	t.Parallel()
	m := start(t, apptest.Fakes(three(t)...), nil)
	m.awaitAlive(t, "n1", "n2", "n3")
	want := func(path string, status int) {
		t.Helper()
		if got := m.REST(t, "GET", path, ""); got.Status != status {
			t.Errorf("%s: %+v", path, got)
		}
	}
	want("/readyz?voters=3", 200)
	want("/readyz?voters=4", 503)
	m.must(t, "/drain_nodes", "n1")
	want("/readyz?voters=3", 503)
	want("/readyz?voters=2", 200)
	want("/readyz", 200)
	for _, bad := range []string{"x", "-1", "1.5"} {
		want("/readyz?voters="+bad, 400)
	}
}
