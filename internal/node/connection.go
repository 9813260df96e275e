package node

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// connection is one to a node. It makes one call at a time.
type connection struct {
	net.Conn
	of     *transport
	raw    syscall.RawConn // beneath Conn
	epoch  int
	used   time.Time // when its last call ended
	reader *bufio.Reader
	out    []byte      // of a request: what has not been sent
	header int64       // how many bytes may be read for the header that is being read; -1 while none is
	failed error       // the first thing that went wrong with reading or writing: what can't be understood without one is malformed
	stop   func() bool // keeps the end of the call's context from breaking it; false where that has happened
}

const (
	maxHeader        = 64 << 10 // bytes of a response's
	maxInformational = 5        // responses of 1xx before the one that counts
)

var (
	errHeader        = errors.New("headers exceeded 64 KiB")
	errInformational = errors.New("too many responses of 1xx")
)

func newConnection(of *transport, conn net.Conn, raw syscall.RawConn, epoch int) *connection {
	c := &connection{Conn: conn, of: of, raw: raw, epoch: epoch, header: -1}
	c.reader = bufio.NewReaderSize(c, 16<<10)
	return c
}

// Read reads on, and bounds a header.
func (c *connection) Read(p []byte) (int, error) {
	if c.header == 0 {
		return 0, errHeader
	}
	if c.header > 0 {
		p = p[:min(int64(len(p)), c.header)]
	}
	n, err := c.Conn.Read(p)
	if c.header > 0 {
		c.header -= int64(n)
	}
	c.fail(err)
	return n, err
}

// Write collects what http.Request.Write writes, so that it goes in one system call.
func (c *connection) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), nil
}

// WriteByte keeps http.Request.Write from making a buffer of its own, and WriteString from making copies.
func (c *connection) WriteByte(b byte) error {
	c.out = append(c.out, b)
	return nil
}

func (c *connection) WriteString(s string) (int, error) {
	c.out = append(c.out, s...)
	return len(s), nil
}

// maxCollected is the size of bodies up to which they are copied behind their header, in bytes.
const maxCollected = 16 << 10

// ReadFrom is what http.Request.Write comes to call for a body. It would copy a large one through a buffer, 32 KiB at a
// time with a system call for each. Ours are at hand as a whole: that a body can write itself shows it.
func (c *connection) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		if body, ok := limited.R.(io.WriterTo); ok {
			var to io.Writer = struct{ io.Writer }{c}
			if limited.N > maxCollected {
				to = sender{c}
			}
			n, err := body.WriteTo(to)
			limited.N -= n
			return n, err
		}
	}
	return io.Copy(struct{ io.Writer }{c}, r)
}

// flush sends what has been collected.
func (c *connection) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.out)
	c.out = c.out[:0]
	c.fail(err)
	return err
}

// sender sends a large body at once, with what has been collected before it.
type sender struct{ *connection }

func (s sender) Write(body []byte) (int, error) {
	pieces := net.Buffers{s.out, body}
	n, err := pieces.WriteTo(s.Conn)
	n = max(0, n-int64(len(s.out)))
	s.out = s.out[:0]
	s.fail(err)
	return int(n), err
}

func (c *connection) fail(err error) {
	if c.failed == nil {
		c.failed = err
	}
}

// exchange sends a request and reads the response up to its body, whose end ends the call. The end of the request's
// context breaks the connection.
func (c *connection) exchange(req *http.Request) (*http.Response, error) {
	c.stop = context.AfterFunc(req.Context(), func() { c.SetDeadline(time.Unix(1, 0)) })
	sent := req.Write(c)
	if sent == nil {
		sent = c.flush()
	}
	resp, err := c.response(req) // a node may refuse a request before it has read all of it
	if err != nil {
		c.end(false)
		return nil, c.reason(err)
	}
	resp.Body = &responseBody{from: resp.Body, conn: c, good: sent == nil && !resp.Close}
	return resp, nil
}

// reason says why a response could not be read.
func (c *connection) reason(err error) error {
	switch c.failed {
	case nil:
		return malformed(err)
	case io.EOF:
		return io.ErrUnexpectedEOF
	}
	return c.failed
}

// response reads a response's header.
func (c *connection) response(req *http.Request) (*http.Response, error) {
	c.header = maxHeader
	defer func() { c.header = -1 }()
	for range maxInformational {
		resp, err := http.ReadResponse(c.reader, req)
		if err != nil || resp.StatusCode >= http.StatusOK {
			return resp, err
		}
	}
	return nil, errInformational
}

// end ends a call. The connection is kept for another one where it can be.
func (c *connection) end(good bool) {
	if untouched := c.stop(); !untouched || !good || c.reader.Buffered() > 0 {
		c.Close()
		return
	}
	c.of.keep(c)
}

// responseBody is the body of a response.
type responseBody struct {
	from io.Reader
	conn *connection
	good bool  // the connection can be used for another call
	err  error // how it ended
}

// Read reads on. At the end the connection is free.
func (b *responseBody) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	if n, err = b.from.Read(p); err != nil {
		if err != io.EOF {
			err = b.conn.reason(err)
		}
		b.end(err)
	}
	return n, err
}

// Close gives up what has not been read.
func (b *responseBody) Close() error {
	if b.err == nil {
		b.end(http.ErrBodyReadAfterClose)
	}
	return nil
}

func (b *responseBody) end(err error) {
	b.err = err
	b.conn.end(b.good && err == io.EOF)
}
