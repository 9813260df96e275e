package front

import (
	"net"
	"net/http"
	"time"
)

// A call may be under way to us already
const (
	firstCall = time.Second            // on a connection that has just come: hardly anybody opens one for nothing
	nextCall  = 100 * time.Millisecond // on one that has just had an answer
)

// Drain makes each answer to a verified call, from now on, the last one on its connection. Whoever calls again opens
// another, which can wait in the socket for our successor; to close a connection without an answer could cross with a
// call.
func (f *Front) Drain() { f.draining.Store(true) }

// Quiet reports whether no verified call is in flight: none is being answered, from its header on, and none may be
// under way on a connection that has just come, or just had an answer. Other requests don't count.
func (f *Front) Quiet() bool { return f.calls.quiet() }

// quiet is Quiet.
func (l *Listener) quiet() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for c := range l.open {
		if c.inFlight > 0 || now.Before(c.awaited) {
			return false
		}
	}
	return true
}

// closeIdle closes the connections that no request is being answered on. http.Server's Shutdown would wait for one that
// never brought any, as clients open some in reserve, until it is five seconds old; and over HTTP/2 a second longer
// than for the last answer.
func (l *Listener) closeIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if !c.active {
			c.Conn.Close() // its reader notices
		}
	}
}

// noteState is an http.Server's ConnState.
func noteState(conn net.Conn, state http.ConnState) {
	c := under(conn)
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.active = state == http.StateActive || state == http.StateHijacked // a socket ends in its own way
	if c.active {
		c.awaited = time.Time{} // this is the request
	}
}
