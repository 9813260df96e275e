package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/evidence"
	"executionbackup/internal/quorum"
)

// honest are nodes that say what honest clients would, unless a rule says otherwise. These check what a payload claims.
func honest(t testing.TB, n int) (nodes []*enginetest.Node, clients []*enginetest.Honest) {
	t.Helper()
	for i := range n {
		client := &enginetest.Honest{Fork: 4}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Content-Type", "application/json")
			w.Write(client.Answer(body))
		}))
		t.Cleanup(server.Close)
		clients = append(clients, client)
		nodes = append(nodes, enginetest.Proxy(t, server.URL,
			[]byte(fmt.Sprintf("a secret of thirty-two bytes, n%02d", i))[:32]))
	}
	return nodes, clients
}

// forgery is what a proposer could make of a block: the same block hash over something else.
type forgery struct {
	name   string
	params func(block, other enginetest.Payload) []any // other is not its parent
}

// forged is a payload with the hash of another.
func forged(block enginetest.Payload, change func(*enginetest.Payload)) enginetest.Payload {
	change(&block)
	return block
}

func anotherState(p *enginetest.Payload) { p.StateRoot = common.HexToHash("0x5e") }

var forgeries = []forgery{
	{"another state root", func(block, _ enginetest.Payload) []any { return forged(block, anotherState).Params() }},
	{"its own parent", func(block, _ enginetest.Payload) []any {
		return forged(block, func(p *enginetest.Payload) { p.ParentHash = p.BlockHash }).Params()
	}},
	{"another parent", func(block, other enginetest.Payload) []any {
		return forged(block, func(p *enginetest.Payload) { p.ParentHash = other.BlockHash }).Params()
	}},
	{"an unknown parent", func(block, _ enginetest.Payload) []any {
		return forged(block, func(p *enginetest.Payload) { p.ParentHash = common.HexToHash("0xdead") }).Params()
	}},
	{"another number", func(block, _ enginetest.Payload) []any {
		return forged(block, func(p *enginetest.Payload) { p.Number += 1000 }).Params()
	}},
	{"other blobs", func(block, _ enginetest.Payload) []any {
		return forged(block, func(p *enginetest.Payload) { p.VersionedHashes = []common.Hash{{1}} }).Params()
	}},
	{"an empty transaction", func(block, _ enginetest.Payload) []any {
		return forged(block, func(p *enginetest.Payload) { p.Transactions = [][]byte{{}} }).Params()
	}},
	{"another beacon root", func(block, _ enginetest.Payload) []any {
		return forged(block, func(p *enginetest.Payload) { p.BeaconRoot = common.Hash{1} }).Params()
	}},
	{"a field that we don't know", func(block, _ enginetest.Payload) []any {
		params := forged(block, anotherState).Params()
		raw, _ := json.Marshal(params[0])
		return append([]any{json.RawMessage(`{"newField":"0x1",` + string(raw)[1:])}, params[1:]...)
	}},
}

// is expects an answer to a newPayload whose params are given.
func (m *multiplexer) is(t testing.TB, want string, params []any) {
	t.Helper()
	var got enginetest.Status
	raw := m.call(t, "engine_newPayloadV4", params...)
	if json.Unmarshal([]byte(raw), &got) != nil || got.Status != want || want != "VALID" && got.LatestValidHash != "" {
		t.Fatalf("newPayload: got %s, want %s without a latest valid hash", raw, want)
	}
}

// unburdened fails the test unless all nodes are alive and nothing is held against them. The CL's answer waits neither
// for the last node's, which may end an objection, nor for a probe.
func (m *multiplexer) unburdened(t testing.TB) {
	t.Helper()
	apptest.Try(t, apptest.Patience, func() error {
		for _, n := range m.Nodes(t) {
			if n.Objections != 0 || n.State != "alive" {
				return fmt.Errorf("%s is %s with %d objections", n.Name, n.State, n.Objections)
			}
		}
		return nil
	})
}

