package node

import (
	"context"
	"io"
	"net"
	"time"
)

var dialer = net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := dialer.DialContext(ctx, network, address)
	if tcp, ok := c.(*net.TCPConn); ok {
		return conn{tcp}, err
	}
	return c, err
}

// conn writes a large body at once. net/http would copy it through a buffer, 32 KiB at a time with a system call for each.
type conn struct{ *net.TCPConn }

// ReadFrom is what net/http calls for a body. Ours are as long as the Content-Length, and at hand as a whole: that a body
// can write itself shows it.
func (c conn) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return c.TCPConn.ReadFrom(r)
	}
	body, ok := limited.R.(io.WriterTo)
	if !ok {
		return c.TCPConn.ReadFrom(r)
	}
	n, err := body.WriteTo(c.TCPConn)
	limited.N -= n
	return n, err
}
