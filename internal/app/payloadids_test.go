package app_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// The last 128 builds are known by each node's own id. For older ones, as for those from before our restart, every node
// is asked for the CL's id.
func TestBuildsAreKept(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	head := enginetest.Chain(4, 1, nil)[0]
	var ids []string
	for i := range 129 {
		attributes := head.Attributes()
		attributes.Timestamp += uint64(i)
		s, err := m.ForkchoiceUpdated(t.Context(), head, attributes)
		if err != nil || s.PayloadID == "" {
			t.Fatalf("build %d: %+v, %v", i, s, err)
		}
		ids = append(ids, s.PayloadID)
	}
	for _, id := range []string{ids[0], ids[1], ids[128]} {
		if got := m.call(t, "engine_getPayloadV4", id); !strings.Contains(got, "executionPayload") {
			t.Errorf("got %s", got)
		}
	}
	for i, n := range nodes[1:] {
		calls := n.WaitEnded("engine_getPayload", 3)
		for j, id := range []string{ids[0], ids[1], ids[128]} {
			if old, own := j == 0, string(calls[j].Params) != `["`+id+`"]`; old == own {
				t.Errorf("n%d was asked for %s in place of %s", i+2, calls[j].Params, id)
			}
		}
	}
}

// Nodes repeat ids, some after a restart for something else. The newest build owns them.
func TestRepeatedPayloadID(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	nodes[1].Update(func(c *enginetest.Client) { c.PayloadID = ownID(1) })
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	chain := enginetest.Chain(4, 2, nil)
	older := m.build(t, chain[0]).PayloadID
	newer := m.build(t, chain[1]).PayloadID
	m.call(t, "engine_getPayloadV4", older)
	if got := asked(nodes[1]); got != "" {
		t.Errorf("n2 was asked for %s, which is another build's by now", got)
	}
	m.call(t, "engine_getPayloadV4", newer)
	if got, want := asked(nodes[1]), `["`+ownID(1)+`"]`; got != want {
		t.Errorf("n2 was asked for %s, want %s", got, want)
	}
}

// The same where the CL itself holds the id that is repeated.
func TestRepeatedPayloadIDOfThePrimary(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 2)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	chain := enginetest.Chain(4, 2, nil)
	older := m.build(t, chain[0]).PayloadID
	nodes[1].Update(func(c *enginetest.Client) { c.PayloadID = ownID(7) })
	newer := m.build(t, chain[1]).PayloadID
	if older != newer {
		t.Fatalf("got ids %s and %s, want n1's twice", older, newer)
	}
	m.call(t, "engine_getPayloadV4", newer)
	if got, want := asked(nodes[1]), `["`+ownID(7)+`"]`; got != want {
		t.Errorf("n2 was asked for %s, want %s", got, want)
	}
}

// A CL that asks twice for one build doesn't lose what a node gave the first time.
func TestRepeatedRequest(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 2)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	head := enginetest.Chain(4, 1, nil)[0]
	m.build(t, head)
	fails(nodes[1], "engine_forkchoiceUpdated", -32000, "busy")
	m.call(t, "engine_getPayloadV4", m.build(t, head).PayloadID)
	if got, want := asked(nodes[1]), `["`+ownID(1)+`"]`; got != want {
		t.Errorf("n2 was asked for %s, want %s", got, want)
	}
}

