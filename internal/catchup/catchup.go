// Package catchup feeds nodes that came back some blocks short. No CL sends a payload again, and a crashed geth has its
// last blocks on disk without their state: it answers a fake VALID to their newPayload and ignores a forkchoiceUpdated
// on them, until one on its own present head has made it count itself as synced. Then newPayload and forkchoiceUpdated
// for every block after that bring it back.
package catchup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/lane"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
	"executionbackup/internal/wire"
)

// CatchUp brings nodes to the head with the payloads that are kept. Each attempt is a goroutine of the fleet's
// Background, which Drain ends. Safe for concurrent use.
type CatchUp struct {
	*Payloads
	fleet   *fleet.Fleet
	replays *prometheus.CounterVec

	mu    sync.Mutex                 // guards what follows
	nodes map[quorum.NodeID]*patient // those that were fed, came back, or died
}

// patient is what is known of feeding one node.
type patient struct {
	tried    bool
	last     time.Time               // when the last attempt began
	back     bool                    // it has returned since, or nothing was put to it: it needn't wait for long
	returned bool                    // the attempt under way, or the next one, is the first since it has returned
	watched  bool                    // Ignored is about to look where it is
	failures int                     // in a row
	stranded bool                    // the log has told that it must sync by itself
	walk     *walk                   // what it makes of that; nil where it needn't
	deaths   map[common.Hash]*deaths // by the payload's block
}

// walk is how a node gets nearer that has to sync by itself.
type walk struct {
	at     uint64    // the number of its latest block at the last look
	since  time.Time // when it was found to have got further
	looked time.Time // when the last look was
}

// deaths count how often a node died under a payload.
type deaths struct {
	n    int
	last time.Time
	told bool // the log has told that the payload isn't fed to the node
}

const (
	// attemptInterval is how often a node is tried at most.
	attemptInterval = 30 * time.Second
	// returnInterval is how soon one is tried again that has returned from the dead; it doubles with each failure.
	returnInterval = 2 * time.Second
	// maxFailures is how many failures count: it doesn't double more often.
	maxFailures = 8
	// maxDeaths is after how many deaths of a node under a payload that isn't fed to it again, and deadlyFor how long.
	maxDeaths = 2
	deadlyFor = 10 * time.Minute
)

// New returns what feeds the nodes of a fleet with up to so many bytes of payloads; 0 keeps none.
func New(f *fleet.Fleet, bytes int64, r prometheus.Registerer) *CatchUp {
	replays := fleet.Outcomes(r, "replays_total",
		"Times that a node was brought up to the head with kept payloads, by outcome: success or failed.",
		"outcome", "success", "failed")
	return &CatchUp{Payloads: newPayloads(bytes), fleet: f, replays: replays, nodes: make(map[quorum.NodeID]*patient)}
}

// patient returns what is known of a node. c.mu is held.
func (c *CatchUp) patient(id quorum.NodeID) *patient {
	n := c.nodes[id]
	if n == nil {
		n = &patient{deaths: make(map[common.Hash]*deaths)}
		c.nodes[id] = n
	}
	return n
}

// interval is how long after an attempt another may begin.
func (p *patient) interval() time.Duration {
	if p.back {
		return min(returnInterval<<p.failures, attemptInterval)
	}
	return attemptInterval
}

// wait is how long it takes until another attempt may begin; 0 or less where it may now.
func (p *patient) wait() time.Duration {
	if !p.tried {
		return 0
	}
	return p.interval() - time.Since(p.last)
}

// Returned is Try for a node that is back from the dead: what went before doesn't hold it up for long. Where it does,
// the node is tried after that: nothing else may show that it lacks something, where no other follows the CL.
func (c *CatchUp) Returned(n *node.Node) {
	c.noteReturn(n)
	wait, last := c.wait(n)
	if wait <= 0 {
		c.Try(n)
		return
	}
	c.fleet.Background(func(ctx context.Context) {
		for wait > 0 { // longer, where the attempt under way fails meanwhile
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
			if c.fleet.Pool.Node(n.ID) != n { // it has been removed
				return
			}
			began := last
			if wait, last = c.wait(n); last != began { // it has been tried since
				return
			}
		}
		c.Try(n)
	})
}

