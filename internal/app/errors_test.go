package app_test

import (
	"encoding/json"
	"strings"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/quorum"
)

// JSON-RPC errors are no votes. Where there is no vote they are the answer, and better than no answer at all.
func TestErrorRule(t *testing.T) {
	for _, test := range []struct{ words, want string }{
		{"-38002 -38002 -38002", "error -38002: from n1"},
		{"-38002 -38003 -38003", "error -38002: from n1"}, // they disagree: the primary's
		{"html -38003 -38002", "error -38003: from n2"},
		{"html html -38006", "error -38006: from n3"},
		{"-38002 VALID VALID", "VALID"},
		{"-38002 -38002 VALID", "VALID"},
		{"-38002 -38003 VALID", "VALID"},
		{"-38002 -38002 SYNCING", "error -38002: from n1"}, // two of the three that were asked agree
		{"-38002 -38002 INVALID", "error -38002: from n1"},
		{"INVALID SYNCING -38002 -38002 -38002", "error -38002: from n3"},
		{"-38002 -38003 SYNCING", "SYNCING"}, // they don't
		{"-38002 -38003 INVALID", "SYNCING"},
		{"-38002 SYNCING SYNCING", "SYNCING"},
		{"-38002 INVALID SYNCING", "SYNCING"}, // a dispute: one of three that were asked
		{"html html html", "SYNCING"},
	} {
		t.Run(test.words, func(t *testing.T) {
			t.Parallel()
			m := startLed(t, apptest.Fakes(speakers(t, test.words, "")...), nil)
			block := enginetest.Chain(4, 1, nil)[0]
			got := m.call(t, "engine_newPayloadV4", block.Params()...)
			if want := test.want; got != want && !strings.HasPrefix(got, `{"status":"`+want+`"`) {
				t.Errorf("newPayload: got %s, want %s", got, want)
			}
			got = m.call(t, "engine_forkchoiceUpdatedV3", map[string]string{"headBlockHash": block.Hash()}, nil)
			if want := test.want; got != want && !strings.HasPrefix(got, `{"payloadStatus":{"status":"`+want+`"`) {
				t.Errorf("forkchoiceUpdated: got %s, want %s", got, want)
			}
		})
	}
}

