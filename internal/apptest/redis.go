//go:build unix

package apptest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// Redis is a redis-server of a test's own, on a loopback address.
type Redis struct {
	URL string // for --state-url

	t       testing.TB
	port    string
	args    []string
	process *Process
}

// StartRedis runs a redis-server that keeps nothing on disk until the end of the test. args are further options of its.
// Without one the test is skipped, but never in CI.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no redis-server found, and CI must have one: install Debian's package redis-server")
		}
		t.Skip("no redis-server found")
	}
	port := FreePort(t)
	r := &Redis{URL: "redis://127.0.0.1:" + port, t: t, port: port, args: args}
	r.Start()
	return r
}

// Start runs it again, empty, where it was.
func (r *Redis) Start() {
	r.t.Helper()
	args := append([]string{"--bind", "127.0.0.1", "--port", r.port, "--save", "", "--appendonly", "no",
		"--dir", r.t.TempDir()}, r.args...)
	r.process = StartProcess(r.t, exec.Command("redis-server", args...))
	Try(r.t, Patience, func() error {
		c, err := net.Dial("tcp", "127.0.0.1:"+r.port)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// Kill is kill -9.
func (r *Redis) Kill() { r.process.Kill() }

// Terminate is SIGTERM, and returns when it is gone.
func (r *Redis) Terminate() {
	r.t.Helper()
	if err := r.process.Terminate(); err != nil {
		r.t.Error(err)
	}
}

// Stop has it hang (SIGSTOP), until Continue.
func (r *Redis) Stop() { r.process.Signal(syscall.SIGSTOP) }

// Continue ends Stop.
func (r *Redis) Continue() { r.process.Signal(syscall.SIGCONT) }

// Do carries out a command, without an answer's content.
func (r *Redis) Do(command string) {
	r.t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+r.port)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "%s\r\n", command)
	if _, err := c.Read(make([]byte, 1)); err != nil {
		r.t.Fatal(err)
	}
}