// wait is how long it takes until another attempt may begin, and when the last one began.
func (c *CatchUp) wait(n *node.Node) (wait time.Duration, last time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.patient(n.ID)
	return p.wait(), p.last
}

// Missed is Returned for a node to which payloads didn't go, because another alone answered the CL. Be it the one that
// does so by now: it lacks what the CL has sent. What goes to the node from now on comes after that.
func (c *CatchUp) Missed(n *node.Node) {
	c.noteReturn(n)
	if !c.begin(n) {
		return
	}
	turn := c.fleet.Pool.Reserve(n)
	if !c.fleet.Background(func(ctx context.Context) { c.note(ctx, n, true, c.feedIn(ctx, n, turn)) }) {
		turn.Done()
	}
}

// noteReturn notes that what went before doesn't hold a node up for long.
func (c *CatchUp) noteReturn(n *node.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.patient(n.ID)
	p.back, p.returned = true, true
}

// Try starts an attempt to bring a node up to the head, unless there was one just now. It doesn't wait for it. A node
// that alone answers the CL gets what the CL sends, and nothing else.
func (c *CatchUp) Try(n *node.Node) {
	if _, alone := c.fleet.Mode(); n == alone || !c.begin(n) {
		return
	}
	c.fleet.Background(func(ctx context.Context) {
		began, err := c.feed(ctx, n)
		c.note(ctx, n, began, err)
	})
}

// begin notes that an attempt begins, unless it may not.
func (c *CatchUp) begin(n *node.Node) (begun bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.patient(n.ID)
	if p.wait() > 0 || c.max == 0 || c.fleet.Passive() || c.fleet.Controller.Chain.ToFollow() == (common.Hash{}) {
		return false
	}
	p.tried, p.last, p.back = true, time.Now(), false
	return true
}

// note keeps how an attempt ended, and tells of a failure.
func (c *CatchUp) note(ctx context.Context, n *node.Node, began bool, err error) {
	c.keep(n, began, err)
	switch {
	case errors.Is(err, errStranded):
		c.tellStranded(n, err)
	case err != nil && ctx.Err() == nil:
		c.replays.WithLabelValues("failed").Inc()
		c.fleet.Log.Warn("catching up failed", "node", n.Name(), "error", err)
	}
}

// keep keeps how an attempt ended. Where nothing was put to the node, the next attempt may come soon; and after the
// first one since its return, too: a payload that came meanwhile, to which it said SYNCING, may not have been kept yet.
func (c *CatchUp) keep(n *node.Node, began bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch p := c.patient(n.ID); {
	case !began:
		p.back = true
	case err != nil:
		p.failures = min(p.failures+1, maxFailures)
	default:
		p.failures = 0
		p.back, p.returned = p.returned, false
	}
}

// Died notes that a node died under a payload.
func (c *CatchUp) Died(id quorum.NodeID, block common.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.patient(id)
	for hash, d := range p.deaths {
		if time.Since(d.last) >= deadlyFor {
			delete(p.deaths, hash)
		}
	}
	d := p.deaths[block]
	if d == nil {
		d = new(deaths)
		p.deaths[block] = d
	}
	d.n++
	d.last = time.Now()
}

// harmless leaves out of a way beyond the head each payload under which the node has died so often that it isn't fed to
// it, and what builds on that. It returns an error where such a payload is before the head. The first time that a
// payload is withheld is logged.
func (c *CatchUp) harmless(n *node.Node, way []step) (fed []step, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[common.Hash]bool)
	for _, s := range way {
		d := c.patient(n.ID).deaths[s.Block]
		isDeadly := d != nil && d.n >= maxDeaths && time.Since(d.last) < deadlyFor
		if isDeadly && !d.told {
			d.told = true
			c.fleet.Log.Error("a node died again and again under a payload: it isn't fed to it for now",
				"node", n.Name(), "block_hash", s.Block, "number", s.Payload.Number, "deaths", d.n)
		}
		switch {
		case isDeadly && !s.beyond:
			return nil, fmt.Errorf("%w: it died %d times under block %d, %s",
				errStranded, d.n, s.Payload.Number, s.Block)
		case isDeadly, out[s.Payload.Parent]:
			out[s.Block] = true
		default:
			fed = append(fed, s)
		}
	}
	return fed, nil
}

