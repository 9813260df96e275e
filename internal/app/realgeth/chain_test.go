package realgeth_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/enginetest"
	"executionbackup/internal/geth"
)

// Two blocks of every fork from Paris to Amsterdam, as geth builds them.
func TestOwnChain(t *testing.T) { followChain(t, own(t)) }

// The chain of ethereum/execution-apis, made by others, blobs included.
func TestForeignChain(t *testing.T) { followChain(t, foreign(t)) }

// followChain puts a chain to three geths. Before each block come its wrong siblings: all are INVALID, and the chain
// goes on.
func followChain(t *testing.T, chain *geth.Chain) {
	nodes := geths(t, chain.Genesis, 3)
	for _, node := range nodes {
		if err := node.Import(chain.PreMerge); err != nil {
			t.Fatal(err)
		}
	}
	m := start(t, urls(nodes))
	before := head(t, m.call)
	latestValid := "" // of what we answered VALID
	var safe, finalized common.Hash
	for i, p := range chain.Payloads {
		for _, w := range wrongs(t, p) {
			if i == 0 { // nobody has proved itself: INVALID comes of our own check alone
				got, want := newPayload(t, m.call, w.Payload), "block hash mismatch"
				if w.rehashed {
					want = ""
				}
				if !strings.HasPrefix(got.ValidationError, want) ||
					strings.HasPrefix(got.Status, "INVALID") == w.rehashed {
					t.Errorf("block %d with another %s: got %+v", w.Number, w.what, got)
				}
				continue
			}
			want := status{Status: "INVALID"}
			if w.rehashed {
				want.LatestValidHash = latestValid
			}
			wantInvalid(t, w, "newPayload", newPayload(t, m.call, w.Payload), want)
			switch {
			case w.rehashed:
				wantInvalid(t, w, "forkchoiceUpdated", forkchoice(t, m.call, w.Payload, safe, finalized), want)
			case w.Hash != p.Hash:
				// A hash that no block has: else the forkchoice wouldn't say which of the two it means.
				if got := forkchoice(t, m.call, w.Payload, safe, finalized); got != (status{Status: "SYNCING"}) {
					t.Errorf("block %d with another %s: forkchoiceUpdated says %+v, want SYNCING",
						w.Number, w.what, got)
				}
			}
		}
		wantHead(t, nodes, before)
		if got, want := newPayload(t, m.call, p), valid(p); got != want {
			t.Fatalf("block %d: newPayload says %+v, want %+v", p.Number, got, want)
		}
		got := m.last(t)
		if got.Method != p.Method || got.Hash != p.Hash.Hex() || got.Verdict != "VALID" || got.Dispute {
			t.Errorf("block %d: the record is %+v, want %s and VALID", p.Number, got, p.Method)
		}
		if got, want := forkchoice(t, m.call, p, safe, finalized), valid(p); got != want {
			t.Fatalf("block %d: forkchoiceUpdated says %+v, want %+v", p.Number, got, want)
		}
		wantHead(t, nodes, p.Hash)
		before, latestValid = p.Hash, p.Hash.Hex()
		safe, finalized = p.Hash, safe
	}
	// Nobody is sent back behind the finalized block.
	for _, w := range wrongs(t, chain.Payloads[1]) {
		wantInvalid(t, w, "newPayload", newPayload(t, m.call, w.Payload), status{Status: "INVALID"})
	}
}

// wantInvalid checks an INVALID. Its reason is a node's, whose name it begins with; or, where the block hash is wrong,
// our own, if our check was ready before a second node had spoken.
func wantInvalid(t *testing.T, w wrong, method string, got, want status) {
	t.Helper()
	if !w.rehashed && strings.HasPrefix(got.Status, "INVALID") &&
		strings.HasPrefix(got.ValidationError, "block hash mismatch: ") {
		return
	}
	node, reason, _ := strings.Cut(got.ValidationError, ": ")
	if !slices.Contains([]string{name(0), name(1), name(2)}, node) || reason == "" {
		t.Errorf("block %d with another %s: the validationError of %s is %q, want a node's name and reason",
			w.Number, w.what, method, got.ValidationError)
	}
	want.ValidationError = got.ValidationError
	if got != want {
		t.Errorf("block %d with another %s: %s says %+v, want %+v", w.Number, w.what, method, got, want)
	}
}

// When no node says anything, ExecutionBackup judges by the block hash: what is wrong in itself is INVALID, all else
// SYNCING.
func TestBlockHashIsCheckedWithoutNodes(t *testing.T) {
	for _, of := range []struct {
		name  string
		chain func(testing.TB) *geth.Chain
	}{{"own chain", own}, {"foreign chain", foreign}} {
		t.Run(of.name+", nodes stopped", func(t *testing.T) {
			chain := of.chain(t)
			nodes := geths(t, chain.Genesis, 3)
			m := start(t, urls(nodes))
			for _, node := range nodes {
				stop(t, node)
			}
			judgeAlone(t, m, chain)
		})
		t.Run(of.name+", nodes syncing", func(t *testing.T) {
			chain := of.chain(t)
			var silent []string
			for _, node := range geths(t, chain.Genesis, 3) {
				proxy := enginetest.Proxy(t, node.AuthURL(), nodeSecret[:])
				const syncing = `{"status":"SYNCING","latestValidHash":null,"validationError":null}`
				proxy.Script(enginetest.Rule{Method: "engine_newPayload", Result: syncing})
				silent = append(silent, proxy.URL)
			}
			judgeAlone(t, start(t, silent), chain)
		})
	}
}

// judgeAlone sends every block of a chain and its wrong siblings to an ExecutionBackup that learns nothing from its
// nodes.
func judgeAlone(t *testing.T, m *multiplexer, chain *geth.Chain) {
	t.Helper()
	for _, p := range chain.Payloads {
		if got, want := newPayload(t, m.call, p), (status{Status: "SYNCING"}); got != want {
			t.Errorf("block %d: %+v, want %+v", p.Number, got, want)
		}
		for _, w := range wrongs(t, p) {
			got, want := newPayload(t, m.call, w.Payload), status{Status: "SYNCING"}
			if !w.rehashed {
				want.Status = "INVALID"
				if w.Method == "engine_newPayloadV1" {
					want.Status = "INVALID_BLOCK_HASH"
				}
				want.ValidationError = got.ValidationError
				for _, hash := range []string{w.Hash.Hex(), rehash(t, w.Payload).Hash.Hex()} {
					if !strings.Contains(got.ValidationError, hash) {
						t.Errorf("block %d with another %s: %q doesn't name %s",
							p.Number, w.what, got.ValidationError, hash)
					}
				}
			}
			if got != want {
				t.Errorf("block %d with another %s: %+v, want %+v", p.Number, w.what, got, want)
			}
		}
	}
}
