package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// A payload that isn't what was asked for isn't proposed, whatever it claims to be worth.
func TestDisqualifiedPayloads(t *testing.T) {
	t.Parallel()
	elsewhere := enginetest.Chain(4, 3, func(p *enginetest.Payload) { p.ExtraData = []byte("elsewhere") })[2]
	for _, c := range []struct {
		name string
		why  string // in the log
		bad  func(n *enginetest.Node, head enginetest.Payload)
	}{
		{"wrong parent", "its parent is " + elsewhere.Hash(),
			func(n *enginetest.Node, _ enginetest.Payload) { offer(n, elsewhere, "0xffff", nil) }},
		{"wrong timestamp", "its timestamp is", func(n *enginetest.Node, head enginetest.Payload) {
			offer(n, head, "0xffff", func(p *enginetest.Payload) { p.Timestamp++ })
		}},
		{"wrong prevRandao", "its prevRandao is not", func(n *enginetest.Node, head enginetest.Payload) {
			offer(n, head, "0xffff", func(p *enginetest.Payload) { p.Random = common.Hash{1} })
		}},
		{"wrong withdrawals", "its withdrawals are not", func(n *enginetest.Node, head enginetest.Payload) {
			offer(n, head, "0xffff", func(p *enginetest.Payload) { p.Withdrawals = []*types.Withdrawal{{Index: 1}} })
		}},
		{"wrong beacon root", "block hash mismatch", func(n *enginetest.Node, head enginetest.Payload) {
			offer(n, head, "0xffff", func(p *enginetest.Payload) { p.BeaconRoot = common.Hash{1} })
		}},
		{"wrong requests", "block hash mismatch", func(n *enginetest.Node, head enginetest.Payload) {
			envelope := offer(n, head, "0xffff", nil)
			n.Script(enginetest.Rule{
				Method: "engine_getPayload",
				Result: strings.Replace(envelope, `"executionRequests":[]`, `"executionRequests":["0x0001"]`, 1),
			})
		}},
		{"wrong block hash", "block hash mismatch", func(n *enginetest.Node, head enginetest.Payload) {
			envelope := offer(n, head, "0xffff", nil)
			n.Script(enginetest.Rule{
				Method: "engine_getPayload",
				Result: strings.Replace(envelope, `"gasUsed":"0x0"`, `"gasUsed":"0x1"`, 1),
			})
		}},
		{"an empty transaction", "transaction 0 is empty", func(n *enginetest.Node, head enginetest.Payload) {
			envelope := offer(n, head, "0xffff", nil)
			n.Script(enginetest.Rule{
				Method: "engine_getPayload",
				Result: strings.Replace(envelope, `"transactions":[]`, `"transactions":["0x"]`, 1),
			})
		}},
		{"blobs without transactions", "blob versioned hashes", func(n *enginetest.Node, head enginetest.Payload) {
			bundled(n, head, 1, 1, 1)
		}},
		{"a blob too few", "blobs bundle: 0 blobs for 1 commitments",
			func(n *enginetest.Node, head enginetest.Payload) { bundled(n, head, 1, 1, 0) }},
		{"a proof too few", "blobs bundle: 0 proofs for 1 blobs",
			func(n *enginetest.Node, head enginetest.Payload) { bundled(n, head, 1, 0, 1) }},
		{"no bundle", "blobs bundle: something is missing", func(n *enginetest.Node, head enginetest.Payload) {
			envelope := offer(n, head, "0xffff", nil)
			n.Script(enginetest.Rule{
				Method: "engine_getPayload", Result: strings.Replace(envelope, `"blobsBundle"`, `"bundle"`, 1),
			})
		}},
		{"garbage", "blockValue is missing", func(n *enginetest.Node, _ enginetest.Payload) {
			n.Script(enginetest.Rule{Method: "engine_getPayload", Result: `{"executionPayload":7}`})
		}},
		{"null", "payload envelope", func(n *enginetest.Node, _ enginetest.Payload) {
			n.Script(enginetest.Rule{Method: "engine_getPayload", Result: `null`})
		}},
		{"a value twice", "duplicated", func(n *enginetest.Node, head enginetest.Payload) {
			envelope := offer(n, head, "0xffff", nil)
			n.Script(enginetest.Rule{Method: "engine_getPayload", Result: `{"blockvalue":"0x1",` + envelope[1:]})
		}},
		{"a negative value", "blockValue is missing",
			func(n *enginetest.Node, head enginetest.Payload) { offer(n, head, "-0x1", nil) }},
		{"a value beyond 256 bits", "blockValue is missing", func(n *enginetest.Node, head enginetest.Payload) {
			offer(n, head, "0x1"+strings.Repeat("0", 64), nil)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			nodes := builders(t, 3)
			m := startLed(t, apptest.Fakes(nodes...), untilAll)
			head := enginetest.Chain(4, 1, nil)[0]
			id := m.build(t, head).PayloadID
			c.bad(nodes[0], head)
			offer(nodes[1], head, "0x1", nil)
			want := offer(nodes[2], head, "0x2", nil)
			if got := m.call(t, "engine_getPayloadV4", id); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if len(m.Log.Lines("payload for a proposal", "n3: 2 wei", "taken; n2: ", c.why)) == 0 {
				t.Errorf("the log doesn't say %q: %v", c.why, m.Log.Lines("payload for a proposal"))
			}
		})
	}
}

