// Package outlet is where the answer to a call goes that is alone in its request. A part of the answer may go while the
// rest still comes in. How an answer is written is the door's business: it gives a Format.
package outlet

import (
	"bytes"
	"net/http"
	"strconv"

	"executionbackup/internal/engine"
)

// Format is how a door writes answers. None of its funcs is nil, and nobody changes it.
type Format struct {
	ContentType string
	// Around is what stands before and behind a result that goes part by part, under the CL's id.
	Around func(id []byte) (head, tail []byte)
	// Whole writes an answer to a call that goes as a whole, in pieces: large results aren't copied.
	Whole func(c *engine.Call, id []byte, a *engine.Answer) [][]byte
	// OpenList, Comma and CloseList stand before a list, between its entries, and behind it.
	OpenList, Comma, CloseList []byte
	// Entry writes an entry of a list, in pieces.
	Entry func(kind engine.ListKind, e *engine.Entry) [][]byte
}

// Outlet takes the answer to one call. A nil Outlet is that of a call whose answer is collected: of one in a batch,
// say. An Outlet belongs to one goroutine at a time.
type Outlet struct {
	w      http.ResponseWriter
	format *Format
	call   *engine.Call
	id     []byte // under which the answer goes

	begun bool  // a part of the answer has gone, or all
	err   error // why nothing more goes: the caller has gone
}

// New returns where the answer to a call goes, under an id.
func New(w http.ResponseWriter, f *Format, c *engine.Call, id []byte) *Outlet {
	return &Outlet{w: w, format: f, call: c, id: id}
}

// HasBegun reports whether a part of the answer has gone, so that it is too late for another answer. To a nil Outlet
// nothing goes.
func (o *Outlet) HasBegun() bool { return o != nil && o.begun }

// Err says why nothing more goes. Where it is nil, all that was written has gone, and its memory can be used for
// something else.
func (o *Outlet) Err() error { return o.err }

// IsForWhole reports whether the answer goes under the id with which nodes are called, so that all that one of them
// writes can be the answer.
func (o *Outlet) IsForWhole() bool { return bytes.Equal(o.id, o.call.ID) }

// BeginWhole lets all that a node writes go, and stands in place of Begin and End.
func (o *Outlet) BeginWhole() { o.start() }

// Begin sends what comes before the result.
func (o *Outlet) Begin() {
	o.start()
	head, _ := o.format.Around(o.id)
	o.Write(head)
}

// start notes that the answer begins, and says of what type it is.
func (o *Outlet) start() {
	o.begun = true
	o.w.Header().Set("Content-Type", o.format.ContentType)
}

// small is how much the server counts by itself, in bytes.
const small = 2 << 10

// Send sends a whole answer, without a copy of its bytes, and reports whether it has gone: then they can be used for
// something else.
func (o *Outlet) Send(a *engine.Answer) (gone bool) {
	o.start()
	pieces := o.format.Whole(o.call, o.id, a)
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	if len(pieces) > 1 || size > small {
		o.w.Header().Set("Content-Length", strconv.Itoa(size))
	}
	for _, p := range pieces {
		o.Write(p)
	}
	return o.err == nil
}

// Write sends a part of the result. An error says that the caller has gone; n is that of all bytes even then.
func (o *Outlet) Write(b []byte) (n int, err error) {
	if o.err == nil {
		_, o.err = o.w.Write(b)
	}
	return len(b), o.err
}

// End sends what comes behind the result.
func (o *Outlet) End() {
	_, tail := o.format.Around(o.id)
	o.Write(tail)
}

// Abort breaks the caller's connection: what it has got must not look complete. It doesn't return.
func (o *Outlet) Abort() { panic(http.ErrAbortHandler) }

// WriteEntry sends the next entry of a list, in pieces; or in one piece several entries, with what stands between them.
// The first one opens the list.
func (o *Outlet) WriteEntry(pieces ...[]byte) {
	if o.begun {
		o.Write(o.format.Comma)
	} else {
		o.Begin()
		o.Write(o.format.OpenList)
	}
	for _, p := range pieces {
		o.Write(p)
	}
}

// EndList sends the rest of a list, its end, and what comes behind it.
func (o *Outlet) EndList(rest []engine.Entry) {
	for i := range rest {
		o.WriteEntry(o.format.Entry(o.call.List.Kind, &rest[i])...)
	}
	if !o.begun {
		o.Begin()
		o.Write(o.format.OpenList)
	}
	o.Write(o.format.CloseList)
	o.End()
}
