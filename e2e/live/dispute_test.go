//go:build e2e

package live

import (
	"context"
	"encoding/json"
	"math/big"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/misc/eip1559"
	"github.com/ethereum/go-ethereum/consensus/misc/eip4844"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// osakaTarget is how many blobs in a block make ethereumjs 0.10.5 object to the next one: it doesn't know EIP-7918, by
// which the excess of blob gas then rises, and calls INVALID what geth and Erigon call VALID. That is a real dispute,
// on demand. The objection stands on all that comes after, so the three settings are told one after the other on one
// chain.
const osakaTarget = 6

var disputes = []scenario{
	{
		name: "dispute, majority", short: true,
		about: "The first blobs come, ethereumjs objects, and on_dispute is majority: " +
			"the chain goes on, against the objection.",
		play: func(r *run) {
			r.eb.reload(r.specs(), "majority")
			r.before(2)
			r.fillOneBlock()
			apptest.Within(r.t, 3*r.slot, "ethereumjs objects", func() bool { return r.disputed(2 * r.slot) })
			r.during(4)
			r.finalVerdict("VALID")
			r.after(2)
		},
	},
	{
		name: "dispute, halt", short: true, halts: true, amid: true,
		about: "on_dispute becomes halt, the default: the verdict is SYNCING, the validators stop. It becomes " +
			"majority again four slots later, and they go on.",
		play: func(r *run) {
			r.before(2)
			r.eb.reload(r.specs(), "halt")
			r.during(4)
			r.finalVerdict("SYNCING")
			r.wantHalt()
			r.eb.reload(r.specs(), "majority")
			r.after(6)
			r.wantRecovery()
		},
	},
	{
		name: "dispute, do-not-use", short: true, halts: true, amid: true,
		about: "on_dispute is halt again, and three slots later ethereumjs becomes do-not-use: its objections are " +
			"gone, and the validators go on.",
		play: func(r *run) {
			r.before(2)
			r.eb.reload(r.specs(), "halt")
			r.during(3)
			r.finalVerdict("SYNCING")
			r.node("e1").doNotUse = true
			r.reload()
			r.after(6)
			r.wantRecovery()
		},
	},
}

// fillOneBlock has a block made with as many blobs as make ethereumjs object to the next one. It must be one only:
// Erigon's development version disagrees with geth, too, once the excess has grown over some blocks.
func (r *run) fillOneBlock() {
	r.t.Helper()
	r.sender.blobs.Store(osakaTarget)
	defer r.sender.blobs.Store(1)
	apptest.Within(r.t, 12*r.slot, "a block is full of blobs", func() bool {
		b, err := r.cl.block("head")
		return err == nil && b != nil && b.Blobs >= osakaTarget
	})
}

// lastVerdict is the last record with a verdict.
func (r *run) lastVerdict(within time.Duration) (last record) {
	for _, record := range r.eb.seen.between(time.Now().Add(-within), time.Now()) {
		if record.Verdict != "" {
			last = record
		}
	}
	return last
}

// disputed reports whether the last verdict was over a dispute.
func (r *run) disputed(within time.Duration) bool { return r.lastVerdict(within).Dispute }

// finalVerdict notes a failure where the last newPayload was not answered so, or without a dispute.
func (r *run) finalVerdict(want string) {
	got := r.lastVerdict(time.Minute)
	if got.Verdict != want || !got.Dispute {
		r.fail("the last payload, %d, was called %s (dispute: %v), want %s in a dispute",
			got.Number, got.Verdict, got.Dispute, want)
	}
}

// wantHalt notes a failure where the last slots have blocks.
func (r *run) wantHalt() {
	head, err := r.cl.block("head")
	if err != nil || head == nil || head.Slot >= r.slotAt(time.Now())-1 {
		r.fail("the chain goes on: in slot %d the head is %+v: %v", r.slotAt(time.Now()), head, err)
	}
}

// wantRecovery notes a failure where the last slots have no blocks.
func (r *run) wantRecovery() {
	head, err := r.cl.block("head")
	if err != nil || head == nil || head.Slot < r.slotAt(time.Now())-1 {
		r.fail("the chain doesn't go on: in slot %d the head is %+v: %v", r.slotAt(time.Now()), head, err)
		return
	}
	if optimistic, err := r.cl.optimistic(); err != nil || optimistic {
		r.fail("the beacon node is still optimistic: %v", err)
	}
}

// liesValid shows a payload to ExecutionBackup that real clients call INVALID, while one, behind a proxy, is made to
// call it VALID.
var liesValid = scenario{
	name: "lies VALID",
	about: "A payload with a wrong state root is put to ExecutionBackup beside Prysm's calls. Two real clients say " +
		"INVALID; a third one is made to say VALID. The verdict must be INVALID, and the chain go on.",
	play: func(r *run) {
		v := &victim{node: other(r)}
		r.note("it happens to %s", v.name)
		r.divert(v)
		r.before(2)
		wrong, err := r.wrongPayload()
		if err != nil {
			r.t.Fatal(err)
		}
		honest := v.proxy.Script(enginetest.Rule{
			Method: "engine_newPayload", BlockHash: wrong.BlockHash.Hex(), Status: "VALID",
		})
		ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
		defer cancel()
		raw, err := r.sender.call(ctx, "engine_newPayloadV4", wrong, []common.Hash{}, wrongBeaconRoot, []string{})
		if err != nil {
			r.t.Fatal(err)
		}
		var status engine.PayloadStatusV1
		if err := json.Unmarshal(raw, &status); err != nil {
			r.t.Fatal(err)
		}
		r.note("the verdict: %s", raw)
		if status.Status != engine.INVALID {
			r.fail("the verdict is %s, want INVALID", status.Status)
		}
		for _, record := range r.eb.seen.between(time.Now().Add(-r.slot), time.Now().Add(time.Second)) {
			if record.Hash == wrong.BlockHash.Hex() {
				r.note("the votes: %+v", record.Votes)
			}
		}
		r.during(3)
		honest()
		r.after(2)
	},
}

// wrongPayload is an empty child of the head, well formed, whose state root is not what comes of executing it.
func (r *run) wrongPayload() (*engine.ExecutableData, error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Second)
	defer cancel()
	raw, err := r.sender.call(ctx, "eth_getBlockByNumber", "latest", false)
	if err != nil {
		return nil, err
	}
	var parent types.Header
	if err := json.Unmarshal(raw, &parent); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(r.execution)
	if err != nil {
		return nil, err
	}
	var genesis core.Genesis
	if err := json.Unmarshal(text, &genesis); err != nil {
		return nil, err
	}
	// Not of the next slot: a payload from the future goes by no clock.
	return wrongChild(genesis.Config, &parent, parent.Time+1), nil
}

