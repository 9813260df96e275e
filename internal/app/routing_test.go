package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// Every method goes to the nodes that its family goes to, whatever its version, and byte for byte. n3 is do-not-use.
func TestRouting(t *testing.T) {
	payload := enginetest.Chain(4, 2, nil)[1]
	const status = `{"status":"VALID","latestValidHash":null,"validationError":null,"witness":"0x00"}`
	for _, test := range []struct{ method, params, result, nodes string }{
		{"engine_newPayloadV4", `[{"blockHash":"0x1", "x":1}]`, status, "n1 n2 n3"},
		{"engine_newPayloadV9", `[{"blockHash":"` + payload.Hash() + `"}, [ ]]`, status, "n1 n2 n3"},
		{"engine_newPayloadWithWitnessV4", `[]`, status, "n1 n2 n3"},
		{"engine_forkchoiceUpdatedV9", `[{"headBlockHash":"` + payload.Hash() + `"}]`,
			`{"payloadStatus":` + status + `,"payloadId":null,"x":1}`, "n1 n2 n3"},
		{"engine_getPayloadV9", `["0x0123456789abcdef"]`, payload.Envelope(5, "0x1"), "n1 n2"},
		{"engine_getClientVersionV1", `[{"code":"LH"}]`, `[{"code":"XX"}]`, "n1 n2 n3"},
		{"engine_exchangeCapabilities", `[["engine_newPayloadV4"]]`, `["engine_newPayloadV4"]`, "n1 n2 n3"},
		{"engine_somethingNewV1", `[1]`, `"new"`, "n1"},
		{"engine_", `[]`, `"odd"`, "n1"},
		{"eth_call", `[{}, "latest"]`, `"0x"`, "n1"},
		{"eth_syncing", `[]`, `false`, "n1"},
		{"net_version", `[]`, `"1"`, "n1"},
		{"web3_sha3", `["0x"]`, `null`, "n1"},
		{"eth_sendRawTransaction", `["0x02"]`, `"0xhash"`, "n1 n2"},
		{"eth_sendRawTransactionSync", `["0x02"]`, `"0xhash"`, "n1"},
	} {
		t.Run(test.method, func(t *testing.T) {
			t.Parallel()
			nodes := three(t)
			configured := apptest.Fakes(nodes...)
			configured[2].DoNotUse = true
			m := startLed(t, configured, nil)
			for _, n := range nodes {
				n.Script(enginetest.Rule{Method: test.method, Result: test.result})
			}
			body := fmt.Sprintf(`{"method":"%s", "id" : "x","params":%s,"jsonrpc":"2.0","more":[] }`,
				test.method, test.params)
			result := test.result
			if test.method == "engine_getClientVersionV1" {
				result = `[{"code":"XX"},{"code":"XX"},{"code":"XX"}]`
			}
			if got, want := m.say(t, body), `{"jsonrpc":"2.0","id":"x","result":`+result+`}`; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			for i, n := range nodes {
				if strings.Contains(test.nodes, fmt.Sprintf("n%d", i+1)) {
					n.Wait(test.method, 1)
				}
				asked := slices.ContainsFunc(n.CallsOf(test.method), func(c enginetest.Call) bool {
					return string(c.Body) == body
				})
				if want := strings.Contains(test.nodes, fmt.Sprintf("n%d", i+1)); asked != want {
					t.Errorf("n%d got the call: %t, want %t", i+1, asked, want)
				}
			}
		})
	}
}