// Forget drops what is known of a node that has been removed.
func (c *CatchUp) Forget(n *node.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.nodes, n.ID)
}

// tellStranded logs that a node can't be brought to the head, once until it has been.
func (c *CatchUp) tellStranded(n *node.Node, err error) {
	c.mu.Lock()
	p := c.patient(n.ID)
	told := p.stranded
	p.stranded = true
	c.mu.Unlock()
	if !told {
		c.fleet.Log.Warn("node must sync by itself", "node", n.Name(), "reason", err)
	}
}

var errPassive = errors.New("another instance leads the nodes")

var errStranded = errors.New("the kept payloads don't bring it to the head")

// feed replays what a node lacks. began says that the node has been given something.
func (c *CatchUp) feed(ctx context.Context, n *node.Node) (began bool, err error) {
	latest, way, err := c.look(ctx, n)
	if latest == (node.Head{}) { // it hasn't said where it is
		return false, err
	}
	if c.walks(n, latest, way, err) || err != nil || len(way) == 0 {
		return false, err
	}
	return true, c.feedIn(ctx, n, c.fleet.Pool.Reserve(n))
}

// walks reports whether a node that had to sync by itself gets nearer: it has moved within attemptInterval, also where
// its connections broke since. To feed it now would make it go back to where it was a moment ago; a geth has lost its
// state over that, and never come back. A node that nobody has looked at for long has been at the head meanwhile.
func (c *CatchUp) walks(n *node.Node, latest node.Head, way []step, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, now := c.patient(n.ID), time.Now()
	if err == nil && len(way) == 0 || p.walk != nil && now.Sub(p.walk.looked) > 2*attemptInterval {
		p.walk = nil
	}
	if errors.Is(err, errStranded) && p.walk == nil {
		p.walk = &walk{since: now}
	}
	if p.walk == nil {
		return false
	}
	if latest.Number > p.walk.at {
		p.walk.since = now
	}
	p.walk.at, p.walk.looked = latest.Number, now
	return now.Sub(p.walk.since) < attemptInterval
}

// leave leaves a node to itself as long as it gets nearer.
func (c *CatchUp) leave(n *node.Node, latest node.Head) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.patient(n.ID).walk = &walk{at: latest.Number, since: now, looked: now}
}

// look finds out where a node is, and what it lacks.
func (c *CatchUp) look(ctx context.Context, n *node.Node) (latest node.Head, way []step, err error) {
	if latest, err = n.Latest(ctx); err == nil {
		way, err = c.way(ctx, n, latest)
	}
	return latest, way, err
}

// feedIn is feed in a turn of the node's lane: live calls wait until the node has what they build on.
func (c *CatchUp) feedIn(ctx context.Context, n *node.Node, turn *lane.Turn) error {
	return c.fleet.Pool.Hold(ctx, turn, func() error {
		latest, way, err := c.look(ctx, n) // it may have moved while the lane emptied
		if err == nil && len(way) > 0 && way[0].onDisk {
			latest, way, err = c.lookAgain(ctx, n, latest, &way[0])
		}
		for last := (common.Hash{}); err == nil && len(way) > 0 && way[len(way)-1].Block != last; {
			if err = c.replay(ctx, n, latest, way); err != nil {
				return err
			}
			latest, last = headAfter(latest, way), way[len(way)-1].Block
			way, err = c.way(ctx, n, latest) // a payload that was under way when the node returned was not sent to it
		}
		return err
	})
}

// headAfter is the head of a node that has been fed a way.
func headAfter(from node.Head, way []step) node.Head {
	for _, s := range way {
		if !s.beyond {
			from = node.Head{Number: s.Payload.Number, Hash: s.Block}
		}
	}
	return from
}

