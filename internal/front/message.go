package front

import (
	"bytes"
	"fmt"
	"io"
)

// message is one that came over a socket: a call or a batch. It belongs to one goroutine at a time.
type message struct {
	share
	start   []byte // its beginning
	body    []byte // all of it; nil where it is refused
	refusal string // why it is; "" where it isn't
}

// readMessage reads a message to its end. What there is no room for is read, too, and not kept. An error says that the
// connection has broken.
func (f *Front) readMessage(r io.Reader) (*message, error) {
	start, err := sniff(r)
	m := &message{share: share{front: f, engine: callsEngine(start)}, start: start}
	chunks, size := [][]byte{start}, int64(len(start))
	if !m.take(size) {
		m.refusal = f.noRoom(m.engine)
	}
	for err == nil && m.refusal == "" {
		var n int
		switch more := min(size, f.MaxBody-size); { // how long it will be nobody says
		case more <= 0:
			if n, err = fill(r, make([]byte, 1)); n > 0 {
				m.refusal = fmt.Sprintf("request too large: --max-body is %d bytes", f.MaxBody)
			}
		case !m.take(more):
			m.refusal = f.noRoom(m.engine)
		default:
			chunk := make([]byte, more)
			n, err = fill(r, chunk)
			chunks, size = append(chunks, chunk[:n]), size+int64(n)
		}
	}
	if m.refusal != "" {
		m.release()
		chunks = nil
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
	}
	if err != nil && err != io.EOF {
		m.release()
		return nil, err
	}
	if m.refusal == "" {
		m.body = bytes.Join(chunks, nil) // without room to spare: payloads are kept
		m.give(m.taken - size)
	}
	return m, nil
}

// fill reads until b is full, or up to an error; io.EOF is the message's end.
func fill(r io.Reader, b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		var more int
		more, err = r.Read(b[n:])
		n += more
	}
	return n, err
}
