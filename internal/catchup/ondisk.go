package catchup

import (
	"context"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
	"executionbackup/internal/wire"
)

// A geth that was killed may have blocks on its disk without their state. It calls forkchoiceUpdated on them VALID and
// ignores it, until one on its own latest block has made it count itself as synced; then the next one makes it execute
// them. Where all nodes were killed, and we with them, nobody has kept the payloads. The geth has them itself.

// maxOnDisk is how many blocks a node is made to execute at most: it answers nothing else meanwhile.
const maxOnDisk = 1024

// Ignored is Try for a node that calls a head VALID and builds nothing on it, though it was asked to, if it may have to
// execute what it has on its disk. It never says SYNCING, so that nothing else shows what it lacks. Others that don't
// build have all they need, and aren't fed: they have no builder, or the CL has gone back from where they are. Where
// they are they may tell a little late.
func (c *CatchUp) Ignored(n *node.Node) {
	if !c.watch(n.ID, true) {
		return
	}
	c.fleet.Background(func(ctx context.Context) {
		defer c.watch(n.ID, false)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
		if _, way, err := c.look(ctx, n); err == nil && len(way) > 0 && way[0].onDisk {
			c.Try(n)
		}
	})
}

// watch notes whether Ignored is about to look at a node, and reports whether that is new.
func (c *CatchUp) watch(id quorum.NodeID, on bool) (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.patient(id)
	changed = p.watched != on
	p.watched = on
	return changed
}

// onDisk is the step to a block that a node has, and that comes after its latest, but not by much. A geth at genesis
// would have to come out of snap sync for it, and isn't asked to. Nor is a node that is on another branch: the CL may
// be about to go there.
func (c *CatchUp) onDisk(ctx context.Context, n *node.Node, from node.Head, block common.Hash) (s step, ok bool) {
	if from.Number == 0 || block == (common.Hash{}) || c.Of(from.Hash) != nil {
		return step{}, false
	}
	header, err := n.Header(ctx, block)
	if err != nil || header.Number <= from.Number || header.Number-from.Number > maxOnDisk {
		return step{}, false
	}
	call := &engine.Call{Block: block, Payload: header.Payload}
	return step{Call: call, forkchoice: followed{method: c.lastMethod()}, onDisk: true}, true
}

// lookAgain looks at a node to which a block was put that it has on its disk. It has executed it then, or ignores it,
// and the way begins there as before. One that syncs says so; it, and one that moves, isn't made to go back to its
// latest block, and is left alone as long as it gets nearer. So is one that takes longer than we wait.
func (c *CatchUp) lookAgain(ctx context.Context, n *node.Node, was node.Head, s *step) (node.Head, []step, error) {
	if c.fleet.Passive() {
		return was, nil, errPassive
	}
	c.leave(n, was)
	status, err := c.update(ctx, n, s.Block, s.forkchoice)
	c.noteDeath(n, s, err)
	if err != nil {
		return was, nil, fmt.Errorf("forkchoiceUpdated on block %d, which it has: %w", s.Payload.Number, err)
	}
	if status != engine.Valid {
		return was, nil, fmt.Errorf("%w: it is at block %d, %s, and says %s to block %d, which it has", errStranded,
			was.Number, was.Hash, status, s.Payload.Number)
	}
	latest, way, err := c.look(ctx, n)
	if err == nil && len(way) > 0 && way[0].onDisk && (latest != was || way[0].Block != s.Block) {
		err = fmt.Errorf("%w: it has moved to block %d, %s", errStranded, latest.Number, latest.Hash)
	}
	return latest, way, err
}

// execute makes a node execute what it has on its disk. One that doesn't has to sync by itself.
func (c *CatchUp) execute(ctx context.Context, n *node.Node, s *step) (engine.Status, error) {
	status, err := c.update(ctx, n, s.Block, s.forkchoice)
	if _, failed := err.(*wire.Failure); failed {
		return status, err
	}
	says := status.String()
	if err != nil {
		says = err.Error()
	}
	latest, err := n.Latest(ctx)
	switch {
	case err != nil:
		return status, fmt.Errorf("its latest block: %w", err)
	case latest.Hash != s.Block:
		return status, fmt.Errorf("%w: it has that block, says %s, and stays at %d, %s", errStranded, says,
			latest.Number, latest.Hash)
	}
	return status, nil
}

// blocks is how many blocks a node executes on a way.
func blocks(from node.Head, way []step) int {
	if way[0].onDisk {
		return len(way) - 1 + int(way[0].Payload.Number-from.Number)
	}
	return len(way)
}
