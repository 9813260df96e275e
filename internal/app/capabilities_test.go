package app_test

import (
	"encoding/json"
	"strings"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// exchange asks for the capabilities as a CL does once.
func (m *multiplexer) exchange(t testing.TB) string {
	t.Helper()
	var methods []string
	got := m.call(t, "engine_exchangeCapabilities", []string{"engine_newPayloadV4"})
	if err := json.Unmarshal([]byte(got), &methods); err != nil {
		return got
	}
	return strings.ReplaceAll(strings.Join(methods, " "), "engine_", "")
}

func can(n *enginetest.Node, methods ...string) {
	n.Update(func(c *enginetest.Client) { c.Capabilities = methods })
}

// The CL hears the union of what all nodes can do, also of those that were seen in this run and are down now.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	// ethereumjs lists names without their version, and some list what the CL need not be told.
	can(nodes[0], "engine_newPayload", "engine_newPayloadV1", "engine_newPayloadV4",
		"engine_exchangeCapabilities", "eth_chainId")
	can(nodes[1], "engine_newPayloadV4", "engine_getBlobs", "engine_getBlobsV2", "engine_hasBlobs")
	can(nodes[2], "engine_newPayloadV5")
	m := startLed(t, apptest.Fakes(nodes...), nil)

	const union = "newPayloadV1 newPayloadV4 getBlobsV2 hasBlobs newPayloadV5"
	if got := m.exchange(t); got != union {
		t.Errorf("got %s, want %s", got, union)
	}
	m.Log.Wait(t, "level=WARN", "lacks methods", "node=n3",
		"engine_newPayloadV1 (Paris), engine_newPayloadV4 (Prague), engine_getBlobsV2, engine_hasBlobs")

	nodes[1].Close()
	if got := m.exchange(t); got != union {
		t.Errorf("n2 has just died: got %s, want %s", got, union)
	}
	nodes[0].Close()
	nodes[2].Close()
	m.Recheck(t)
	if got := m.exchange(t); got != union {
		t.Errorf("all are dead: got %s, want %s", got, union)
	}
}

// A slow node is waited for, because some CLs ask once and never again; a hung one for 900 ms.
func TestCapabilitiesOfASlowNode(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	can(nodes[0], "engine_newPayloadV1")
	can(nodes[1], "engine_newPayloadV2")
	can(nodes[2], "engine_newPayloadV3")
	fails(nodes[1], "engine_exchangeCapabilities", -32601, "what?")
	release := nodes[2].Script(enginetest.Rule{Method: "engine_exchangeCapabilities", Hang: true})
	m := start(t, apptest.Fakes(nodes...), nil)
	if got := m.exchange(t); got != "newPayloadV1" {
		t.Errorf("n3 hangs: got %s", got)
	}
	answered := later(func() string { return m.exchange(t) })
	nodes[0].WaitEnded("engine_exchangeCapabilities", 2)
	nodes[2].Wait("engine_exchangeCapabilities", 2)
	release()
	if got := <-answered; got != "newPayloadV1 newPayloadV3" {
		t.Errorf("n3 is slow: got %s", got)
	}
	for _, n := range nodes {
		fails(n, "engine_exchangeCapabilities", -32601, "what?")
	}
	if got := m.exchange(t); got != "newPayloadV1 newPayloadV3" {
		t.Errorf("nobody has the method any more: got %s", got)
	}
}

