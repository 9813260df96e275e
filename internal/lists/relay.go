package lists

import (
	"context"
	"sync"

	"executionbackup/internal/engine"
	"executionbackup/internal/node"
	"executionbackup/internal/outlet"
)

// relay passes a list on while it comes in from the node whose entries have precedence, whatever the others have: up to
// the first gap. Reading doesn't wait for the CL: all entries are kept until the answer has gone.
//
// ask runs in a goroutine of the hedge, which owns held, and sets release before its reply comes. It starts send, which
// owns out until stop has waited for it. Everything else is the listing's.
type relay struct {
	call    *engine.Call
	out     *outlet.Outlet
	held    bool   // there was a gap: nothing more is passed on until all nodes' lists have been put together
	release func() // lets the entries' memory be used again; does nothing where it is the answer's

	mu      sync.Mutex     // guards what follows
	ready   []stretch      // may go
	sent    int            // how many entries have gone, or are going
	stopped bool           // nothing more goes
	wake    chan struct{}  // tells send that there is more; nil until it runs
	sending sync.WaitGroup // the goroutine of send
}

// stretch is several entries as they stand in one piece of memory, with what is between them: it goes in one write.
type stretch struct {
	bytes   []byte
	entries int
}

// ask makes the call to the node.
func (r *relay) ask(ctx context.Context, n *node.Node) (engine.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, n.Timeout(r.call.Method))
	defer cancel()
	a, release, err := n.StreamList(ctx, r.call, r.take)
	if r.release = release; release == nil {
		r.release = func() {}
	}
	return a, err
}

// take lets an entry go, as long as nothing holds it up.
func (r *relay) take(e *engine.Entry, follows bool) {
	if r.held = r.held || e.Gap; !r.held {
		r.pass(e.Raw, follows)
	}
}

// pass lets an entry go: behind those before it in the same memory that wait, or where there are none on its own.
func (r *relay) pass(entry []byte, follows bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held = r.stopped; r.held {
		return
	}
	if last := len(r.ready) - 1; last >= 0 && follows {
		s := &r.ready[last]
		// The capacities of both reach to the end of the same memory. So their difference is how far the entry's
		// beginning is from that of the stretch.
		s.bytes = s.bytes[:cap(s.bytes)-cap(entry)+len(entry)]
		s.entries++
	} else {
		r.ready = append(r.ready, stretch{entry, 1})
	}
	if r.wake == nil {
		r.wake = make(chan struct{}, 1)
		r.sending.Go(r.send)
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// send sends entries as they become ready, until stop.
func (r *relay) send() {
	for range r.wake {
		for s := r.next(); s != nil; s = r.next() {
			r.out.WriteEntry(s)
		}
	}
}

// next takes what may go now out of what is ready, or returns nil.
func (r *relay) next() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || len(r.ready) == 0 {
		return nil
	}
	s := r.ready[0]
	r.ready = r.ready[1:]
	r.sent += s.entries
	return s.bytes
}

// stop ends send, waits for it, and returns how many entries have gone.
func (r *relay) stop() (sent int) {
	r.mu.Lock()
	if !r.stopped && r.wake != nil {
		close(r.wake)
	}
	r.stopped = true
	r.mu.Unlock()
	r.sending.Wait()
	return r.sent
}

// finish sends what is still missing of the answer, and reports whether there is one. Where there is none, what has
// gone must not look like one.
func (r *relay) finish(merged []engine.Entry) bool {
	sent := r.stop()
	if merged == nil && !r.out.HasBegun() {
		return false
	}
	if len(merged) < sent {
		r.out.Abort()
	}
	r.out.EndList(merged[sent:])
	return true
}
