//go:build e2e

package live

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/geth"
)

// sender sends transactions to where the consensus client sends its calls: three transfers a slot,
// and blobs.
type sender struct {
	blobs       atomic.Uint64 // transactions with a blob in each slot
	call        geth.Call
	blobAccount common.Address
	made        []*types.Transaction // with blobs, by nonce: each takes a quarter of a second
	nodes       []*node              // who knows how many transactions an account has made
}

func startSender(t testing.TB, g genesis, nodes []*node, endpoint string, secret [32]byte) *sender {
	t.Helper()
	call, err := geth.Dial(endpoint, secret)
	if err != nil {
		t.Fatal(err)
	}
	s := &sender{call: call, nodes: nodes}
	blob, err := s.blob(2 * osakaTarget)
	if err != nil {
		t.Fatal(err)
	}
	if s.blobAccount, err = types.Sender(types.LatestSignerForChainID(blob.ChainId()), blob); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	running.Go(func() {
		for {
			// The last block is in by then, and the next is built at the end of the slot.
			next := g.startOf(g.slotAt(time.Now()) + 1).Add(g.slot / 4)
			select {
			case <-time.After(time.Until(next)):
				s.round(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
	return s
}

// round sends what a block shall hold. What doesn't arrive because of a fault is sent again in the next round.
func (s *sender) round(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	s.send(ctx, geth.Developer, 3, func(nonce uint64) (*types.Transaction, error) { return geth.Transfer(nonce), nil })
	s.send(ctx, s.blobAccount, s.blobs.Load(), s.blob)
}

// blob returns the transaction of that nonce with one blob.
func (s *sender) blob(nonce uint64) (*types.Transaction, error) {
	for next := uint64(len(s.made)); next <= nonce; next++ {
		tx, err := geth.BlobTransaction(next)
		if err != nil {
			return nil, err
		}
		s.made = append(s.made, tx)
	}
	return s.made[nonce], nil
}

// send sends an account's next transactions. Errors don't matter: a node that has a transaction already says so, too.
func (s *sender) send(
	ctx context.Context, account common.Address, n uint64, transaction func(nonce uint64) (*types.Transaction, error),
) {
	nonce, known := s.nonce(ctx, account)
	if !known {
		return
	}
	for i := range n {
		tx, err := transaction(nonce + i)
		if err != nil {
			return
		}
		encoded, err := tx.MarshalBinary()
		if err != nil {
			return
		}
		s.call(ctx, "eth_sendRawTransaction", hexutil.Bytes(encoded))
	}
}

// nonce asks the nodes themselves, because ethereumjs's Engine API port has no eth_getTransactionCount.
func (s *sender) nonce(ctx context.Context, account common.Address) (nonce uint64, known bool) {
	for _, n := range s.nodes {
		var count hexutil.Uint64
		raw, err := n.ask(ctx, "eth_getTransactionCount", account, "latest")
		if err == nil && count.UnmarshalJSON(raw) == nil {
			nonce, known = max(nonce, uint64(count)), true // one that came back may be behind
		}
	}
	return nonce, known
}
