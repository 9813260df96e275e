package realgeth_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/geth"
)

// forgeries are the ways to claim a block's hash for another content. Nil stands for a method that has no such member.
var forgeries = []struct {
	name  string
	forge func(testing.TB, geth.Payload) *geth.Payload
}{
	{"another state root", func(t testing.TB, p geth.Payload) *geth.Payload {
		return new(with(t, p, "stateRoot", flip(member(t, p, "stateRoot"))))
	}},
	{"itself as parent", func(t testing.TB, p geth.Payload) *geth.Payload {
		return new(with(t, p, "parentHash", member(t, p, "blockHash")))
	}},
	{"another parent", func(t testing.TB, p geth.Payload) *geth.Payload {
		return new(with(t, p, "parentHash", flip(member(t, p, "parentHash"))))
	}},
	{"other versioned hashes", func(t testing.TB, p geth.Payload) *geth.Payload {
		if len(p.Params) < 2 {
			return nil
		}
		var hashes []common.Hash
		if err := json.Unmarshal(p.Params[1], &hashes); err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(append(hashes, common.Hash{1}))
		if err != nil {
			t.Fatal(err)
		}
		p.Params = slices.Clone(p.Params)
		p.Params[1] = raw
		return &p
	}},
}

// Before and after each block of a chain comes a forgery of it. It is INVALID, as each of three geths finds, and as
// one that is asked directly; and the chain goes on for them and for the CL.
func TestForgeriesLeaveNothingBehind(t *testing.T) {
	for _, f := range forgeries {
		for _, when := range []string{"before", "after", "before and after"} {
			t.Run(f.name+", "+when, func(t *testing.T) {
				chain := own(t)
				nodes := geths(t, chain.Genesis, 4)
				alone := dial(t, nodes[3].AuthURL(), nodeSecret)
				m := start(t, urls(nodes[:3]))
				for _, p := range chain.Payloads {
					forged := f.forge(t, p)
					if forged != nil && strings.HasPrefix(when, "before") {
						wantForgery(t, m, alone, *forged)
					}
					wantAs(t, "newPayload", p, newPayload(t, alone, p), newPayload(t, m.call, p))
					direct := forkchoice(t, alone, p, common.Hash{}, common.Hash{})
					wantAs(t, "forkchoiceUpdated", p, direct, forkchoice(t, m.call, p, common.Hash{}, common.Hash{}))
					if forged != nil && strings.HasSuffix(when, "after") { // the CL doesn't send the real one again
						wantForgery(t, m, alone, *forged)
					}
				}
				wantHead(t, nodes, chain.Payloads[len(chain.Payloads)-1].Hash)
			})
		}
	}
}

// wantForgery sends a forged payload, which must be INVALID everywhere.
func wantForgery(t *testing.T, m *multiplexer, alone geth.Call, forged geth.Payload) {
	t.Helper()
	direct, through := newPayload(t, alone, forged), newPayload(t, m.call, forged)
	if direct.Status != "INVALID" {
		t.Fatalf("block %d forged: geth says %+v", forged.Number, direct)
	}
	if !strings.HasPrefix(through.Status, "INVALID") || through.LatestValidHash != "" || through.ValidationError == "" {
		t.Errorf("block %d forged: %+v, geth says %+v", forged.Number, through, direct)
	}
	for i, vote := range m.last(t).Votes {
		if vote.Status != "INVALID" && vote.Status != "SYNCING" && vote.Status != "" { // it may come later
			t.Errorf("block %d forged: %s says %s", forged.Number, name(i), vote.Status)
		}
	}
}

// wantAs fails the test unless a block that geth calls VALID is heard so.
func wantAs(t *testing.T, what string, p geth.Payload, direct, through status) {
	t.Helper()
	if direct != valid(p) {
		t.Fatalf("%s, block %d: geth says %+v", what, p.Number, direct)
	}
	if through != direct {
		t.Fatalf("%s, block %d: %+v, geth says %+v", what, p.Number, through, direct)
	}
}

// A geth that was stopped missed a block and, before it or after it, a forgery of it. It is fed the block, and votes
// again.
func TestForgeriesAreNotFed(t *testing.T) {
	for _, f := range forgeries {
		for _, first := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, first %t", f.name, first), func(t *testing.T) {
				nodes := startFleet(t)
				m := start(t, urls(nodes))
				v := startValidator(t, m)
				v.produce(t)
				v.produce(t)
				stop(t, nodes[2])
				next, err := v.Build(t.Context(), geth.Order{})
				if err != nil {
					t.Fatal(err)
				}
				forged := *f.forge(t, next)
				sendForged := func() {
					if got := newPayload(t, m.call, forged); got.Status != "INVALID" {
						t.Errorf("block %d forged: %+v", forged.Number, got)
					}
				}
				if first {
					sendForged()
				}
				if got := newPayload(t, m.call, next); got != valid(next) {
					t.Fatalf("block %d: %+v", next.Number, got)
				}
				if !first {
					sendForged()
				}
				if got := forkchoice(t, m.call, next, common.Hash{}, common.Hash{}); got != valid(next) {
					t.Fatalf("block %d: forkchoiceUpdated says %+v", next.Number, got)
				}
				v.Head = next
				nodes[2] = startGeth(t, nodes[2].Config())
				m.Recheck(t)
				wantHead(t, nodes, next.Hash) // it is fed
				for range 2 {
					v.produceEmpty(t)
				}
				v.wantVotes(t, "VALID", "VALID", "VALID")
				wantHead(t, nodes, v.Head.Hash)
			})
		}
	}
}

// produceEmpty makes the next block of whatever the pools hold.
func (v *validator) produceEmpty(t *testing.T) {
	t.Helper()
	if _, err := v.Produce(t.Context(), geth.Order{}); err != nil {
		t.Fatalf("block %d: %v", v.Head.Number+1, err)
	}
}
