//go:build e2e

package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/geth"
)

// One of three geths is dead, and another lies. The consensus client never hears what the liar says: SYNCING costs
// nothing; INVALID, be it said of all or of none but its own, halts until the liar is drained, or with
// --on-dispute=majority until the dead one is back. And what the good one calls INVALID is never VALID.
func TestLiarWhileAnotherIsDead(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"halt", "majority"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			genesis := genesisNow()
			clients := startClients(t, genesis, 3)
			liar := clients[2].proxy()
			h := newHouse(t, genesis, specs(t, clients, map[int]*enginetest.Node{2: liar}), "on_dispute: "+policy)
			clients[0].end(syscall.SIGTERM) // some state must have been written once
			clients[0].start()
			h.slots(2)
			h.votes("VALID", "VALID", "VALID")
			clients[0].end(syscall.SIGKILL)

			honest := liar.Script(enginetest.Rule{Method: "engine_", Status: "SYNCING"})
			h.slots(2)
			h.votes("", "VALID", "") // it is syncing: nobody asks it
			honest()
			h.slots(1)
			h.wrongPayload(liar)
			h.slots(1)
			h.wantAll()

			honest = liar.Script(enginetest.Rule{Method: "engine_", Status: "INVALID", ValidationError: "a lie"})
			h.slots(2)
			h.wantSyncing(2)
			clients[0].start()
			apptest.Until(t, "the dead one is back", func() bool { return h.Node(t, "n1").State == "alive" })
			if policy == "halt" {
				h.slots(1)
				h.wantSyncing(1)
				if got := h.ChangeNodes(t, "/drain_nodes", "n3"); got.Status != 200 {
					t.Fatalf("drain: %+v", got)
				}
			} else {
				h.slots(2) // it is waited for from its first status to a payload on
				h.lost = nil
			}
			h.slots(2)
			h.wantAll()
			honest()
		})
	}
}

// wantSyncing fails the test unless all of the last slots are lost because we said SYNCING, and forgets them.
func (h *house) wantSyncing(slots int) {
	h.t.Helper()
	if len(h.lost) != slots {
		h.t.Errorf("%d slots are lost, want %d: %q", len(h.lost), slots, h.lost)
	}
	for _, why := range h.lost {
		if !strings.Contains(why, "the status is SYNCING") {
			h.t.Error(why)
		}
	}
	h.lost = nil
}

// wrongPayload shows a payload with a wrong state root, which the liar calls VALID.
func (h *house) wrongPayload(liar *enginetest.Node) {
	h.t.Helper()
	p, err := h.producer.Build(h.t.Context(), geth.Order{Timestamp: h.producer.Head.Timestamp + 1})
	if err != nil {
		h.t.Fatal(err)
	}
	wrong := wrongRoot(h.t, p)
	defer liar.Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: wrong.Hash.Hex(), Status: "VALID"})()
	status, err := wrong.NewPayload(h.t.Context(), h.Call)
	if err != nil || status.Status != "SYNCING" {
		h.t.Errorf("a payload that one node calls INVALID: %+v, %v, want SYNCING", status, err)
	}
}

// wrongRoot is the payload with a state root that doesn't come of executing it, and the block hash of that.
func wrongRoot(t *testing.T, p geth.Payload) geth.Payload {
	t.Helper()
	var data engine.ExecutableData
	var beaconRoot common.Hash
	for i, target := range []any{&data, nil, &beaconRoot} {
		if target == nil {
			continue
		}
		if err := json.Unmarshal(p.Params[i], target); err != nil {
			t.Fatal(err)
		}
	}
	data.StateRoot = common.Hash{0xba, 0xd}
	block, err := engine.ExecutableDataToBlockNoHash(data, []common.Hash{}, &beaconRoot, [][]byte{})
	if err != nil {
		t.Fatal(err)
	}
	data.BlockHash = block.Hash()
	object, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	p.Params, p.Hash = slices.Clone(p.Params), data.BlockHash
	p.Params[0] = object
	return p
}