// clean is unburdened, and fails the test if there ever was a dispute, too.
func (m *multiplexer) clean(t testing.TB) {
	t.Helper()
	m.unburdened(t)
	if got := strings.TrimSpace(m.REST(t, "GET", "/disputes", "").Body); got != "[]" {
		t.Errorf("disputes: %s", got)
	}
}

// follows expects both methods to be VALID for payloads.
func (m *multiplexer) follows(t testing.TB, payloads ...enginetest.Payload) {
	t.Helper()
	for _, p := range payloads {
		m.hears(t, "VALID", "engine_newPayload", p)
		m.hears(t, "VALID", "engine_forkchoiceUpdated", p)
	}
}

// A payload that claims the hash of a good block is INVALID, and the block and its descendants stay VALID: whether the
// forgery comes after the block or before it, and whatever the operator's rules.
func TestForgedPayload(t *testing.T) {
	for _, f := range forgeries {
		for _, rules := range []string{"halt", "majority", "client"} {
			if rules != "halt" && f.name != "another state root" && f.name != "a field that we don't know" {
				continue
			}
			t.Run(f.name+", "+rules, func(t *testing.T) {
				t.Parallel()
				nodes, _ := honest(t, 3)
				m := start(t, apptest.Fakes(nodes...), func(c *config.Config) {
					if rules == "majority" {
						c.Rules.OnDispute = quorum.Majority
					}
					c.Rules.ByClient = rules == "client"
					c.ReplayBytes = 1 << 20
				})
				chain := enginetest.Chain(4, 6, nil)
				m.follows(t, chain[:2]...)

				// After it.
				m.hears(t, "VALID", "engine_newPayload", chain[2])
				for range 2 {
					m.is(t, "INVALID", f.params(chain[2], chain[0]))
					m.follows(t, chain[2])
				}
				m.follows(t, chain[3])

				// Before it.
				m.is(t, "INVALID", f.params(chain[4], chain[0]))
				m.follows(t, chain[4:]...)
				m.is(t, "INVALID", f.params(chain[4], chain[0]))
				m.follows(t, chain[4:]...)
				m.clean(t)

				// And when all clients have restarted.
				for _, n := range nodes {
					n.Close()
				}
				m.Recheck(t)
				for _, n := range nodes {
					n.Reopen()
				}
				m.Recheck(t)
				m.follows(t, chain[2:]...)
				m.follows(t, chain[5].Child(nil))
				m.clean(t)
			})
		}
	}
}

// The same where the forgery is the first call of all, before anybody has proved anything.
func TestForgedPayloadFirst(t *testing.T) {
	for _, f := range forgeries {
		if strings.HasPrefix(f.name, "a field") {
			continue // nothing can be checked, and INVALID takes two nodes that have proved themselves
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			nodes, _ := honest(t, 3)
			m := start(t, apptest.Fakes(nodes...), nil)
			chain := enginetest.Chain(4, 3, nil)
			m.is(t, "INVALID", f.params(chain[0], chain[2]))
			m.follows(t, chain...)
			m.clean(t)
		})
	}
}

