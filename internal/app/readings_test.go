package app_test

import (
	"fmt"
	"strings"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// No second reading: what we judge must mean the same to us and to whoever decodes it after us.

// spellings are names that some decoder takes for a name: itself, other cases, escapes, and letters beyond ASCII that
// fold to it (long s, the Kelvin sign).
func spellings(name string) []string {
	list := []string{
		name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:], strings.ToLower(name),
		fmt.Sprintf(`\u%04x%s`, name[0], name[1:]), fmt.Sprintf(`\u%04X%s`, name[0]^0x20, name[1:]),
	}
	for letter, double := range map[string]string{"s": "\u017f", "k": "\u212a"} {
		if strings.Contains(name, letter) {
			list = append(list, strings.Replace(name, letter, double, 1),
				strings.Replace(name, letter, fmt.Sprintf(`\u%04x`, []rune(double)[0]), 1))
		}
	}
	return list
}

// doubled are the ways to give an object a second member of a name.
func doubled(object, name, value string) []string {
	var list []string
	for _, spelling := range spellings(name) {
		member := `"` + spelling + `":` + value
		list = append(list, `{`+member+`,`+object[1:], object[:len(object)-1]+`,`+member+`}`)
	}
	return list
}

// lone are the ways to spell an object's member wrong. Its first letter escaped is another way to spell it right.
func lone(object, name string) []string {
	var list []string
	for _, spelling := range spellings(name) {
		if spelling != name && !strings.HasPrefix(spelling, fmt.Sprintf(`\u%04x`, name[0])) {
			list = append(list, strings.Replace(object, `"`+name+`"`, `"`+spelling+`"`, 1))
		}
	}
	return list
}

