package enginejson_test

import (
	"reflect"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/jsonrpc"
)

// readCall reads a call as the CL sends it.
func readCall(t *testing.T, method, params string) (*engine.Call, error) {
	t.Helper()
	body := `{"jsonrpc":"2.0","id":"7","method":"` + method + `","params":` + params + `}`
	var r jsonrpc.Request
	if err := jsonrpc.ParseRequest([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	c, err := enginejson.ReadCall(&r)
	if string(c.Body) != body || string(c.ID) != `"7"` || string(c.Params) != params || c.Method.Name != method {
		t.Errorf("%s: got %q, id %s, params %s", body, c.Body, c.ID, c.Params)
	}
	return c, err
}

// What is judged of a call, by its family. What can't be read is left to the nodes.
func TestReadCall(t *testing.T) {
	a, b := common.Hash{0xaa}, common.Hash{0xbb}
	hashA, hashB, zero := `"`+a.Hex()+`"`, `"`+b.Hex()+`"`, `"`+common.Hash{}.Hex()+`"`
	payload := func(more string) string {
		return `[{"blockHash":` + hashA + `,"parentHash":` + hashB +
			`,"blockNumber":"0x7","timestamp":"0x8"` + more + `},[]]`
	}
	named := engine.Payload{Hash: a, Parent: b, Number: 7, Timestamp: 8}
	state := func(head string) string {
		return `{"headBlockHash":` + head + `, "safeBlockHash":` + hashB + `,"finalizedBlockHash":` + zero + `}`
	}
	update := func(head common.Hash) engine.Forkchoice {
		return engine.Forkchoice{State: []byte(state(`"` + head.Hex() + `"`)), Head: head, Safe: b}
	}
	columns := update(a)
	columns.CustodyColumns = []byte(`"0x01"`)
	for _, c := range []struct {
		method, params string
		want           engine.Call // but for what every call has
	}{
		{"engine_newPayloadV3", payload(""), engine.Call{Block: a, Named: true, Payload: named}},
		{"engine_newPayloadV9", payload(`,"transactions":[1],"withdrawals":[ ]`),
			engine.Call{Block: a, Named: true, Payload: named}},
		{"engine_newPayloadV9", payload(`,"transactions":[1],"transactions":[2]`),
			engine.Call{Block: a, Named: true, Payload: named}},
		{"engine_newPayloadV3", `[{"blockHash":` + hashA + `}]`,
			engine.Call{Block: a, Payload: engine.Payload{Hash: a}}},
		{"engine_newPayloadV3", `[7]`, engine.Call{}},

		{"engine_forkchoiceUpdatedV3", "[" + state(hashA) + ",null]",
			engine.Call{Block: a, Named: true, Forkchoice: update(a)}},
		{"engine_forkchoiceUpdatedV3", "[" + state(zero) + "]", engine.Call{Forkchoice: update(common.Hash{})}},
		{"engine_forkchoiceUpdatedV4", "[" + state(hashA) + `,null,"0x01"]`,
			engine.Call{Block: a, Named: true, Forkchoice: columns}},

		{"engine_getPayloadV5", `["0x01"]`, engine.Call{PayloadID: "0x01"}},
		{"engine_getPayloadV5", `[7]`, engine.Call{}},

		{"engine_getBlobsV1", `[["a","b"]]`, engine.Call{List: engine.List{Kind: engine.Blobs, Size: 2}}},
		{"engine_getBlobsV3", `[[]]`, engine.Call{List: engine.List{Kind: engine.Blobs}}},
		{"engine_getBlobsV4", `[["a"],"0x0300"]`,
			engine.Call{List: engine.List{Kind: engine.Cells, Size: 1, Cells: 2}}},
		{"engine_getBlobsV4", `[["a"],7]`, engine.Call{}},
		{"engine_getBlobsV5", `[["a"],7]`, engine.Call{List: engine.List{Kind: engine.Anything, Size: 1, Free: true}}},
		{"engine_getBlobsV3", `[{}]`, engine.Call{}},
		{"engine_hasBlobs", `[["a"]]`, engine.Call{List: engine.List{Kind: engine.Having, Size: 1}}},

		{"engine_getPayloadBodiesByHashV1", "[[" + hashA + "]]",
			engine.Call{List: engine.List{Kind: engine.Bodies, Size: 1, Hashes: []common.Hash{a}}}},
		{"engine_getPayloadBodiesByHashV2", "[[7," + hashA + "]]",
			engine.Call{List: engine.List{Kind: engine.BodiesSince, Size: 2, Hashes: []common.Hash{{}, a}}}},
		{"engine_getPayloadBodiesByHashV3", "[[]]",
			engine.Call{List: engine.List{Kind: engine.BodiesSince, Hashes: []common.Hash{}, Free: true}}},
		{"engine_getPayloadBodiesByRangeV1", `["0x5","0x10"]`,
			engine.Call{List: engine.List{Kind: engine.Bodies, Size: 16, First: 5, Short: true}}},
		{"engine_getPayloadBodiesByRangeV1", `["0x5"]`, engine.Call{}},

		{"eth_sendRawTransaction", `["0x02c0"]`, engine.Call{Transaction: []byte{2, 0xc0}}},
		{"eth_sendRawTransaction", `["02"]`, engine.Call{}},

		{"engine_getInclusionListV1", "[" + hashA + "]", engine.Call{}},
		{"engine_exchangeCapabilities", `[["engine_a"]]`, engine.Call{}},
		{"engine_getClientVersionV1", `[{}]`, engine.Call{}},
		{"engine_newThing", payload(""), engine.Call{}},
		{"eth_getLogs", payload(""), engine.Call{}},
	} {
		got, err := readCall(t, c.method, c.params)
		if err != nil {
			t.Errorf("%s %s: %v", c.method, c.params, err)
		}
		got.Method, got.Body, got.ID, got.Params = engine.Method{}, nil, nil, nil
		if !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s %s:\ngot  %+v\nwant %+v", c.method, c.params, *got, c.want)
		}
	}
}

// The body of a payload, as it stands in the call: nothing of it is taken from what could be read in two ways.
func TestBodyOf(t *testing.T) {
	for _, c := range []struct {
		params string
		want   engine.Entry
		told   bool
	}{
		{`[{"transactions":[1],"withdrawals":[ ]},[]]`,
			engine.Entry{Parts: [][]byte{[]byte("[1]"), []byte("[ ]"), nil}}, true},
		{`[{"transactions":[ ],"withdrawals":null}]`,
			engine.Entry{Parts: [][]byte{[]byte("[ ]"), nil, nil}, Empty: true}, true},
		{`[{"transactions":[1],"transactions":[2]}]`, engine.Entry{}, false},
		{`[7]`, engine.Entry{}, false},
		{`[]`, engine.Entry{}, false},
	} {
		call, err := readCall(t, "engine_newPayloadV3", c.params)
		if err != nil {
			t.Fatal(err)
		}
		if got, told := enginejson.BodyOf(call); told != c.told || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %t, want %+v, %t", c.params, got, told, c.want, c.told)
		}
	}
	call, err := readCall(t, "engine_newPayloadV3", `[{"blockHash":"0x01"}]`)
	if err != nil {
		t.Fatal(err)
	}
	if _, told := enginejson.BodyOf(call); told {
		t.Error("a payload without transactions tells a body")
	}
}

// What could be read in two ways is no call.
func TestAmbiguousCall(t *testing.T) {
	for _, c := range []struct{ method, params string }{
		{"engine_newPayloadV3", `[{"blockHash":"a","BlockHash":"b"}]`},
		{"engine_forkchoiceUpdatedV3", `[{"headBlockHash":"a","headBlockHash":"b"}]`},
		{"engine_forkchoiceUpdatedV3", `[{},{"timestamp":"0x5","Timestamp":"0x6"}]`},
	} {
		if _, err := readCall(t, c.method, c.params); err == nil {
			t.Errorf("%s %s is accepted", c.method, c.params)
		}
	}
}