// bundled makes a node offer an empty payload of great value, with so many commitments, proofs and blobs.
func bundled(n *enginetest.Node, head enginetest.Payload, commitments, proofs, blobs int) {
	envelope := offer(n, head, "0xffff", nil)
	for _, l := range []struct {
		name        string
		many, bytes int
	}{{"commitments", commitments, 48}, {"proofs", proofs, 48}, {"blobs", blobs, 131072}} {
		one := `"0x` + strings.Repeat("00", l.bytes) + `"`
		all := strings.TrimSuffix(strings.Repeat(one+",", l.many), ",")
		envelope = strings.Replace(envelope, `"`+l.name+`":[]`, `"`+l.name+`":[`+all+`]`, 1)
	}
	n.Script(enginetest.Rule{Method: "engine_getPayload", Result: envelope})
}

// The others see a payload while its hash is checked. If that is wrong, nobody disputes anything who calls it INVALID.
func TestWrongHashIsNoDispute(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 2)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	head := enginetest.Chain(4, 1, nil)[0]
	id := m.build(t, head).PayloadID
	wrong := strings.Replace(offer(nodes[0], head, "0xffff", nil), `"gasUsed":"0x0"`, `"gasUsed":"0x1"`, 1)
	nodes[0].Script(enginetest.Rule{Method: "engine_getPayload", Result: wrong})
	want := offer(nodes[1], head, "0x1", nil)
	nodes[1].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID"})
	if got := m.call(t, "engine_getPayloadV4", id); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	nodes[1].WaitEnded("engine_newPayload", 1) // it has seen it
	if lines := m.Log.Lines("dispute"); len(lines) > 0 {
		t.Errorf("logged: %s", lines)
	}
}

// A payload that pays somebody else is a last resort, and an error in the log.
func TestWrongFeeRecipient(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 2)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	head := enginetest.Chain(4, 1, nil)[0]
	id := m.build(t, head).PayloadID
	thief := offer(nodes[0], head, "0xffff", func(p *enginetest.Payload) { p.FeeRecipient = common.Address{1} })
	want := offer(nodes[1], head, "0x1", nil)
	if got := m.call(t, "engine_getPayloadV4", id); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	nodes[1].Close()
	m.Recheck(t)
	if got := m.call(t, "engine_getPayloadV4", id); got != thief {
		t.Errorf("the last resort: got %s, want %s", got, thief)
	}
	if len(m.Log.Lines("level=ERROR", "wrong_fee_recipient")) != 1 {
		t.Errorf("log: %v", m.Log.Lines("payload for a proposal"))
	}
}

// Where every candidate is out, the CL gets what it would get without us: the primary's own answer.
func TestAllDisqualified(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 2)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	head := enginetest.Chain(4, 1, nil)[0]
	id := m.build(t, head).PayloadID
	late := func(p *enginetest.Payload) { p.Timestamp++ }
	want := offer(nodes[0], head, "0x1", late)
	offer(nodes[1], head, "0x2", late)
	if got := m.call(t, "engine_getPayloadV4", id); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The best payload is shown to the other voters. One that says INVALID takes it out of the race, and that is a dispute;