// A block and a forgery of it that are under way at the same time share no vote and no answer.
func TestForgedPayloadBeside(t *testing.T) {
	for _, f := range forgeries {
		for _, first := range []string{"the block", "the forgery"} {
			t.Run(f.name+", "+first+" first", func(t *testing.T) {
				t.Parallel()
				nodes, _ := honest(t, 3)
				m := start(t, apptest.Fakes(nodes...), nil)
				chain := enginetest.Chain(4, 3, nil)
				m.follows(t, chain[0])
				var release []func()
				for _, n := range nodes {
					release = append(release, n.Script(enginetest.Rule{
						Method: "engine_newPayload", BlockHash: chain[1].Hash(), Hang: true,
					}))
				}
				params := [][]any{chain[1].Params(), f.params(chain[1], enginetest.Genesis(4))}
				if first == "the forgery" {
					slices.Reverse(params)
				}
				var answers []<-chan string
				for i, p := range params {
					answers = append(answers, later(func() string { return m.call(t, "engine_newPayloadV4", p...) }))
					for _, n := range nodes {
						n.Wait("engine_newPayload", 2+i)
					}
				}
				for _, clear := range release {
					clear()
				}
				got := []string{<-answers[0], <-answers[1]}
				if first == "the forgery" {
					slices.Reverse(got)
				}
				if !strings.HasPrefix(got[0], `{"status":"VALID"`) ||
					!strings.HasPrefix(got[1], `{"status":"INVALID"`) {
					t.Errorf("got %s for the block, and %s for the forgery", got[0], got[1])
				}
				m.follows(t, chain[1:]...)
				m.clean(t)
			})
		}
	}
}

// A payload whose parent isn't the block's says nothing of whose descendant that is: an objection to the real parent
// stands, and one to the claimed parent doesn't cover the block.
func TestForgedParent(t *testing.T) {
	for _, before := range []bool{false, true} {
		t.Run(fmt.Sprintf("before the block: %t", before), func(t *testing.T) {
			t.Parallel()
			nodes, _ := honest(t, 3)
			m := start(t, apptest.Fakes(nodes...), nil)
			chain := enginetest.Chain(4, 4, nil)
			branch := chain[0].Child(func(p *enginetest.Payload) { p.ExtraData = []byte("branch") })
			m.follows(t, chain[0])
			for _, p := range append(chain[1:], branch) {
				status := "SYNCING"
				if p.ParentHash == chain[0].BlockHash && p.BlockHash != branch.BlockHash {
					status = "INVALID"
				}
				if p.BlockHash != branch.BlockHash {
					nodes[2].Script(enginetest.Rule{Method: "engine_", BlockHash: p.Hash(), Status: status})
				}
			}
			m.hears(t, "SYNCING", "engine_newPayload", chain[1])
			m.hears(t, "VALID", "engine_newPayload", branch)
			elsewhere := func(p *enginetest.Payload) { p.ParentHash = branch.BlockHash }
			under := func(p *enginetest.Payload) { p.ParentHash = chain[1].BlockHash }
			good := branch.Child(nil)
			if before {
				m.is(t, "INVALID", forged(chain[2], elsewhere).Params())
				m.is(t, "INVALID", forged(good, under).Params())
			}
			m.hears(t, "SYNCING", "engine_newPayload", chain[2])
			m.follows(t, good)
			m.is(t, "INVALID", forged(chain[2], elsewhere).Params())
			m.is(t, "INVALID", forged(good, under).Params())
			for _, p := range chain[1:] {
				m.hears(t, "SYNCING", "engine_newPayload", p)
				m.hears(t, "SYNCING", "engine_forkchoiceUpdated", p)
			}
			m.follows(t, good, good.Child(nil))
			if got := m.Node(t, "n3").Objections; got != 1 {
				t.Errorf("n3 has %d objections, want the one", got)
			}
		})
	}
}

// VALIDs stand for the content that they were said to. To another one under the same hash SYNCING is no vote for it.
func TestForgedPayloadBesideStandingValids(t *testing.T) {
	for _, f := range forgeries[:6] {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			nodes, _ := honest(t, 3)
			m := start(t, apptest.Fakes(nodes...), nil)
			chain := enginetest.Chain(4, 3, nil)
			m.follows(t, chain[0])
			m.hears(t, "VALID", "engine_newPayload", chain[1])
			for _, n := range nodes {
				n.Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: chain[1].Hash(), Status: "SYNCING"})
			}
			m.is(t, "INVALID", f.params(chain[1], enginetest.Genesis(4)))
			m.follows(t, chain[1:]...)
		})
	}
}

