package node

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/config"
	"executionbackup/internal/identity"
	"executionbackup/internal/lane"
	"executionbackup/internal/memory"
	"executionbackup/internal/quorum"
)

// Pool is the set of nodes, in configuration order. Safe for concurrent use.
type Pool struct {
	Options

	events Events // set before Start

	order    sync.Mutex                  // held while a call joins the lanes; guards their one order
	members  atomic.Pointer[[]*Node]     // changed under mu, read by anyone
	primary  atomic.Pointer[Node]        // changed under electing, read by anyone
	head     atomic.Pointer[common.Hash] // that the CL follows; nil until it is known
	electing sync.Mutex                  // held while the primary is found

	judging sync.Mutex                       // held while chains are judged; guards tie
	tie     string                           // between chains, in words; "" where there is none
	home    atomic.Pointer[[]identity.Chain] // changed under judging, read by anyone; nil before chains are judged
	// followed is the chain that nodes follow, or did in another process; nil where there is none.
	followed atomic.Pointer[identity.Chain]

	forking     sync.Mutex                 // held while forks are judged; guards what follows
	reached     time.Time                  // up to when forks have been judged
	announced   announced                  // what the log has of the next fork
	forks       atomic.Pointer[ForkReport] // changed under forking, read by anyone; nil before forks are judged
	nextFork    atomic.Uint64              // its time, in seconds; 0 where none is known. Likewise
	activations atomic.Pointer[[]uint64]   // when forks are, in seconds, in order; nil before a node has told

	mu       sync.Mutex      // guards what follows
	ctx      context.Context // of all probes; nil before Start, and when all are over
	watchers sync.WaitGroup  // the goroutines of probes and rechecks
	ready    chan struct{}   // closed when every node has been probed once
	changes  chan struct{}   // closed at the next change, and replaced
	probed   map[*Node]bool
	stops    map[*Node]context.CancelFunc // end a node's probes
	recheck  *recheck                     // the one that is under way; nil where none is
}

// Options are what a Pool needs beside its nodes.
type Options struct {
	Memory  *memory.Memory
	Metrics *Metrics
	Log     *slog.Logger
	// Transport makes the way to a node; nil, or where it returns nil, means TCP.
	Transport func(config.Node) http.RoundTripper
	// ExcludeMissed reports whether a node that missed a fork is shut out (--fork-mismatch=exclude); nil means no.
	ExcludeMissed func() bool
	// Timings reports whether the time of each probe is logged (--node-timings); nil means no.
	Timings func() bool
}

// NewPool returns a pool of nodes that are not watched yet.
func NewPool(specs []config.Node, o Options) *Pool {
	if o.Transport == nil {
		o.Transport = func(config.Node) http.RoundTripper { return nil }
	}
	no := func() bool { return false }
	if o.Timings == nil {
		o.Timings = no
	}
	if o.ExcludeMissed == nil {
		o.ExcludeMissed = no
	}
	p := &Pool{
		Options: o,
		stops:   make(map[*Node]context.CancelFunc),
		changes: make(chan struct{}),
		probed:  make(map[*Node]bool),
		ready:   make(chan struct{}),
	}
	nodes := make([]*Node, len(specs))
	for i, spec := range specs {
		nodes[i] = p.newNode(spec)
	}
	p.members.Store(&nodes)
	p.primary.Store(first(specs, nodes)) // until the probes have shown which is the fastest
	return p
}

// first returns the first node that may vote, before those that are backups; nil where none may.
func first(specs []config.Node, nodes []*Node) (backup *Node) {
	for i, spec := range specs {
		switch {
		case spec.DoNotUse:
		case !spec.Backup:
			return nodes[i]
		case backup == nil:
			backup = nodes[i]
		}
	}
	return backup
}

// Run watches the nodes until ctx ends, and returns when all probes have stopped.
func (p *Pool) Run(ctx context.Context) { p.Start(ctx)() }

// Start is Run in two parts: the nodes are watched when it returns, and wait returns when nothing of the pool runs any
// more.
func (p *Pool) Start(ctx context.Context) (wait func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ctx = ctx
	for _, n := range p.Nodes() {
		p.watch(n)
	}
	return func() {
		<-ctx.Done()
		p.mu.Lock()
		p.ctx = nil // no new watchers
		p.mu.Unlock()
		p.watchers.Wait()
		for _, n := range p.Nodes() {
			n.close()
		}
	}
}

// watch starts a node's probes. p.mu is held.
func (p *Pool) watch(n *Node) {
	if p.ctx == nil || p.ctx.Err() != nil {
		return
	}
	ctx, stop := context.WithCancel(p.ctx)
	p.stops[n] = stop
	p.watchers.Go(func() { n.watch(ctx, func() { p.nodeProbed(n) }) })
}

// Nodes returns the nodes in configuration order. The slice is not to be changed.
func (p *Pool) Nodes() []*Node { return *p.members.Load() }

// Node returns a node by its ID; nil where there is none.
func (p *Pool) Node(id quorum.NodeID) *Node {
	for _, n := range p.Nodes() {
		if n.ID == id {
			return n
		}
	}
	return nil
}

// Primary returns the node that serves what one node can answer, or nil where none is reachable.
func (p *Pool) Primary() *Node { return p.primary.Load() }