// but a proposal is never lost to it: where none is left it is the primary's.
func TestCrossCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		script func(nodes []*enginetest.Node)
		taken  int // the node whose payload is proposed
		shown  int // how many voters the cross-check reached, in all
		change func(*config.Config)
	}{
		{"all agree", func([]*enginetest.Node) {}, 2, 2, nil},
		{"one objects to the best", func(n []*enginetest.Node) {
			n[0].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID", Times: 1})
		}, 1, 4, nil},
		{"one is syncing, one answers with an error", func(n []*enginetest.Node) {
			n[0].Script(enginetest.Rule{Method: "engine_newPayload", Status: "SYNCING"})
			fails(n[1], "engine_newPayload", -32000, "x")
		}, 2, 2, nil},
		{"one hangs", func(n []*enginetest.Node) {
			n[0].Script(enginetest.Rule{Method: "engine_newPayload", Hang: true})
		}, 2, 2, nil},
		{"everyone objects to everything", func(n []*enginetest.Node) {
			for _, n := range n {
				n.Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID"})
			}
		}, 0, 6, nil},
		{"switched off", func(n []*enginetest.Node) {
			n[0].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID"})
		}, 2, 0, func(c *config.Config) { c.CrossCheck = 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			nodes := builders(t, 3)
			m := startLed(t, apptest.Fakes(nodes...), c.change)
			head := enginetest.Chain(4, 1, nil)[0]
			m.newPayload(t, head)
			id := m.build(t, head).PayloadID
			offers := []string{
				offer(nodes[0], head, "0x1", nil),
				offer(nodes[1], head, "0x2", nil),
				offer(nodes[2], head, "0x3", nil),
			}
			c.script(nodes)
			begun := time.Now()
			if got := m.call(t, "engine_getPayloadV4", id); got != offers[c.taken] {
				t.Errorf("got %s, want that of n%d", got, c.taken+1)
			}
			if took := time.Since(begun); took > 990*time.Millisecond {
				t.Errorf("it took %v", took)
			}
			shown := 0
			for _, n := range nodes {
				shown += len(n.CallsOf("engine_newPayload")) - 1 // the head itself
			}
			if shown > c.shown || shown == 0 && c.shown > 0 {
				t.Errorf("the candidates were shown %d times, want %d", shown, c.shown)
			}
			if disputes := m.Log.Lines("level=ERROR", "dispute"); (len(disputes) > 0) != (c.shown > 2) {
				t.Errorf("disputes: %v", disputes)
			}
		})
	}
}

// Where nobody else votes, the best payload goes out as it is. Nodes that are set aside are not asked for their
// opinion.
func TestCrossCheckWithoutVoters(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 3)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	m.must(t, "/drain_nodes", "n2", "n3")
	head := enginetest.Chain(4, 1, nil)[0]
	id := m.build(t, head).PayloadID
	want := offer(nodes[0], head, "0x1", nil)
	for _, n := range nodes {
		n.Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID"})
	}
	if got := m.call(t, "engine_getPayloadV4", id); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for i, n := range nodes {
		if got := len(n.CallsOf("engine_newPayload")); got != 0 {
			t.Errorf("n%d was shown %d payloads", i+1, got)
		}
	}
}

// Whose objections don't count yet can't take a payload out of the race, and doesn't prove itself by calling VALID a
// block that the cross-check has already put on its disk.
func TestCrossCheckByARestartedNode(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 3)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	head := enginetest.Chain(4, 1, nil)[0]
	m.newPayload(t, head)
	id := m.build(t, head).PayloadID
	offer(nodes[0], head, "0x1", nil)
	best := offer(nodes[1], head, "0x2", nil)
	fails(nodes[2], "engine_getPayload", -38001, "Unknown payload")
	if got := m.call(t, "engine_getPayloadV4", id); got != best {
		t.Fatalf("got %s, want %s", got, best)
	}
	nodes[2].WaitEnded("engine_newPayload", 2)
	restart(t, m, nodes[2])
	proposed := head.Child(func(p *enginetest.Payload) {
		p.FeeRecipient, p.ExtraData = head.Attributes().SuggestedFeeRecipient, []byte(nodes[1].URL)
	})
	m.hears(t, "VALID", "engine_newPayload", proposed)
	m.mayNotObject(t, nodes[2], proposed.Child(nil))

	objects := nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID"})
	if got := m.call(t, "engine_getPayloadV4", id); got != best {
		t.Errorf("n3 objects: got %s, want %s", got, best)
	}
	objects()
}

