//go:build e2e

package soak

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"executionbackup/internal/apptest"
)

// clSecret is what the consensus client shares with ExecutionBackup.
var clSecret = bytes.Repeat([]byte{0xc1}, 32)

// multiplexer is ExecutionBackup as an operator runs it: a process with a configuration file, and a supervisor that
// starts it again whenever it ends, and keeps its socket. Its Client is the operator.
type multiplexer struct {
	apptest.Client
	t        testing.TB
	dir      string
	binary   string
	stateURL string // of the Redis that another instance would share with it
	port     string
	nodes    []*node
	socket   *apptest.Socket
	timeout  time.Duration // 0 is the default
	wrong    string        // the node that it has a wrong secret for, or ""

	mu      sync.Mutex
	process *apptest.Process
	begun   time.Time // when the process was started
	starts  int
	ordered bool     // the process was told to end
	strange []string // ends that nobody ordered, or with another exit status
	stopped bool
	done    chan struct{} // closed when the supervisor has ended
}

// startMultiplexer starts ExecutionBackup and its supervisor until the end of the test, and returns when it takes
// calls.
func startMultiplexer(t testing.TB, dir, binary, stateURL string, nodes []*node) *multiplexer {
	t.Helper()
	m := &multiplexer{
		t: t, dir: dir, binary: binary, stateURL: stateURL, port: apptest.FreePort(t), nodes: nodes,
		done: make(chan struct{}),
	}
	m.Client = apptest.NewClient(t, "http://127.0.0.1:"+m.port, clSecret)
	m.socket = apptest.NewSocket(t, "127.0.0.1:"+m.port)
	m.write()
	m.start()
	go m.supervise()
	t.Cleanup(m.stop)
	m.ready()
	return m
}

func (m *multiplexer) log() string { return filepath.Join(m.dir, "executionbackup.log") }

// write writes the configuration: all else is the default.
func (m *multiplexer) write() {
	var b strings.Builder
	secret := writeFile(m.t, m.dir, "cl.hex", hex.EncodeToString(clSecret))
	fmt.Fprintf(&b, "port: %s\njwt_secret: %s\nopen_admin: true\nevidence_dir: %s\nslot: %v\n",
		m.port, secret, filepath.Join(m.dir, "evidence"), slot)
	fmt.Fprintf(&b, "state_dir: %s\nstate_url: %s\n", filepath.Join(m.dir, "state"), m.stateURL)
	if m.timeout > 0 {
		fmt.Fprintf(&b, "timeout: %v\n", m.timeout)
	}
	b.WriteString("nodes:\n")
	for _, n := range m.nodes {
		specification := n.specification()
		if n.name == m.wrong {
			specification = strings.Replace(specification, n.door.SecretFile, secret, 1)
		}
		fmt.Fprintf(&b, "  - %q\n", specification)
	}
	writeFile(m.t, m.dir, "executionbackup.yaml", b.String())
}

// start starts the process, unless it is to end for good.
func (m *multiplexer) start() (started bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return false
	}
	cmd := exec.Command(m.binary, "--config", filepath.Join(m.dir, "executionbackup.yaml"))
	apptest.Hand(cmd, m.socket.File)
	m.process = launch(m.t, m.log(), cmd)
	m.begun = time.Now()
	m.starts++
	return true
}

// restartPause is systemd's default of RestartSec.
const restartPause = 100 * time.Millisecond

// supervise starts the process again whenever it has ended, as systemd's Restart=always does.
func (m *multiplexer) supervise() {
	defer close(m.done)
	for {
		p, _ := m.current()
		<-p.Gone()
		m.mu.Lock()
		state := p.Cmd.ProcessState
		killed := state.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
		if !m.ordered || !killed && !state.Success() {
			m.strange = append(m.strange, fmt.Sprintf("ExecutionBackup ended: %v (ordered: %t)", state, m.ordered))
		}
		m.ordered = false
		m.mu.Unlock()
		<-time.After(restartPause)
		if !m.start() {
			return
		}
	}
}

// current is the process that runs now, and how many have been started.
func (m *multiplexer) current() (*apptest.Process, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process, m.starts
}

// age is how long the process has run.
func (m *multiplexer) age() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Since(m.begun)
}

// ends are the ends of processes that should not have been, or not like that.
func (m *multiplexer) ends() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.strange
}

// end ends the process with a signal and returns when it is gone. The supervisor starts the next.
func (m *multiplexer) end(s os.Signal) {
	m.t.Helper()
	m.ready() // it may have been started just now
	m.mu.Lock()
	p := m.process
	m.ordered = true
	m.mu.Unlock()
	p.Signal(s)
	if err := p.Wait(); err != nil {
		m.t.Fatal(err)
	}
}

// stop ends the process for good, and its supervisor.
func (m *multiplexer) stop() {
	m.mu.Lock()
	stopped := m.stopped
	m.stopped, m.ordered = true, true
	p := m.process
	m.mu.Unlock()
	if stopped {
		return
	}
	if err := p.Terminate(); err != nil {
		m.t.Error(err)
	}
	<-m.done
}

// ready returns when it takes calls.
func (m *multiplexer) ready() {
	m.t.Helper()
	apptest.Try(m.t, apptest.Patience, func() error { return m.get("/readyz", nil) })
}

// get reads a REST answer of an ExecutionBackup that may end at any time.
func (m *multiplexer) get(path string, v any) error {
	ctx, cancel := context.WithTimeout(context.Background(), slot)
	defer cancel()
	return m.Read(ctx, path, v)
}

// metric is get for a Prometheus metric.
func (m *multiplexer) metric(name string) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), slot)
	defer cancel()
	return m.ReadMetric(ctx, name)
}

// reload changes the configuration and puts it in force with SIGHUP.
func (m *multiplexer) reload(change func()) {
	m.t.Helper()
	m.ready() // before it listens to signals, this one would end it
	change()
	m.write()
	reloads := func() float64 {
		n, _ := m.metric(`executionbackup_config_reloads_total{outcome="success"}`)
		return n
	}
	before := reloads()
	p, starts := m.current()
	p.Signal(syscall.SIGHUP)
	apptest.Until(m.t, "the configuration is reloaded", func() bool {
		_, now := m.current()
		return now > starts || reloads() > before // the next process has read it, too
	})
}

const unlimited = math.MaxUint64

// limitFiles keeps the files of the process from growing beyond a size.
func (m *multiplexer) limitFiles(size uint64) {
	m.t.Helper()
	p, _ := m.current()
	err := unix.Prlimit(p.Cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: unlimited}, nil)
	if err != nil && p.Running() {
		m.t.Fatalf("limit the size of files: %v", err)
	}
}
