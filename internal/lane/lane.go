// Package lane keeps the order of calls on one node.
package lane

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"executionbackup/internal/engine"
)

// Call is an engine call that changes a node: newPayload or forkchoiceUpdated, on its way to every node. All lanes
// share one.
type Call struct {
	*engine.Call
	heard    atomic.Bool // the CL has its answer: what comes now doesn't overtake the call
	answered atomic.Bool // likewise, and a newer forkchoiceUpdated may take its place
}

// MarkAnswered notes that the CL has its answer to the call, or has hung up. Lanes that the call is in act on it when
// another call joins them, or when they are pruned. Safe for concurrent use.
func (c *Call) MarkAnswered() {
	c.heard.Store(true)
	c.answered.Store(true)
}

// MarkHeard notes that the CL has its answer to the call, and that all nodes are to get it all the same, as long as
// there is room, because they are judged by it. Safe for concurrent use.
func (c *Call) MarkHeard() { c.heard.Store(true) }

// Lane keeps the order of newPayload and forkchoiceUpdated on one node.
//
// The CL orders these calls by waiting for our answers. We may answer before a slow node has finished, so the order
// that the CL could observe has to be kept for each node apart: a call never overtakes an earlier one that the CL had
// an answer to when the call came (a CL that hung up counts as answered). forkchoiceUpdated calls follow each other in
// the order of arrival, so that all nodes end on the same head. newPayloads that the CL sent side by side may overlap.
//
// An example, with a node that takes three seconds over each payload:
//
//	CL   P1 ──▶ VALID   F1 ──▶ VALID   F2 ──▶ VALID    P2 ──▶ VALID
//	node P1 ─────────────────────────────────▶ F2 ─▶ P2 ───────
//
// F1 waited behind P1, was answered by others, and superseded by F2.
//
// Safe for concurrent use.
type Lane struct {
	limits Limits

	mu      sync.Mutex    // guards what follows, and what changes of the lane's turns
	turns   []*Turn       // unfinished, in order of arrival
	since   int           // newPayloads that have joined since the last forkchoiceUpdated that stays
	bytes   int64         // of the calls that have not started
	dropped uint64        // how many calls, for want of room
	freed   chan struct{} // closed when next a turn starts or ends; nil where nobody waits for that
}

// Limits bound what may wait in a lane. Beyond them the oldest waiting call is dropped, and left to catching up.
type Limits struct {
	Calls int   // unfinished ones
	Bytes int64 // of the calls that have not started
}

// New returns an empty lane.
func New(limits Limits) *Lane { return &Lane{limits: limits} }

// Turn is a call's place in a lane. One goroutine calls Start, and then Done, whatever Start said.
type Turn struct {
	lane  *Lane
	call  *Call         // nil for a barrier: nothing overtakes it, and it overtakes nothing
	ready chan struct{} // closed when none is ahead, or when dropped
	stays bool          // a forkchoiceUpdated that a newer one doesn't supersede

	// Guarded by lane.mu.
	ahead  int     // how many unfinished turns it has to wait for
	behind []*Turn // that have to wait for this one
	state  turnState
}

// Call is the call whose turn it is; nil for a barrier.
func (t *Turn) Call() *Call { return t.call }

// turnState is what has become of a turn.
type turnState uint8

const (
	waiting    turnState = iota // behind others, or free to start
	started                     // and perhaps over
	dropped                     // for want of room
	superseded                  // by a newer forkchoiceUpdated
)

// Why a call is not to be made.
var (
	ErrSuperseded = errors.New("a newer forkchoiceUpdated waits")
	ErrOverflow   = errors.New("the node is too far behind")
)

// Join takes a place behind all that the call must not overtake. A nil call is a barrier: it overtakes nothing, and
// nothing overtakes it. Joining the lanes of all nodes under one lock gives them one order.
func (l *Lane) Join(c *Call) *Turn {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &Turn{lane: l, call: c, ready: make(chan struct{})}
	for _, u := range l.turns {
		if mustFollow(c, u.call) {
			u.behind = append(u.behind, t)
			t.ahead++
		}
	}
	l.turns = append(l.turns, t)
	if c != nil {
		l.bytes += int64(len(c.Body))
		switch {
		case c.Method.Family == engine.NewPayload:
			l.since++
		case c.Method.Family == engine.ForkchoiceUpdated && l.since >= step:
			t.stays, l.since = true, 0
		}
	}
	if t.ahead == 0 {
		close(t.ready)
	}
	l.supersede()
	l.shed()
	return t
}

// mustFollow is the rule: does a call that comes now have to wait for an earlier one that the node hasn't finished?
func mustFollow(c, earlier *Call) bool {
	switch {
	case c == nil || earlier == nil:
		return true
	case c.Method.Family == engine.ForkchoiceUpdated && earlier.Method.Family == engine.ForkchoiceUpdated:
		return true
	}
	return earlier.heard.Load()
}