// An error passes as its node wrote it.
func TestErrorIsANodesOwn(t *testing.T) {
	t.Parallel()
	const failure = `{"code":-38003,"message":"Invalid payload attributes","data":{"err":"x"},"more":[1, 2]}`
	nodes := three(t)
	for _, n := range nodes {
		n.Script(enginetest.Rule{
			Method: "engine_forkchoiceUpdated",
			Reply:  &enginetest.Reply{Body: `{"jsonrpc":"2.0","id":$ID,"error":` + failure + `}`},
		})
	}
	m := start(t, apptest.Fakes(nodes...), nil)
	got := m.say(t, `{"jsonrpc":"2.0","id":7,"method":"engine_forkchoiceUpdatedV3","params":[{"headBlockHash":"`+
		enginetest.GenesisHash+`"},null]}`)
	if want := `{"jsonrpc":"2.0","id":7,"error":` + failure + `}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Where nothing can be reached, the CL hears SYNCING about what it should wait with, and an error about the rest.
func TestNothingReachable(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	for _, n := range nodes {
		n.Close()
	}
	for _, noticed := range []bool{false, true} {
		if noticed {
			m.Recheck(t)
		}
		got, want := m.newPayload(t, enginetest.Chain(4, 1, nil)[0]), (enginetest.Status{Status: "SYNCING"})
		if got != want {
			t.Errorf("newPayload: got %+v", got)
		}
		if got := m.newPayload(t, wrong(4, wrongHash)); got.Status != "INVALID" ||
			!strings.Contains(got.ValidationError, "block hash mismatch") {
			t.Errorf("newPayload with a wrong hash: got %+v", got)
		}
		if got, want := m.forkchoice(t, enginetest.Genesis(4)), (enginetest.Status{Status: "SYNCING"}); got != want {
			t.Errorf("forkchoiceUpdated: got %+v", got)
		}
		for _, call := range [][]any{
			{"engine_getPayloadV4", "0x0000000000000001"},
			{"engine_getPayloadBodiesByHashV1", []string{}},
			{"engine_getBlobsV1", []string{}},
			{"engine_getClientVersionV1", map[string]string{}},
			{"engine_exchangeCapabilities", []string{}},
			{"engine_hasBlobs", []string{}},
			{"eth_blockNumber"},
			{"eth_sendRawTransaction", "0x02"},
		} {
			_, err := m.Call(t.Context(), call[0].(string), call[1:]...)
			failure, ok := err.(*enginetest.RPCError)
			if !ok || failure.Code != -32000 || failure.Message != "no execution node is available" {
				t.Errorf("%v: got %v", call[0], err)
				continue
			}
			var data struct{ Err string }
			if json.Unmarshal(failure.Data, &data) != nil || data.Err == "" {
				t.Errorf("%v: got data %s", call[0], failure.Data)
			}
		}
	}
	nodes[1].Reopen() // where all are dead, as far as we know, they are asked anyway
	if got := m.call(t, "eth_chainId"); got != `"0x1"` {
		t.Errorf("a node that is back: got %s", got)
	}
}

// The operator's rules: --min-valid, --on-dispute and --vote-by.
func TestRules(t *testing.T) {
	minValid2 := func(c *config.Config) { c.Rules.MinValid = 2 }
	majority := func(c *config.Config) { c.Rules.OnDispute = quorum.Majority }
	byClient := func(c *config.Config) { c.Rules.ByClient = true }
	for _, test := range []struct {
		name, clients, words, want string
		rules                      func(*config.Config)
	}{
		{"min-valid", "GE GE", "VALID VALID", "VALID", minValid2},
		{"min-valid", "GE GE", "VALID SYNCING", "SYNCING", minValid2},
		{"min-valid", "GE GE GE", "VALID SYNCING VALID", "VALID", minValid2},
		{"halt", "GE GE GE", "VALID INVALID VALID", "SYNCING", nil},
		{"majority", "GE GE GE", "VALID INVALID VALID", "VALID", majority},
		{"majority", "GE GE GE", "VALID INVALID SYNCING", "SYNCING", majority},
		{"majority", "GE GE", "VALID INVALID", "SYNCING", majority},
		{"majority", "GE GE GE", "INVALID INVALID VALID", "INVALID", majority},
		{"vote by node", "GE GE GE NM", "INVALID INVALID INVALID VALID", "INVALID", nil},
		{"vote by client", "GE GE GE NM", "INVALID INVALID INVALID VALID", "SYNCING", byClient},
		{"vote by client", "GE GE GE NM", "VALID VALID INVALID VALID", "SYNCING", byClient},
		{"vote by node", "GE GE GE NM", "SYNCING SYNCING SYNCING VALID", "SYNCING", nil},
		{"vote by client", "GE GE GE NM", "SYNCING SYNCING SYNCING VALID", "VALID", byClient},
		{"vote by client", "GE NM BU", "INVALID INVALID VALID", "INVALID", byClient},
		{"vote by client and min-valid", "GE GE NM", "VALID VALID SYNCING", "SYNCING",
			func(c *config.Config) { byClient(c); minValid2(c) }},
		{"vote by client's name", "geth geth geth besu", "INVALID INVALID INVALID VALID", "SYNCING", byClient},
	} {
		t.Run(test.name+" "+test.words, func(t *testing.T) {
			t.Parallel()
			nodes := speakers(t, test.words, "")
			for i, client := range strings.Fields(test.clients) {
				if len(client) == 2 {
					nodes[i].Update(func(c *enginetest.Client) { c.Code = client })
				} else { // an old one, which has no code
					nodes[i].Update(func(c *enginetest.Client) { c.Name = client })
					fails(nodes[i], "engine_getClientVersion", -32601, "what?")
				}
			}
			m := start(t, apptest.Fakes(nodes...), test.rules)
			m.prove(t, nodes...)
			block := enginetest.Chain(4, 1, nil)[0]
			m.hears(t, test.want, "engine_newPayload", block)
			if strings.Contains(test.words, "INVALID") && test.want != "INVALID" {
				m.Log.Wait(t, "level=ERROR", "INVALID", block.Hash()) // a dispute, or a late objection
			}
		})
	}
}
