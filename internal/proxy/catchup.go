package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
	"executionbackup/internal/wire"
)

// catchUp feeds nodes that came back some blocks short. No CL sends a payload again, and a crashed geth has its last
// blocks on disk without their state: it answers a fake VALID to their newPayload and ignores a forkchoiceUpdated on
// them, until one on its own present head has made it count itself as synced. Then newPayload and forkchoiceUpdated for
// every block after that bring it back.
type catchUp struct {
	proxy *Proxy
	ring  *ring

	mu      sync.Mutex
	closed  bool
	nodes   map[quorum.NodeID]*patient
	running sync.WaitGroup
	ctx     context.Context
	stop    context.CancelFunc
}

// patient is what is known of feeding one node.
type patient struct {
	tried    bool
	last     time.Time // when the last attempt began
	fresh    bool      // it has returned since, or nothing was put to it: it needn't wait for long
	failures int       // in a row
	stranded bool      // told that it must sync by itself
	deaths   map[common.Hash]*deaths
}

// deaths count how often a node died under a payload.
type deaths struct {
	n    int
	last time.Time
	told bool
}

const (
	// attemptInterval is how often a node is tried at most.
	attemptInterval = 30 * time.Second
	// returnInterval is how soon one is tried again that has returned from the dead; it doubles with each failure.
	returnInterval = 2 * time.Second
	// maxDeaths is under how many deaths a payload isn't fed to the node again for a while: deadlyFor.
	maxDeaths = 2
	deadlyFor = 10 * time.Minute
)

func newCatchUp(p *Proxy, replayBytes int64) *catchUp {
	c := &catchUp{proxy: p, ring: newRing(replayBytes), nodes: make(map[quorum.NodeID]*patient)}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// node returns what is known of a node. c.mu is held.
func (c *catchUp) node(id quorum.NodeID) *patient {
	n := c.nodes[id]
	if n == nil {
		n = &patient{deaths: make(map[common.Hash]*deaths)}
		c.nodes[id] = n
	}
	return n
}

// interval is how long after an attempt another may begin.
func (n *patient) interval() time.Duration {
	if n.fresh {
		return min(returnInterval<<n.failures, attemptInterval)
	}
	return attemptInterval
}

// returned is try for a node that is back from the dead: what went before doesn't hold it up for long.
func (c *catchUp) returned(n *node.Node) {
	c.mu.Lock()
	c.node(n.ID).fresh = true
	c.mu.Unlock()
	c.try(n)
}

// try starts an attempt to bring a node up to the head, unless there was one just now.
func (c *catchUp) try(n *node.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.node(n.ID)
	if c.closed || c.ring.max == 0 || known.tried && time.Since(known.last) < known.interval() || c.proxy.chain.toFollow() == zeroHash {
		return
	}
	known.tried, known.last, known.fresh = true, time.Now(), false
	c.running.Go(func() {
		began, err := c.feed(n)
		c.note(n, began, err)
		switch {
		case errors.Is(err, errStranded):
			c.tellStranded(n, err)
		case err != nil && c.ctx.Err() == nil:
			c.proxy.metrics.replays.WithLabelValues("failed").Inc()
			c.proxy.log.Warn("catching up failed", "node", n.Name(), "error", err)
		}
	})
}

// note keeps how an attempt ended. Where nothing was put to the node it is looked at again soon.
func (c *catchUp) note(n *node.Node, began bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch known := c.node(n.ID); {
	case !began:
		known.fresh = true
	case err != nil:
		known.failures = min(known.failures+1, 8)
	default:
		known.failures = 0
	}
}

// died notes that a node died under a payload.
func (c *catchUp) died(id quorum.NodeID, block common.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.node(id)
	for hash, d := range known.deaths {
		if time.Since(d.last) >= deadlyFor {
			delete(known.deaths, hash)
		}
	}
	d := known.deaths[block]
	if d == nil {
		d = new(deaths)
		known.deaths[block] = d
	}
	d.n++
	d.last = time.Now()
}

// deadly returns the first payload of a path under which the node has died so often that it isn't fed to it.
func (c *catchUp) deadly(n *node.Node, path []kept) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range path {
		if d := c.node(n.ID).deaths[k.Hash]; d != nil && d.n >= maxDeaths && time.Since(d.last) < deadlyFor {
			if !d.told {
				c.proxy.log.Error("a node died again and again under a payload: it isn't fed to it for now",
					"node", n.Name(), "block_hash", k.Hash, "number", k.Number, "deaths", d.n)
			}
			d.told = true
			return fmt.Errorf("%w: it died %d times under block %d, %s", errStranded, d.n, k.Number, k.Hash)
		}
	}
	return nil
}

