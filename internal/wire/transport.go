package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"executionbackup/internal/config"
)

const (
	// dialTimeout bounds the set-up of a live call's connection; a probe has less.
	dialTimeout = 3 * time.Second
	// maxIdle is how many connections a node has kept for it: a batch or a burst of eth_ calls must not end in fresh
	// ones.
	maxIdle = 64
	// idleTime is how long a connection is kept without a call. geth hangs up after two minutes; where a client does so
	// sooner, that is seen.
	idleTime = 90 * time.Second
	// keptTime is how long after a call no client hangs up by habit. A client that does so sooner, and has not said
	// that it would, has gone.
	keptTime = 5 * time.Second
)

// transport makes calls to one node over connections that it keeps: HTTP/1.1, one call at a time on each. How requests
// and responses are written is net/http's business. Its own Transport has two goroutines for every connection, and a
// call has to wait until both of them have been woken; here it is made by the goroutine that wants it. No redirect is
// followed: it would carry the node's token to whom we don't know. Safe for concurrent use.
type transport struct {
	broke func() // told of an idle connection that ended sooner than keptTime after its last call; nil: nobody is

	mu     sync.Mutex    // guards what follows
	tls    *tls.Config   // for https; nil means that of the system
	idle   []*connection // the one that was used last comes last
	epoch  int           // closeIdle begins another: a connection of an older one isn't kept
	closed bool          // no connection is kept any more
}

// TCP returns the transport that a Client over TCP uses, for callers that wrap it, and a func that lets go of its
// connections when they aren't needed any more. It is for one node; cas vouch for an https one, nil = the system's.
func TCP(cas *x509.CertPool) (via http.RoundTripper, disconnect func()) {
	t := new(transport)
	t.trust(cas)
	return t, t.close
}

// RoundTrip implements http.RoundTripper. An error of the set-up of a connection is a *net.OpError of "dial". Whoever
// stops reading before the end of the response's body has to close it. The request's body is not touched any more when
// RoundTrip has returned.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	c, err := t.connection(req.Context(), req.URL)
	if err != nil {
		return nil, err
	}
	return c.exchange(req)
}

// connection returns a connection that is free: a kept one, or a new one.
func (t *transport) connection(ctx context.Context, to *url.URL) (*connection, error) {
	for {
		c, epoch := t.takeKept()
		switch {
		case c == nil:
			return t.dial(ctx, to, epoch)
		case time.Since(c.used) < idleTime && c.quiet():
			return c, nil
		}
		if t.broke != nil && time.Since(c.used) < keptTime && c.readEnd() {
			t.broke()
			t.closeIdle() // the other connections lead to what is gone, too
		}
		c.Close()
	}
}

// takeKept takes the connection that was used last out of those that are kept; nil where there is none.
func (t *transport) takeKept() (c *connection, epoch int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last := len(t.idle) - 1; last >= 0 {
		c = t.idle[last]
		t.idle = slices.Delete(t.idle, last, last+1)
	}
	return c, t.epoch
}

// keep keeps a connection whose call has ended, and lets go of those that nobody needed for long.
func (t *transport) keep(c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.used = time.Now()
	old := 0
	for old < len(t.idle) && c.used.Sub(t.idle[old].used) >= idleTime {
		t.idle[old].Close()
		old++
	}
	t.idle = slices.Delete(t.idle, 0, old)
	if t.closed || c.epoch != t.epoch || len(t.idle) == maxIdle {
		c.Close()
		return
	}
	t.idle = append(t.idle, c)
}

// trust makes authorities vouch for the node on new connections; nil = the system's.
func (t *transport) trust(cas *x509.CertPool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tls = &tls.Config{RootCAs: cas}
}

// settings are those of a new TLS connection.
func (t *transport) settings() *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tls == nil {
		return new(tls.Config)
	}
	return t.tls.Clone()
}

// closeIdle closes all connections that aren't in use, and the others when their calls have ended.
func (t *transport) closeIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.idle {
		c.Close()
	}
	t.idle = nil
	t.epoch++
}

// close is closeIdle, and from now on every connection is for one call only.
func (t *transport) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.closeIdle()
}

var dialer = net.Dialer{KeepAlive: 15 * time.Second}

// dial makes a connection to the server of a URL. An error is a *net.OpError of "dial".
func (t *transport) dial(ctx context.Context, to *url.URL, epoch int) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", config.HostPort(to))
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn)
	raw, err := tcp.SyscallConn()
	if err != nil {
		tcp.Close()
		return nil, err
	}
	if to.Scheme != "https" {
		return newConnection(t, tcp, raw, epoch), nil
	}
	settings := t.settings()
	settings.ServerName = to.Hostname()
	secured := tls.Client(tcp, settings)
	if err := secured.HandshakeContext(ctx); err != nil {
		tcp.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: tcp.RemoteAddr(), Err: err}
	}
	return newConnection(t, secured, raw, epoch), nil
}
