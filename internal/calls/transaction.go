package calls

import (
	"context"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/node"
	"executionbackup/internal/tracing"
)

// sendRawTransaction gives a transaction to every alive node, so that it is in every pool; the first success is the
// answer. Without one it is the primary's error, else the first node's.
func (r *Router) sendRawTransaction(ctx context.Context, c *engine.Call) engine.Answer {
	nodes := r.fleet.Pool.Serving()
	replies := make(chan fleet.Reply, len(nodes))
	beside := tracing.Carry(r.fleet.Context(), ctx)
	for _, n := range nodes { // they get it even where the caller is content with the first
		r.fleet.Go(func() { replies <- r.submit(beside, n, c) })
	}
	failed := make(map[*node.Node]fleet.Reply)
	for range nodes {
		select {
		case got := <-replies:
			if got.OK() {
				return got.Answer
			}
			failed[got.Node] = got
		case <-ctx.Done():
			return engine.Unavailable("the caller has gone")
		}
	}
	why := "no node can be reached"
	for _, n := range nodes { // the primary is the first
		if failed[n].Failure == nil {
			return failed[n].Answer
		}
		why = n.Name() + ": " + failed[n].Failure.Error()
	}
	return engine.Unavailable(why)
}

// submit gives a transaction to a node. If its connection broke in mid-call, and it knows the transaction when it is
// given it again, then it took it in the first time: that is success.
func (r *Router) submit(ctx context.Context, n *node.Node, c *engine.Call) fleet.Reply {
	ctx, cancel := context.WithTimeout(ctx, r.fleet.Timeout(n, c.Method))
	defer cancel()
	got, retried, err := n.CallRetried(ctx, c)
	if err == nil && got.Err != nil && retried && saysKnown(got.Err.Message) {
		if hash, ok := transactionHash(c.Transaction); ok {
			got = engine.Answer{Transaction: &hash}
		}
	}
	return fleet.Reply{Node: n, Answer: got, Failure: err}
}

// saysKnown reports whether an error says that the node has the transaction: "already known" (geth, Erigon, Reth),
// "AlreadyKnown" (Nethermind), "Known transaction" (Besu).
func saysKnown(message string) bool {
	message = strings.ToLower(message)
	return strings.Contains(message, "already known") || strings.Contains(message, "alreadyknown") ||
		strings.HasPrefix(message, "known transaction") // but not "unknown transaction type"
}

// transactionHash returns the hash of a transaction in the encoding in which it is sent, if it has one.
func transactionHash(tx []byte) (common.Hash, bool) {
	if len(tx) == 0 {
		return common.Hash{}, false
	}
	if tx[0] != types.BlobTxType {
		return crypto.Keccak256Hash(tx), true
	}
	blobs := new(types.Transaction) // it is sent with its blobs, which its hash leaves out
	if blobs.UnmarshalBinary(tx) != nil {
		return common.Hash{}, false
	}
	return blobs.Hash(), true
}
