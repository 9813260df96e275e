package enginejson

import (
	"errors"
	"io"
	"sync"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/rawjson"
)

// ListReader reads a list while it comes in, and keeps all of its entries: in segments, because a list that grows as a
// whole is copied again and again. It belongs to the goroutine that reads.
type ListReader struct {
	list     *engine.List         // what is asked for
	segment  []byte               // what has come since the last segment was full
	borrowed []*[segmentSize]byte // the segments that are to be given back
	elements rawjson.ElementReader
	entries  []engine.Entry
	err      error // what is wrong with the first entry that is no good
}

// NewListReader returns a reader of one answer to a call for a list.
func NewListReader(l *engine.List) *ListReader { return &ListReader{list: l} }

// segmentSize is that of some blobs in hexadecimal, in bytes.
const segmentSize = 1 << 20

// segments are those that are free, to be used again: a list of blobs takes twenty.
var segments = sync.Pool{New: func() any { return new([segmentSize]byte) }}

// Read takes the list in, and hands each entry to take as soon as it has come, as long as nothing is wrong. An entry's
// bytes are good until Release. follows says that they stand behind those of the entry before, in the same segment.
func (r *ListReader) Read(result io.Reader, take func(e *engine.Entry, follows bool)) error {
	follows := true
	for {
		if len(r.segment) == cap(r.segment) {
			rest := r.elements.Rest(r.segment)
			r.segment = append(r.room(2*len(rest)), rest...)
			follows = false
		}
		n, err := result.Read(r.segment[len(r.segment):cap(r.segment)])
		r.segment = r.segment[:len(r.segment)+n]
		for element := r.elements.Next(r.segment); element != nil; element = r.elements.Next(r.segment) {
			if r.keep(element) {
				take(&r.entries[len(r.entries)-1], follows)
				follows = true
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
func (r *ListReader) room(n int) []byte {
	if n > segmentSize {
		return make([]byte, 0, n)
	}
	s := segments.Get().(*[segmentSize]byte)
	r.borrowed = append(r.borrowed, s)
	return s[:0]
}

// Release lets the segments be used again. It is for when nothing reads the entries any more: the call has ended, and
// its answer has gone.
func (r *ListReader) Release() {
	for _, s := range r.borrowed {
		segments.Put(s)
	}
	r.borrowed, r.segment, r.entries = nil, nil, nil
}

// maxEntries is far above what a call may ask for: 128 blobs, or some thousand bodies.
const maxEntries = 16 << 10

var errTooMany = errors.New("more entries than any call may ask for")

// keep keeps an entry, unless something is wrong with it or was with one before.
func (r *ListReader) keep(element []byte) (kept bool) {
	if r.err != nil {
		return false
	}
	e, err := readEntry(r.list, element)
	switch n := len(r.entries); {
	case err != nil:
	case uint64(n) == r.list.Size:
		err = r.list.Fits(n + 1)
	case n == maxEntries:
		err = errTooMany
	}
	if r.err = err; err != nil {
		return false
	}
	r.entries = append(r.entries, e)
	return true
}

// Answer is what has been read, to its end.
func (r *ListReader) Answer(c *engine.Call) (engine.Answer, error) {
	switch {
	case !r.elements.Ended(): // it is no list: it has no elements, and so is in one segment as a whole
		return ReadAnswer(c, jsonrpc.Reply{Result: r.segment})
	case r.err != nil:
		return engine.Answer{}, r.err
	}
	a := engine.Answer{Entries: r.entries}
	if a.Entries == nil {
		a.Entries = []engine.Entry{}
	}
	return a, r.list.Fits(len(r.entries))
}