// A node can claim any block hash for what it builds. Where that is wrong, the judges have not seen the block of that
// hash: who calls it VALID when the CL sends it, after a restart, has proved itself.
func TestCrossCheckOfAClaimedHash(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 3)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	chain := enginetest.Chain(4, 3, nil)
	m.newPayload(t, chain[0])
	id := m.build(t, chain[0]).PayloadID
	envelope := offer(nodes[1], chain[0], "0x2", nil)
	_, own, _ := strings.Cut(envelope, `"blockHash":"`)
	claimed := strings.Replace(envelope, own[:66], chain[1].Hash(), 1)
	nodes[1].Script(enginetest.Rule{Method: "engine_getPayload", Result: claimed})
	want := offer(nodes[0], chain[0], "0x1", nil)
	fails(nodes[2], "engine_getPayload", -38001, "Unknown payload")
	if got := m.call(t, "engine_getPayloadV4", id); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	calls := nodes[2].WaitEnded("engine_newPayload", 2)
	if !strings.Contains(string(calls[1].Params), chain[1].Hash()) {
		t.Errorf("n3 was not shown what n2 claims: %s", calls[1].Params)
	}
	restart(t, m, nodes[2])
	if m.Node(t, "n3").Qualified {
		t.Fatal("n3 is qualified")
	}
	m.hears(t, "VALID", "engine_newPayload", chain[1])
	m.mayObject(t, nodes[2], chain[2])
}

// For each proposal the log tells who offered what and what became of it, and the metrics tell the same.
func TestProposalIsTold(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 4)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	head := enginetest.Chain(4, 1, nil)[0]
	id := m.build(t, head).PayloadID
	offer(nodes[0], head, "0xde0b6b3a7640000", nil) // 1 ETH
	transfer, err := types.NewTx(&types.LegacyTx{}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	want := offer(nodes[1], head, "0x1bc16d674ec80001", func(p *enginetest.Payload) { // 2 ETH and a wei
		p.GasUsed = 21000
		p.Transactions = [][]byte{transfer, transfer}
	})
	offer(nodes[2], head, "0xffffffffffffffff", func(p *enginetest.Payload) { p.Timestamp++ })
	fails(nodes[3], "engine_getPayload", -38001, "Unknown payload")
	if got := m.call(t, "engine_getPayloadV4", id); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	m.Log.Wait(t, `level=INFO msg="payload for a proposal"`, "node=n2", `value="2.000000 ETH"`, `gain="1.000000 ETH"`,
		`n1: 1000000000000000000 wei (1.000000 ETH), 0 gas, 0 transactions, 0 blobs, `, `s, not the best`,
		`n2: 2000000000000000001 wei (2.000000 ETH), 21000 gas, 2 transactions, 0 blobs, `, `s, taken`,
		`offers="n3: 18446744073709551615 wei`, "out: its timestamp is", `; n4: Unknown payload`)
	for name, want := range map[string]float64{
		`executionbackup_proposals_total{outcome="best"}`:                                                  1,
		`executionbackup_proposal_value_eth`:                                                               2,
		`executionbackup_proposal_gain_eth_total`:                                                          1,
		`executionbackup_candidates_total{node="n1",outcome="outbid"}`:                                     1,
		`executionbackup_candidates_total{node="n2",outcome="taken"}`:                                      1,
		`executionbackup_candidates_total{node="n3",outcome="out"}`:                                        1,
		`executionbackup_candidates_total{node="n4",outcome="none"}`:                                       1,
		`executionbackup_node_payload_value_eth{node="n1"}`:                                                1,
		`executionbackup_node_call_duration_seconds_count{method="GetPayload",node="n1",outcome="answer"}`: 1,
	} {
		if got := m.Metric(t, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// Who is shown a payload before it is proposed, and calls it VALID, has followed: it won't be new to it any more.
func TestCrossCheckProves(t *testing.T) {
	nodes := builders(t, 3)
	m := startLed(t, apptest.Fakes(nodes...), nil)
	head := enginetest.Chain(4, 1, nil)[0]
	build := m.build(t, head)
	m.call(t, "engine_getPayloadV4", build.PayloadID)
	for _, n := range nodes[1:] {
		n.WaitEnded("engine_newPayload", 1)
	}
	apptest.Until(t, "the judges have proved themselves", func() bool {
		return m.Node(t, "n2").Qualified && m.Node(t, "n3").Qualified
	})
	if m.Node(t, "n1").Qualified {
		t.Error("so has the builder")
	}
}
