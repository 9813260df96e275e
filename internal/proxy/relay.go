package proxy

import (
	"context"
	"io"
	"sync"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
)

// relay passes a list on while it comes in from the node whose entries come first in the answer, whatever the others
// have: up to the first gap. Reading doesn't wait for the CL: the list is kept, for all that is done with a whole one.
type relay struct {
	out   *outlet
	shape shape

	size     int64  // of the answer, as the node says; -1 where it doesn't
	list     []byte // what has come
	entries  []entry
	elements jsonrpc.ElementReader
	held     bool // a gap, or something wrong: no more is passed on until all nodes' lists have been put together

	mu      sync.Mutex
	ready   [][]byte // entries that may go
	sent    int      // how many have gone, or are going
	stopped bool
	wake    chan struct{}
	sending sync.WaitGroup
}

// call makes the call to that node.
func (r *relay) call(ctx context.Context, n *node.Node, m engine.Method, body []byte) (jsonrpc.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, n.Timeout(m))
	defer cancel()
	streamed := false
	reply, err := n.Stream(ctx, m.Family, body, func(size int64) io.Writer {
		streamed = true
		r.size = size
		return r
	})
	if err == nil && streamed {
		reply.Result = r.list
	}
	return reply, err
}

// Write takes the next piece of the list in.
func (r *relay) Write(b []byte) (int, error) {
	if len(r.list)+len(b) > cap(r.list) {
		r.list = append(make([]byte, 0, len(b)+node.Room(len(r.list), r.size)), r.list...)
	}
	r.list = append(r.list, b...)
	for !r.held {
		element := r.elements.Next(r.list)
		if element == nil {
			break
		}
		e, err := r.shape.read(element)
		if r.held = err != nil || e.gap; !r.held {
			e.raw = element
			r.entries = append(r.entries, e)
			r.pass(element)
		}
	}
	return len(b), nil
}

// whole returns the entries where the reply's list has come through the relay, all of them, and none with a gap; else nil.
func (r *relay) whole(result []byte) []entry {
	if r.held || !r.elements.Ended() || uint64(len(r.entries)) != r.shape.size || len(r.list) != len(result) || &r.list[0] != &result[0] {
		return nil
	}
	return r.entries
}

// pass lets an entry go.
func (r *relay) pass(element []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held = r.stopped || uint64(len(r.ready)) == r.shape.size; r.held { // it has more than were asked for: no good list
		return
	}
	r.ready = append(r.ready, element)
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
		for e := r.next(); e != nil; e = r.next() {
			r.entry(e)
		}
	}
}

func (r *relay) next() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || r.sent == len(r.ready) {
		return nil
	}
	r.sent++
	return r.ready[r.sent-1]
}

// entry sends the next entry, in pieces.
func (r *relay) entry(pieces ...[]byte) {
	if r.out.begun {
		r.out.Write(comma)
	} else {
		r.out.begin()
		r.out.Write(openList)
	}
	for _, p := range pieces {
		r.out.Write(p)
	}
}

// stop ends sending and returns how many entries have gone.
func (r *relay) stop() int {
	r.mu.Lock()
	r.stopped = true
	if r.wake != nil {
		close(r.wake)
	}
	r.mu.Unlock()
	r.sending.Wait()
	return r.sent
}

// finish sends what is still missing of an answer that has begun to go, and reports whether one has. Where there is no
// whole answer, what has gone must not look like one.
func (r *relay) finish(merged []entry) bool {
	sent := r.stop()
	if !r.out.begun {
		return false
	}
	if merged == nil || len(merged) < sent {
		r.out.abort()
	}
	for _, e := range merged[sent:] {
		if e.raw != nil {
			r.entry(e.raw)
		} else {
			r.entry(appendCells(nil, e.parts)...)
		}
	}
	r.out.Write(closeList)
	r.out.end()
	return true
}
