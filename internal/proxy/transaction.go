package proxy

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
)

// sendRawTransaction gives a transaction to every alive node, so that it is in every pool; the first success is the
// answer. Without one it is the primary's error, else the first node's.
func (p *Proxy) sendRawTransaction(ctx context.Context, r *jsonrpc.Request, m engine.Method) jsonrpc.Reply {
	nodes := p.serving()
	replies := make(chan reply, len(nodes))
	for _, n := range nodes { // they get it even where the caller is content with the first
		p.stragglers.Go(func() { replies <- p.submit(p.ctx, n, r, m) })
	}
	failed := make(map[*node.Node]reply)
	for range nodes {
		select {
		case got := <-replies:
			if got.err == nil && got.Err == nil {
				return got.Reply
			}
			failed[got.node] = got
		case <-ctx.Done():
			return unavailable("the caller has gone")
		}
	}
	why := "no node can be reached"
	for _, n := range nodes { // the primary is the first
		if failed[n].err == nil {
			return failed[n].Reply
		}
		why = n.Name() + ": " + failed[n].err.Error()
	}
	return unavailable(why)
}

// submit gives a transaction to a node. If its connection broke in mid-call, and it knows the transaction when it is
// given it again, then it took it in the first time: that is success.
func (p *Proxy) submit(ctx context.Context, n *node.Node, r *jsonrpc.Request, m engine.Method) reply {
	ctx, cancel := context.WithTimeout(ctx, p.timeout(n, m))
	defer cancel()
	got, retried, err := n.CallRetried(ctx, m.Family, r.Raw)
	if err == nil && got.Err != nil && retried && saysKnown(got.Err.Message) {
		if hash, ok := transactionHash(r.Arg(0)); ok {
			got = jsonrpc.Reply{Result: []byte(`"` + hash.Hex() + `"`)}
		}
	}
	return reply{node: n, Reply: got, err: err}
}

// saysKnown reports whether an error says that the node has the transaction: "already known" (geth, Erigon, Reth),
// "AlreadyKnown" (Nethermind), "Known transaction" (Besu).
func saysKnown(message string) bool {
	message = strings.ToLower(message)
	return strings.Contains(message, "already known") || strings.Contains(message, "alreadyknown") ||
		strings.HasPrefix(message, "known transaction") // but not "unknown transaction type"
}

// transactionHash returns that of a transaction in hex, as it is sent.
func transactionHash(raw []byte) (common.Hash, bool) {
	var b hexutil.Bytes
	if json.Unmarshal(raw, &b) != nil || len(b) == 0 {
		return common.Hash{}, false
	}
	if b[0] != types.BlobTxType {
		return crypto.Keccak256Hash(b), true
	}
	blobs := new(types.Transaction) // it is sent with its blobs, and its hash leaves them out
	if blobs.UnmarshalBinary(b) != nil {
		return common.Hash{}, false
	}
	return blobs.Hash(), true
}