// Payload attributes of other chains have a megabyte of transactions and more. They are attributes like others: what
// was built is compared with them, and who asks twice for the build loses nothing.
func TestLargeAttributes(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 2)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	head := enginetest.Chain(4, 1, nil)[0]
	attributes, err := json.Marshal(head.Attributes())
	if err != nil {
		t.Fatal(err)
	}
	attributes = fmt.Appendf(attributes[:len(attributes)-1], `,"noTxPool":true,"transactions":["0x%s"]}`,
		strings.Repeat("ab", 1<<19))
	state := map[string]string{
		"headBlockHash": head.Hash(), "safeBlockHash": head.Hash(), "finalizedBlockHash": head.Hash(),
	}
	build := func() {
		t.Helper()
		got := m.call(t, "engine_forkchoiceUpdatedV3", state, json.RawMessage(attributes))
		if !strings.Contains(got, `"payloadId":"`+ownID(0)+`"`) {
			t.Fatalf("got %s", got)
		}
	}
	for i, n := range nodes {
		n.Script(enginetest.Rule{
			Method: "engine_forkchoiceUpdated",
			Result: strings.Replace(noPayloadID, `"payloadId":null`, `"payloadId":"`+ownID(i)+`"`, 1),
		})
	}
	build()
	fails(nodes[1], "engine_forkchoiceUpdated", -32000, "busy")
	build()
	offer(nodes[0], head, "0x9", func(p *enginetest.Payload) { p.Timestamp++ })
	want := offer(nodes[1], head, "0x1", nil)
	if got := m.call(t, "engine_getPayloadV4", ownID(0)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// After our restart we know no builds: every node is asked for the CL's id. Of the payloads on the head the newest is
// meant, whatever it is worth.
func TestPayloadFromBeforeOurRestart(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 4)
	configured := apptest.Fakes(nodes...)
	chain := enginetest.Chain(4, 2, nil)
	before := startLed(t, configured, nil)
	id := before.build(t, chain[1]).PayloadID
	before.Stop()

	m := startLed(t, configured, untilAll)
	after := func(seconds uint64) func(*enginetest.Payload) {
		return func(p *enginetest.Payload) { p.Timestamp += seconds }
	}
	offer(nodes[0], chain[0], "0x9", after(100)) // on an older block
	offer(nodes[1], chain[1], "0x8", nil)
	newest := offer(nodes[2], chain[1], "0x1", after(1))
	fails(nodes[3], "engine_getPayload", -38001, "Unknown payload")
	m.hears(t, "VALID", "engine_forkchoiceUpdated", chain[1])
	// The newest comes last, and the one on an older block before it.
	release := nodes[2].Script(enginetest.Rule{Method: "engine_getPayload", Hang: true, Result: newest})
	defer release()
	answered := later(func() string { return m.call(t, "engine_getPayloadV4", id) })
	nodes[0].WaitEnded("engine_getPayload", 1)
	nodes[1].WaitEnded("engine_getPayload", 1)
	release()
	if got := <-answered; got != newest {
		t.Errorf("got %s, want %s", got, newest)
	}
	for i, n := range nodes {
		if got, want := asked(n), `["`+id+`"]`; got != want {
			t.Errorf("n%d was asked for %s, want %s", i+1, got, want)
		}
	}
	for _, n := range nodes {
		fails(n, "engine_getPayload", -38001, "Unknown payload")
	}
	if got := m.call(t, "engine_getPayloadV4", id); got != "error -38001: Unknown payload" {
		t.Errorf("nobody knows it: got %s", got)
	}
}

// The same before the first forkchoiceUpdated: then a payload is on the head if its node says so of its own.
func TestPayloadBeforeTheFirstForkchoice(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 3)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	chain := enginetest.Chain(4, 2, nil)
	for _, n := range nodes[:2] {
		n.Script(enginetest.Rule{
			Method: "eth_getBlockByNumber", Result: fmt.Sprintf(`{"number":"0x2","hash":"%s"}`, chain[1].Hash()),
		})
	}
	fails(nodes[2], "eth_getBlockByNumber", -32000, "x")
	stale := func(p *enginetest.Payload) { p.Timestamp += 100 }
	offer(nodes[0], chain[0], "0x9", stale)
	want := offer(nodes[1], chain[1], "0x1", nil)
	offer(nodes[2], chain[1], "0x8", stale) // for all we know it isn't
	if got := m.call(t, "engine_getPayloadV4", ownID(0)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, n := range nodes[:2] {
		n.Close()
	}
	if got := m.call(t, "engine_getPayloadV4", ownID(0)); !strings.Contains(got, "executionPayload") {
		t.Errorf("the only one: got %s", got)
	}
}
