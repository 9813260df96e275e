package proxy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
)

// catchUp feeds nodes that came back some blocks short. No CL sends a payload again, and a crashed geth has its last
// blocks on disk without their state: it answers a fake VALID to their newPayload and ignores a forkchoiceUpdated on
// them, until one on its own present head has made it count itself as synced. Then newPayload and forkchoiceUpdated for
// every block after that bring it back.
type catchUp struct {
	proxy *Proxy
	ring  *ring

	mu       sync.Mutex
	closed   bool
	attempts map[quorum.NodeID]time.Time // when the last one began
	stranded map[quorum.NodeID]bool      // told that it must sync by itself
	running  sync.WaitGroup
	ctx      context.Context
	stop     context.CancelFunc
}

// attemptInterval is how often a node is tried at most.
const attemptInterval = 30 * time.Second

func newCatchUp(p *Proxy, replayBytes int64) *catchUp {
	c := &catchUp{proxy: p, ring: newRing(replayBytes), attempts: make(map[quorum.NodeID]time.Time), stranded: make(map[quorum.NodeID]bool)}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// try starts an attempt to bring a node up to the head, unless there was one just now.
func (c *catchUp) try(n *node.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, tried := c.attempts[n.ID]
	if c.closed || c.ring.max == 0 || tried && time.Since(last) < attemptInterval || c.proxy.chain.headHash() == (common.Hash{}) {
		return
	}
	c.attempts[n.ID] = time.Now()
	c.running.Go(func() {
		began, err := c.feed(n)
		switch {
		case errors.Is(err, errStranded):
			c.tellStranded(n, err)
		case err != nil && c.ctx.Err() == nil:
			c.proxy.metrics.replays.WithLabelValues("failed").Inc()
			c.proxy.log.Warn("catching up failed", "node", n.Name(), "error", err)
		}
		if !began {
			c.again(n)
		}
	})
}

// again lets the next try go ahead soon: nothing was put to the node.
func (c *catchUp) again(n *node.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attempts[n.ID] = time.Now().Add(retryInterval - attemptInterval)
}

// retryInterval is how soon a node is looked at again that could not be fed, or didn't need it.
const retryInterval = 2 * time.Second

func (c *catchUp) tellStranded(n *node.Node, err error) {
	c.mu.Lock()
	told := c.stranded[n.ID]
	c.stranded[n.ID] = true
	c.mu.Unlock()
	if !told {
		c.proxy.log.Warn("node must sync by itself", "node", n.Name(), "reason", err)
	}
}

// close ends the attempts under way and waits for them.
func (c *catchUp) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.running.Wait()
}

var errStranded = errors.New("the kept payloads don't reach from its latest block to the head")

// feed replays what a node lacks. began says that the node has been given something.
func (c *catchUp) feed(n *node.Node) (began bool, err error) {
	latest, err := n.Latest(c.ctx)
	if err != nil {
		return false, err
	}
	if path, err := c.path(latest); err != nil || len(path) == 0 {
		return false, err
	}
	// In its lane: live calls wait until the node has what they build on.
	turn := c.proxy.pool.Join([]*node.Node{n}, nil)[0]
	return true, n.Hold(c.ctx, turn, func() error {
		latest, err := n.Latest(c.ctx) // it may have moved while the lane emptied
		if err != nil {
			return err
		}
		path, err := c.path(latest)
		if err != nil || len(path) == 0 {
			return err
		}
		return c.replay(n, latest, path)
	})
}

// path is what a node with this head lacks; nothing, if it has all. It reaches beyond our head: the node may have been away
// when a payload came, and be back for the forkchoiceUpdated on it.
func (c *catchUp) path(from node.Head) ([]kept, error) {
	head := c.proxy.chain.headHash()
	if from.Number == 0 && from.Hash != head {
		return nil, fmt.Errorf("%w: it is at genesis", errStranded)
	}
	path, ok := c.ring.bridge(from.Hash, head)
	if !ok {
		return nil, fmt.Errorf("%w: it is at block %d, %s", errStranded, from.Number, from.Hash)
	}
	return path, nil
}

// replay makes the node process the path. Its statuses are neither votes nor words.
func (c *catchUp) replay(n *node.Node, from node.Head, path []kept) error {
	begun := time.Now()
	c.proxy.log.Info("catching up", "node", n.Name(), "from", from.Number, "blocks", len(path))
	if _, err := c.update(n, path[0].forkchoiceMethod, forkchoiceOn(from.Hash)); err != nil {
		return fmt.Errorf("forkchoiceUpdated on its own head: %w", err)
	}
	var last engine.Status
	for _, k := range path {
		reply, err := c.proxy.call(c.ctx, n, k.method, k.body)
		if err == nil {
			last, err = statusOf(engine.NewPayload, reply)
		}
		if err == nil && last != engine.Invalid && k.forkchoiceState != nil {
			last, err = c.update(n, k.forkchoiceMethod, k.forkchoiceState)
		}
		if err != nil {
			return fmt.Errorf("block %d: %w", k.Number, err)
		}
		if last == engine.Invalid {
			return fmt.Errorf("block %d: it says INVALID", k.Number)
		}
	}
	if last != engine.Valid {
		return fmt.Errorf("it answers %s to the last block", last)
	}
	n.Followed()
	c.mu.Lock()
	delete(c.stranded, n.ID)
	c.mu.Unlock()
	c.proxy.metrics.replays.WithLabelValues("success").Inc()
	c.proxy.log.Info("caught up", "node", n.Name(), "blocks", len(path), "duration", time.Since(begun))
	return nil
}

// update makes a forkchoiceUpdated of our own, without payload attributes.
func (c *catchUp) update(n *node.Node, method string, state []byte) (engine.Status, error) {
	params := append(append([]byte{'['}, state...), ",null]"...)
	reply, err := c.proxy.call(c.ctx, n, engine.ParseMethod(method), jsonrpc.NewCall(method, params))
	if err != nil {
		return engine.None, err
	}
	return statusOf(engine.ForkchoiceUpdated, reply)
}

// statusOf reads the status in an answer.
func statusOf(f engine.Family, r jsonrpc.Reply) (engine.Status, error) {
	if r.Err != nil {
		return engine.None, r.Err
	}
	if f == engine.NewPayload {
		s, err := engine.ParsePayloadStatus(r.Result)
		return s.Status, err
	}
	s, err := engine.ParseForkchoiceResult(r.Result)
	return s.Status, err
}
