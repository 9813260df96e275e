package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// A batch is answered in order, each entry by its own rule.
func TestBatch(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := startLed(t, apptest.Fakes(nodes...), nil)
	block := enginetest.Genesis(4).Hash()
	for _, test := range []struct{ name, batch, want string }{
		{"mixed", `[ {"jsonrpc":"2.0","id":"b","method":"eth_chainId","params":[]},
			{"jsonrpc":"2.0","id":1,"method":"engine_forkchoiceUpdatedV3","params":[{"headBlockHash":"` + block +
			`"},null]},
			{"jsonrpc":"2.0","method":"net_version"},
			{"jsonrpc":"2.0","id":1,"method":"debug_traceBlock","params":[]}, 7 ,
			{"jsonrpc":"2.0","id":2,"method":"eth_chainId","method":"eth_syncing"},
			{"jsonrpc":"2.0","id":null,"method":"eth_syncing"}]`,
			`[{"jsonrpc":"2.0","id":"b","result":"0x1"},` +
				`{"jsonrpc":"2.0","id":1,"result":{"payloadStatus":{"status":"VALID","latestValidHash":"` + block +
				`","validationError":null},"payloadId":null}},` +
				`{"jsonrpc":"2.0","id":1,"error":{"code":-32601}},` +
				`{"jsonrpc":"2.0","id":null,"error":{"code":-32600}},` +
				`{"jsonrpc":"2.0","id":null,"error":{"code":-32600}},` +
				`{"jsonrpc":"2.0","id":null,"result":false}]`},
		{"one", `[{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}]`, `[{"jsonrpc":"2.0","id":1,"result":"0x1"}]`},
		{"empty", ` [ ] `, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600}}`},
		{"no calls in it", `[1,"x",[]]`,
			`[` + strings.Repeat(`,{"jsonrpc":"2.0","id":null,"error":{"code":-32600}}`, 3)[1:] + `]`},
		{"cut off", `[{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}`,
			`{"jsonrpc":"2.0","id":null,"error":{"code":-32700}}`},
		{"more behind it", `[{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}]]`,
			`{"jsonrpc":"2.0","id":null,"error":{"code":-32700}}`},
		{"a broken entry", `[{"jsonrpc":"2.0","id":1,"method":"eth_chainId"},{"jsonrpc"]`,
			`{"jsonrpc":"2.0","id":null,"error":{"code":-32700}}`},
		{"too many", `[` + strings.Repeat(`1,`, 2000) + `1]`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600}}`},
		{"calls without id",
			`[{"jsonrpc":"2.0","method":"eth_test","params":["one"]},{"jsonrpc":"2.0","method":"eth_test"}]`, ``},
	} {
		if got := withoutMessages(m.say(t, test.batch)); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
	if calls := nodes[0].CallsOf("eth_test"); len(calls) != 2 {
		t.Errorf("n1 got %d of the calls without id, want both", len(calls))
	}
	for i, n := range nodes {
		if calls := n.Wait("engine_forkchoiceUpdated", 1); strings.Contains(string(calls[0].Body), "eth_chainId") {
			t.Errorf("n%d got the batch whole", i+1)
		}
	}
}

// withoutMessages cuts the messages out of errors of our own: they are for people.
func withoutMessages(answer string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(answer, `,"message":"`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, answer, _ = strings.Cut(after, `"}`)
		b.WriteString("}")
	}
}

// The calls of a batch are made side by side.
func TestBatchIsConcurrent(t *testing.T) {
	t.Parallel()
	n := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n), nil)
	release := n.Script(enginetest.Rule{Method: "eth_slow", Hang: true, Result: `"slow"`})
	answered := later(func() string {
		return m.say(t,
			`[{"jsonrpc":"2.0","id":1,"method":"eth_slow"},{"jsonrpc":"2.0","id":2,"method":"net_version"}]`)
	})
	n.Wait("eth_slow", 1)
	n.WaitEnded("net_version", 1)
	release()
	got, want := <-answered, `[{"jsonrpc":"2.0","id":1,"result":"slow"},{"jsonrpc":"2.0","id":2,"result":"1"}]`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Ids come back byte for byte, from every kind of answer.
func TestIDs(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	for _, id := range []string{
		`1`, `0`, `-7`, `1.50`, `1E+2`, `18446744073709551616`, strings.Repeat("9", 300), `null`, `true`, `""`, `"1"`,
		`"a\"b\\"`, `"\u00e9\ud83d\ude00\/"`, `"é😀"`, `[1, {"a":[]}]`, `{"id": 1, "ID":2}`,
	} {
		for _, method := range []string{
			"engine_newPayloadV4", "engine_forkchoiceUpdatedV3", "engine_getPayloadV4",
			"engine_exchangeCapabilities", "eth_chainId", "debug_x",
		} {
			got := m.say(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"%s","params":[]}`, id, method))
			if want := `{"jsonrpc":"2.0","id":` + id + `,"`; !strings.HasPrefix(got, want) {
				t.Errorf("%s: got %s, want %s…", method, got, want)
			}
		}
	}
}

// A call without id is carried out, and answered with nothing.
func TestCallWithoutID(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	payload, err := enginetest.Chain(4, 1, nil)[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range []string{
		`{"jsonrpc":"2.0","method":"engine_newPayloadV4","params":[` + string(payload) + `,[],"` +
			enginetest.GenesisHash + `",[]]}`,
		`{"jsonrpc":"2.0","method":"debug_x"}`,
		`{"jsonrpc":"2.0","method":"eth_chainId"}`,
	} {
		status, _, body, err := m.Post(t.Context(), []byte(call))
		if err != nil || status != http.StatusOK || len(body) > 0 {
			t.Errorf("%s: got HTTP %d %q, %v, want nothing", call, status, body, err)
		}
	}
	for _, n := range nodes {
		if c := n.WaitEnded("engine_newPayload", 1)[0]; c.ID == nil {
			t.Error("the node got a call without id, too: it would not have answered")
		}
	}
	if got := m.said(t, enginetest.Chain(4, 1, nil)[0], "n1").Vote; got != "VALID" {
		t.Errorf("n1's vote is %q", got)
	}
}
