// Package node has the execution clients behind us: how they are called, in which order, and how they are.
//
// A Node is the only one who dials its execution client. A Pool is the set of nodes in configuration order, with the
// primary among them and the probes that watch them.
package node

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/forks"
	"executionbackup/internal/health"
	"executionbackup/internal/history"
	"executionbackup/internal/identity"
	"executionbackup/internal/lane"
	"executionbackup/internal/quorum"
	"executionbackup/internal/wire"
)

// Node is one running execution client behind us. Safe for concurrent use.
type Node struct {
	ID    quorum.NodeID
	Track history.Track // how it does, to be shown

	setup  atomic.Pointer[setup] // changed under counting, read by anyone
	client *wire.Client
	lane   *lane.Lane
	added  time.Time // when it became one of the nodes
	pool   *Pool     // what the node shows may change who is primary, or which chain is ours

	counting sync.RWMutex // read-held while something of the node is counted; guards removed
	removed  bool         // its metrics are gone, and nothing is counted any more

	mu        sync.Mutex // guards what follows
	health    health.Health
	since     time.Time // of the present state
	away      bool      // it hasn't been reached since it was dead, or is new
	broke     bool      // it has had a break since it came back, and nobody has looked what that has changed
	drained   bool      // the operator has set it aside over the REST API
	info      identity.Info
	infoAt    time.Time // when it was last asked who it is
	lastError string    // why its last failed call failed
	answered  time.Time // when it last answered anything, or became one of the nodes
	followed  time.Time // when it last said VALID to a live call
	proved    time.Time // when it last said VALID to a payload that was new to it
	brokeAt   time.Time // when it had its last break
	spoke     time.Time // when it last gave a status
	head      Head
	forks     told
	differed  difference // as the log has it

	// Which chain it is on: see chains.go.
	provedOn   identity.Chain // that on which it said VALID to a live call
	otherChain string         // why it isn't on the chain that we follow; "" where it is
	missedFork string         // why it won't be there for long; "" where nobody shuts it out for that
	missedWith forks.Config   // what it had told when that began
	tie        string         // why nobody knows which chain is ours; "" where it is known
}

// setup is what a node's specification says: a reload may put another in its place while calls are made.
type setup struct {
	config.Node
	log *slog.Logger
}

// newSetup is a specification with what belongs to it.
func (p *Pool) newSetup(spec config.Node) *setup {
	return &setup{Node: spec, log: p.Log.With("node", spec.Name)}
}

// laneLimits are those of each node's lane.
var laneLimits = lane.Limits{Calls: 512, Bytes: 128 << 20}

// newNode makes a node, which has a word in the memory from here on. Nobody watches it yet.
func (p *Pool) newNode(spec config.Node) *Node {
	n := &Node{
		ID:    quorum.NodeID(spec.Display()),
		pool:  p,
		since: time.Now(),
		added: time.Now(), answered: time.Now(),
		away: true,
		lane: lane.New(laneLimits),
	}
	p.Memory.Admit(n.ID)
	n.setup.Store(p.newSetup(spec))
	n.client = wire.New(wire.Options{
		URL: spec.URL, Secret: spec.Secret, CAs: spec.CAs, Transport: p.Transport(spec), Broke: n.Broke,
	})
	return n
}

// Name is the node's name, unique in the pool. A reload may change it.
func (n *Node) Name() string { return n.setup.Load().Name }

// URL is the node's address without credentials and options. A node is its URL: that never changes.
func (n *Node) URL() string { return n.setup.Load().Display() }

// Given is config.Node.Given.
func (n *Node) Given() string { return n.setup.Load().Given() }

// SharedID is config.Node.SharedID.
func (n *Node) SharedID() string { return n.setup.Load().SharedID() }

// Timeout bounds an engine call on this node: the node's own, and never above the method's limit.
func (n *Node) Timeout(m engine.Method) time.Duration {
	own := n.setup.Load().Timeout
	if limit := m.Limit(); limit > 0 {
		return min(own, limit)
	}
	return own
}

