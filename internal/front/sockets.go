package front

import (
	"context"
	"sync"
)

// sockets are the WebSocket connections that are open. http.Server knows nothing of them. Safe for concurrent use.
type sockets struct {
	mu      sync.Mutex // guards what follows
	open    map[*socket]struct{}
	closing bool // whoever comes now is sent away
}

// add adds a socket.
func (all *sockets) add(s *socket) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.open[s] = struct{}{}
	if all.closing {
		s.close(goingAway)
	}
}

// remove removes a socket of which nothing is left.
func (all *sockets) remove(s *socket) {
	all.mu.Lock()
	defer all.mu.Unlock()
	delete(all.open, s)
	close(s.gone)
}

// each does something to each socket.
func (all *sockets) each(do func(*socket)) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for s := range all.open {
		do(s)
	}
}

// one returns one of the sockets, nil where there is none.
func (all *sockets) one() *socket {
	all.mu.Lock()
	defer all.mu.Unlock()
	for s := range all.open {
		return s
	}
	return nil
}

// count returns how many there are.
func (all *sockets) count() int {
	all.mu.Lock()
	defer all.mu.Unlock()
	return len(all.open)
}

// CheckSockets closes the sockets whose secret doesn't count any more, with code 1008. They take no more messages, and
// those that they have taken are answered.
func (f *Front) CheckSockets() { f.sockets.each((*socket).checkTrust) }

// CloseSockets closes the sockets, and those that will come, with code 1001. They take no more messages, and those that
// they have taken are answered. It doesn't wait for that.
func (f *Front) CloseSockets() {
	f.sockets.mu.Lock()
	f.sockets.closing = true
	f.sockets.mu.Unlock()
	f.sockets.each(func(s *socket) { s.close(goingAway) })
}

// Shutdown waits until the server's requests are answered and all sockets are closed, which CloseSockets brings about.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.Server.Shutdown(ctx)
	for left := s.front.sockets.one(); left != nil; left = s.front.sockets.one() {
		select {
		case <-left.gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// Close breaks all connections, those of sockets, too, whose calls have been given up when it returns.
func (s *Server) Close() error {
	err := s.Server.Close()
	s.front.sockets.each((*socket).kill)
	for left := s.front.sockets.one(); left != nil; left = s.front.sockets.one() {
		left.kill() // it may have come in between
		<-left.gone
	}
	return err
}
