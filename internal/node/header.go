package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/engine"
)

// Header is what a node tells of a block's header. Proven says that the header has the hash; one with fields that we
// don't know can't be proven.
type Header struct {
	engine.Payload
	Proven bool
}

var errNoBlock = errors.New("the node doesn't have the block")

// Header asks the node for a block's header (eth_getBlockByHash), within a probe's time.
func (n *Node) Header(ctx context.Context, hash common.Hash) (Header, error) {
	var raw json.RawMessage
	if err := n.askInto(ctx, "eth_getBlockByHash", fmt.Sprintf(`[%q,false]`, hash.Hex()), &raw); err != nil {
		return Header{}, err
	}
	return readHeader(raw, hash)
}

// readHeader reads a block's header from what a node answers to eth_getBlockByHash.
func readHeader(raw []byte, hash common.Hash) (Header, error) {
	var h *struct {
		Hash       *common.Hash
		ParentHash *common.Hash
		Number     *hexutil.Uint64
		Timestamp  *hexutil.Uint64
	}
	switch err := json.Unmarshal(raw, &h); {
	case err != nil:
		return Header{}, errUnexpected
	case h == nil:
		return Header{}, errNoBlock
	case h.Hash == nil || *h.Hash != hash || h.ParentHash == nil || h.Number == nil || h.Timestamp == nil:
		return Header{}, errUnexpected
	}
	var whole types.Header
	proven := json.Unmarshal(raw, &whole) == nil && whole.Hash() == hash
	return Header{engine.Payload{
		Hash: hash, Parent: *h.ParentHash, Number: uint64(*h.Number), Timestamp: uint64(*h.Timestamp),
	}, proven}, nil
}