// step is how many payloads a node is given at least before a forkchoiceUpdated that stays. A geth keeps the states of
// 128 blocks; one that is given more while its head stands still loses its head's state, and then takes no payload.
const step = 32

// columns reports whether a forkchoiceUpdated carries custody columns.
func (c *Call) columns() bool { return c.Forkchoice.CustodyColumns != nil }

// supersede drops waiting forkchoiceUpdated calls that the CL already has an answer to, where a newer one waits. A
// newer one makes a call needless only if that carries nothing beside the forkchoice, or custody columns and a newer
// one carries some, too. l.mu is held.
func (l *Lane) supersede() {
	newer, newerColumns := false, false
	for i := len(l.turns) - 1; i >= 0; i-- {
		t := l.turns[i]
		if t.state != waiting || t.call == nil || t.call.Method.Family != engine.ForkchoiceUpdated {
			continue
		}
		needless := newer && !t.stays && t.call.Forkchoice.Attributes == nil && (newerColumns || !t.call.columns())
		if needless && t.call.answered.Load() {
			l.drop(i, superseded)
			continue // the ones after i have moved down; those before it, still to visit, have not
		}
		newer, newerColumns = true, newerColumns || t.call.columns()
	}
}

// shed drops the oldest waiting calls until the lane is within its limits. What the CL still waits for stays; what it
// has heard goes, be its node judged by it. l.mu is held.
func (l *Lane) shed() {
	for i := 0; i < len(l.turns) && (len(l.turns) > l.limits.Calls || l.bytes > l.limits.Bytes); {
		t := l.turns[i]
		if t.state == waiting && t.call != nil && t.call.heard.Load() {
			l.dropped++
			l.drop(i, dropped)
			continue
		}
		i++
	}
}

// drop takes the i-th turn, which waits, out of the lane. l.mu is held.
func (l *Lane) drop(i int, why turnState) {
	t := l.turns[i]
	if t.ahead > 0 {
		close(t.ready)
	}
	l.finish(t, why)
}

// Room reports whether there is room for one more call of so many bytes, and returns what is closed when next a turn
// starts or ends. A quarter of the lane is left to those that come without asking. An empty lane has room for any.
func (l *Lane) Room(size int) (ok bool, freed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.turns) == 0 || len(l.turns) < l.limits.Calls/4*3 && l.bytes+int64(size) <= l.limits.Bytes/4*3 {
		return true, nil
	}
	if l.freed == nil {
		l.freed = make(chan struct{})
	}
	return false, l.freed
}

// free tells whoever waits for room. l.mu is held.
func (l *Lane) free() {
	if l.freed != nil {
		close(l.freed)
		l.freed = nil
	}
}

// finish takes a turn out of the lane and lets those behind it go on. Whoever stood behind a dropped turn also stands
// behind all that the dropped one waited for, so nothing overtakes. l.mu is held.
func (l *Lane) finish(t *Turn, state turnState) {
	for i, u := range l.turns {
		if u == t {
			l.turns = append(l.turns[:i], l.turns[i+1:]...)
			break
		}
	}
	if t.state == waiting && t.call != nil {
		l.bytes -= int64(len(t.call.Body))
	}
	t.state = state
	l.free()
	for _, u := range t.behind {
		if u.ahead--; u.ahead == 0 && u.state == waiting {
			close(u.ready)
		}
	}
	t.behind = nil
}

// Start waits for the turn. An error says that the call is not to be made: ErrSuperseded, ErrOverflow, or that of ctx.
func (t *Turn) Start(ctx context.Context) error {
	select {
	case <-t.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	t.lane.mu.Lock()
	defer t.lane.mu.Unlock()
	switch t.state {
	case superseded:
		return ErrSuperseded
	case dropped:
		return ErrOverflow
	}
	t.state = started
	if t.call != nil {
		t.lane.bytes -= int64(len(t.call.Body))
	}
	t.lane.free()
	return nil
}

// Done ends the turn, started or not.
func (t *Turn) Done() {
	t.lane.mu.Lock()
	defer t.lane.mu.Unlock()
	if t.state == waiting || t.state == started {
		t.lane.finish(t, started)
	}
}

// Depth returns how many turns are unfinished, how many bytes wait, and how many were dropped for want of room.
func (l *Lane) Depth() (calls int, bytes int64, dropped uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.turns), l.bytes, l.dropped
}

// Stand drops the waiting forkchoiceUpdated calls that the CL already has an answer to: another instance sends newer
// ones.
func (l *Lane) Stand() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.turns) - 1; i >= 0; i-- {
		t := l.turns[i]
		isForkchoice := t.call != nil && t.call.Method.Family == engine.ForkchoiceUpdated
		if isForkchoice && t.state == waiting && t.call.answered.Load() {
			l.drop(i, superseded)
		}
	}
}

// Prune drops the waiting calls that the CL's answers have made needless.
func (l *Lane) Prune() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.supersede()
	l.shed()
}