// What our own check finds and one node says are two witnesses: nobody else is waited for.
func TestForgedPayloadHasTwoWitnesses(t *testing.T) {
	t.Parallel()
	nodes, _ := honest(t, 3)
	m := start(t, apptest.Fakes(nodes...), nil)
	chain := enginetest.Chain(4, 2, nil)
	m.follows(t, chain[0])
	for _, n := range nodes[1:] {
		defer n.Script(enginetest.Rule{Method: "engine_newPayload", Hang: true})()
	}
	m.is(t, "INVALID", forged(chain[1], anotherState).Params())
	for _, n := range nodes[1:] {
		if got := len(n.Wait("engine_newPayload", 2)) - len(n.WaitEnded("engine_newPayload", 1)); got != 1 {
			t.Errorf("%d calls hang, want the one", got)
		}
	}
	if got := m.Metric(t, `executionbackup_hash_checks_total{outcome="invalid"}`); got != 1 {
		t.Errorf("%v are counted", got)
	}
}

// Where a VALID is in hand before our check or an INVALID, the votes decide, and a VALID without a quorum makes it a
// dispute.
func TestWrongHashBesideAValid(t *testing.T) {
	for _, second := range []string{"INVALID", "SYNCING"} {
		t.Run(second, func(t *testing.T) {
			t.Parallel()
			nodes := three(t)[:2]
			m := start(t, apptest.Fakes(nodes...), nil)
			m.prove(t, nodes...)
			payload := wrong(4, wrongHash)
			release := nodes[1].Script(enginetest.Rule{Method: "engine_newPayload", Hang: true, Status: second})
			defer release()
			answered := later(func() enginetest.Status { return m.newPayload(t, payload) })
			nodes[1].Wait("engine_newPayload", 2)
			apptest.Until(t, "n1's VALID is in hand", func() bool {
				return strings.Contains(m.REST(t, "GET", "/blocks", "").Body, payload.Hash()) &&
					m.said(t, payload, "n1").Status == "VALID"
			})
			release()
			if got := <-answered; second == "INVALID" && got.Status != "SYNCING" {
				t.Errorf("got %+v", got)
			}
			apptest.Until(t, "the check is counted", func() bool {
				return m.Metric(t, `executionbackup_hash_checks_total{outcome="invalid"}`) == 1
			})
			m.Log.Wait(t, "level=ERROR", "payload is invalid by itself", payload.Hash())
			m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 1, nil)[0]) // nothing is left of it
		})
	}
}

// Nodes that take any content leave no trace of it, where another is known: a forgery that a quorum of them calls VALID
// is VALID, but the CL is never sent back to the block for that.
func TestForgedPayloadIsNoLatestValid(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	m.prove(t, nodes...)
	chain := enginetest.Chain(4, 3, nil)
	m.follows(t, chain[0])
	var clear []func()
	for _, n := range nodes {
		clear = append(clear, n.Script(enginetest.Rule{
			Method: "engine_newPayload", BlockHash: chain[1].Hash(), Status: "ACCEPTED",
		}))
	}
	m.hears(t, "ACCEPTED", "engine_newPayload", chain[1])
	for _, clear := range clear {
		clear()
	}
	m.is(t, "VALID", forged(chain[1], anotherState).Params())
	apptest.Until(t, "it has been checked", func() bool {
		return m.Metric(t, `executionbackup_hash_checks_total{outcome="invalid"}`) == 1
	})
	for _, n := range nodes {
		n.Script(enginetest.Rule{
			Method: "engine_newPayload", BlockHash: chain[2].Hash(),
			Status: "INVALID", LatestValidHash: chain[1].Hash(),
		})
	}
	if got := m.newPayload(t, chain[2]); got.Status != "INVALID" || got.LatestValidHash != "" {
		t.Errorf("got %+v: nobody called that block VALID", got)
	}
}

