package node

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// Head is the block that a node says is its latest; the zero Head where it hasn't said.
type Head struct {
	Number uint64
	Hash   common.Hash
}

// Latest asks the node for its own head, within a probe's time. What the node leaves out is zero.
func (n *Node) Latest(ctx context.Context) (h Head, err error) {
	reply, err := n.ask(ctx, "eth_getBlockByNumber", `["latest",false]`)
	switch {
	case err != nil:
		return h, err
	case reply.Err != nil:
		return h, reply.Err
	}
	var block struct {
		Number hexutil.Uint64
		Hash   common.Hash
	}
	if err := json.Unmarshal(reply.Result, &block); err != nil {
		return h, fmt.Errorf("its latest block: %w", err)
	}
	return Head{uint64(block.Number), block.Hash}, nil
}

// askHead asks the node for its head. What it doesn't tell stays as it was known.
func (n *Node) askHead(ctx context.Context) error {
	head, err := n.Latest(ctx)
	if err != nil || head.Hash == (common.Hash{}) {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.head = head
	return nil
}

// Head returns the block that the node said last is its latest.
func (n *Node) Head() Head {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.head
}
