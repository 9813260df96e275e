//go:build unix

package wire

import (
	"bufio"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// What comes on a connection between two calls makes it useless, and is no answer. If it is the end, and comes soon
// after the last call, the node has gone.
func TestKeptConnections(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		unasked string
		hangUp  bool
		idle    time.Duration
		broke   int
	}{{"", true, 0, 1}, {"", true, keptTime, 0}, {fine, false, 0, 0}, {fine, true, 0, 0}} {
		answered := make(chan struct{})
		node := newWired(t, func(number int, c net.Conn, requests *bufio.Reader) {
			for request(requests) {
				io.WriteString(c, fine)
				if number > 1 {
					continue
				}
				<-answered
				io.WriteString(c, test.unasked)
				if test.hangUp {
					c.(*net.TCPConn).CloseWrite()
				}
			}
		})
		broke := 0
		via := &transport{broke: func() { broke++ }}
		if _, answer, err := node.post(t.Context(), via, "first"); answer != "fine" || err != nil {
			t.Fatalf("%q, %v", answer, err)
		}
		if !via.idle[0].quiet() {
			t.Error("a connection on which nothing has come is useless")
		}
		close(answered)
		via.idle[0].raw.Read(func(fd uintptr) bool { // waits until something has come
			_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
			return err != syscall.EAGAIN
		})
		via.idle[0].used = via.idle[0].used.Add(-test.idle)
		for range 3 {
			if _, answer, err := node.post(t.Context(), via, "again"); answer != "fine" || err != nil {
				t.Errorf("%+v: %q, %v", test, answer, err)
			}
		}
		if got := node.connections(); got != 2 {
			t.Errorf("%+v: %d connections", test, got)
		}
		if broke != test.broke {
			t.Errorf("%+v: %d breaks", test, broke)
		}
		via.close()
	}
}
