package app_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// speakers are nodes that say one thing each to newPayload and forkchoiceUpdated: a status, the code of a JSON-RPC
// error, or "html", which is no answer. extra goes into a payload status, with the node's name for every NAME.
func speakers(t testing.TB, words, extra string) []*enginetest.Node {
	t.Helper()
	var nodes []*enginetest.Node
	for i, word := range strings.Fields(words) {
		name := fmt.Sprintf("n%d", i+1)
		n := enginetest.New(t, enginetest.Client{})
		for _, method := range bothMethods {
			rule := enginetest.Rule{Method: method, Status: word, Extra: strings.ReplaceAll(extra, "NAME", name)}
			if code, err := strconv.Atoi(word); err == nil {
				rule.Error = &enginetest.RPCError{Code: code, Message: "from " + name}
			}
			switch word {
			case "html":
				rule.Reply = &enginetest.Reply{Status: 502, Body: "<html>bad gateway</html>"}
			case "INVALID":
				rule.ValidationError = `bad "root"`
			}
			n.Script(rule)
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// The CL gets a voter's own bytes: the primary's, if it says what the verdict is, else the first one's that does.
func TestAnswerIsAVotersOwn(t *testing.T) {
	const extra = `"by":"NAME","later":{"a":[1, 2.50],"é":null}`
	for _, test := range []struct{ words, by, status, validationError string }{
		{"VALID VALID", "n1", "VALID", `null`},
		{"SYNCING VALID VALID", "n2", "VALID", `null`},
		{"INVALID INVALID", "n1", "INVALID", `"n1: bad \"root\""`},
		{"VALID INVALID INVALID", "n2", "INVALID", `"n2: bad \"root\""`},
		{"SYNCING SYNCING", "n1", "SYNCING", `null`},
		{"VALID SYNCING SYNCING", "n2", "SYNCING", `null`},
	} {
		for _, method := range bothMethods {
			t.Run(test.words+" "+method, func(t *testing.T) {
				t.Parallel()
				nodes := speakers(t, test.words, extra)
				m := startLed(t, apptest.Fakes(nodes...), nil)
				m.prove(t, nodes...)
				block := enginetest.Chain(4, 1, nil)[0]
				latest := "null"
				if test.status == "VALID" {
					latest = `"` + block.Hash() + `"`
				}
				want := fmt.Sprintf(`{"status":"%s","latestValidHash":%s,"validationError":%s,%s}`,
					test.status, latest, test.validationError, strings.ReplaceAll(extra, "NAME", test.by))
				got := ""
				if method == "engine_newPayload" {
					got = m.call(t, "engine_newPayloadV4", block.Params()...)
				} else {
					got = m.call(t, "engine_forkchoiceUpdatedV3", map[string]string{"headBlockHash": block.Hash()})
					want = `{"payloadStatus":` + want + `,"payloadId":null}`
				}
				if got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		}
	}
}

// The primary comes before the first in configuration order, in every kind of answer.
func TestPrimaryIsPreferred(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 2)
	m := startLed(t, apptest.Fakes(nodes...), nil)
	m.must(t, "/drain_nodes", "n1")
	m.must(t, "/undrain_nodes", "n1")
	if !m.Node(t, "n2").Primary {
		t.Fatal("n2 is not the primary")
	}
	m.prove(t, nodes...)
	head := enginetest.Chain(4, 1, nil)[0]
	if got := m.build(t, head).PayloadID; got != ownID(1) {
		t.Errorf("got payload id %s, want n2's", got)
	}
	offer(nodes[0], head, "0x1", nil)
	want := offer(nodes[1], head, "0x1", nil)
	if got := m.call(t, "engine_getPayloadV4", ownID(1)); got != want {
		t.Errorf("a tie: got %s, want n2's payload", got)
	}
	for i, n := range nodes {
		fails(n, "engine_newPayload", -38005-i, "Unsupported fork")
		n.Script(enginetest.Rule{Method: "engine_forkchoiceUpdated", Status: "INVALID", ValidationError: "bad"})
	}
	if got := m.call(t, "engine_newPayloadV4", head.Params()...); got != "error -38006: Unsupported fork" {
		t.Errorf("errors: got %s, want n2's", got)
	}
	if got := m.forkchoice(t, head.Child(nil)); got.Status != "INVALID" || got.ValidationError != "n2: bad" {
		t.Errorf("INVALID: got %+v, want n2's", got)
	}
}

// With INVALID, the CL is sent back only to a block that we called VALID, that isn't older than the finalized one, and
// that enough of those who object name.
func TestLatestValidHash(t *testing.T) {
	t.Parallel()
	nodes := append(three(t), enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{}))
	m := start(t, apptest.Fakes(nodes...), nil)
	chain := enginetest.Chain(4, 3, nil)
	for _, p := range chain {
		m.hears(t, "VALID", "engine_newPayload", p)
	}
	m.Finalized = chain[1].Hash()
	m.hears(t, "VALID", "engine_forkchoiceUpdated", chain[2])
	blocks := map[string]string{"older": chain[0].Hash(), "finalized": chain[1].Hash(), "head": chain[2].Hash(),
		"genesis": enginetest.GenesisHash, "unknown": common.HexToHash("0xabc").Hex(), "zero": common.Hash{}.Hex()}

	// What the first three of five name who say INVALID. The other two say VALID, so that no answer comes before the
	// three have spoken.
	for i, test := range []struct{ named, want string }{
		{"head head head", "head"},
		{"finalized finalized finalized", "finalized"},
		{"older older older", ""},
		{"genesis genesis genesis", ""},
		{"unknown unknown unknown", ""},
		{"zero zero zero", ""},
		{"none none none", ""},
		{"head head genesis", "head"},
		{"genesis head head", "head"},
		{"genesis genesis head", ""},
		{"head finalized none", ""},
		{"head none none", ""},
	} {
		block := chain[2].Child(func(p *enginetest.Payload) { p.GasUsed = uint64(i) })
		for j, named := range strings.Fields(test.named) {
			nodes[j].Script(enginetest.Rule{
				Method: "engine_", BlockHash: block.Hash(), Status: "INVALID", LatestValidHash: blocks[named],
			})
		}
		for _, got := range []enginetest.Status{m.newPayload(t, block), m.forkchoice(t, block)} {
			if got.Status != "INVALID" || got.LatestValidHash != blocks[test.want] {
				t.Errorf("%s: got %+v, want %q", test.named, got, test.want)
			}
		}
	}
}

// After our restart the head is known from forkchoiceUpdated alone.
func TestLatestValidHashAfterOurRestart(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	chain := enginetest.Chain(4, 2, nil)
	m.prove(t, nodes...)
	m.hears(t, "VALID", "engine_forkchoiceUpdated", chain[0])
	for _, n := range nodes {
		n.Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID", LatestValidHash: chain[0].Hash()})
	}
	if got := m.newPayload(t, chain[1]); got.Status != "INVALID" || got.LatestValidHash != chain[0].Hash() {
		t.Errorf("got %+v", got)
	}
}

// inclusionListSatisfied is true where the threshold of the VALID voters say so.
func TestInclusionListSatisfied(t *testing.T) {
	block := enginetest.Chain(5, 1, nil)[0]
	params := append(block.Params(), []string{"0x02"}) // V6 carries V5's payload and an inclusion list
	for _, test := range []struct{ satisfied, want string }{
		{"true true true", "true"},
		{"true true false", "true"},
		{"false true true", "true"},
		{"true false false", "false"},
		{"true null null", "false"},
		{"false false false", "false"},
	} {
		t.Run(test.satisfied, func(t *testing.T) {
			t.Parallel()
			nodes := three(t)
			for i, satisfied := range strings.Fields(test.satisfied) {
				nodes[i].Script(enginetest.Rule{
					Method: "engine_newPayload", Status: "VALID",
					Extra: `"inclusionListSatisfied":` + satisfied + `,"x":0`,
				})
			}
			m := start(t, apptest.Fakes(nodes...), nil)
			want := fmt.Sprintf(`{"status":"VALID","latestValidHash":"%s","validationError":null,`+
				`"inclusionListSatisfied":%s,"x":0}`, block.Hash(), test.want)
			if got := m.call(t, "engine_newPayloadV6", params...); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// wrong changes a payload after it has got its hash.
func wrong(version int, change func(*enginetest.Payload)) enginetest.Payload {
	p := enginetest.Chain(version, 1, nil)[0]
	change(&p)
	return p
}

func wrongHash(p *enginetest.Payload) { p.BlockHash = common.HexToHash("0xbad") }

// What is about to be answered SYNCING is checked by us, unless a node says VALID; so is, beside that, what not all say
// VALID to, and what the only node doesn't know.
func TestSyncingIsChecked(t *testing.T) {
	right := func(*enginetest.Payload) {}
	withList := func(params []any) []any { return append(params, []string{"0x02"}) }
	withField := func(params []any) []any {
		raw, _ := json.Marshal(params[0])
		return append([]any{json.RawMessage(strings.Replace(string(raw), "{", `{"newField":"0x1",`, 1))}, params[1:]...)
	}
	withBlob := func(p *enginetest.Payload) { p.VersionedHashes = make([]common.Hash, 1) }
	withEmpty := func(p *enginetest.Payload) { p.Transactions = [][]byte{{}} }
	const mismatch = "block hash mismatch"
	for _, test := range []struct {
		name    string
		words   string
		version string // of newPayload
		payload enginetest.Payload
		params  func([]any) []any
		want    string
		reason  string // of an INVALID
		outcome string // as the metric counts it; "" where nothing is checked
	}{
		{"V1", "SYNCING SYNCING", "V1", wrong(1, right), nil, "SYNCING", "", "match"},
		{"V5", "SYNCING SYNCING", "V5", wrong(5, right), nil, "SYNCING", "", "match"},
		{"V1, wrong", "SYNCING SYNCING", "V1", wrong(1, wrongHash), nil, "INVALID_BLOCK_HASH", mismatch, "invalid"},
		{"V2, wrong", "SYNCING SYNCING", "V2", wrong(2, wrongHash), nil, "INVALID", mismatch, "invalid"},
		{"V3, wrong", "SYNCING SYNCING", "V3", wrong(3, wrongHash), nil, "INVALID", mismatch, "invalid"},
		{"V4, wrong", "SYNCING SYNCING", "V4", wrong(4, wrongHash), nil, "INVALID", mismatch, "invalid"},
		{"V5, wrong", "SYNCING SYNCING", "V5", wrong(5, wrongHash), nil, "INVALID", mismatch, "invalid"},
		{"V6, wrong", "SYNCING SYNCING", "V6", wrong(5, wrongHash), withList, "INVALID", mismatch, "invalid"},
		{"accepted, wrong", "ACCEPTED ACCEPTED", "V4", wrong(4, wrongHash), nil, "INVALID", mismatch, "invalid"},
		{"no answers, wrong", "html html", "V4", wrong(4, wrongHash), nil, "INVALID", mismatch, "invalid"},
		{"dispute, wrong", "INVALID SYNCING", "V4", wrong(4, wrongHash), nil, "INVALID", mismatch, "invalid"},
		{"blobs", "SYNCING SYNCING", "V3", wrong(3, withBlob), nil, "INVALID", "blob versioned hashes", "invalid"},
		{"empty transaction", "SYNCING SYNCING", "V4", wrong(4, withEmpty), nil, "INVALID", "transaction", "invalid"},
		{"unknown version", "SYNCING SYNCING", "V9", wrong(4, wrongHash), nil, "SYNCING", "", "skipped"},
		{"unknown field", "SYNCING SYNCING", "V4", wrong(4, wrongHash), withField, "SYNCING", "", "skipped"},
		{"one VALID", "VALID SYNCING", "V4", wrong(4, right), nil, "VALID", "", "match"},
		{"VALID", "VALID VALID", "V4", wrong(4, wrongHash), nil, "VALID", "", ""},
		{"one node, wrong", "SYNCING", "V4", wrong(4, wrongHash), nil, "SYNCING", "", "invalid"},
		{"one node, VALID", "VALID", "V4", wrong(4, wrongHash), nil, "VALID", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := start(t, apptest.Fakes(speakers(t, test.words, "")...), nil)
			params := test.payload.Params()
			if test.params != nil {
				params = test.params(params)
			}
			var got enginetest.Status
			raw := m.call(t, "engine_newPayload"+test.version, params...)
			if json.Unmarshal([]byte(raw), &got) != nil || got.Status != test.want {
				t.Fatalf("got %s, want %s", raw, test.want)
			}
			if !strings.Contains(got.ValidationError, test.reason) || test.reason != "" && got.LatestValidHash != "" {
				t.Errorf("got %+v", got)
			}
			if test.reason == mismatch {
				honest := enginetest.Chain(test.payload.Version, 1, nil)[0].Hash()
				if !strings.Contains(got.ValidationError, honest) ||
					!strings.Contains(got.ValidationError, test.payload.Hash()) {
					t.Errorf("%q doesn't have both hashes", got.ValidationError)
				}
			}
			checks := func(outcome string) float64 {
				return m.Metric(t, `executionbackup_hash_checks_total{outcome="`+outcome+`"}`)
			}
			if test.outcome != "" { // the only node's answer, and a VALID, don't wait for it
				apptest.Until(t, "the check is counted", func() bool { return checks(test.outcome) == 1 })
			}
			for _, outcome := range []string{"match", "invalid", "skipped"} {
				if got := checks(outcome); outcome != test.outcome && got != 0 {
					t.Errorf("%v checks are counted as %s", got, outcome)
				}
			}
		})
	}
}