// The entries of all nodes that can be reached, in configuration order, in one flat array. The CL puts the first into
// its graffiti.
func TestClientVersions(t *testing.T) {
	t.Parallel()
	var nodes []*enginetest.Node
	for _, code := range []string{"NM", "GE", "EJ", "BU", "RH"} {
		nodes = append(nodes, enginetest.New(t, enginetest.Client{
			Code: code, Name: strings.ToLower(code), Version: "1", Commit: "0x00000000",
		}))
	}
	fails(nodes[2], "engine_getClientVersion", -32601, "what?")
	// A multiplexer behind us.
	nodes[4].Script(enginetest.Rule{Method: "engine_getClientVersion", Result: `[{"code":"EG"}, {"code":"TE","x":1}]`})
	configured := apptest.Fakes(nodes...)
	configured[1].DoNotUse = true
	m := start(t, configured, nil)
	nodes[3].Close()

	entry := func(code string) string {
		return `{"code":"` + code + `","commit":"0x00000000","name":"` + strings.ToLower(code) + `","version":"1"}`
	}
	want := "[" + entry("NM") + "," + entry("GE") + `,{"code":"EG"},{"code":"TE","x":1}]`
	ours := map[string]string{"code": "LH", "name": "Lighthouse", "version": "8", "commit": "0x01020304"}
	if got := m.call(t, "engine_getClientVersionV1", ours); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, n := range nodes {
		fails(n, "engine_getClientVersion", -32601, "what?")
	}
	if got := m.call(t, "engine_getClientVersionV1", ours); got != "error -32601: what?" {
		t.Errorf("nobody has the method: got %s", got)
	}
}

// A node that comes back, or is new, is told what the CL said last, as the CL said it; before the CL has said
// something, nothing.
func TestCapabilitiesAreSaidAgain(t *testing.T) {
	t.Parallel()
	const method, last = "engine_exchangeCapabilities", `[ ["engine_newPayloadV4","x"], 1 ]`
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes[:2]...), nil)
	restart(t, m, nodes[1])
	for _, list := range []string{`[["engine_newPayloadV1"]]`, last} {
		m.say(t, `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+list+`}`)
	}
	can(nodes[1], "engine_newPayloadV9")
	restart(t, m, nodes[1])
	m.must(t, "/add_nodes", nodes[2].URL+"#name=n3#jwt-secret="+nodes[2].SecretFile)
	for i, want := range []int{2, 3, 1} {
		calls := nodes[i].WaitEnded(method, want)
		if got := string(calls[len(calls)-1].Params); len(calls) != want || got != last {
			t.Errorf("n%d was told %d times, last %s", i+1, len(calls), got)
		}
	}
	apptest.Until(t, "n2's new list is known", func() bool {
		return m.Metric(t, `executionbackup_node_lacking_methods{node="n1"}`) == 1
	})
}

// A node may be restarted so quickly that nobody sees it dead: a connection that broke in mid-call, and a retry that
// went through, are all that shows. It is told again, and asked for its forks again; once, however often it breaks off.
func TestCapabilitiesAreSaidAfterABreak(t *testing.T) {
	t.Parallel()
	const method, list = "engine_exchangeCapabilities", `[["engine_newPayloadV4"]]`
	nodes := three(t)[:2]
	m := startLed(t, apptest.Fakes(nodes...), nil)
	nodes[1].WaitEnded("eth_config", 1)
	m.say(t, `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+list+`}`)
	nodes[1].WaitEnded(method, 1)
	for told := 1; told < 3; told++ {
		nodes[1].Script(enginetest.Rule{Method: "engine_newPayload", Times: 1, Fault: enginetest.Reset})
		m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 3, nil)[told])
		if state := m.Nodes(t)[1].State; state != "alive" {
			t.Fatalf("n2 is %s: it was to be seen alive all the time", state)
		}
		calls := nodes[1].WaitEnded(method, told+1)
		if got := string(calls[told].Params); got != list {
			t.Errorf("n2 was told %s", got)
		}
		nodes[1].WaitEnded("eth_config", told+1)
	}
	nodes[1].WaitEnded("eth_syncing", len(nodes[1].CallsOf("eth_syncing"))+2)
	if calls := nodes[1].CallsOf(method); len(calls) != 3 {
		t.Errorf("after two breaks n2 was told %d times in all", len(calls))
	}
	if calls := nodes[0].CallsOf(method); len(calls) != 1 {
		t.Errorf("n1 had no break, and was told %d times", len(calls))
	}
}