// forget drops what is known of a node that has been removed.
func (c *catchUp) forget(n *node.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.nodes, n.ID)
}

func (c *catchUp) tellStranded(n *node.Node, err error) {
	c.mu.Lock()
	known := c.node(n.ID)
	told := known.stranded
	known.stranded = true
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

var errStranded = errors.New("the kept payloads don't bring it to the head")

// feed replays what a node lacks. began says that the node has been given something.
func (c *catchUp) feed(n *node.Node) (began bool, err error) {
	latest, err := n.Latest(c.ctx)
	if err != nil {
		return false, err
	}
	if path, err := c.path(n, latest); err != nil || len(path) == 0 {
		return false, err
	}
	// In its lane: live calls wait until the node has what they build on.
	turn := c.proxy.pool.Join([]*node.Node{n}, nil)[0]
	return true, n.Hold(c.ctx, turn, func() error {
		latest, err := n.Latest(c.ctx) // it may have moved while the lane emptied
		if err != nil {
			return err
		}
		path, err := c.path(n, latest)
		if err != nil || len(path) == 0 {
			return err
		}
		return c.replay(n, latest, path)
	})
}

// path is what a node with this head lacks; nothing, if it has all. It reaches beyond our head: the node may have been away
// when a payload came, and be back for the forkchoiceUpdated on it.
func (c *catchUp) path(n *node.Node, from node.Head) ([]kept, error) {
	if from.Hash == zeroHash {
		return nil, fmt.Errorf("%w: it doesn't say where it is", errStranded)
	}
	head := c.proxy.chain.headHash()
	path, ok := c.ring.bridge(from.Hash, head)
	if !ok {
		return nil, fmt.Errorf("%w: it is at block %d, %s", errStranded, from.Number, from.Hash)
	}
	if from.Hash == head { // but for what it wasn't there for, or may have lost
		path = slices.DeleteFunc(path, func(k kept) bool { return c.proxy.memory.SentSince(n.ID, k.Hash) })
	}
	return path, c.deadly(n, path)
}

// replay makes the node process the path. Its statuses are neither votes nor words.
func (c *catchUp) replay(n *node.Node, from node.Head, path []kept) error {
	begun := time.Now()
	c.proxy.log.Info("catching up", "node", n.Name(), "from", from.Number, "blocks", len(path))
	if _, err := c.update(n, path[0].forkchoiceMethod, forkchoiceOn(from.Hash)); err != nil {
		return fmt.Errorf("forkchoiceUpdated on its own head: %w", err)
	}
	for _, k := range path {
		status, err := c.replayOne(n, k)
		beyond := k.forkchoiceState == nil // the CL hasn't made it the head: it need not be valid
		switch {
		case err != nil:
			return fmt.Errorf("block %d: %w", k.Number, err)
		case status != engine.Valid && !beyond:
			return fmt.Errorf("block %d: it says %s", k.Number, status)
		}
	}
	n.Followed()
	c.mu.Lock()
	c.node(n.ID).stranded = false
	c.mu.Unlock()
	c.proxy.metrics.replays.WithLabelValues("success").Inc()
	c.proxy.log.Info("caught up", "node", n.Name(), "blocks", len(path), "duration", time.Since(begun))
	return nil
}

// replayOne makes the node process one payload, and makes that its head where the CL did.
func (c *catchUp) replayOne(n *node.Node, k kept) (engine.Status, error) {
	_, breaks := c.proxy.memory.Standing(n.ID)
	c.proxy.memory.Sent(n.ID, k.Hash, breaks)
	reply, err := c.proxy.call(c.ctx, n, k.method, k.body)
	var status engine.Status
	if err == nil {
		status, err = statusOf(engine.NewPayload, reply)
	}
	if err == nil && status != engine.Invalid && k.forkchoiceState != nil {
		status, err = c.update(n, k.forkchoiceMethod, k.forkchoiceState)
	}
	if failure, failed := err.(*wire.Failure); failed && failure.Died {
		c.died(n.ID, k.Hash)
	}
	return status, err
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
