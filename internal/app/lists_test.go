package app_test

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// What one node lacks of a list another may have, whatever the method's version.
func TestListsAreMerged(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := startLed(t, apptest.Fakes(nodes...), nil)
	const h = `"` + enginetest.GenesisHash + `"`
	const a, b = `{"blob":"0x0a","proof":"0x0a","x":1}`, `{"blob":"0x0b","proof":"0x0b"}`
	const c, d = `{"transactions":["0x0c"],"withdrawals":null}`, `{"transactions":[],"withdrawals":[]}`
	e := func(accessList string) string {
		return `{"transactions":[],"withdrawals":[],"blockAccessList":` + accessList + `}`
	}
	for _, test := range []struct{ method, params, n1, n2, n3, want string }{
		{"engine_hasBlobs", `[[` + h + `,` + h + `,` + h + `]]`, `[true,false,false]`, `[false,true,false]`,
			`[false,false,false]`, `[true,true,false]`},
		{"engine_hasBlobsV9", `[[` + h + `]]`, `[false]`, `[false]`, `[true]`, `[true]`},
		{"engine_getBlobsV1", `[[` + h + `,` + h + `]]`, `[` + a + `,null]`, `[null,` + b + `]`, `[null,null]`,
			`[` + a + `,` + b + `]`},
		{"engine_getBlobsV1", `[[` + h + `]]`, `[null]`, `[null]`, `[null]`, `[null]`},
		{"engine_getBlobsV2", `[[` + h + `]]`, `null`, `null`, `[` + a + `]`, `[` + a + `]`},
		{"engine_getBlobsV9", `[[` + h + `,` + h + `]]`, `[null,` + b + `]`, `[` + a + `,null]`, `[null,null]`,
			`[` + a + `,` + b + `]`},
		{"engine_getPayloadBodiesByHashV1", `[[` + h + `,` + h + `]]`, `[` + c + `,null]`, `[null,` + d + `]`,
			`[null,null]`, `[` + c + `,` + d + `]`},
		{"engine_getBlobsV4", `[[` + h + `,` + h + `],"0x03"]`,
			`[{"blob_cells":["0x0a",null],"proofs":["0x1a",null]},null]`,
			`[null,{"blob_cells":["0x0c",null],"proofs":["0x1c",null]}]`,
			`[{"blob_cells":[null,"0x0b"],"proofs":[null,"0x1b"]},null]`,
			`[{"blob_cells":["0x0a","0x0b"],"proofs":["0x1a","0x1b"]},` +
				`{"blob_cells":["0x0c",null],"proofs":["0x1c",null]}]`},
		{"engine_getPayloadBodiesByHashV2", `[[` + h + `,` + h + `]]`, `[` + e("null") + `,null]`,
			`[` + e(`"0x02"`) + `,` + e(`"0x02"`) + `]`, `[null,null]`, `[` + e(`"0x02"`) + `,` + e(`"0x02"`) + `]`},
		// nobody knows a later block
		{"engine_getPayloadBodiesByRangeV1", `["0x1","0x4"]`, `[null]`, `[]`, `[null,` + d + `]`, `[null,` + d + `]`},
		{"engine_getInclusionListV1", `[` + h + `]`, `["0x02aa"]`, `["0x02aa","0x02bb"]`, `[]`, `["0x02aa","0x02bb"]`},
		// too long; a blob transaction
		{"engine_getInclusionListV1", `[` + h + `]`, `["0x02aa"]`, `["0x02` + strings.Repeat("aa", 8192) + `"]`,
			`["0x03aa","0x02aa"]`, `["0x02aa"]`},
		{"engine_getPayloadBodiesByRangeV1", `["0x1","0x2"]`, `[` + c + `]`, `[` + c + `,` + d + `]`, `[]`,
			`[` + c + `,` + d + `]`},
	} {
		for i, result := range []string{test.n1, test.n2, test.n3} {
			nodes[i].Script(enginetest.Rule{Method: test.method, Result: result})
		}
		got := m.say(t, `{"jsonrpc":"2.0","id":1,"method":"`+test.method+`","params":`+test.params+`}`)
		if want := `{"jsonrpc":"2.0","id":1,"result":` + test.want + `}`; got != want {
			t.Errorf("%s: got %s, want %s", test.method, got, want)
		}
	}
}