// Join puts a call into the lane of each of the nodes, in one order with all other calls.
func (p *Pool) Join(nodes []*Node, c *lane.Call) []*lane.Turn {
	p.order.Lock()
	defer p.order.Unlock()
	turns := make([]*lane.Turn, len(nodes))
	for i, n := range nodes {
		turns[i] = n.lane.Join(c)
	}
	return turns
}

// Reserve takes a turn in a node's lane for Hold. What joins the lane from now on comes after it.
func (p *Pool) Reserve(n *Node) *lane.Turn { return p.Join([]*Node{n}, nil)[0] }

// Hold does something in a turn of a node's lane that was reserved for it, and then ends the turn: no live call is made
// meanwhile. An error is that of do, or of ctx, which ends the wait for the turn.
func (p *Pool) Hold(ctx context.Context, turn *lane.Turn, do func() error) error {
	defer turn.Done()
	if err := turn.Start(ctx); err != nil {
		return err
	}
	return do()
}

// Stand drops the forkchoices that wait in the nodes' lanes: another instance of ours leads the nodes now.
func (p *Pool) Stand() {
	for _, n := range p.Nodes() {
		n.lane.Stand()
	}
}

// Answered notes that the CL has its answer to a call, or has hung up. To be called before the answer is written, so
// that whatever the CL sends next is seen to come after.
func (p *Pool) Answered(nodes []*Node, c *lane.Call) {
	c.MarkAnswered()
	for _, n := range nodes {
		n.lane.Prune()
	}
}

// Changed returns a channel that is closed when next a node's condition changes.
func (p *Pool) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changes
}

// Ready returns a channel that is closed when every node has been probed once.
func (p *Pool) Ready() <-chan struct{} { return p.ready }

// IsReady reports whether every node has been probed once.
func (p *Pool) IsReady() bool {
	select {
	case <-p.ready:
		return true
	default:
		return false
	}
}

// nodeProbed draws the conclusions from a probe.
func (p *Pool) nodeProbed(n *Node) {
	p.judgeChains()
	p.judgeForks(time.Now())
	p.Elect()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probed[n] = true
	p.becomeReady()
}

// becomeReady closes ready when no node is left to be probed for the first time. p.mu is held.
func (p *Pool) becomeReady() {
	for _, n := range p.Nodes() {
		if !p.probed[n] {
			return
		}
	}
	if !p.IsReady() {
		close(p.ready)
	}
}

// Events are what a pool tells those that keep something for its nodes; nil where nobody is told.
type Events struct {
	// Returned is called when a node that was dead can be reached again, or a new one for the first time.
	Returned func(*Node)
	// Restarted is called when a node can be reached after a break, and has not been seen dead.
	Restarted func(*Node)
	// Removed is called when a node has been removed. It must not use the pool.
	Removed func(*Node)
	// Renamed is called when a node gets another name, with the one that it had, while nothing of it is counted. It
	// must not use the pool.
	Renamed func(old string)
}

// Tell sets who is told of events. It is to be called before Start, and before the nodes change.
func (p *Pool) Tell(e Events) { p.events = e }

// nodeReturned tells that a node can be reached again.
func (p *Pool) nodeReturned(n *Node) {
	if p.events.Returned != nil {
		p.events.Returned(n)
	}
}

// nodeChanged draws the conclusions from a change of a node's condition.
func (p *Pool) nodeChanged() {
	p.Elect()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake()
}

// wake tells whoever waits for a change. p.mu is held.
func (p *Pool) wake() {
	close(p.changes)
	p.changes = make(chan struct{})
}

// Lead notes the head that the CL follows, and elects again: whoever objects to it doesn't lead.
func (p *Pool) Lead(head common.Hash) {
	p.head.Store(&head)
	p.Elect()
}

// Elect finds the primary: the fastest alive voter that is no laggard and doesn't object to the head or to a block
// under it. The primary stays as long as no node is fitter, whatever its speed. Where there is no such voter, a node of
// the next fitness serves; one that the operator has set aside never does. To be called whenever objections have
// changed.
func (p *Pool) Elect() {
	p.electing.Lock() // a change that comes meanwhile is seen by the election that it brings about
	defer p.electing.Unlock()
	current := p.primary.Load()
	best := p.fittest(current)
	if best == current {
		return
	}
	p.primary.Store(best)
	switch {
	case best == nil:
		p.Log.Error("no node can be primary: none is reachable")
	case current == nil:
		p.Log.Info("primary found", "node", best.Name())
	default:
		p.Log.Info("primary changed", "node", best.Name(), "was", current.Name())
	}
}

// fittest returns the present primary, unless another node is fitter than it: then the fastest of the fittest; nil
// where no node is fit.
func (p *Pool) fittest(current *Node) (best *Node) {
	var rank, currentRank int
	var speed time.Duration
	for _, n := range p.Nodes() {
		s := n.Status()
		r := s.fitness(p.objects(n))
		if n == current {
			currentRank = r
		}
		if r > rank || r == rank && best != nil && s.ResponseTime < speed {
			best, rank, speed = n, r, s.ResponseTime
		}
	}
	if currentRank > 0 && currentRank == rank {
		return current
	}
	return best
}

// objects reports whether a node objects to the head or to a block under it.
func (p *Pool) objects(n *Node) bool {
	head := p.head.Load()
	if head == nil {
		return false
	}
	_, objects := p.Memory.Objects(n.ID, *head)
	return objects
}
