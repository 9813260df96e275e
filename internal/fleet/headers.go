package fleet

import (
	"context"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/node"
)

// Header asks the nodes that can be reached for a block's header, side by side. The first that has the hash is taken.
// Where none can be proven, because it has fields that we don't know, one is taken in which all agree that tell, and
// several do: a liar's header can't be proven either, and others may hang, or lack the block.
func (f *Fleet) Header(ctx context.Context, hash common.Hash) (p engine.Payload, found bool) {
	nodes := f.Pool.Roll().Reachable()
	headers := make(chan *node.Header, len(nodes)) // nil where a node tells none
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, n := range nodes {
		f.Go(func() {
			if h, err := n.Header(ctx, hash); err == nil {
				headers <- &h
			} else {
				headers <- nil
			}
		})
	}
	agreed, told := true, 0
	for range nodes {
		h := <-headers
		switch {
		case h == nil:
		case h.Proven:
			return h.Payload, true
		case told == 0:
			p, told = h.Payload, 1
		default:
			agreed = agreed && h.Payload == p
			told++
		}
	}
	return p, told > 1 && agreed
}
