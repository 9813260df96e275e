//go:build e2e

package live

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"executionbackup/internal/apptest"
)

// executionBackup names it among the programs.
const executionBackup = "executionbackup"

// multiplexer is ExecutionBackup as an operator runs it: a process with a configuration file, and a supervisor that
// starts it again whenever it ends, and keeps its socket.
type multiplexer struct {
	apptest.Client
	t      testing.TB
	port   string
	dir    string
	binary string
	secret string // file of the CL's secret
	socket *apptest.Socket

	slot      time.Duration
	nodes     []string // specifications
	onDispute string
	admin     string   // the line about who may change something
	more      []string // lines of its configuration beside these

	mu      sync.Mutex
	process *apptest.Process
	starts  int
	power   chan struct{} // closed when there is power again; nil where it hasn't been cut
	stopped bool
	done    chan struct{} // closed when the supervisor has ended

	seen    recorder
	overdue tally
}

// startMultiplexer starts ExecutionBackup and its supervisor. more are further lines of its configuration.
func startMultiplexer(
	t testing.TB, dir, binary, port, secretFile string, slot time.Duration, nodes, more []string,
) *multiplexer {
	t.Helper()
	m := &multiplexer{
		Client: apptest.NewClient(t, "http://127.0.0.1:"+port, nil), t: t, port: port, dir: dir,
		binary: binary, secret: secretFile, slot: slot, nodes: nodes, onDispute: "halt", more: more,
		admin: "open_admin: true", done: make(chan struct{}),
	}
	m.socket = apptest.NewSocket(t, "127.0.0.1:"+port)
	m.write()
	m.start()
	go m.supervise()
	t.Cleanup(m.end)
	apptest.Try(t, apptest.Patience, func() error { return m.get("/readyz", nil) })
	m.wantOverdue(t)
	m.seen.records = map[string]record{}
	m.seen.watch(t, m)
	return m
}

func (m *multiplexer) configFile() string { return filepath.Join(m.dir, "executionbackup.yaml") }
func (m *multiplexer) log() string        { return filepath.Join(m.dir, "executionbackup.log") }

// write writes the configuration.
func (m *multiplexer) write() {
	var b strings.Builder
	fmt.Fprintf(&b,
		"port: %s\njwt_secret: %s\nlog_format: json\n%s\nevidence_dir: %s\nstate_dir: %s\n"+
			"on_dispute: %s\nslot: %v\nnodes:\n",
		m.port, m.secret, m.admin, filepath.Join(m.dir, "evidence"), filepath.Join(m.dir, "state"), m.onDispute, m.slot)
	for _, n := range m.nodes {
		fmt.Fprintf(&b, "  - %q\n", n)
	}
	for _, line := range m.more {
		b.WriteString(line + "\n")
	}
	if err := os.WriteFile(m.configFile(), []byte(b.String()), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *multiplexer) start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	cmd := exec.Command(m.binary, "--config", m.configFile())
	apptest.Hand(cmd, m.socket.File)
	m.process = launchCommand(m.t, m.log(), cmd)
	m.starts++
}

// restartPause is systemd's default of RestartSec.
const restartPause = 100 * time.Millisecond

// supervise starts the process again whenever it has ended, as systemd's Restart=always does.
func (m *multiplexer) supervise() {
	defer close(m.done)
	for {
		p, _ := m.current()
		<-p.Gone()
		time.Sleep(restartPause)
		m.mu.Lock()
		stopped, power := m.stopped, m.power
		m.mu.Unlock()
		if power != nil {
			<-power
		}
		if stopped {
			return
		}
		m.start()
	}
}

// cut is kill -9, after which the supervisor is without power, too, until the returned function is called. That returns
// when the next process takes calls.
func (m *multiplexer) cut() (restore func()) {
	m.t.Helper()
	power := make(chan struct{})
	m.mu.Lock()
	p, starts := m.process, m.starts
	m.power = power
	m.mu.Unlock()
	p.Kill()
	return sync.OnceFunc(func() {
		close(power)
		apptest.Try(m.t, apptest.Patience, func() error {
			if _, now := m.current(); now == starts {
				return errors.New("it isn't started again")
			}
			return m.get("/readyz", nil)
		})
	})
}

// current is the process that runs now, and how many have been started.
func (m *multiplexer) current() (*apptest.Process, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process, m.starts
}

// end ends the process and its supervisor.
func (m *multiplexer) end() {
	m.mu.Lock()
	m.stopped = true
	p := m.process
	m.mu.Unlock()
	if err := p.Terminate(); err != nil {
		m.t.Error(err)
	}
	<-m.done
}