// Status is a node's condition at one moment.
type Status struct {
	State        health.State
	Since        time.Time
	Reason       string        // why it isn't alive, or what else is the matter with it
	WrongChain   bool          // it is on another chain, or missed a fork, and gets no engine calls
	Laggard      bool          // nobody waits for it
	Returned     bool          // it is a laggard only because it has just come back
	Unable       bool          // it can be reached, and lacks what it needs to follow
	Drained      bool          // the operator has set it aside over the REST API
	DoNotUse     bool          // its specification sets it aside
	Shadow       bool          // likewise, and what it says is counted
	Backup       bool          // its specification makes it a backup
	ResponseTime time.Duration // median of the last probes
	LastError    string        // why its last failed call failed; "" where none did
	Answered     time.Time     // when it last answered a call or a probe, or became one of ours
	LaneCalls    int           // unfinished ones
	LaneBytes    int64         // of the calls that wait
	LaneDropped  uint64        // calls, for want of room
	Info         identity.Info
}

// Waited is what decides whether a node is waited for: a part of its Status that is cheap to ask for.
type Waited struct {
	State    health.State
	Laggard  bool
	Returned bool // it is a laggard only because it has just come back
	Spent    bool // it used up its time on the last newPayload
}

// Waited returns what decides whether the node is waited for now.
func (n *Node) Waited() Waited {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &n.health
	return Waited{h.State(), h.Laggard(), h.Returned(), h.Spent()}
}

// Status returns the node's condition.
func (n *Node) Status() Status {
	calls, bytes, dropped := n.lane.Depth()
	setup := n.setup.Load()
	n.mu.Lock()
	defer n.mu.Unlock()
	return Status{
		State:        n.health.State(),
		Since:        n.since,
		Reason:       both(n.health.Reason(), n.tie),
		WrongChain:   n.otherChain+n.missedFork != "",
		Laggard:      n.health.Laggard(),
		Returned:     n.health.Returned(),
		Unable:       n.health.Unable(),
		Drained:      n.drained,
		DoNotUse:     setup.DoNotUse,
		Shadow:       setup.Shadow,
		Backup:       setup.Backup,
		ResponseTime: n.health.ResponseTime(),
		LastError:    n.lastError,
		Answered:     n.answered,
		LaneCalls:    calls,
		LaneBytes:    bytes,
		LaneDropped:  dropped,
		Info:         n.info,
	}
}

// both are two reasons in one, if there are two.
func both(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// setDrained notes whether the operator has set the node aside.
func (n *Node) setDrained(drained bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drained = drained
}

// update changes the node's health, and tells the log and the pool where that changed its condition.
func (n *Node) update(event func(*health.Health)) {
	n.mu.Lock()
	before, wasLaggard, hadReturned := n.health.State(), n.health.Laggard(), n.health.Returned()
	event(&n.health)
	if before == health.Dead && n.health.State() != health.Dead {
		n.health.CameBack()
	}
	returned := n.health.Returned()
	after, isLaggard, reason := n.health.State(), n.health.Laggard(), n.health.Reason()
	if after != before {
		n.since = time.Now()
	}
	back := n.away && after != health.Dead && after != before
	n.away = after == health.Dead || n.away && !back
	if back {
		n.forks.due, n.forks.stale, n.broke = time.Time{}, true, false
	}
	n.mu.Unlock()

	log := n.setup.Load().log
	switch {
	case after == before:
	case after == health.Unknown:
		log.Debug("node can be reached again")
	case after == health.Alive:
		log.Info("node is alive", "was", before.String())
	default:
		log.Warn("node is "+after.String(), "was", before.String(), "reason", reason)
	}
	switch {
	case returned && !hadReturned:
		log.Debug("nobody waits for the node until it has answered a payload in time")
	case isLaggard && !returned && (!wasLaggard || hadReturned):
		log.Warn("node is a laggard: nobody waits for it")
	case hadReturned && !isLaggard:
		log.Debug("node is waited for again")
	case wasLaggard && !isLaggard:
		log.Info("node is no longer a laggard")
	}
	if after != before || isLaggard != wasLaggard {
		n.pool.nodeChanged()
	}
	if back {
		n.pool.nodeReturned(n)
	}
}

// observe notes what the outcome of a call says about the node. Only an engine call or one of our own (see ask) can
// show it dead: an eth_ call may be too much for a client that does its duty.
func (n *Node) observe(family engine.Family, f *wire.Failure, took time.Duration) {
	n.pool.Metrics.called(n, family, f, took)
	if family == engine.NewPayload && (f == nil || f.Kind == wire.TimedOut) {
		n.Track.Took(took)
	}
	if f == nil {
		n.mu.Lock()
		n.answered = time.Now()
		n.mu.Unlock()
		n.update((*health.Health).Answered)
		return
	}
	if f.Kind == wire.Stopped {
		return
	}
	n.mu.Lock()
	n.lastError = f.Reason
	n.mu.Unlock()
	n.Track.Failed()
	if family.Engine() {
		n.missed(f)
	}
}

// missed notes that the node is dead, where that is why a call failed.
func (n *Node) missed(f *wire.Failure) {
	if f.Kind == wire.Unreachable || f.Kind == wire.Unauthorized {
		n.update(func(h *health.Health) { h.Failed(f.Reason) })
	}
}

// Broke notes a break, the sign of a restart: until the node has shown that it follows, its new objections don't count.
// Breaks are connections that were refused, or ended by the node in mid-call or soon after one, and another client
// version. A call that took too long or brought nonsense is none: one slow probe must not mute an honest minority.
func (n *Node) Broke() {
	n.pool.Memory.Broke(n.ID)
	n.mu.Lock()
	n.broke, n.forks.stale, n.brokeAt = true, true, time.Now()
	n.mu.Unlock()
}

// Proved notes that the node said VALID to a payload that was new to it.
func (n *Node) Proved() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.proved = time.Now()
}

