package history

import (
	"encoding/json"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// What the REST API and the page have is made of these types: not a byte of it may change unnoticed. It can be read
// back, but for what isn't shown.
func TestJSON(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 5000, time.UTC)
	const (
		block = `"0xabcd000000000000000000000000000000000000000000000000000000000000"`
		at1   = `{"id":1,"time":"2026-03-01T12:00:00.000005Z",`
		head  = at1 + `"method":"engine_newPayloadV4","number":7,"hash":` + block +
			`,"verdict":"SYNCING","took":5000000,"dispute":true,`
		rule  = `"rule":"halt","why":"any objection halts"`
		votes = `"late_objection":true,"votes":[` +
			`{"node":"n1","status":"VALID","vote":"VALID","took":1234},` +
			`{"node":"n2","status":"","vote":"INVALID","reason":"bad","took":0}]`
		proposal = "[" + at1 + `"method":"engine_getPayloadV4","number":8,"hash":` + block +
			`,"node":"n1","value":"123456789012345678901234567890","gain":"0","offers":[` +
			`{"node":"n1","value":"5","gas_used":3,"transactions":4,"blobs":5,"took":6,"taken":true,"fate":"taken"},` +
			`{"node":"n2","value":"","gas_used":0,"transactions":0,"blobs":0,"took":0,"taken":false,"fate":"late"}]}]`
	)
	var h History
	var p Proposals
	record := &Record{
		Time: at, Method: "engine_newPayloadV4", Number: 7, Block: common.Hash{0xab, 0xcd}, Parent: common.Hash{1},
		Votes: []Vote{
			{Node: "n1", Status: "VALID", Vote: "VALID", Took: Micros(1234567 * time.Nanosecond)},
			{Node: "n2", Vote: "INVALID", Reason: "bad"},
		},
	}
	h.Add(record)
	h.Decide(record, "SYNCING", 5*time.Second, "halt", "any objection halts")
	h.Objected(record)
	large, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	none := []any{new(History).Records(), new(History).Disputes(), new(Proposals).List()}
	p.Add(Proposal{
		Time: at, Method: "engine_getPayloadV4", Number: 8, Block: record.Block, Node: "n1",
		Value: InWei(large), Gain: InWei(new(big.Int)),
		Offers: []Offer{
			{
				Node: "n1", Value: InWei(big.NewInt(5)), GasUsed: 3, Transactions: 4, Blobs: 5,
				Took: Micros(6 * time.Microsecond), Taken: true, Fate: "taken",
			},
			{Node: "n2", Value: InWei(nil), Fate: "late"},
		},
	})
	for _, test := range []struct {
		shown any
		want  string
	}{
		{none, "[[],[],[]]"},
		{h.Records(), "[" + head + rule + "," + votes + "}]"},
		{h.Disputes(), "[" + head + votes + `,"kind":"chain","standing":true,"heard":"SYNCING","objectors":["n2"],` +
			rule + `,"last":"2026-03-01T12:00:00.000005Z","calls":1}]`},
		{p.List(), proposal},
	} {
		got, err := json.Marshal(test.shown)
		if err != nil || string(got) != test.want {
			t.Errorf("got %v\n     %s\nwant %s", err, got, test.want)
		}
		back := reflect.New(reflect.TypeOf(test.shown))
		if err := json.Unmarshal(got, back.Interface()); err != nil {
			t.Error(err)
		}
		if again, err := json.Marshal(back.Interface()); err != nil || string(again) != test.want {
			t.Errorf("read back: got %v\n     %s\nwant %s", err, again, test.want)
		}
	}
}

// A dispute has the rule that decided its last call, also where it began with an objection that came late.
func TestRuleOfADispute(t *testing.T) {
	var h History
	first := &Record{Block: common.Hash{1}}
	h.Add(first)
	h.Decide(first, "VALID", time.Second, "", "")
	h.Objected(first)
	for i, want := range []string{"", "live", "live", "halt"} {
		r := &Record{Block: common.Hash{byte(2 + i)}, Parent: common.Hash{byte(1 + i)}}
		h.Add(r)
		switch i {
		case 1:
			h.Decide(r, "VALID", time.Second, "live", "why")
		case 2:
			h.Objected(r)
		case 3:
			h.Decide(r, "SYNCING", time.Second, "halt", "why")
		default:
			h.Objected(r)
		}
		if d := h.Disputes(); len(d) != 1 || d[0].Rule != want || d[0].Calls != i+2 {
			t.Errorf("call %d: got %+v, want the rule %q", i+2, d, want)
		}
	}
	if r := h.Records()[0]; r.Rule != "" {
		t.Errorf("the record of the first block has the rule %q", r.Rule)
	}
}
