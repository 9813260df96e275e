package app_test

import (
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// sharing shares what outlives us in a Redis, and keeps nothing on disk. A proposal waits for all nodes.
func sharing(r *apptest.Redis) func(*config.Config) {
	return func(c *config.Config) {
		untilAll(c)
		c.StateURL, c.StatePrefix = r.URL, "test"
	}
}

// startPair runs two instances before the same nodes, which know of each other.
func startPair(t *testing.T, r *apptest.Redis, nodes ...*enginetest.Node) (a, b *multiplexer) {
	t.Helper()
	a, b = start(t, apptest.Fakes(nodes...), sharing(r)), start(t, apptest.Fakes(nodes...), sharing(r))
	for _, m := range []*multiplexer{a, b} {
		apptest.Until(t, "it knows of the other", func() bool {
			return m.Metric(t, "executionbackup_shared_state_peers") == 1 &&
				m.Metric(t, "executionbackup_shared_state_degraded") == 0
		})
	}
	return a, b
}

// objections returns how many blocks a node is said to object to.
func (m *multiplexer) objects(t testing.TB, node string, want int) {
	t.Helper()
	apptest.Until(t, node+"'s objections are known", func() bool { return m.Node(t, node).Objections == want })
}

// A dispute that one instance had goes on at the other, and back; one that ended stays ended.
func TestDisputeGoesToTheOtherInstance(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	a, b := startPair(t, apptest.StartRedis(t), nodes...)
	chain := enginetest.Chain(4, 8, nil)
	a.disputes(t, nodes, chain)
	b.objects(t, "n3", 1)
	b.hears(t, "SYNCING", "engine_newPayload", chain[2])
	a.hears(t, "SYNCING", "engine_newPayload", chain[3])
	b.must(t, "/clear_objections", "n3")
	a.objects(t, "n3", 0)
	a.hears(t, "VALID", "engine_newPayload", chain[4])
	b.hears(t, "VALID", "engine_newPayload", chain[5])
}

// A payload id that one instance gave is good at the other, and gives the best payload of all nodes.
func TestBuildGoesToTheOtherInstance(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 3)
	a, b := startPair(t, apptest.StartRedis(t), nodes...)
	a.prove(t, nodes...)
	head := enginetest.Chain(4, 1, nil)[0]
	offer(nodes[0], head, "0x1", nil)
	best := offer(nodes[1], head, "0x3", nil)
	id := a.build(t, head).PayloadID
	apptest.Until(t, "the payload is the best one, under n2's own id", func() bool {
		return b.call(t, "engine_getPayloadV4", id) == best && strings.Contains(asked(nodes[1]), ownID(1))
	})
}

// A drain goes to the other instance, and its end; but not where it would take the last voter there.
func TestDrainGoesToTheOtherInstance(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	a, b := startPair(t, apptest.StartRedis(t), nodes...)
	a.must(t, "/drain_nodes", "n2")
	apptest.Until(t, "n2 is drained", func() bool { return b.Node(t, "n2").Drained })
	b.must(t, "/undrain_nodes", "n2")
	apptest.Until(t, "n2 is no longer drained", func() bool { return !a.Node(t, "n2").Drained })
}

// The instance that the CL talks to is active, and the other passive. Calls to both in turn are alarmed, and a switch
// isn't.
func TestWhoIsActive(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	a, b := startPair(t, apptest.StartRedis(t), nodes...)
	chain := enginetest.Chain(4, 4, nil)
	active := func(m *multiplexer, want float64) {
		t.Helper()
		apptest.Until(t, "who is active", func() bool { return m.Metric(t, "executionbackup_active") == want })
	}
	say := func(m *multiplexer, block enginetest.Payload) {
		t.Helper()
		m.hears(t, "VALID", "engine_newPayload", block)
		m.hears(t, "VALID", "engine_forkchoiceUpdated", block)
	}
	say(a, chain[0])
	active(a, 1)
	active(b, 0)
	say(b, chain[1])
	active(b, 1)
	active(a, 0)
	for _, m := range []*multiplexer{a, b} {
		if m.Metric(t, "executionbackup_split_active") != 0 {
			t.Error("an ordinary switch is alarmed")
		}
	}
	for _, m := range []*multiplexer{a, b} {
		apptest.Until(t, "it is alarmed", func() bool {
			say(a, chain[2])
			say(b, chain[2])
			return m.Metric(t, "executionbackup_split_active") == 1
		})
		m.Log.Wait(t, "level=ERROR", "both instances")
	}
}

// Without its Redis an instance answers as it does without one, and says that it is degraded.
func TestPairWithoutRedis(t *testing.T) {
	t.Parallel()
	nodes, r := three(t), apptest.StartRedis(t)
	a, b := startPair(t, r, nodes...)
	chain := enginetest.Chain(4, 6, nil)
	forgets(nodes[2], chain[1], chain[2:]...)
	a.prove(t, nodes...)
	a.hears(t, "VALID", "engine_newPayload", chain[0])
	r.Stop()
	begun := time.Now()
	a.hears(t, "SYNCING", "engine_newPayload", chain[1])
	a.hears(t, "SYNCING", "engine_newPayload", chain[2])
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("two calls took %v", took)
	}
	a.Log.Wait(t, "the shared state is degraded")
	r.Continue()
	b.objects(t, "n3", 1)
	b.hears(t, "SYNCING", "engine_newPayload", chain[3])
	r.Kill()
	a.hears(t, "SYNCING", "engine_newPayload", chain[4])
	r.Start()
	c := start(t, apptest.Fakes(nodes...), sharing(r))
	c.objects(t, "n3", 1)
	c.hears(t, "SYNCING", "engine_newPayload", chain[5])
}