// way returns the payloads that a node with this head lacks; none, if it has all. They reach beyond our head: the node
// may have been away when a payload came, and be back for the forkchoiceUpdated on it.
func (c *CatchUp) way(ctx context.Context, n *node.Node, from node.Head) ([]step, error) {
	if from.Hash == (common.Hash{}) {
		return nil, fmt.Errorf("%w: it doesn't say where it is", errStranded)
	}
	head := c.fleet.Controller.Chain.Head()
	way, base := c.bridge(from.Hash, head)
	if base != from.Hash {
		onDisk, ok := c.onDisk(ctx, n, from, base)
		if !ok {
			return nil, fmt.Errorf("%w: it is at block %d, %s", errStranded, from.Number, from.Hash)
		}
		way = slices.Insert(way, 0, onDisk)
	}
	if from.Hash == head { // of what builds on it, the node lacks only what it wasn't there for, or may have lost
		way = slices.DeleteFunc(way, func(s step) bool { return c.fleet.Memory.SentSince(n.ID, s.Block) })
	}
	return c.harmless(n, way)
}

// replay makes the node process the way. Its statuses are neither votes nor words.
func (c *CatchUp) replay(ctx context.Context, n *node.Node, from node.Head, way []step) error {
	if c.fleet.Passive() {
		return errPassive
	}
	begun := time.Now()
	c.fleet.Log.Info("catching up", "node", n.Name(), "from", from.Number, "blocks", blocks(from, way),
		"on_disk", way[0].onDisk)
	own := followed{method: way[0].forkchoice.method}
	if _, err := c.update(ctx, n, from.Hash, own); err != nil {
		return fmt.Errorf("forkchoiceUpdated on its own head: %w", err)
	}
	for i := range way {
		if c.fleet.Passive() {
			return errPassive
		}
		s := &way[i]
		switch status, err := c.replayOne(ctx, n, s); {
		case err != nil:
			return fmt.Errorf("block %d: %w", s.Payload.Number, err)
		case status != engine.Valid && !s.beyond:
			return fmt.Errorf("block %d: it says %s", s.Payload.Number, status)
		}
	}
	n.Followed()
	c.mu.Lock()
	p := c.patient(n.ID)
	p.stranded, p.walk = false, nil
	c.mu.Unlock()
	c.replays.WithLabelValues("success").Inc()
	c.fleet.Log.Info("caught up", "node", n.Name(), "blocks", blocks(from, way), "duration", time.Since(begun))
	return nil
}

// replayOne makes the node process one payload, and makes that its head where the CL did.
func (c *CatchUp) replayOne(ctx context.Context, n *node.Node, s *step) (status engine.Status, err error) {
	if s.onDisk {
		status, err = c.execute(ctx, n, s)
	} else {
		status, err = c.put(ctx, n, s)
	}
	c.noteDeath(n, s, err)
	return status, err
}

// noteDeath is Died where that is how a step failed.
func (c *CatchUp) noteDeath(n *node.Node, s *step, err error) {
	if failure, failed := err.(*wire.Failure); failed && failure.Died {
		c.Died(n.ID, s.Block)
	}
}

// put puts a payload to the node, and makes it its head where the CL did.
func (c *CatchUp) put(ctx context.Context, n *node.Node, s *step) (engine.Status, error) {
	_, breaks := c.fleet.Memory.Standing(n.ID)
	c.fleet.Memory.Sent(n.ID, s.Block, breaks)
	status, err := c.fleet.Status(ctx, n, s.Call)
	if err == nil && status != engine.Invalid && !s.beyond {
		status, err = c.update(ctx, n, s.Block, s.forkchoice)
	}
	return status, err
}

// update makes a forkchoiceUpdated of our own, without payload attributes.
func (c *CatchUp) update(ctx context.Context, n *node.Node, head common.Hash, f followed) (engine.Status, error) {
	call := node.ForkchoiceUpdated(f.method, &engine.Forkchoice{State: f.state, Head: head})
	return c.fleet.Status(ctx, n, call)
}