// reload puts a configuration in force with SIGHUP, and returns when it is.
func (m *multiplexer) reload(nodes []string, onDispute string) {
	m.t.Helper()
	m.nodes, m.onDispute = nodes, onDispute
	m.write()
	before := m.reloads()
	p, _ := m.current()
	p.Signal(syscall.SIGHUP)
	apptest.Within(m.t, 5*time.Second, "the configuration is reloaded", func() bool { return m.reloads() > before })
}

// reloads is how many reloads succeeded since its last start.
func (m *multiplexer) reloads() float64 {
	ctx, cancel := limited()
	defer cancel()
	n, _ := m.ReadMetric(ctx, `executionbackup_config_reloads_total{outcome="success"}`)
	return n
}

// states returns what ExecutionBackup knows of its nodes; nothing while it doesn't answer.
func (m *multiplexer) states() (states []apptest.NodeState) {
	m.get("/nodes", &states)
	return states
}

// primary is the name of the primary, or "".
func (m *multiplexer) primary() string {
	for _, s := range m.states() {
		if s.Primary {
			return s.Name
		}
	}
	return ""
}

// yield makes the primary let another node be it, as an operator does: it is drained for a moment.
func (m *multiplexer) yield(primary string) {
	m.t.Helper()
	for _, path := range []string{"/drain_nodes", "/undrain_nodes"} {
		if got := m.ChangeNodes(m.t, path, primary); got.Status != http.StatusOK {
			m.t.Fatalf("%s %s: HTTP %d", path, primary, got.Status)
		}
	}
}

// choose chooses a mode, as an operator does.
func (m *multiplexer) choose(mode string) {
	m.t.Helper()
	got := m.REST(m.t, http.MethodPost, "/mode", fmt.Sprintf(`{"mode":%q}`, mode), "Content-Type", "application/json")
	if got.Status != http.StatusOK {
		m.t.Fatalf("mode %s: HTTP %d: %s", mode, got.Status, got.Body)
	}
}

// limited is for what an ExecutionBackup is asked that may end, or hang, at any time; also at the end of the test.
func limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 2*time.Second)
}

func (m *multiplexer) get(path string, v any) error {
	ctx, cancel := limited()
	defer cancel()
	return m.Read(ctx, path, v)
}

// record is one newPayload, as GET /blocks has it.
type record struct {
	Time    time.Time
	Number  uint64
	Hash    string
	Verdict string
	Did     string // what the consensus client heard in shadow mode; "" in another
	Asked   *int64 // microseconds from the beginning of the payload's slot to the call; nil where that isn't known
	Took    int64  // microseconds from the call to the answer
	Dispute bool
	Votes   []ballot
}

// ballot is what one node said to it.
type ballot struct {
	Node   string
	Status string // what it answered
	Vote   string // what of it counts
	Took   int64  // microseconds
}

// vote is what a node said, and when.
func (r record) vote(node string) (status string, at time.Time) {
	for _, v := range r.Votes {
		if v.Node == node {
			return v.Status, r.Time.Add(time.Duration(v.Took) * time.Microsecond)
		}
	}
	return "", time.Time{}
}

// recorder keeps all records that GET /blocks ever had: it has the last ones only, and none after a restart.
type recorder struct {
	mu      sync.Mutex
	records map[string]record
}

// recorderPeriod is how often /blocks is read. A record is complete when it is read for the last time.
const recorderPeriod = 500 * time.Millisecond

// watch reads until the test ends.
func (r *recorder) watch(t testing.TB, m *multiplexer) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-stopped })
	go func() {
		defer close(stopped)
		tick := time.NewTicker(recorderPeriod)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				r.read(m)
				m.readOverdue() // it outlives no restart either; an error is that there is one just now
			case <-stop:
				return
			}
		}
	}()
}

func (r *recorder) read(m *multiplexer) {
	var records []record
	if m.get("/blocks", &records) != nil {
		return // it doesn't run just now
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, record := range records {
		r.records[record.Time.String()+record.Hash] = record
	}
}

// between returns the records of newPayloads that came between two times, in order.
func (r *recorder) between(from, to time.Time) (records []record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, record := range r.records {
		if !record.Time.Before(from) && record.Time.Before(to) {
			records = append(records, record)
		}
	}
	slices.SortFunc(records, func(a, b record) int { return a.Time.Compare(b.Time) })
	return records
}
