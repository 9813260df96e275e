package proxy

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
)

// getInclusionList asks every node, and answers with the longest list: what one node's pool lacks or leaves out,
// another's may have. Where no list is valid it is the primary's answer.
func (p *Proxy) getInclusionList(ctx context.Context, r *jsonrpc.Request, m engine.Method) jsonrpc.Reply {
	if len(p.pool.Nodes()) == 1 {
		return p.forward(ctx, r, m, nil)
	}
	h := &hedge{proxy: p, method: m, nodes: p.serving(), call: p.caller(m, r.Raw)}
	h.run(ctx, func(int) bool { return false })
	came := h.came()
	longest, size := -1, 0
	for i, got := range came {
		if got.err != nil || got.Err != nil {
			continue
		}
		n, err := inclusionListSize(got.Result)
		if err != nil {
			p.log.Debug("no valid inclusion list", "node", got.node.Name(), "error", err)
		} else if n > size {
			longest, size = i, n
		}
	}
	if longest >= 0 {
		return came[longest].Reply
	}
	for _, got := range came {
		if got.err == nil {
			return got.Reply
		}
	}
	return withoutResult(came)
}

// maxInclusionList is MAX_BYTES_PER_INCLUSION_LIST (bogota.md#constants).
const maxInclusionList = 8192

// maxInclusionListJSON is more than a valid list has in JSON, be each transaction a single byte.
const maxInclusionListJSON = 16 * maxInclusionList

var (
	errTooLong     = errors.New("longer than allowed")
	errTransaction = errors.New("not a transaction that may be in it")
)

// inclusionListSize returns how many bytes the RLP encoding of a list has, or an error where it isn't valid
// (bogota.md#engine_getinclusionlistv1).
func inclusionListSize(result []byte) (int, error) {
	if len(result) > maxInclusionListJSON {
		return 0, errTooLong
	}
	transactions, err := jsonrpc.Elements(result)
	if err != nil {
		return 0, err
	}
	var content uint64
	for _, raw := range transactions {
		text, _ := jsonrpc.String(raw)
		tx, err := hexutil.Decode(text)
		switch {
		case err != nil:
			return 0, err
		case len(tx) == 0 || tx[0] == types.BlobTxType || tx[0] >= 0x80 && tx[0] < 0xc0:
			return 0, errTransaction
		case tx[0] >= 0xc0: // a legacy transaction is RLP itself (EIP-2718)
			content += uint64(len(tx))
		default:
			content += rlp.BytesSize(tx)
		}
	}
	size := rlp.ListSize(content)
	if size > maxInclusionList {
		return 0, errTooLong
	}
	return int(size), nil
}
