package wire

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// connection is one to a node. It makes one call at a time, and belongs to the goroutine that makes the call; while it
// is idle, to its transport, whose lock guards it.
type connection struct {
	net.Conn
	of     *transport
	raw    syscall.RawConn // of the socket: Conn may be TLS over it
	epoch  int             // of the transport, when the connection was made
	used   time.Time       // when its last call ended
	reader *bufio.Reader
	out    []byte // what has been collected of a request, and not been sent
	header int64  // how many bytes may be read for the header that is being read; -1 while none is
	// failed is the first thing that went wrong with reading or writing. What can't be understood though nothing went
	// wrong is malformed.
	failed error
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

// Write sends p behind what has been collected, in one system call.
func (c *connection) Write(p []byte) (int, error) {
	pieces := net.Buffers{c.out, p}
	n, err := pieces.WriteTo(c.Conn)
	n = max(0, n-int64(len(c.out)))
	c.out = c.out[:0]
	c.fail(err)
	return int(n), err
}

// fail notes what went wrong, if it is the first thing.
func (c *connection) fail(err error) {
	if c.failed == nil {
		c.failed = err
	}
}

// exchange sends a request and reads the response up to its body, whose end ends the call. The end of the request's
// context breaks the connection.
func (c *connection) exchange(req *http.Request) (*http.Response, error) {
	c.stop = context.AfterFunc(req.Context(), func() { c.SetDeadline(time.Unix(1, 0)) })
	sent := req.Write(requestWriter{c})
	if sent == nil && len(c.out) > 0 {
		_, sent = c.Write(nil)
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
		return MalformedAnswer(err)
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

// endTime bounds how long it takes to look what has come on an idle connection.
const endTime = 10 * time.Millisecond

// readEnd reads what has come on an idle connection that isn't quiet, and reports whether that is its end: of itself,
// or of its TLS. The connection is of no use after that.
func (c *connection) readEnd() bool {
	c.SetReadDeadline(time.Now().Add(endTime))
	_, err := c.Conn.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
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
	good bool  // the connection can be used for another call, once the body has been read to its end
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

// end notes how the body ended, and ends the call.
func (b *responseBody) end(err error) {
	b.err = err
	b.conn.end(b.good && err == io.EOF)
}