// wrongBeaconRoot is the parentBeaconBlockRoot of wrongChild's payload.
var wrongBeaconRoot = common.Hash{1}

func wrongChild(config *params.ChainConfig, parent *types.Header, at uint64) *engine.ExecutableData {
	excess := eip4844.CalcExcessBlobGas(config, parent, at)
	header := &types.Header{
		ParentHash: parent.Hash(), UncleHash: types.EmptyUncleHash,
		TxHash: types.EmptyTxsHash, ReceiptHash: types.EmptyReceiptsHash, Root: common.Hash{0xba, 0xd},
		Number: new(big.Int).Add(parent.Number, common.Big1), Difficulty: new(big.Int),
		GasLimit: parent.GasLimit, Time: at, BaseFee: eip1559.CalcBaseFee(config, parent),
		WithdrawalsHash: &types.EmptyWithdrawalsHash, RequestsHash: &types.EmptyRequestsHash,
		BlobGasUsed: new(uint64), ExcessBlobGas: &excess, ParentBeaconRoot: &wrongBeaconRoot,
	}
	block := types.NewBlockWithHeader(header).WithBody(types.Body{Withdrawals: []*types.Withdrawal{}})
	return engine.BlockToExecutableData(block, new(big.Int), nil, nil).ExecutionPayload
}
