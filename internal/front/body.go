package front

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
)

// share is what a request, or a message, has of the front while it is being answered: bytes of the budget, and a slot.
// It belongs to one goroutine at a time.
type share struct {
	front  *Front
	engine bool // it calls engine_ methods, as far as its beginning shows

	taken int64 // bytes of the budget
	slot  bool  // it has one of the front's slots
}

// take takes n bytes more from the budget, and reports whether there was room.
func (s *share) take(n int64) bool {
	f := s.front
	if !s.engine && !f.others.Take(n) {
		return false
	}
	if !f.all.Take(n) {
		if !s.engine {
			f.others.Give(n)
		}
		return false
	}
	s.taken += n
	return true
}

// give gives n of the taken bytes back.
func (s *share) give(n int64) {
	s.taken -= n
	s.front.all.Give(n)
	if !s.engine {
		s.front.others.Give(n)
	}
}

// waitForSlot waits for a slot, where one is needed, and reports whether the caller has waited as long. A request takes
// one only when it has come as a whole: whoever sends slowly holds nobody up.
func (s *share) waitForSlot(gone <-chan struct{}) bool {
	if s.engine {
		return true
	}
	select {
	case s.front.slots <- struct{}{}:
		s.slot = true
	case <-gone:
	}
	return s.slot
}

// release gives all back: the request has been answered.
func (s *share) release() {
	if s.slot {
		<-s.front.slots
		s.slot = false
	}
	s.give(s.taken)
}

// meteredBody is a request's body that takes from the budget what it brings. It belongs to the request's handler.
type meteredBody struct {
	io.Reader
	io.Closer
	share
	connection *connection     // that it comes over
	gone       <-chan struct{} // closed when the caller has gone
	size       int64           // bytes; -1 where the request doesn't say

	read    int64 // bytes
	refused bool  // the budget had no room for it
	failed  bool  // reading it failed before its end
	whole   bool  // all of it has been read: its call is one of the connection's
}

// sniffed is how much of a body is looked at for its method. CLs write it before the parameters.
const sniffed = 512

// sniff reads the beginning of a request or a message, as far as its method.
func sniff(body io.Reader) (start []byte, err error) {
	start = make([]byte, 0, sniffed)
	for err == nil && len(start) < sniffed && !methodKnown(start) {
		var n int
		n, err = body.Read(start[len(start):sniffed])
		start = start[:len(start)+n]
	}
	return start, err
}

// callsEngine reports whether the beginning of a request shows that it calls an engine_ method. A batch is what its
// first call is.
func callsEngine(start []byte) bool { return strings.HasPrefix(method(start), "engine_") }

// meter looks at the beginning of a request's body. Until that has come, no memory is made ready for a body, whatever
// its length is said to be.
func (f *Front) meter(r *http.Request, c *connection) *meteredBody {
	body := r.Body
	start, err := sniff(body)
	return &meteredBody{
		Reader: io.MultiReader(bytes.NewReader(start), body), Closer: body,
		share:      share{front: f, engine: callsEngine(start)},
		connection: c, gone: r.Context().Done(), size: r.ContentLength, failed: err != nil && err != io.EOF,
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

// release gives back what was taken: the request has been answered.
func (b *meteredBody) release() {
	if b.whole {
		b.connection.addCalls(-1)
	}
	b.share.release()
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
		if !b.waitForSlot(b.gone) {
			return 0, errGone
		}
	}
	return n, err
}
