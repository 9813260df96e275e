package catchup

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/node"
)

// A geth that was killed may have blocks on its disk without their state. It calls forkchoiceUpdated on them VALID and
// ignores it, until one on its own latest block has made it count itself as synced; then the next one makes it execute
// them. Where all nodes were killed, and we with them, nobody has kept the payloads. The geth has them itself.

// maxOnDisk is how many blocks a node is made to execute at most: it answers nothing else meanwhile.
const maxOnDisk = 1024

// Ignored is Try for a node that calls a head VALID and builds nothing on it, though it was asked to, if it may have to
// execute what it has on its disk. It never says SYNCING, so that nothing else shows what it lacks. Others that don't
// build have all they need, and aren't fed: they have no builder, or the CL has gone back from where they are.
func (c *CatchUp) Ignored(n *node.Node) {
	c.fleet.Background(func(ctx context.Context) {
		if _, way, err := c.look(ctx, n); err == nil && len(way) > 0 && way[0].onDisk {
			c.Try(n)
		}
	})
}

// onDisk is the step to a block that a node has, and that comes after its latest, but not by much. A geth at genesis
// would have to come out of snap sync for it, and isn't asked to.
func (c *CatchUp) onDisk(ctx context.Context, n *node.Node, from node.Head, block common.Hash) (s step, ok bool) {
	if from.Number == 0 || block == (common.Hash{}) {
		return step{}, false
	}
	header, err := n.Header(ctx, block)
	if err != nil || header.Number <= from.Number || header.Number-from.Number > maxOnDisk {
		return step{}, false
	}
	call := &engine.Call{Block: block, Payload: header.Payload}
	return step{Call: call, forkchoice: followed{method: c.lastMethod()}, onDisk: true}, true
}

// ignores makes sure that a node calls a block VALID that it has on its disk. It may execute it then, or ignore it. One
// that syncs says so, and isn't made to go back to its latest block.
func (c *CatchUp) ignores(ctx context.Context, n *node.Node, from node.Head, s *step) error {
	status, err := c.update(ctx, n, s.Block, s.forkchoice)
	if err != nil {
		return fmt.Errorf("forkchoiceUpdated on what it has: %w", err)
	}
	if status != engine.Valid {
		c.leave(n, from)
		return fmt.Errorf("%w: it is at block %d, %s, and says %s to block %d, which it has", errStranded,
			from.Number, from.Hash, status, s.Payload.Number)
	}
	return nil
}

// execute makes a node execute what it has on its disk. One that only says VALID again has to sync by itself.
func (c *CatchUp) execute(ctx context.Context, n *node.Node, s *step) (engine.Status, error) {
	status, err := c.update(ctx, n, s.Block, s.forkchoice)
	if err != nil || status != engine.Valid {
		return status, err
	}
	latest, err := n.Latest(ctx)
	if err != nil {
		return status, fmt.Errorf("its latest block: %w", err)
	}
	if latest.Hash != s.Block {
		c.leave(n, latest)
		err = fmt.Errorf("%w: it has that block, and stays at %d, %s", errStranded, latest.Number, latest.Hash)
	}
	return status, err
}

// blocks is how many blocks a node executes on a way.
func blocks(from node.Head, way []step) int {
	if way[0].onDisk {
		return len(way) - 1 + int(way[0].Payload.Number-from.Number)
	}
	return len(way)
}
