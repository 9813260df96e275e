package catchup

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/node"
)

// Ignored is Try for a node that calls a head VALID and builds nothing on it, though it was asked to. A geth that was
// killed does so where it has the head on its disk, but not its state: it knows the block, and leaves it at that. It
// never says SYNCING, so that nothing else shows what it lacks; and where all nodes were killed, and we with them,
// nobody has kept the payloads. It has them itself.
func (c *CatchUp) Ignored(n *node.Node, head common.Hash) {
	c.try(n, func(ctx context.Context) (began bool, err error) {
		onDisk, err := lacksState(ctx, n, head)
		if onDisk == nil {
			return false, err
		}
		return c.feed(ctx, n, onDisk)
	})
}

// lacksState returns a block of a node that comes after its latest: it hasn't executed it. Else nil: the node is beyond
// the block, from where the CL has gone back. A client needn't follow it at once, and doesn't build there.
func lacksState(ctx context.Context, n *node.Node, block common.Hash) (*engine.Payload, error) {
	latest, err := n.Latest(ctx)
	if err != nil {
		return nil, err
	}
	header, err := n.Header(ctx, block)
	if err != nil || header.Number <= latest.Number {
		return nil, err
	}
	return &header.Payload, nil
}

// execute makes a node execute what it has on its disk: it has counted itself as synced since the forkchoiceUpdated on
// its own latest block. One that says VALID and does nothing has to sync by itself, and isn't disturbed while it does.
func (c *CatchUp) execute(ctx context.Context, n *node.Node, s *step) (engine.Status, error) {
	status, err := c.update(ctx, n, s.Block, s.forkchoice)
	if err != nil || status != engine.Valid {
		return status, err
	}
	latest, err := n.Latest(ctx)
	if err == nil && latest.Hash != s.Block {
		c.leave(n, latest)
		err = fmt.Errorf("%w: it has that block, and stays at %d, %s", errStranded, latest.Number, latest.Hash)
	}
	return status, err
}
