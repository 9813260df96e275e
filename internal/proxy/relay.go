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
	borrowed []*[segmentSize]byte
	elements jsonrpc.ElementReader
	entries  []entry
	err      error // what is wrong with one
	listed   bool  // the list came through here
	held     bool  // a gap, or something wrong: no more is passed on until all nodes' lists have been put together

	mu      sync.Mutex
	ready   []stretch // may go
	sent    int       // how many entries have gone, or are going
	stopped bool
	wake    chan struct{}
	sending sync.WaitGroup
}

// stretch is what stands in one segment from one entry to another, with what is between them: it goes in one write.
type stretch struct {
	bytes   []byte
	entries int
}

// segmentSize is some blobs' in hex, in bytes.
const segmentSize = 1 << 20

// segments are used again: a list of blobs takes twenty.
var segments = sync.Pool{New: func() any { return new([segmentSize]byte) }}

// relayed is the result of a reply whose list came through a relay, which has the entries.
var relayed = []byte("[]")

// call makes the call to that node.
func (r *relay) call(ctx context.Context, n *node.Node, m engine.Method, body []byte) (jsonrpc.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, n.Timeout(m))
	defer cancel()
	opened := false
	reply, err := n.Stream(ctx, m.Family, body, func(result io.Reader) error {
		opened = true
		return r.read(result)
	})
	if err != nil || !opened {
		return reply, err
	}
	if r.listed = r.elements.Ended(); r.listed {
		return jsonrpc.Reply{Result: relayed}, nil
	}
	return jsonrpc.Reply{Result: r.segment}, nil // no list: it has no elements, and is in one segment
}

// read takes the list in.
func (r *relay) read(result io.Reader) error {
	fresh := false // nothing of the present segment has been passed on
	for {
		if len(r.segment) == cap(r.segment) {
			rest := r.elements.Rest(r.segment)
			r.segment = append(r.room(2*len(rest)), rest...)
			fresh = true
		}
		n, err := result.Read(r.segment[len(r.segment):cap(r.segment)])
		r.segment = r.segment[:len(r.segment)+n]
		for element := r.elements.Next(r.segment); element != nil; element = r.elements.Next(r.segment) {
			if r.take(element) {
				r.pass(element, fresh)
				fresh = false
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// room returns a new segment of at least n bytes.
func (r *relay) room(n int) []byte {
	if n > segmentSize {
		return make([]byte, 0, n)
	}
	s := segments.Get().(*[segmentSize]byte)
	r.borrowed = append(r.borrowed, s)
	return s[:0]
}

// release lets the segments be used again. Nothing reads them any more: the call has ended, and its answer has gone.
func (r *relay) release() {
	for _, s := range r.borrowed {
		segments.Put(s)
	}
	r.borrowed, r.segment, r.entries = nil, nil, nil
}

// maxEntries is far above what a call may ask for: 128 blobs, or some thousand bodies.
const maxEntries = 16 << 10

var errTooMany = errors.New("more entries than any call may ask for")

// take keeps an entry, and reports whether it may go: nothing holds it up.
func (r *relay) take(element []byte) bool {
	if r.err != nil {
		return false
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
		return false
	}
	e.raw = element
	r.entries = append(r.entries, e)
	r.held = r.held || e.gap
	return !r.held
}

// list returns the entries of a list that came through here.
func (r *relay) list() ([]entry, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.entries, r.shape.fits(len(r.entries))
}

// pass lets an entry go: behind those of its segment that wait, or where there are none on its own.
func (r *relay) pass(element []byte, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held = r.stopped; r.held {
		return
	}
	if last := len(r.ready) - 1; last >= 0 && !fresh {
		s := &r.ready[last]
		// Both end where their segment does, if they were as long as they can be: so far is the element's end from s's beginning.
		s.bytes = s.bytes[:cap(s.bytes)-cap(element)+len(element)]
		s.entries++
	} else {
		r.ready = append(r.ready, stretch{element, 1})
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
			r.entry(s)
		}
	}
}

// next returns what may go now, or nil.
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

// entry sends the next entry, or several as they stand in a list. It may be in pieces.
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