// What all nodes have pruned, or don't have yet, may be in the payloads that we keep: by hash, and by number on the
// head's chain.
func TestBodiesOfKeptPayloads(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := startLed(t, apptest.Fakes(nodes...), func(c *config.Config) { c.ReplayBytes = 1 << 20 })
	chain := enginetest.Chain(4, 3, enginetest.Pad(10))
	empty := chain[2].Child(nil)
	head := empty.Child(enginetest.Pad(20))
	side := empty.Child(enginetest.Pad(30))
	amsterdam := enginetest.Chain(5, 1, enginetest.Pad(10))[0]
	for _, p := range append(chain, empty, head, side, amsterdam) {
		m.newPayload(t, p)
	}
	m.forkchoice(t, head)
	body := func(p enginetest.Payload, version int) string {
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var parts struct{ Transactions, Withdrawals, BlockAccessList json.RawMessage }
		if err := json.Unmarshal(raw, &parts); err != nil {
			t.Fatal(err)
		}
		text := `{"transactions":` + string(parts.Transactions) + `,"withdrawals":` + string(parts.Withdrawals)
		if version == 2 {
			text += `,"blockAccessList":` + cmp.Or(string(parts.BlockAccessList), "null")
		}
		return text + "}"
	}
	hashes := func(of ...enginetest.Payload) string {
		var list []string
		for _, p := range of {
			list = append(list, `"`+p.Hash()+`"`)
		}
		return `[[` + strings.Join(list, ",") + `]]`
	}
	unknown := head.Child(nil)
	const none, noTransactions = `{"transactions":[ ],"withdrawals":[] }`,
		`{"transactions":[ ],"withdrawals":[],"blockAccessList":null }`
	for _, test := range []struct{ method, params, nodes, want string }{
		{"engine_getPayloadBodiesByHashV1", hashes(chain[0], unknown, side), `[null,null,null]`,
			`[` + body(chain[0], 1) + `,null,` + body(side, 1) + `]`},
		{"engine_getPayloadBodiesByHashV1", hashes(chain[0]), `[` + none + `]`, `[` + body(chain[0], 1) + `]`},
		{"engine_getPayloadBodiesByHashV1", hashes(empty), `[` + none + `]`, `[` + none + `]`},
		{"engine_getPayloadBodiesByHashV1", hashes(amsterdam), `[null]`, `[` + body(amsterdam, 1) + `]`},
		{"engine_getPayloadBodiesByHashV2", hashes(amsterdam), `[` + noTransactions + `]`,
			`[` + body(amsterdam, 2) + `]`},
		{"engine_getPayloadBodiesByHashV2", hashes(chain[0]), `[null]`, `[` + body(chain[0], 2) + `]`},
		{"engine_getPayloadBodiesByHashV2", hashes(empty), `[` + noTransactions + `]`, `[` + noTransactions + `]`},
		{"engine_getPayloadBodiesByHashV3", hashes(chain[0]), `[null]`, `[null]`},
		{"engine_getPayloadBodiesByRangeV1", `["0x3","0x3"]`, `[null]`,
			`[` + body(chain[2], 1) + `,` + body(empty, 1) + `,` + body(head, 1) + `]`},
		{"engine_getPayloadBodiesByRangeV1", `["0x5","0x9"]`, `[]`, `[` + body(head, 1) + `]`},
		{"engine_getPayloadBodiesByRangeV1", `["0x0","0x2"]`, `[null]`, `[null,` + body(chain[0], 1) + `]`},
		{"engine_getPayloadBodiesByRangeV1", `["0xffffffffffffffff","0xffffffffffffffff"]`, `[]`, `[]`},
	} {
		for _, n := range nodes {
			n.Script(enginetest.Rule{Method: test.method, Result: test.nodes})
		}
		got := m.say(t, `{"jsonrpc":"2.0","id":1,"method":"`+test.method+`","params":`+test.params+`}`)
		if want := `{"jsonrpc":"2.0","id":1,"result":` + test.want + `}`; got != want {
			t.Errorf("%s%s: got %s, want %s", test.method, test.params, got, want)
		}
	}
}

// What an answer is where not every node has a list: any list beats no list, "too large" beats null, null beats other
// errors.
func TestListErrors(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := startLed(t, apptest.Fakes(nodes...), nil)
	const tooLarge, fork, lacks = "-38004", "-38005", "-32601"
	for _, test := range []struct{ n1, n2, n3, want string }{
		{tooLarge, tooLarge, tooLarge, "error -38004: sorry"},
		{tooLarge, `null`, fork, "error -38004: sorry"},
		{fork, `null`, tooLarge, "error -38004: sorry"},
		{tooLarge, `[null]`, lacks, `[null]`},
		{lacks, fork, `[7]`, `[7]`},
		{fork, lacks, `null`, `null`},
		{fork, lacks, lacks, "error -38005: sorry"}, // the primary's
		{`[7,8]`, `7`, `[null]`, `[null]`},          // longer than what was asked for, and no list
		{`[7,8]`, `{}`, fork, "error -38005: sorry"},
	} {
		for _, call := range []struct{ method, params string }{
			{"engine_getBlobsV3", `[["0x01"]]`},
			{"engine_getPayloadBodiesByHashV1", `[["0x01"]]`},
			{"engine_getPayloadBodiesByRangeV1", `["0x1","0x1"]`},
		} {
			entry := `{"blob":"0x01","proofs":[],"transactions":[],"withdrawals":null}`
			for i, result := range []string{test.n1, test.n2, test.n3} {
				rule := enginetest.Rule{Method: call.method, Result: strings.ReplaceAll(result, "7", entry)}
				if code, err := strconv.Atoi(result); err == nil && code < 0 {
					rule.Error = &enginetest.RPCError{Code: code, Message: "sorry"}
				}
				nodes[i].Script(rule)
			}
			var params []any
			if err := json.Unmarshal([]byte(call.params), &params); err != nil {
				t.Fatal(err)
			}
			if got, want := m.call(t, call.method, params...), strings.ReplaceAll(test.want, "7", entry); got != want {
				t.Errorf("%s, %+v: got %s, want %s", call.method, test, got, want)
			}
		}
	}
}
