package front

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Listener is a listener that keeps a bounded number of connections open. Where one more comes, the connection goes
// that has been without a verified call for the longest time, those first that never had one. So nobody who holds
// connections open, idle or dribbling, keeps the CL out.
type Listener struct {
	net.Listener
	max     int
	evicted prometheus.Counter

	mu   sync.Mutex // guards what follows, and the fields of the connections that say so
	open map[*connection]struct{}
	uses uint64 // a clock, which counts what happens on connections
}

// connection is one of the open connections.
type connection struct {
	net.Conn
	of *Listener

	// Guarded by of.mu.
	calls    int       // verified ones that have been read and are being answered
	verified bool      // there has been one
	used     uint64    // when, by uses, a verified call last came or ended, or else when the connection came
	inFlight int       // verified calls whose header has come and that are being answered
	awaited  time.Time // until then a call may be under way on it
	active   bool      // a request, whichever, is being answered
}

// newListener bounds the connections of a listener.
func newListener(l net.Listener, max int) *Listener {
	return &Listener{Listener: l, max: max, open: make(map[*connection]struct{}),
		evicted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "executionbackup_connections_evicted_total",
			Help: "Connections that were closed to make room for new ones.",
		})}
}

// count returns how many connections are open.
func (l *Listener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// Accept returns the next connection that there is room for.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: conn, of: l, awaited: time.Now().Add(firstCall)}
		if l.add(c) {
			return c, nil
		}
		conn.Close() // calls are being answered on all others
	}
}

// add makes room for a connection and reports whether there is any.
func (l *Listener) add(c *connection) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.max {
		victim := l.idlest()
		if victim == nil {
			return false
		}
		delete(l.open, victim)
		victim.Conn.Close() // its reader notices
		l.evicted.Inc()
	}
	l.open[c] = struct{}{}
	l.uses++
	c.used = l.uses
	return true
}

// idlest returns the connection that will be missed least, or nil where none is idle.
func (l *Listener) idlest() (idlest *connection) {
	for c := range l.open {
		switch {
		case c.calls > 0:
		case idlest == nil,
			!c.verified && idlest.verified,
			c.verified == idlest.verified && c.used < idlest.used:
			idlest = c
		}
	}
	return idlest
}

// Close closes the connection, which isn't counted any more.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite lets http.Server end a connection so that its reader gets the last answer.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// begin notes that a verified call comes over the connection.
func (c *connection) begin() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.verified = true
	c.inFlight++
	c.of.uses++
	c.used = c.of.uses
}

// end notes that a verified call has been answered.
func (c *connection) end() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.inFlight--
	c.awaited = time.Now().Add(nextCall)
}

// addCalls adds to the calls that have been read and are being answered, or takes from them: meanwhile the connection
// stays open.
func (c *connection) addCalls(calls int) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.calls += calls
	c.of.uses++
	c.used = c.of.uses
}

type connectionKey struct{}

// withConnection is an http.Server's ConnContext.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, under(c))
}

// connectionOf returns the connection that a request came over.
func connectionOf(ctx context.Context) *connection { return ctx.Value(connectionKey{}).(*connection) }

// under returns the connection that a server has accepted, which may be under TLS.
func under(c net.Conn) *connection {
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	return c.(*connection)
}