// With one node, nobody can tell us from it.
func TestOneNodePassesThrough(t *testing.T) {
	t.Parallel()
	n := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n), nil)
	payload := wrong(4, wrongHash)
	state := map[string]string{"headBlockHash": payload.Hash()}
	for _, test := range []struct {
		method string
		params []any
		result string
	}{
		{"engine_newPayloadV4", payload.Params(), `{"status":"SYNCING","latestValidHash":null,"validationError":null}`},
		{"engine_newPayloadV4", payload.Params(),
			`{"status":"INVALID","latestValidHash":"` + enginetest.GenesisHash + `","validationError":"bad","x":1}`},
		{"engine_newPayloadV4", payload.Params(),
			`{"status":"VALID","latestValidHash":"` + payload.Hash() + `","validationError":null}`},
		{"engine_forkchoiceUpdatedV3", []any{state}, `{"payloadStatus":{"status":"INVALID","latestValidHash":"` +
			enginetest.GenesisHash + `","validationError":null},"payloadId":null}`},
		{"engine_forkchoiceUpdatedV3", []any{state, map[string]string{}},
			`{"payloadId":"0x01","payloadStatus":{"status":"VALID","latestValidHash":null,"validationError":null}}`},
		{"engine_getPayloadV4", []any{"0x01"}, `{"blockValue":"what?"}`},
		{"engine_exchangeCapabilities", []any{[]string{}}, `["engine_newPayload","eth_call"]`},
		{"engine_getClientVersionV1", nil, `[]`},
		{"engine_getBlobsV1", nil, `[null, null]`},
		{"engine_getPayloadBodiesByRangeV1", []any{"0x1", "0x1"}, `[null]`},
	} {
		undo := n.Script(enginetest.Rule{Method: test.method, Result: test.result})
		if got := m.call(t, test.method, test.params...); got != test.result {
			t.Errorf("%s: got %s, want %s", test.method, got, test.result)
		}
		undo()
		undo = fails(n, test.method, -38005, "Unsupported fork")
		if got := m.call(t, test.method, test.params...); got != "error -38005: Unsupported fork" {
			t.Errorf("%s with an error: got %s", test.method, got)
		}
		undo()
	}
}

