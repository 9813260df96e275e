package lists

import (
	"context"
	"sync"

	"executionbackup/internal/engine"
	"executionbackup/internal/node"
	"executionbackup/internal/outlet"
)

// relay passes a list on while it comes in from the node whose entries come first in the answer, whatever the others
// have: up to the first gap. Reading doesn't wait for the CL: all entries are kept until the answer has gone.
//
// call, out and release belong to the listing; held belongs to the goroutine that asks the node; out belongs to send as
// long as that runs.
type relay struct {
	call    *engine.Call
	out     *outlet.Outlet
	held    bool   // a gap: no more is passed on until all nodes' lists have been put together
	release func() // of the entries' memory; does nothing where they have none of their own

	mu      sync.Mutex // guards what follows
	ready   []stretch  // may go
	sent    int        // how many entries have gone, or are going
	stopped bool
	wake    chan struct{} // tells send that there is more; nil until it runs
	sending sync.WaitGroup
}

// stretch is what stands in one piece of memory from one entry to another, with what is between them: it goes in one
// write.
type stretch struct {
	bytes   []byte
	entries int
}

// ask makes the call to that node.
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
		// Both end where their memory does, if they were as long as they can be: so far is the entry's end from s's
		// beginning.
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

// stop ends sending and returns how many entries have gone.
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