// A call in which a member that we judge stands twice, or in another case, is refused and reaches no node.
func TestAmbiguousCalls(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	const hash = `"` + enginetest.GenesisHash + `"`
	for _, call := range []struct{ method, params, object, names string }{
		{"engine_newPayloadV9", `[%s]`,
			`{"blockHash":` + hash + `,"parentHash":` + hash + `,"blockNumber":"0x1","timestamp":"0x1"}`,
			"blockHash parentHash blockNumber timestamp"},
		{"engine_forkchoiceUpdatedV9", `[%s,null]`,
			`{"headBlockHash":` + hash + `,"safeBlockHash":` + hash + `,"finalizedBlockHash":` + hash + `}`,
			"headBlockHash safeBlockHash finalizedBlockHash"},
		{"engine_forkchoiceUpdatedV9", `[{"headBlockHash":` + hash + `},%s]`,
			`{"timestamp":"0x1","prevRandao":` + hash +
				`,"suggestedFeeRecipient":"0x00","withdrawals":[],"parentBeaconBlockRoot":` + hash + `}`,
			"timestamp prevRandao suggestedFeeRecipient withdrawals parentBeaconBlockRoot"},
		{"eth_test", ``, `{"jsonrpc":"2.0","id":1,"method":"eth_test","params":[]}`, "jsonrpc id method params"},
	} {
		for _, name := range strings.Fields(call.names) {
			for _, object := range append(doubled(call.object, name, `[]`), lone(call.object, name)...) {
				body := object
				if call.params != "" {
					body = fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"%s","params":`+call.params+`}`,
						call.method, object)
				}
				if got := m.say(t, body); !strings.Contains(got, `"error":{"code":-32600,`) {
					t.Errorf("%s: got %s", body, got)
				}
			}
		}
	}
	for i, n := range nodes {
		calls := append(n.CallsOf("engine_newPayload"),
			append(n.CallsOf("engine_forkchoiceUpdated"), n.CallsOf("eth_test")...)...)
		if len(calls) > 0 {
			t.Errorf("n%d got %d calls", i+1, len(calls))
		}
	}
	// What we don't judge is the nodes' business.
	m.call(t, "eth_test")
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[{"a":1,"a":2,"A":3}],"x":1,"x":2}`,
		`{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[{"method":1,"method":2}],"metho":1,"methods":2}`,
	} {
		if got, want := m.say(t, body), `{"jsonrpc":"2.0","id":1,"result":"0x1"}`; got != want {
			t.Errorf("%s: got %s", body, got)
		}
	}
}

// An answer in which a member that we judge stands twice, or in another case, counts as none. Either reading of these
// would be a VALID that decides.
func TestAmbiguousAnswers(t *testing.T) {
	t.Parallel()
	n1, n2 := enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n1, n2), nil)
	n1.Script(enginetest.Rule{Method: "engine_newPayload", Status: "SYNCING"})
	n1.Script(enginetest.Rule{Method: "engine_forkchoiceUpdated", Status: "SYNCING"})
	head := enginetest.Chain(4, 1, nil)[0]

	const status = `{"status":"VALID","latestValidHash":null,"validationError":null,"inclusionListSatisfied":null}`
	const result = `{"payloadStatus":` + status + `,"payloadId":"0x0000000000000007"}`
	reply := func(result string) string { return `{"jsonrpc":"2.0","id":$ID,"result":` + result + `,"error":null}` }
	for _, test := range []struct {
		object string // with the members
		names  string
		values []string                   // what the second member has
		answer func(object string) string // around the object
		method string
	}{
		{status, "status", []string{`"VALID"`}, reply, "engine_newPayload"},
		{status, "latestValidHash validationError inclusionListSatisfied", []string{`null`},
			reply, "engine_newPayload"},
		{reply(status), "jsonrpc id error", []string{`null`}, nil, "engine_newPayload"},
		{reply(status), "result", []string{status}, nil, "engine_newPayload"},
		{status, "status", []string{`"VALID"`},
			func(s string) string { return reply(`{"payloadStatus":` + s + `,"payloadId":null}`) },
			"engine_forkchoiceUpdated"},
		{result, "payloadStatus", []string{status}, reply, "engine_forkchoiceUpdated"},
		{result, "payloadId", []string{`null`, `"0x0000000000000008"`}, reply, "engine_forkchoiceUpdated"},
		{reply(result), "result", []string{result}, nil, "engine_forkchoiceUpdated"},
	} {
		for _, name := range strings.Fields(test.names) {
			objects := lone(test.object, name)
			for _, value := range test.values {
				objects = append(objects, doubled(test.object, name, value)...)
			}
			for _, object := range objects {
				body := object
				if test.answer != nil {
					body = test.answer(object)
				}
				undo := n2.Script(enginetest.Rule{Method: test.method, Reply: &enginetest.Reply{Body: body}})
				var got enginetest.Status
				if test.method == "engine_newPayload" {
					got = m.newPayload(t, head)
				} else {
					got = m.build(t, head)
				}
				if want := (enginetest.Status{Status: "SYNCING"}); got != want {
					t.Errorf("%s: got %+v", body, got)
				}
				undo()
			}
		}
	}
	n2.Script(enginetest.Rule{
		Method: "engine_newPayload", Reply: &enginetest.Reply{Body: reply(`{"x":1,"x":2,` + status[1:])},
	})
	m.hears(t, "VALID", "engine_newPayload", head) // what we don't judge
}

// A built payload in which a member that we judge stands twice, or in another case, is not proposed.
func TestAmbiguousPayloads(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 2)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	chain := enginetest.Chain(4, 2, nil)
	head := chain[0]
	build := func() string { // anew: nobody has won
		m.build(t, chain[1])
		return m.build(t, head).PayloadID
	}
	envelope := offer(nodes[0], head, "0x9", nil)
	want := offer(nodes[1], head, "0x1", nil)

	_, inner, _ := strings.Cut(envelope, `"executionPayload":`)
	inner, _, _ = strings.Cut(inner, `},"executionRequests"`)
	inner += "}"
	var answers []string
	for _, name := range []string{
		"parentHash", "feeRecipient", "prevRandao", "blockNumber", "gasUsed",
		"timestamp", "blockHash", "transactions", "withdrawals",
	} {
		for _, payload := range doubled(inner, name, `"0x1"`) {
			answers = append(answers, strings.Replace(envelope, inner, payload, 1))
		}
	}
	for _, name := range []string{"executionPayload", "blockValue", "blobsBundle", "executionRequests"} {
		answers = append(answers, doubled(envelope, name, `"0x9"`)...)
	}
	const bundle = `{"blobs":[],"commitments":[],"proofs":[]}`
	for _, name := range []string{"blobs", "commitments", "proofs"} {
		for _, other := range doubled(bundle, name, `[]`) {
			answers = append(answers, strings.Replace(envelope, bundle, other, 1))
		}
	}
	for _, answer := range answers {
		if answer == envelope {
			t.Fatal("nothing is doubled")
		}
		undo := nodes[0].Script(enginetest.Rule{Method: "engine_getPayload", Result: answer})
		if got := m.call(t, "engine_getPayloadV4", build()); got != want {
			t.Errorf("got %s for %s", got, answer)
		}
		undo()
	}
	if got := m.call(t, "engine_getPayloadV4", build()); got != envelope {
		t.Errorf("got %s, want %s", got, envelope)
	}
}
