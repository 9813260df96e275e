//go:build unix

package apptest

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Service is what systemd keeps of a service while its processes come and go: the socket, and the ear for what a
// process says of itself (sd_notify(3)).
type Service struct {
	*Socket
	ear  *net.UnixConn
	path string // of the ear
}

// NewService returns a service with a socket of its own, until the end of the test.
func NewService(t testing.TB) *Service {
	t.Helper()
	dir, err := os.MkdirTemp("", "eb") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	ear, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ear.Close() })
	return &Service{NewSocket(t, "127.0.0.1:0"), ear, path}
}

// Environ is the variable that says where the service is heard.
func (s *Service) Environ() string { return "NOTIFY_SOCKET=" + s.path }

// Start starts a process of the service, and returns when it says that it is ready. The command must have an
// environment of its own.
func (s *Service) Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	Hand(cmd, s.File)
	cmd.Env = append(cmd.Env, s.Environ())
	p := StartProcess(t, cmd)
	s.Hears(t, "READY=1")
	return p
}

// Hears waits for what is said next, which must begin like that.
func (s *Service) Hears(t testing.TB, want string) {
	t.Helper()
	if got := s.Heard(t, Patience); !strings.HasPrefix(got, want) {
		t.Fatalf("heard %q, want %q", got, want)
	}
}

// HearsInTheEnd waits until something is said that begins like that.
func (s *Service) HearsInTheEnd(t testing.TB, want string) {
	t.Helper()
	for {
		switch got := s.Heard(t, Patience); {
		case strings.HasPrefix(got, want):
			return
		case got == "":
			t.Fatalf("not heard: %q", want)
		}
	}
}

// Heard is what is said next, or "" where nothing is within a time.
func (s *Service) Heard(t testing.TB, within time.Duration) string {
	t.Helper()
	s.ear.SetReadDeadline(time.Now().Add(within))
	buffer := make([]byte, 4096)
	size, err := s.ear.Read(buffer)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return string(buffer[:size])
}
