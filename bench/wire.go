package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// wire is one end of a connection that speaks just enough HTTP/1.1. net/http would take longer than what is measured.
type wire struct {
	net.Conn
	buffer  []byte // read from, and what of it has not been used
	pending []byte
	scratch []byte // the last head
	answer  [512]byte
	socket  bool // it speaks WebSocket instead
}

func newWire(c net.Conn) *wire { return &wire{Conn: c, buffer: make([]byte, 256<<10)} }

// fill reads more when nothing is pending.
func (w *wire) fill() error {
	if len(w.pending) > 0 {
		return nil
	}
	n, err := w.Read(w.buffer)
	w.pending = w.buffer[:n]
	if n > 0 {
		return nil
	}
	return err
}

// line returns the next line without its end. It is good until the next call.
func (w *wire) line() ([]byte, error) {
	w.scratch = w.scratch[:0]
	for {
		if err := w.fill(); err != nil {
			return nil, err
		}
		if i := bytes.IndexByte(w.pending, '\n'); i >= 0 {
			w.scratch = append(w.scratch, w.pending[:i]...)
			w.pending = w.pending[i+1:]
			return bytes.TrimSuffix(w.scratch, []byte("\r")), nil
		}
		w.scratch = append(w.scratch, w.pending...)
		w.pending = nil
	}
}

var contentLength, chunkedEncoding = []byte("content-length:"), []byte("transfer-encoding: chunked")

// start reads the beginning of a message, up to its body. length is that of the body, if it is not in chunks.
func (w *wire) start() (first string, length int, chunked bool, err error) {
	line, err := w.line()
	if err != nil {
		return "", 0, false, err
	}
	if first = "POST / HTTP/1.1"; string(line) != first { // no allocation for what always comes
		first = string(line)
	}
	for {
		if line, err = w.line(); err != nil || len(line) == 0 {
			return first, length, chunked, err
		}
		switch {
		case len(line) > len(contentLength) && bytes.EqualFold(line[:len(contentLength)], contentLength):
			length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):])))
		case bytes.EqualFold(line, chunkedEncoding):
			chunked = true
		}
		if err != nil {
			return first, 0, false, err
		}
	}
}

// receive reads one message. Of its body only what fits into prefix is kept: n bytes, of total.
func (w *wire) receive(prefix []byte) (first string, n, total int, err error) {
	if w.socket {
		n, total, err = w.frame(prefix)
		return "", n, total, err
	}
	first, length, chunked, err := w.start()
	if err != nil {
		return first, 0, 0, err
	}
	if !chunked {
		n, err = w.take(prefix, length)
		return first, n, length, err
	}
	for {
		line, err := w.line()
		if err != nil {
			return first, n, total, err
		}
		size, err := strconv.ParseInt(string(line), 16, 64)
		if err != nil {
			return first, n, total, fmt.Errorf("chunk: %w", err)
		}
		m, err := w.take(prefix[n:], int(size))
		if err != nil {
			return first, n, total, err
		}
		n, total = n+m, total+int(size)
		if line, err = w.line(); err != nil || len(line) > 0 {
			return first, n, total, errors.Join(err, errors.New("chunk without an end"))
		}
		if size == 0 {
			return first, n, total, nil
		}
	}
}

// expect reads one message, which must contain want at its beginning.
func (w *wire) expect(want string) error {
	_, n, _, err := w.receive(w.answer[:])
	if err == nil && !bytes.Contains(w.answer[:n], []byte(want)) {
		err = fmt.Errorf("the answer is %.300s", w.answer[:n])
	}
	return err
}

// take reads length bytes and keeps those that fit into prefix.
func (w *wire) take(prefix []byte, length int) (n int, err error) {
	for length > 0 {
		if err := w.fill(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
		part := w.pending[:min(len(w.pending), length)]
		n += copy(prefix[n:], part)
		length -= len(part)
		w.pending = w.pending[len(part):]
	}
	return n, nil
}

// message reads one message of a known length into b, or into more room than that, and returns its body.
func (w *wire) message(b []byte) ([]byte, error) {
	_, length, chunked, err := w.start()
	if err != nil {
		return nil, err
	}
	if chunked {
		return nil, errors.New("a message in chunks")
	}
	if b = b[:0]; cap(b) < length {
		b = make([]byte, 0, length)
	}
	b = b[:length]
	n := copy(b, w.pending)
	w.pending = w.pending[n:]
	_, err = io.ReadFull(w.Conn, b[n:])
	return b, err
}

// pass moves length bytes of a body to another wire, as they come.
func (w *wire) pass(to *wire, length int) error {
	for length > 0 {
		if err := w.fill(); err != nil {
			return err
		}
		part := w.pending[:min(len(w.pending), length)]
		if _, err := to.Write(part); err != nil {
			return err
		}
		length -= len(part)
		w.pending = w.pending[len(part):]
	}
	return nil
}

// send writes a message in one go.
func (w *wire) send(head, body []byte) error {
	pieces := net.Buffers{head, body}
	_, err := pieces.WriteTo(w.Conn)
	return err
}
