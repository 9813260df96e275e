//go:build unix

package apptest

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// Socket is a listening socket that outlives those who serve it, as systemd keeps one for a service. Whoever connects
// while nobody serves waits in it.
type Socket struct {
	Addr net.Addr
	File *os.File
}

// NewSocket returns a socket that listens on an address until the end of the test.
func NewSocket(t testing.TB, address string) *Socket {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // file is a copy
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return &Socket{listener.Addr(), file}
}

// Listener returns another copy of the socket, to be served in this process.
func (s *Socket) Listener(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.FileListener(s.File)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// Hand makes a command start with sockets, as systemd hands them over: as descriptors from 3 on, with the number of the
// process that they are for. Only a shell knows that number before it becomes the command.
func Hand(cmd *exec.Cmd, sockets ...*os.File) {
	const script = `LISTEN_FDS=$1 LISTEN_PID=$$; export LISTEN_FDS LISTEN_PID; shift; exec "$@"`
	args := append([]string{"sh", "-c", script, "sh", strconv.Itoa(len(sockets)), cmd.Path}, cmd.Args[1:]...)
	cmd.Path, cmd.Args, cmd.ExtraFiles = "/bin/sh", args, sockets
}
