package lists

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/node"
)

// GetInclusionList asks every node, and answers with the longest list: what one node's pool lacks or leaves out,
// another's may have. Where no list is valid it is the primary's answer.
func (m *Merger) GetInclusionList(ctx context.Context, c *engine.Call) engine.Answer {
	ask := func(ctx context.Context, n *node.Node) (engine.Answer, error) { return m.fleet.Ask(ctx, n, c) }
	h := &fleet.Hedge{Fleet: m.fleet, Method: c.Method, Nodes: m.fleet.Pool.Serving(), Call: ask}
	h.Run(ctx, func(int) bool { return false })
	came := h.Came()
	longest, size := -1, 0
	for i := range came {
		r := &came[i]
		if !r.OK() {
			continue
		}
		if n, err := inclusionListSize(r.InclusionList); err != nil {
			m.fleet.Log.Debug("no valid inclusion list", "node", r.Node.Name(), "error", err)
		} else if n > size {
			longest, size = i, n
		}
	}
	if longest >= 0 {
		return came[longest].Answer
	}
	for i := range came {
		if r := &came[i]; r.Failure == nil {
			return r.Answer
		}
	}
	return fleet.WithoutResult(came)
}

var (
	errNoTransactions = errors.New("not a list of transactions")
	errTransaction    = errors.New("not a transaction that may be in it")
	errTooLong        = errors.New("longer than allowed")
)

// inclusionListSize returns how many bytes the RLP encoding of a list has, or an error where it isn't valid
// (bogota.md#engine_getinclusionlistv1).
func inclusionListSize(transactions [][]byte) (int, error) {
	if transactions == nil {
		return 0, errNoTransactions
	}
	var content uint64
	for _, tx := range transactions {
		switch {
		case len(tx) == 0 || tx[0] == types.BlobTxType || tx[0] >= 0x80 && tx[0] < 0xc0:
			return 0, errTransaction
		case tx[0] >= 0xc0: // a legacy transaction is RLP itself (EIP-2718)
			content += uint64(len(tx))
		default:
			content += rlp.BytesSize(tx)
		}
	}
	size := rlp.ListSize(content)
	if size > engine.MaxInclusionList {
		return 0, errTooLong
	}
	return int(size), nil
}