// A forgery isn't kept for nodes that return: one that was away for the block comes back.
func TestForgedPayloadIsNotFed(t *testing.T) {
	for _, f := range forgeries {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			nodes, clients := honest(t, 3)
			m := start(t, apptest.Fakes(nodes...), func(c *config.Config) { c.ReplayBytes = 1 << 20 })
			chain := enginetest.Chain(4, 5, nil)
			m.follows(t, chain[:2]...)
			nodes[2].Close()
			m.Recheck(t)
			for _, p := range chain[2:4] {
				m.is(t, "INVALID", f.params(p, chain[0]))
				m.follows(t, p)
				m.is(t, "INVALID", f.params(p, chain[0]))
			}
			nodes[2].Reopen()
			m.Recheck(t)
			apptest.Until(t, "n3 says SYNCING to a child of the head, and is fed", func() bool {
				m.hears(t, "VALID", "engine_newPayload", chain[4])
				return len(m.Log.Lines("caught up", "node=n3")) > 0
			})
			if got := clients[2].Head(); got != chain[3].BlockHash {
				t.Errorf("n3's head is %s, want %s", got, chain[3].Hash())
			}
			m.follows(t, chain[4])
			m.clean(t)
		})
	}
}

// The history tells the block and its forgery apart, and a later dispute about the block is told with the block's own
// data.
func TestForgedPayloadInHistory(t *testing.T) {
	t.Parallel()
	nodes, _ := honest(t, 3)
	dir, change := recording(t)
	m := start(t, apptest.Fakes(nodes...), change)
	chain := enginetest.Chain(4, 3, nil)
	m.follows(t, chain[0])
	m.hears(t, "VALID", "engine_newPayload", chain[1])
	forgery := forged(chain[1], func(p *enginetest.Payload) { p.Number, p.ParentHash = 1000, p.BlockHash })
	m.is(t, "INVALID", forgery.Params())
	m.follows(t, chain[1:]...)
	m.clean(t)

	var blocks []struct {
		Hash, Verdict string
		Number        uint64
		Votes         []vote
	}
	m.Get(t, "/blocks", &blocks)
	heard := ""
	for _, b := range blocks {
		if b.Hash == chain[1].Hash() {
			heard += fmt.Sprintf("%d %s, ", b.Number, b.Verdict)
		}
	}
	if want := "2 VALID, 1000 INVALID, 2 VALID, "; heard != want {
		t.Errorf("/blocks has %s, want %s", heard, want)
	}

	nodes[2].Script(enginetest.Rule{
		Method: "engine_forkchoiceUpdated", BlockHash: chain[1].Hash(), Status: "INVALID", ValidationError: "bad",
	})
	m.hears(t, "SYNCING", "engine_forkchoiceUpdated", chain[1])
	var disputes []struct {
		Hash   string
		Number uint64
		Calls  int
	}
	m.Get(t, "/disputes", &disputes)
	if len(disputes) != 1 || disputes[0].Number != 2 || disputes[0].Hash != chain[1].Hash() || disputes[0].Calls != 1 {
		t.Errorf("/disputes has %+v", disputes)
	}

	files := m.files(t, dir)
	if len(files) != 2 || files[0].Case.Kind != evidence.WrongBlockHash || files[1].Case.Kind != evidence.Dispute {
		t.Fatalf("got %d files, want one of the forgery and one of the dispute: %+v", len(files), files)
	}
	f := files[0]
	if f.Case.Verdict != "INVALID" || !strings.Contains(string(f.Calls[0].Body), `"blockNumber":"0x3e8"`) {
		t.Errorf("the forgery: got %+v", f.Case)
	}
	for _, r := range files[0].Records {
		if r.Verdict != "" {
			t.Errorf("a call of the block is told with the forgery: %+v", r)
		}
	}
	for _, c := range files[1].Calls {
		if strings.Contains(string(c.Body), `"blockNumber":"0x3e8"`) {
			t.Errorf("the dispute is told with the forgery: %s", c.Body)
		}
	}
}
