package front

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

// What the frames are that we write (RFC 6455, section 11.8).
const (
	textFrame = 0x1
	pingFrame = 0x9
	pongFrame = 0xA
)

// wire is the connection under a socket. The library reads from it, and writes to it what closes a socket, nothing
// else: its pings and pongs break the connection where they can't go within five seconds, and its messages go in one
// piece of memory or in several frames. Frames don't mix: each is one Write of the library's, or one call of frame.
type wire struct {
	net.Conn
	writing chan struct{} // taken for each frame; has room for one

	mu   sync.Mutex // guards what follows, and the order of read deadlines
	due  time.Time  // when the message that is being read must have come; zero between messages
	left time.Time  // until then the other side may answer our goodbye; zero before that
}

// Read reads on. Who reads nothing has no deadline: a pause of ours isn't the other side's silence.
func (w *wire) Read(b []byte) (int, error) {
	w.mu.Lock()
	until := time.Now().Add(silence)
	if !w.due.IsZero() {
		until = w.due
	}
	if !w.left.IsZero() {
		until = w.left
	}
	w.SetReadDeadline(until)
	w.mu.Unlock()
	n, err := w.Conn.Read(b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // the library takes EOF for the end of a message
	}
	return n, err
}

// messageBegins gives a message the time of a request's body, from now on.
func (w *wire) messageBegins() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = time.Now().Add(bodyTime)
}

// messageEnds notes that the message has come.
func (w *wire) messageEnds() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = time.Time{}
}

// leave bounds what is left of reading: we say goodbye.
func (w *wire) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = time.Now().Add(farewell)
	w.SetReadDeadline(w.left)
}

// Write writes a frame of the library's.
func (w *wire) Write(b []byte) (written int, err error) {
	w.writing <- struct{}{}
	defer func() { <-w.writing }()
	return w.write(b)
}

// frame writes a frame of ours. Large pieces aren't copied.
func (w *wire) frame(kind byte, pieces ...[]byte) error {
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	first := header(kind, size)
	if size <= smallFrame {
		for _, p := range pieces {
			first = append(first, p...)
		}
		pieces = nil
	}
	w.writing <- struct{}{}
	defer func() { <-w.writing }()
	_, err := w.write(first)
	for i := 0; err == nil && i < len(pieces); i++ {
		_, err = w.write(pieces[i])
	}
	return err
}

// smallFrame is up to which size a frame goes in one write, in bytes.
const smallFrame = 64 << 10

// header is what stands before a frame of size bytes, which is a message of its own.
func header(kind byte, size int) []byte {
	h := make([]byte, 2, 10+min(size, smallFrame))
	h[0] = 0x80 | kind // the last frame of its message
	switch {
	case size > 0xFFFF:
		h[1] = 127
		return binary.BigEndian.AppendUint64(h, uint64(size))
	case size > 125:
		h[1] = 126
		return binary.BigEndian.AppendUint16(h, uint16(size))
	}
	h[1] = byte(size)
	return h
}

// write writes b, as an answer over HTTP is written: the reader has stallTime for each writeStep. The caller has
// taken writing.
func (w *wire) write(b []byte) (written int, err error) {
	for err == nil && written < len(b) {
		w.SetWriteDeadline(time.Now().Add(stallTime))
		var n int
		n, err = w.Conn.Write(b[written:min(written+writeStep, len(b))])
		written += n
	}
	return written, err
}
