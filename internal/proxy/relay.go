package proxy

import (
	"context"
	"errors"
	"io"
	"sync"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
)

// relay passes a list on while it comes in from the node whose entries come first in the answer, whatever the others
// have: up to the first gap. Reading doesn't wait for the CL, and all entries are kept until the answer has gone: in
// segments, because a list that grows as a whole is copied again and again.
type relay struct {
	out   *outlet
	shape shape

	segment  []byte // what has come since the last segment was full
	elements jsonrpc.ElementReader
	entries  []entry
	err      error // what is wrong with one
	listed   bool  // the list came through here
	held     bool  // a gap, or something wrong: no more is passed on until all nodes' lists have been put together

	mu      sync.Mutex
	ready   [][]byte // entries that may go
	sent    int      // how many have gone, or are going
	stopped bool
	wake    chan struct{}
	sending sync.WaitGroup
}

// segmentSize is some blobs' in hex, in bytes.
const segmentSize = 1 << 20

// relayed is the result of a reply whose list came through a relay, which has the entries.
var relayed = []byte("[]")

// call makes the call to that node.
func (r *relay) call(ctx context.Context, n *node.Node, m engine.Method, body []byte) (jsonrpc.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, n.Timeout(m))
	defer cancel()
	opened := false
	reply, err := n.Stream(ctx, m.Family, body, func(int64) io.Writer {
		opened = true
		return r
	})
	if err != nil || !opened {
		return reply, err
	}
	if r.listed = r.elements.Ended(); r.listed {
		return jsonrpc.Reply{Result: relayed}, nil
	}
	return jsonrpc.Reply{Result: r.segment}, nil // no list: it has no elements, and is in one segment
}

// Write takes the next piece of the list in.
func (r *relay) Write(b []byte) (int, error) {
	size := len(b)
	for len(b) > 0 {
		if len(r.segment) == cap(r.segment) {
			rest := r.elements.Rest(r.segment)
			r.segment = append(make([]byte, 0, max(segmentSize, 2*len(rest))), rest...)
		}
		n := min(len(b), cap(r.segment)-len(r.segment))
		r.segment, b = append(r.segment, b[:n]...), b[n:]
		for element := r.elements.Next(r.segment); element != nil; element = r.elements.Next(r.segment) {
			r.take(element)
		}
	}
	return size, nil
}

// maxEntries is far above what a call may ask for: 128 blobs, or some thousand bodies.
const maxEntries = 16 << 10

var errTooMany = errors.New("more entries than any call may ask for")

// take reads an entry, and lets it go where nothing is held up.
func (r *relay) take(element []byte) {
	if r.err != nil {
		return
	}
	e, err := r.shape.read(element)
	switch n := len(r.entries); {
	case err != nil:
	case uint64(n) == r.shape.size:
		err = r.shape.fits(n + 1)
	case n == maxEntries:
		err = errTooMany
	}
	if r.err = err; err != nil {
		r.held = true
		return
	}
	e.raw = element
	r.entries = append(r.entries, e)
	if r.held = r.held || e.gap; !r.held {
		r.pass(element)
	}
}

// list returns the entries of a list that came through here.
func (r *relay) list() ([]entry, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.entries, r.shape.fits(len(r.entries))
}

// pass lets an entry go.
func (r *relay) pass(element []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held = r.stopped; r.held {
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
	if !r.stopped && r.wake != nil {
		close(r.wake)
	}
	r.stopped = true
	r.mu.Unlock()
	r.sending.Wait()
	return r.sent
}

// finish sends what is still missing of the answer, and reports whether there is one. Where there is none, what has gone
// must not look like one.
func (r *relay) finish(merged []entry) bool {
	sent := r.stop()
	if merged == nil && !r.out.begun {
		return false
	}
	if len(merged) < sent {
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
