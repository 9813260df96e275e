//go:build e2e

package live

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// The cable itself: no one listens at its other end, so a refused connection is a packet there and one back.
func TestCable(t *testing.T) {
	c := newCable(t)
	dial := func() (refused bool, took time.Duration) {
		begun := time.Now()
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(c.far, "1"), 700*time.Millisecond)
		if err == nil {
			conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED), time.Since(begun)
	}
	if refused, took := dial(); !refused || took > 200*time.Millisecond {
		t.Errorf("an answer took %v (%v), want next to nothing", took, refused)
	}
	c.impair(300*time.Millisecond, 0)
	if refused, took := dial(); !refused || took < 300*time.Millisecond {
		t.Errorf("an answer took %v (%v), want 300 ms", took, refused)
	}
	c.cut()
	if refused, took := dial(); refused {
		t.Errorf("an answer came over a cut cable, after %v", took)
	}
	c.mend()
	if refused, took := dial(); !refused || took > 200*time.Millisecond {
		t.Errorf("an answer took %v (%v), want next to nothing", took, refused)
	}
}
