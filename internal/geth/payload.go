package geth

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/params/forks"
)

// Payload is one block in the form of the newPayload call that carries it.
type Payload struct {
	Number    uint64
	Timestamp uint64 // seconds since the Unix epoch
	Hash      common.Hash
	Parent    common.Hash
	Method    string            // engine_newPayloadV…
	Params    []json.RawMessage // the first is the payload object
	versions  versions
}

// versions are those of the Engine API methods for one fork's payloads.
type versions struct{ forkchoiceUpdated, getPayload, newPayload int }

// versionsAt returns the versions for a payload with that timestamp.
func versionsAt(config *params.ChainConfig, timestamp uint64) (versions, error) {
	switch fork := config.LatestFork(timestamp); fork {
	case forks.Paris:
		return versions{1, 1, 1}, nil
	case forks.Shanghai:
		return versions{2, 2, 2}, nil
	case forks.Cancun:
		return versions{3, 3, 3}, nil
	case forks.Prague:
		return versions{3, 4, 4}, nil
	case forks.Osaka, forks.BPO1, forks.BPO2:
		return versions{3, 5, 4}, nil
	case forks.Amsterdam:
		return versions{4, 6, 5}, nil
	default:
		return versions{}, fmt.Errorf("no Engine API methods are known for %s", fork)
	}
}

// newPayload makes the call for a payload object. Of the other values it takes those that the method of that version
// has.
func newPayload(
	v versions, object json.RawMessage, blobHashes []common.Hash, beaconRoot common.Hash, requests []hexutil.Bytes,
) (Payload, error) {
	var block struct {
		BlockNumber, Timestamp hexutil.Uint64
		BlockHash, ParentHash  common.Hash
	}
	if err := json.Unmarshal(object, &block); err != nil {
		return Payload{}, fmt.Errorf("decode a payload: %w", err)
	}
	p := Payload{
		Number: uint64(block.BlockNumber), Timestamp: uint64(block.Timestamp), Hash: block.BlockHash,
		Parent: block.ParentHash,
		Method: fmt.Sprintf("engine_newPayloadV%d", v.newPayload), Params: []json.RawMessage{object}, versions: v,
	}
	var more []any
	if v.newPayload >= 3 {
		more = append(more, append([]common.Hash{}, blobHashes...), beaconRoot) // [] is not null
	}
	if v.newPayload >= 4 {
		more = append(more, append([]hexutil.Bytes{}, requests...))
	}
	for _, value := range more {
		raw, err := json.Marshal(value)
		if err != nil {
			return Payload{}, err
		}
		p.Params = append(p.Params, raw)
	}
	return p, nil
}

// NewPayload sends the newPayload call and returns the status.
func (p Payload) NewPayload(ctx context.Context, call Call) (status engine.PayloadStatusV1, err error) {
	args := make([]any, len(p.Params))
	for i, param := range p.Params {
		args[i] = param
	}
	err = call.decode(ctx, &status, p.Method, args...)
	return status, err
}

// ForkchoiceUpdated sends a forkchoiceUpdated call that makes the block the head, and returns the status. Safe and
// finalized may be zero.
func (p Payload) ForkchoiceUpdated(
	ctx context.Context, call Call, safe, finalized common.Hash,
) (engine.PayloadStatusV1, error) {
	state := engine.ForkchoiceStateV1{HeadBlockHash: p.Hash, SafeBlockHash: safe, FinalizedBlockHash: finalized}
	response, err := p.versions.updateForkchoice(ctx, call, state, nil)
	return response.PayloadStatus, err
}

// Import sends newPayload and then forkchoiceUpdated. Safe and finalized may be zero. A status other than VALID is a
// *StatusError.
func (p Payload) Import(ctx context.Context, call Call, safe, finalized common.Hash) error {
	status, err := p.NewPayload(ctx, call)
	if err != nil {
		return err
	}
	if status.Status != engine.VALID {
		return &StatusError{p.Method, status}
	}
	status, err = p.ForkchoiceUpdated(ctx, call, safe, finalized)
	if err != nil {
		return err
	}
	if status.Status != engine.VALID {
		return &StatusError{p.versions.forkchoiceMethod(), status}
	}
	return nil
}

// updateForkchoice sends a forkchoiceUpdated call. Attributes may be nil.
func (v versions) updateForkchoice(
	ctx context.Context, call Call, state engine.ForkchoiceStateV1, attributes map[string]any,
) (response engine.ForkChoiceResponse, err error) {
	args := []any{state, attributes}
	if v.forkchoiceUpdated >= 4 {
		args = append(args, nil) // custodyColumns
	}
	err = call.decode(ctx, &response, v.forkchoiceMethod(), args...)
	return response, err
}

// forkchoiceMethod returns the name of the forkchoiceUpdated method.
func (v versions) forkchoiceMethod() string {
	return fmt.Sprintf("engine_forkchoiceUpdatedV%d", v.forkchoiceUpdated)
}
