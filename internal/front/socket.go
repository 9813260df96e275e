package front

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	pingEvery = 30 * time.Second
	// silence is how long nothing may come while we read: whoever lives answers pings.
	silence = 3 * pingEvery
	// farewell is how long the other side has for its part of a goodbye. What it takes is part of what a drain may.
	farewell = 300 * time.Millisecond
	// maxMessages is how many messages of one socket are answered at a time. Then no more is read, as its sender will
	// notice.
	maxMessages = 64
)

// Messages are what a socket is for. Its funcs are called by several goroutines at a time.
type Messages struct {
	// Answer answers a message, in pieces; nil where no answer is wanted.
	Answer func(ctx context.Context, message []byte) (pieces [][]byte)
	// Refuse says why a message isn't answered, of which this is the beginning.
	Refuse func(start []byte, why string) []byte
	// Trusted reports whether the secret still counts with which the socket's token was verified.
	Trusted func() bool
}

// socket is a WebSocket connection, which calls come over. Some consensus clients open one and no other ever, so that
// it stays whatever comes over it, as long as frames can be told apart and the other side lives. Every goroutine of it
// ends before its handler does.
type socket struct {
	wire
	Messages
	front      *Front
	connection *connection
	conn       *websocket.Conn
	cancel     context.CancelFunc // gives up its calls
	gone       chan struct{}      // closed when nothing of it is left

	slots   chan struct{} // taken by messages that are being read or answered
	pings   chan []byte   // the last one that hasn't been answered; has room for it
	end     chan goodbye  // why it is to be closed; has room for the first reason
	leaving chan struct{} // closed when it takes no more messages
}

// goodbye is why we close a socket.
type goodbye struct {
	code   websocket.StatusCode
	reason string
}

var (
	goingAway = goodbye{websocket.StatusGoingAway, "ExecutionBackup is about to end"}
	withdrawn = goodbye{websocket.StatusPolicyViolation, "the secret of its token is no longer in force"}
)

// ServeSocket makes a WebSocket connection of a verified request, and answers what comes over it until one side ends
// it. The request must have come from a Server of this package.
func (f *Front) ServeSocket(w http.ResponseWriter, r *http.Request, m Messages) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	s := &socket{
		wire: wire{writing: make(chan struct{}, 1)}, Messages: m, front: f, connection: connectionOf(r.Context()),
		cancel: cancel, gone: make(chan struct{}),
		slots: make(chan struct{}, maxMessages), pings: make(chan []byte, 1),
		end: make(chan goodbye, 1), leaving: make(chan struct{}),
	}
	s.connection.begin()
	var err error
	s.conn, err = websocket.Accept(hijacker{w, &s.wire}, r, &websocket.AcceptOptions{OnPingReceived: s.pinged})
	s.connection.end()
	if err != nil {
		return // Accept has said so
	}
	f.sockets.add(s)
	defer f.sockets.remove(s)
	s.conn.SetReadLimit(-1) // readMessage has its own, over which a socket stays
	s.checkTrust()          // a reload may have come in between
	s.serve(ctx)
}

// hijacker lets the library have the wire in place of the connection.
type hijacker struct {
	http.ResponseWriter
	wire *wire
}

// Hijack takes the connection over from net/http.
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.wire.Conn = conn
	return h.wire, bufio.NewReadWriter(buffered.Reader, bufio.NewWriterSize(h.wire, 256)), nil
}

// serve reads messages until the connection ends, whoever ends it.
func (s *socket) serve(ctx context.Context) {
	var tasks sync.WaitGroup
	tasks.Go(func() { s.keep(ctx) })
	for s.next(ctx, &tasks) == nil {
	}
	s.kill()
	tasks.Wait()
	s.conn.CloseNow()
}

// kill breaks the connection, and gives up its calls.
func (s *socket) kill() {
	s.cancel()
	s.Close()
}

// next reads a message and has it answered beside the next ones.
func (s *socket) next(ctx context.Context, tasks *sync.WaitGroup) error {
	_, r, err := s.conn.Reader(context.Background()) // whose end is that of the connection
	if err != nil {
		return err
	}
	if !s.admit(ctx) {
		return ctx.Err()
	}
	s.connection.begin()
	s.messageBegins()
	m, err := s.front.readMessage(r)
	if err != nil {
		s.connection.end()
		<-s.slots
		return err
	}
	s.messageEnds()
	s.connection.addCalls(+1)
	tasks.Go(func() {
		s.answer(ctx, m)
		m.release()
		s.connection.addCalls(-1)
		s.connection.end()
		<-s.slots
	})
	return nil
}

// admit waits for a slot. Where no more messages are taken it waits for the end.
func (s *socket) admit(ctx context.Context) bool {
	select {
	case <-s.leaving:
	default:
		select {
		case s.slots <- struct{}{}:
			return true
		case <-s.leaving:
		case <-ctx.Done():
		}
	}
	<-ctx.Done()
	return false
}

// answer answers a message. Whatever goes wrong stays with this socket, as with the request where one is answered.
func (s *socket) answer(ctx context.Context, m *message) {
	defer func() {
		if p := recover(); p != nil {
			s.front.Log.Error("a message broke off", "panic", p, "stack", string(debug.Stack()))
			s.kill()
		}
	}()
	var pieces [][]byte
	switch {
	case m.refusal != "":
		pieces = [][]byte{s.Refuse(m.start, m.refusal)}
	case m.waitForSlot(ctx.Done()):
		pieces = s.Answer(ctx, m.body)
	}
	if pieces == nil {
		return
	}
	if err := s.frame(textFrame, pieces...); err != nil {
		s.kill() // its reader hangs, or has gone
	}
}

// pinged notes a ping. Of those that come while we can't write, the last one is answered, as RFC 6455 allows.
func (s *socket) pinged(_ context.Context, payload []byte) (answered bool) {
	select {
	case <-s.pings:
	default:
	}
	s.pings <- bytes.Clone(payload)
	return false
}

// keep pings, answers pings, and closes the socket when it is told to.
func (s *socket) keep(ctx context.Context) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-tick.C:
			err = s.frame(pingFrame)
		case payload := <-s.pings:
			err = s.frame(pongFrame, payload)
		case why := <-s.end:
			s.sayGoodbye(ctx, why)
			return
		case <-ctx.Done():
			return
		}
		if err != nil {
			s.kill()
		}
	}
}

// sayGoodbye closes the socket when all messages that have begun to come are answered. It takes no others.
func (s *socket) sayGoodbye(ctx context.Context, why goodbye) {
	close(s.leaving)
	for range cap(s.slots) {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
	s.leave()
	s.conn.Close(why.code, why.reason)
	s.kill()
}

// close lets the socket be closed, unless it is already about to be.
func (s *socket) close(why goodbye) {
	select {
	case s.end <- why:
	default:
	}
}

// checkTrust closes the socket where its secret doesn't count any more.
func (s *socket) checkTrust() {
	if !s.Trusted() {
		s.front.Log.Warn("WebSocket connection is closed: its secret is no longer in force", "from", s.RemoteAddr())
		s.close(withdrawn)
	}
}