// What one node can answer is answered by the primary, and by the next node where that gives no answer at all.
func TestFailover(t *testing.T) {
	answer := `{"jsonrpc":"2.0","id":$ID,`
	for _, test := range []struct {
		name string
		rule enginetest.Rule
		want string
	}{
		{"its answer", enginetest.Rule{Result: `"n1"`}, `"n1"`},
		{"null", enginetest.Rule{Result: `null`}, `null`},
		{"an error", enginetest.Rule{Error: &enginetest.RPCError{Code: 3, Message: "execution reverted"}},
			"error 3: execution reverted"},
		{"an error with HTTP 500", enginetest.Rule{Reply: &enginetest.Reply{
			Status: 500, Body: answer + `"error":{"code":-32000,"message":"x"}}`,
		}}, "error -32000: x"},
		{"a method that it lacks", enginetest.Rule{Error: &enginetest.RPCError{Code: -32601, Message: "what?"}},
			"error -32601: what?"},
		{"one reset", enginetest.Rule{Fault: enginetest.Reset, Times: 1},
			"error -32601: the method eth_test does not exist/is not available"},
		{"resets", enginetest.Rule{Fault: enginetest.Reset}, `"n2"`},
		{"hang-ups", enginetest.Rule{Fault: enginetest.Hangup}, `"n2"`},
		{"half an answer", enginetest.Rule{Fault: enginetest.Truncated}, `"n2"`},
		{"HTML", enginetest.Rule{Reply: &enginetest.Reply{Status: 503, Body: "<html>"}}, `"n2"`},
		{"401", enginetest.Rule{Reply: &enginetest.Reply{Status: 401, Body: answer + `"result":"n1"}`}}, `"n2"`},
		{"no JSON-RPC", enginetest.Rule{Reply: &enginetest.Reply{Body: `{"jsonrpc":"2.0","id":$ID}`}}, `"n2"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			nodes := three(t)
			m := startLed(t, apptest.Fakes(nodes...), nil)
			test.rule.Method = "eth_test"
			nodes[0].Script(test.rule)
			nodes[1].Script(enginetest.Rule{Method: "eth_test", Result: `"n2"`})
			if got := m.call(t, "eth_test"); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if calls := len(nodes[1].CallsOf("eth_test")); (calls == 1) != (test.want == `"n2"`) {
				t.Errorf("n2 got %d calls", calls)
			}
			if calls := len(nodes[2].CallsOf("eth_test")); calls != 0 {
				t.Errorf("n3 got %d calls", calls)
			}
		})
	}
}

// A transaction goes to every node. The first success is the answer; where there is none, the primary's error.
func TestSendRawTransaction(t *testing.T) {
	t.Parallel()
	const method = "eth_sendRawTransaction"
	nodes := three(t)
	m := startLed(t, apptest.Fakes(nodes...), nil)
	fails(nodes[0], method, -32000, "already known")
	nodes[1].Script(enginetest.Rule{Method: method, Result: `"0xhash"`})
	release := nodes[2].Script(enginetest.Rule{Method: method, Hang: true, Result: `"0xhash"`})
	if got := m.call(t, method, "0x02"); got != `"0xhash"` {
		t.Errorf("one success: got %s", got)
	}
	nodes[2].Wait(method, 1)
	release()
	if c := nodes[2].WaitEnded(method, 1)[0]; c.Gone {
		t.Error("n3's call was given up")
	}
	fails(nodes[1], method, -32000, "nonce too low")
	nodes[2].Script(enginetest.Rule{Method: method, Fault: enginetest.Reset})
	if got := m.call(t, method, "0x02"); got != "error -32000: already known" {
		t.Errorf("no success: got %s", got)
	}
}

// A node that lost the connection when it had a transaction knows it when it is given it again: that is no failure.
func TestTransactionKnownAfterABreak(t *testing.T) {
	t.Parallel()
	const method, raw = "eth_sendRawTransaction", "0x02c0"
	hash := `"` + crypto.Keccak256Hash(hexutil.MustDecode(raw)).Hex() + `"`
	n := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n), nil)
	for _, test := range []struct {
		message string
		known   bool
	}{
		{"already known", true},
		{"AlreadyKnown", true},
		{"Known transaction", true},
		{"AlreadyKnown, already in the pool", true},
		{"unknown transaction type", false},
		{"nonce too low", false},
	} {
		undo := fails(n, method, -32000, test.message)
		want := "error -32000: " + test.message
		if got := m.call(t, method, raw); got != want {
			t.Errorf("%s: got %s", test.message, got)
		}
		n.Script(enginetest.Rule{Method: method, Fault: enginetest.Reset, Times: 1})
		if test.known {
			want = hash
		}
		if got := m.call(t, method, raw); got != want {
			t.Errorf("%s after a reset: got %s, want %s", test.message, got, want)
		}
		undo()
	}
}

// Other namespaces than engine, eth, net and web3 are closed unless the operator opens them.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	n := enginetest.New(t, enginetest.Client{})
	n.Script(enginetest.Rule{Method: "debug_", Result: `"traced"`})
	methods := []string{
		"debug_traceBlock", "admin_addPeer", "personal_sign", "testing_x",
		"txpool_content", "Eth_call", "ENGINE_newPayloadV4", "debug",
	}
	for _, open := range []bool{false, true} {
		m := start(t, apptest.Fakes(n), func(c *config.Config) {
			if open {
				c.AllowNamespaces = []string{"debug", "trace"}
			}
		})
		for _, method := range methods {
			got := m.call(t, method)
			if open && method == "debug_traceBlock" {
				if got != `"traced"` {
					t.Errorf("%s: got %s", method, got)
				}
				continue
			}
			if open && method == "debug" {
				continue // let through; the node has no such method
			}
			if !strings.HasPrefix(got, "error -32601: ") {
				t.Errorf("%s: got %s", method, got)
			}
			if calls := n.CallsOf(method); len(calls) > 0 {
				t.Errorf("%s reached the node", method)
			}
		}
	}
}