// LastProof returns when the node last said VALID to a payload that was new to it, zero where it hasn't in this run.
func (n *Node) LastProof() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proved
}

// LastBreak returns when the node had its last break, zero where it had none in this run.
func (n *Node) LastBreak() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.brokeAt
}

// Added returns when the node became one of ours.
func (n *Node) Added() time.Time { return n.added }

// Followed notes that the node said VALID to a live call.
func (n *Node) Followed() {
	n.mu.Lock()
	n.followed = time.Now()
	n.mu.Unlock()
	n.update((*health.Health).Followed)
	n.proveChain()
}

// FollowedSince reports whether the node has said VALID to a live call since then.
func (n *Node) FollowedSince(t time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.followed.After(t)
}

// FellBehind notes that the node said SYNCING where it should have known the head.
func (n *Node) FellBehind() { n.update((*health.Health).Behind) }

// Objected notes that the node said INVALID, and may.
func (n *Node) Objected() { n.update((*health.Health).Objected) }

// Lacked notes a call whose method the node lacks though others have it.
func (n *Node) Lacked(method string) { n.update(func(h *health.Health) { h.Lacked(method) }) }

// Spoke notes that the node gave a status: it has the methods that it needs, and keeps up.
func (n *Node) Spoke() {
	n.mu.Lock()
	n.spoke = time.Now()
	n.mu.Unlock()
	n.update((*health.Health).Able)
}

// RanLate notes that a block's newPayload is unanswered a grace after the first answer of another node.
func (n *Node) RanLate(block common.Hash) { n.update(func(h *health.Health) { h.Late(block) }) }

// UsedUp notes that a block's newPayload stayed unanswered until the node's time was up.
func (n *Node) UsedUp(block common.Hash) { n.update(func(h *health.Health) { h.UsedUp(block) }) }

// CameInTime notes that a newPayload was answered in time.
func (n *Node) CameInTime() { n.update((*health.Health).Timely) }

// CameLate notes that a newPayload was answered too late.
func (n *Node) CameLate() { n.update((*health.Health).Came) }

// close lets go of the node's connections. Calls that are still on their way, or wait in its lane, may end.
func (n *Node) close() { n.client.Close() }

// setMethods keeps what the node answered to engine_exchangeCapabilities.
func (n *Node) setMethods(methods []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.info.Capabilities = methods
}
