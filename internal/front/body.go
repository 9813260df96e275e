package front

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
)

// meteredBody is a request's body that takes from the budget what it brings. It belongs to the request's handler.
type meteredBody struct {
	io.Reader
	io.Closer
	front      *Front
	connection *connection     // that it comes over
	gone       <-chan struct{} // closed when the caller has gone
	size       int64           // bytes; -1 where the request doesn't say
	engine     bool            // it calls engine_ methods, as far as its beginning shows

	taken   int64 // bytes of the budget
	read    int64 // bytes
	refused bool  // the budget had no room for it
	failed  bool  // reading it failed before its end
	whole   bool  // all of it has been read: its call is one of the connection's
	slot    bool  // it has one of the front's slots
}

// sniffed is how much of a body is looked at for its method. CLs write it before the parameters.
const sniffed = 512

// meter looks at the beginning of a request's body. A batch is what its first call is. Until that has come, no memory
// is made ready for a body, whatever its length is said to be.
func (f *Front) meter(r *http.Request, c *connection) *meteredBody {
	body := r.Body
	start := make([]byte, 0, sniffed)
	var err error
	for err == nil && len(start) < sniffed && !methodKnown(start) {
		var n int
		n, err = body.Read(start[len(start):sniffed])
		start = start[:len(start)+n]
	}
	return &meteredBody{
		Reader: io.MultiReader(bytes.NewReader(start), body), Closer: body,
		front: f, connection: c, gone: r.Context().Done(), size: r.ContentLength,
		engine: strings.HasPrefix(method(start), "engine_"), failed: err != nil && err != io.EOF,
	}
}

// method returns what follows "method" and a colon in the beginning of a request, up to the end of what there is.
func method(start []byte) string {
	_, rest, _ := bytes.Cut(start, []byte(`"method"`))
	rest = bytes.TrimLeft(rest, " \t\r\n:")
	word, ok := bytes.CutPrefix(rest, []byte(`"`))
	if !ok {
		return ""
	}
	return string(word)
}

// methodKnown reports whether the beginning of a request shows what it calls.
func methodKnown(start []byte) bool { return len(method(start)) >= len("engine_") }

var (
	errNoRoom = errors.New("no room for the request")
	errGone   = errors.New("the caller has gone")
)

// take takes n bytes more from the budget, and reports whether there was room.
func (b *meteredBody) take(n int64) bool {
	f := b.front
	if !b.engine && !f.others.Take(n) {
		return false
	}
	if !f.all.Take(n) {
		if !b.engine {
			f.others.Give(n)
		}
		return false
	}
	b.taken += n
	return true
}

// release gives back the bytes and the slot that were taken: the request has been answered.
func (b *meteredBody) release() {
	if b.whole {
		b.connection.addCalls(-1)
	}
	if b.slot {
		<-b.front.slots
	}
	b.front.all.Give(b.taken)
	if !b.engine {
		b.front.others.Give(b.taken)
	}
}

// Read reads on. A body that doesn't say how long it is takes twice as much whenever it needs more, as its reader does.
func (b *meteredBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += int64(n)
	if b.read > b.taken && !b.take(max(b.read, min(2*b.taken, b.front.MaxBody))-b.taken) {
		b.refused = true
		return 0, errNoRoom
	}
	b.failed = b.failed || err != nil && err != io.EOF
	if !b.whole && (b.read == b.size || err == io.EOF) {
		b.whole = true
		b.connection.addCalls(+1)
		if !b.waitForSlot() {
			return 0, errGone
		}
	}
	return n, err
}

// waitForSlot waits for a slot, where one is needed, and reports whether the caller has waited as long. A request takes
// one only when it has come as a whole: whoever sends slowly holds nobody up.
func (b *meteredBody) waitForSlot() bool {
	if b.engine {
		return true
	}
	select {
	case b.front.slots <- struct{}{}:
		b.slot = true
	case <-b.gone:
	}
	return b.slot
}
