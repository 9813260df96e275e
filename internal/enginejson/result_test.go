package enginejson_test

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
)

// text has a string's bytes; of "" none.
func text(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// Every shape of an answer, in the bytes that the CL gets.
func TestResult(t *testing.T) {
	hash, yes := common.Hash{0xab}, true
	name := `"` + hash.Hex() + `"`
	ours := func(s engine.PayloadStatus) engine.Answer { return engine.Answer{PayloadStatus: s} }
	// What a node sent, to be said anew: with a member that we don't know, and spaces.
	const sent = `{ "status":"INVALID","latestValidHash":"0x1", "validationError":"bad","more":[1] }`
	anew := func(m engine.Members) engine.Answer {
		return engine.Answer{Raw: []byte(sent), Anew: m, PayloadStatus: engine.PayloadStatus{
			Raw: []byte(sent), Status: engine.Invalid, ValidationError: `all say "so"`, InclusionListSatisfied: &yes,
		}}
	}
	// The same as it is in a forkchoiceUpdated's result.
	forkchoice := func(m engine.Members, id string) engine.Answer {
		a := anew(m)
		a.Raw, a.PayloadID = []byte(`{"payloadId":"0x7", "payloadStatus":`+sent+`,"later":0}`), id
		return a
	}
	list := func(entries ...engine.Entry) engine.Answer { return engine.Answer{Entries: entries} }
	parts := func(raw ...string) (e engine.Entry) {
		for _, r := range raw {
			e.Parts = append(e.Parts, text(r))
		}
		return e
	}
	raw := func(s string) engine.Entry { return engine.Entry{Raw: []byte(s)} }
	const newPayload, update = "engine_newPayloadV4", "engine_forkchoiceUpdatedV3"
	for _, c := range []struct {
		name, method string
		kind         engine.ListKind
		answer       engine.Answer
		want         string
	}{
		{"a node's own", newPayload, 0, anew(0), sent},
		{"of a method that isn't judged", "eth_x", 0, engine.Answer{Raw: []byte(` {"a":1,"a":2} `)}, ` {"a":1,"a":2} `},
		{"a node's own list", "engine_getBlobsV1", engine.Blobs,
			engine.Answer{Raw: []byte("[ 1 ]"), Entries: []engine.Entry{raw("1")}}, "[ 1 ]"},

		{"another latest valid hash", newPayload, 0, anew(engine.AnewLatestValidHash),
			`{ "status":"INVALID","latestValidHash":null, "validationError":"bad","more":[1] }`},
		{"another reason", newPayload, 0, anew(engine.AnewValidationError),
			`{ "status":"INVALID","latestValidHash":"0x1", "validationError":"all say \"so\"","more":[1] }`},
		{"a member that it lacks", newPayload, 0, anew(engine.AnewInclusionList),
			`{ "status":"INVALID","latestValidHash":"0x1", "validationError":"bad","more":[1] ` +
				`,"inclusionListSatisfied":true}`},
		{"another payload id", update, 0, forkchoice(engine.AnewPayloadID, "0x8"),
			`{"payloadId":"0x8", "payloadStatus":` + sent + `,"later":0}`},
		{"no payload id", update, 0, forkchoice(engine.AnewPayloadID, ""),
			`{"payloadId":null, "payloadStatus":` + sent + `,"later":0}`},
		{"another status, and its payload id", update, 0, forkchoice(engine.AnewLatestValidHash, "0x7"),
			`{"payloadId":"0x7", "payloadStatus":{ "status":"INVALID","latestValidHash":null, ` +
				`"validationError":"bad","more":[1] },"later":0}`},

		{"SYNCING", newPayload, 0, ours(engine.PayloadStatus{Status: engine.Syncing}),
			`{"status":"SYNCING","latestValidHash":null,"validationError":null}`},
		{"INVALID", newPayload, 0,
			ours(engine.PayloadStatus{Status: engine.Invalid, LatestValidHash: &hash, ValidationError: "bad"}),
			`{"status":"INVALID","latestValidHash":` + name + `,"validationError":"bad"}`},
		{"INVALID_BLOCK_HASH", "engine_newPayloadV1", 0,
			ours(engine.PayloadStatus{Status: engine.Invalid, WrongHash: true}),
			`{"status":"INVALID_BLOCK_HASH","latestValidHash":null,"validationError":null}`},
		{"a forkchoiceUpdated's", update, 0, ours(engine.PayloadStatus{Status: engine.Syncing}),
			`{"payloadStatus":{"status":"SYNCING","latestValidHash":null,"validationError":null},"payloadId":null}`},

		{"entries of several nodes", "engine_getBlobsV1", engine.Blobs, list(raw("null"), raw(`{"blob":"a"}`)),
			`[null,{"blob":"a"}]`},
		{"an empty list", "engine_getBlobsV1", engine.Blobs, engine.Answer{Entries: []engine.Entry{}}, "[]"},
		{"mixed cells", "engine_getBlobsV4", engine.Cells, list(parts(`"a"`, `"p"`, "", "")),
			`[{"blob_cells":["a",null],"proofs":["p",null]}]`},
		{"a body of ours", "engine_getPayloadBodiesByHashV1", engine.Bodies, list(parts("[1]", "", `"0x"`)),
			`[{"transactions":[1],"withdrawals":null}]`},
		{"with its block access list", "engine_getPayloadBodiesByHashV2", engine.BodiesSince,
			list(parts("[1]", "[]", `"0x"`)), `[{"transactions":[1],"withdrawals":[],"blockAccessList":"0x"}]`},
		{"client versions", "engine_getClientVersionV1", 0, list(raw(`{"code":"GE"}`), raw(`{ }`)),
			`[{"code":"GE"},{ }]`},

		{"methods", "engine_exchangeCapabilities", 0, engine.Answer{Methods: []string{"engine_a", "engine_b"}},
			`["engine_a","engine_b"]`},
		{"a transaction that is known", "eth_sendRawTransaction", 0, engine.Answer{Transaction: &hash}, name},
		{"nothing", "engine_getBlobsV2", engine.Blobs, engine.Answer{Null: true}, "null"},
	} {
		call := &engine.Call{Method: engine.ParseMethod(c.method), List: engine.List{Kind: c.kind}}
		if got := string(enginejson.Result(call, &c.answer)); got != c.want {
			t.Errorf("%s: got  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// What is read of an answer whose result is its own, beside a status.
func TestReadAnswer(t *testing.T) {
	for _, c := range []struct {
		name, method, result string
		null                 bool
		entries              int // -1: it is no list
		methods              int // -1: it lists none
		transactions         int // of an inclusion list; -1: it is none
	}{
		{"null", "engine_getPayloadV4", "null", true, -1, -1, -1},
		{"nothing that is judged", "eth_x", "[1]", false, -1, -1, -1},
		{"client versions", "engine_getClientVersionV1", `[{},{}]`, false, 2, -1, -1},
		{"no client versions", "engine_getClientVersionV1", `{}`, false, -1, -1, -1},
		{"methods", "engine_exchangeCapabilities", `["engine_a"]`, false, -1, 1, -1},
		{"no methods", "engine_exchangeCapabilities", `[7]`, false, -1, -1, -1},
		{"an inclusion list", "engine_getInclusionListV1", `["0x02","0x"]`, false, -1, -1, 2},
		{"no inclusion list", "engine_getInclusionListV1", `["02"]`, false, -1, -1, -1},
	} {
		a, err := read(c.method, []byte(c.result))
		if err != nil || string(a.Raw) != c.result || a.Null != c.null || !a.OK() {
			t.Errorf("%s: got %+v, %v", c.name, a, err)
		}
		if (a.Entries == nil) != (c.entries < 0) || len(a.Entries) != max(c.entries, 0) ||
			(a.Methods == nil) != (c.methods < 0) || len(a.Methods) != max(c.methods, 0) ||
			(a.InclusionList == nil) != (c.transactions < 0) || len(a.InclusionList) != max(c.transactions, 0) {
			t.Errorf("%s: got %+v", c.name, a)
		}
	}
}
