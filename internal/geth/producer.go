package geth

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/crypto/kzg4844"
	"github.com/ethereum/go-ethereum/params"
)

const secondsPerSlot = 12

// Producer plays the consensus client that proposes every block. What it talks to may be one node or something that
// looks like one. It must not be used by two goroutines at once.
type Producer struct {
	// Head is the block that the next one is built on. Until Produce has made a block it has no Method and no Params.
	Head Payload
	// Safe and Finalized go into every forkchoiceUpdated.
	Safe, Finalized common.Hash

	call   Call
	config *params.ChainConfig
}

// Order says what the next block shall be. The zero value is a block one slot after the head with whatever the node
// takes.
type Order struct {
	Timestamp    uint64 // seconds since the Unix epoch; 0 is 12 s after the head
	FeeRecipient common.Address
	Withdrawals  types.Withdrawals // from Shanghai on
	// BuildTime is how long the node may build before it is asked for the payload.
	BuildTime time.Duration
	// Transactions must be in the block: it is built again until they are, each time with more BuildTime.
	Transactions []*types.Transaction
}

// NewProducer returns a producer that goes on from the head that the other side reports.
func NewProducer(ctx context.Context, config *params.ChainConfig, call Call) (*Producer, error) {
	var head struct {
		Number, Timestamp hexutil.Uint64
		Hash, ParentHash  common.Hash
	}
	if err := call.decode(ctx, &head, "eth_getBlockByNumber", "latest", false); err != nil {
		return nil, err
	}
	v, err := versionsAt(config, uint64(head.Timestamp))
	if err != nil {
		return nil, err
	}
	return &Producer{call: call, config: config, Head: Payload{
		Number: uint64(head.Number), Timestamp: uint64(head.Timestamp), Hash: head.Hash,
		Parent: head.ParentHash, versions: v,
	}}, nil
}

// Produce builds a block and makes it the head: forkchoiceUpdated with attributes, getPayload, newPayload,
// forkchoiceUpdated, in the versions that the block's timestamp asks for. A status other than VALID is a *StatusError,
// and the head stays.
func (p *Producer) Produce(ctx context.Context, order Order) (Payload, error) {
	payload, err := p.Build(ctx, order)
	if err != nil {
		return Payload{}, err
	}
	if err := payload.Import(ctx, p.call, p.Safe, p.Finalized); err != nil {
		return payload, err
	}
	p.Head = payload
	return payload, nil
}

// Build has a block built on the head and returns it, without a newPayload.
//
// A node fills a block in the background. geth begins with that at once, which takes milliseconds, and tries again
// every two seconds; but the first getPayload of an id fixes the block for ever, be it still empty. So where
// transactions are missing, Build asks for another id, by another prevRandao, and gives that one more time. It ends
// with ctx at the latest.
func (p *Producer) Build(ctx context.Context, order Order) (Payload, error) {
	if order.Timestamp == 0 {
		order.Timestamp = p.Head.Timestamp + secondsPerSlot
	}
	v, err := versionsAt(p.config, order.Timestamp)
	if err != nil {
		return Payload{}, err
	}
	for attempt := uint64(0); ; attempt++ {
		payload, err := p.buildOnce(ctx, v, order, attempt)
		if err != nil {
			return Payload{}, err
		}
		if has, err := payload.has(order.Transactions); has || err != nil {
			return payload, err
		}
		order.BuildTime = max(2*order.BuildTime, time.Millisecond)
	}
}

// buildOnce starts a build, gives the node its time, and returns the payload.
func (p *Producer) buildOnce(ctx context.Context, v versions, order Order, attempt uint64) (Payload, error) {
	number := p.Head.Number + 1
	beaconRoot := crypto.Keccak256Hash(binary.BigEndian.AppendUint64([]byte("parent beacon block "), number))
	attributes := map[string]any{
		"timestamp":             hexutil.Uint64(order.Timestamp),
		"prevRandao":            crypto.Keccak256Hash(beaconRoot[:], binary.BigEndian.AppendUint64(nil, attempt)),
		"suggestedFeeRecipient": order.FeeRecipient,
	}
	if v.forkchoiceUpdated >= 2 {
		attributes["withdrawals"] = append(types.Withdrawals{}, order.Withdrawals...) // [] is not null
	}
	if v.forkchoiceUpdated >= 3 {
		attributes["parentBeaconBlockRoot"] = beaconRoot
	}
	if v.forkchoiceUpdated >= 4 {
		attributes["slotNumber"] = hexutil.Uint64(number) // no slot is missed here
		attributes["targetGasLimit"] = hexutil.Uint64(gasLimit)
	}
	state := engine.ForkchoiceStateV1{
		HeadBlockHash: p.Head.Hash, SafeBlockHash: p.Safe, FinalizedBlockHash: p.Finalized,
	}
	response, err := v.updateForkchoice(ctx, p.call, state, attributes)
	if err != nil {
		return Payload{}, err
	}
	if response.PayloadStatus.Status != engine.VALID {
		return Payload{}, &StatusError{v.forkchoiceMethod(), response.PayloadStatus}
	}
	if response.PayloadID == nil {
		return Payload{}, fmt.Errorf("%s: VALID without a payload id", v.forkchoiceMethod())
	}
	select {
	case <-time.After(order.BuildTime):
	case <-ctx.Done():
		return Payload{}, fmt.Errorf("build block %d: %w", number, ctx.Err())
	}
	return p.getPayload(ctx, v, *response.PayloadID, beaconRoot)
}

// getPayload fetches a build and makes the newPayload call for it.
func (p *Producer) getPayload(
	ctx context.Context, v versions, id engine.PayloadID, beaconRoot common.Hash,
) (Payload, error) {
	method := fmt.Sprintf("engine_getPayloadV%d", v.getPayload)
	if v.getPayload == 1 {
		object, err := p.call(ctx, method, id)
		if err != nil {
			return Payload{}, err
		}
		return newPayload(v, object, nil, beaconRoot, nil)
	}
	var envelope struct {
		ExecutionPayload json.RawMessage
		BlobsBundle      struct{ Commitments []kzg4844.Commitment }
		Requests         []hexutil.Bytes `json:"executionRequests"`
	}
	if err := p.call.decode(ctx, &envelope, method, id); err != nil {
		return Payload{}, err
	}
	sidecar := types.BlobTxSidecar{Commitments: envelope.BlobsBundle.Commitments}
	return newPayload(v, envelope.ExecutionPayload, sidecar.BlobHashes(), beaconRoot, envelope.Requests)
}

// has reports whether a payload holds all these transactions.
func (p Payload) has(txs []*types.Transaction) (bool, error) {
	var block struct{ Transactions []hexutil.Bytes }
	if err := json.Unmarshal(p.Params[0], &block); err != nil {
		return false, fmt.Errorf("decode a payload: %w", err)
	}
	hashes := make(map[common.Hash]bool, len(block.Transactions))
	for _, tx := range block.Transactions {
		hashes[crypto.Keccak256Hash(tx)] = true
	}
	return !slices.ContainsFunc(txs, func(tx *types.Transaction) bool { return !hashes[tx.Hash()] }), nil
}
