// Package fleet is what all consensus clients share: the nodes and what they said, the record of what was decided, the
// settings, and the calls that outlive their request.
package fleet

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/evidence"
	"executionbackup/internal/history"
	"executionbackup/internal/lane"
	"executionbackup/internal/memory"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
	"executionbackup/internal/session"
	"executionbackup/internal/state"
)

// Settings are what an operator can change while we run.
type Settings struct {
	Rules           quorum.Rules
	ForkWindow      time.Duration // how long after a fork quorum.Live has to know every configuration
	Times           Times         // how long a verdict waits for the others to object
	BuildGrace      time.Duration // how long the first built payload waits for a better one
	ReadTimeout     time.Duration // bounds the calls that are none of the Engine API; 0: the node's timeout does
	CrossCheck      time.Duration // how long voters may judge a payload before it is proposed; 0: they aren't asked
	AllowNamespaces []string      // besides engine, eth, net and web3
	Mode            config.Mode   // what becomes of the CL's calls, unless SetMode has chosen another; "" is Active
	ShadowNode      string        // the name or URL of the node that alone answers in the other modes
}

// Fleet is what all consensus clients share. Safe for concurrent use.
type Fleet struct {
	Pool      *node.Pool
	Memory    *memory.Memory // the pool's
	History   history.History
	Proposals history.Proposals
	Evidence  *evidence.Log // nil where none is kept
	Objections
	Log *slog.Logger
	// Disputed says that the controller heard of a dispute about its head last, so that its end is told, too.
	Disputed atomic.Bool
	// Controller is the consensus client whose head the nodes follow: today the only one.
	Controller *session.Session

	settings atomic.Pointer[Settings]
	saver    saver
	pair     pair
	silence  silence
	modes    modes

	joining    sync.Mutex    // held while a call takes its place among all; guards calls and superseded
	calls      uint64        // how many newPayloads and forkchoiceUpdateds there were
	superseded chan struct{} // closed when the next forkchoiceUpdated takes its place; nil before the first

	// Of the goroutines of Go.
	ctx        context.Context // ends when Drain gives them up
	giveUp     context.CancelFunc
	stragglers sync.WaitGroup
	running    atomic.Int64 // how many there are: a WaitGroup can't be asked

	// Of the goroutines of Background.
	drain      sync.Mutex // guards draining, and that no goroutine begins once that is set
	draining   bool
	serving    context.Context // ends when Drain begins
	stop       context.CancelFunc
	background sync.WaitGroup
}

// Options are what a Fleet is made of.
type Options struct {
	Pool     *node.Pool
	Settings Settings
	Evidence *evidence.Log         // nil: none is kept
	State    *state.File           // where what outlives us is kept; nil: nowhere
	Shared   *state.Shared         // where it is shared with another instance; nil: nowhere
	Metrics  prometheus.Registerer // of what is counted for all
	Log      *slog.Logger
}

// New returns the fleet of the nodes of a pool, which isn't started yet, followed by one consensus client that hasn't
// spoken. It has what State kept.
func New(o Options) *Fleet {
	f := &Fleet{
		Pool: o.Pool, Memory: o.Pool.Memory, Evidence: o.Evidence, Log: o.Log, Controller: new(session.Session),
		Objections: newObjections(o.Metrics),
		saver: saver{
			file: o.State, shared: o.Shared, other: make(state.Records), sent: make(state.Records),
			broke: make(map[quorum.NodeID]time.Time), refused: make(map[quorum.NodeID]bool),
			touched: make(chan struct{}, 1),
		},
	}
	if o.Shared != nil {
		f.Memory.MayMiss()
		f.pair = newPair(o.Metrics)
	}
	f.silence.observe(o.Metrics)
	f.Reload(o.Settings)
	f.modes.observe(o.Metrics)
	o.Metrics.MustRegister(nodeMetrics{f}, forkMetrics{f})
	var kept state.Records
	if o.State != nil {
		kept = o.State.Records()
	}
	f.Restore(kept)
	f.ctx, f.giveUp = context.WithCancel(context.Background())
	f.serving, f.stop = context.WithCancel(context.Background())
	return f
}

// Settings returns those in force. They are not to be changed.
func (f *Fleet) Settings() *Settings { return f.settings.Load() }

// Reload changes the settings. Calls under way keep those that they began with.
func (f *Fleet) Reload(s Settings) {
	f.settings.Store(&s)
	f.useMode(s.Mode, s.ShadowNode)
}

// Alone reports whether there is but one node: then nothing is judged, and its answers pass through.
func (f *Fleet) Alone() bool { return len(f.Pool.Nodes()) == 1 }

// Place is a call's place among all newPayloads and forkchoiceUpdateds.
type Place struct {
	Turns []*lane.Turn // one in the lane of each node
	Seq   uint64       // the number of the call, in the order in which all are sent
	// Superseded is closed when another forkchoiceUpdated waits behind this one; nil for a newPayload.
	Superseded <-chan struct{}
}

// Join puts a call into the lanes of the nodes, and so takes its place among all calls: the same on every node.
func (f *Fleet) Join(nodes []*node.Node, c *lane.Call) Place {
	f.joining.Lock()
	defer f.joining.Unlock()
	f.calls++
	p := Place{Seq: f.calls}
	if c.Method.Family == engine.ForkchoiceUpdated {
		if f.superseded != nil {
			close(f.superseded)
		}
		f.superseded = make(chan struct{})
		p.Superseded = f.superseded
	}
	p.Turns = f.Pool.Join(nodes, c)
	return p
}

// Context is that of calls which outlive their request: it ends when Drain gives them up.
func (f *Fleet) Context() context.Context { return f.ctx }

// Go does something in a goroutine that outlives its request, and that Drain waits for. It is to be called while a
// request is being answered, or from a goroutine of Go or Background: nothing else may begin while Drain waits.
func (f *Fleet) Go(do func()) {
	f.running.Add(1)
	f.stragglers.Go(func() {
		defer f.running.Add(-1)
		do()
	})
}

// Idle reports whether nothing that Go began runs at this moment.
func (f *Fleet) Idle() bool { return f.running.Load() == 0 }

// Background does something in a goroutine that no request waits for. Its context ends when Drain begins; after that,
// nothing begins, and begun is false.
func (f *Fleet) Background(do func(context.Context)) (begun bool) {
	f.drain.Lock()
	defer f.drain.Unlock()
	if !f.draining {
		f.background.Go(func() { do(f.serving) })
	}
	return !f.draining
}

// Drain waits until the calls that outlived their request have ended, and gives them up when ctx ends. No request may
// come in any more.
func (f *Fleet) Drain(ctx context.Context) {
	f.drain.Lock()
	f.draining = true
	f.drain.Unlock()
	f.stop()
	cancel := context.AfterFunc(ctx, f.giveUp)
	defer cancel()
	f.background.Wait()
	f.stragglers.Wait()
	f.giveUp()
}
