package state

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// patience is for what should happen soon, where how soon isn't what is tested.
const patience = 15 * time.Second

// soon tries until there is no error. (apptest has the like, but imports us.)
func soon(t testing.TB, within time.Duration, attempt func() error) {
	t.Helper()
	deadline := time.After(within)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := attempt()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("not within %v: %v", within, err)
		}
	}
}

func isTrue(what string, condition func() bool) func() error {
	return func() error {
		if !condition() {
			return fmt.Errorf("it isn't so: %s", what)
		}
		return nil
	}
}

// server is a redis-server of this test alone.
type server struct {
	t     testing.TB
	port  string
	dir   string
	args  []string
	cmd   *exec.Cmd
	admin *redis.Client
}

func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no %s found, and CI must have one: install Debian's redis-server and redis-sentinel", name)
		}
		t.Skipf("no %s found", name)
	}
	return path
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// startServer starts one with more arguments; the test's end ends it, and finds goroutines that are left.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	program(t, "redis-server")
	// The client library tries to connect again once a second, and only then sees that it was closed.
	if _, is := t.(*testing.T); is { // a benchmark has goroutines of its own
		t.Cleanup(func() { soon(t, patience, func() error { return goleak.Find() }) })
	}
	s := &server{t: t, port: freePort(t), dir: t.TempDir(), args: args}
	s.admin = redis.NewClient(
		&redis.Options{Addr: s.address(), Protocol: 2, DisableIdentity: true, ReadTimeout: patience})
	t.Cleanup(func() {
		s.admin.Close()
		s.kill()
	})
	s.start()
	return s
}

func (s *server) address() string { return "127.0.0.1:" + s.port }
func (s *server) url() string     { return "redis://" + s.address() }

func (s *server) start() {
	s.t.Helper()
	s.launch(append([]string{"--port", s.port, "--bind", "127.0.0.1", "--save", "", "--dir", s.dir,
		"--enable-debug-command", "yes"}, s.args...))
	soon(s.t, patience, func() error { return s.admin.Ping(context.Background()).Err() })
}

func (s *server) launch(args []string) {
	s.t.Helper()
	s.cmd = exec.Command(program(s.t, "redis-server"), args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// do sends a command as an operator or a stranger would.
func (s *server) do(args ...any) any {
	s.t.Helper()
	reply, err := s.admin.Do(context.Background(), args...).Result()
	if err != nil && err != redis.Nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return reply
}

// stat returns a number that INFO has.
func (s *server) stat(name string) (n int) {
	s.t.Helper()
	for line := range strings.Lines(s.do("INFO", "everything").(string)) {
		if rest, is := strings.CutPrefix(line, name); is {
			fmt.Sscanf(rest[1:], "%d", &n)
		}
	}
	return n
}

// instance is one of several that share a server.
type instance struct {
	*Shared
	t    testing.TB
	logs *logBuffer
	stop func()
	reg  *prometheus.Registry

	mu    sync.Mutex
	reads Records // all that was given to Read
	count int     // calls of Read
	notes map[string][]byte
}

type logBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *logBuffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.String(), text)
}

var testKey = []byte("a key for tests")

// newInstance makes one that isn't running yet.
func newInstance(t testing.TB, url, run string, change func(*SharedOptions)) *instance {
	t.Helper()
	i := &instance{t: t, logs: &logBuffer{}, reads: make(Records), reg: prometheus.NewRegistry()}
	o := SharedOptions{
		URL: url, Prefix: "test", Key: testKey, Run: run,
		Read: func(r Records) {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.count++
			maps.Copy(i.reads, r)
		},
		Peers: func(notes map[string][]byte) {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.notes = notes
		},
		Log: slog.New(slog.NewTextHandler(i.logs, nil)), Metrics: i.reg,
	}
	if change != nil {
		change(&o)
	}
	var err error
	if i.Shared, err = OpenShared(o); err != nil {
		t.Fatal(err)
	}
	return i
}

// run runs it until stop or the test's end.
func (i *instance) run() *instance {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		i.Run(ctx)
	}()
	i.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	i.t.Cleanup(i.stop)
	return i
}

// quick shortens the times where a test isn't about them.
func (i *instance) quick() *instance {
	i.times.pulse, i.times.marker = 50*time.Millisecond, 2*time.Second
	return i
}

// startQuick is startInstance with short times.
func startQuick(t testing.TB, url, run string) *instance {
	t.Helper()
	i := newInstance(t, url, run, nil).quick().run()
	i.enter()
	return i
}

// startInstance starts one that is in the test's chain, and waits until it has looked at the store.
func startInstance(t testing.TB, url, run string) *instance {
	t.Helper()
	i := newInstance(t, url, run, nil).run()
	i.enter()
	return i
}

const testSpace = "{test:1:0xgenesis}:"

func (i *instance) enter() {
	i.t.Helper()
	i.Enter("1", "0xgenesis")
	i.looked(patience)
}

// looked waits for a look.
func (i *instance) looked(within time.Duration) {
	i.t.Helper()
	i.mu.Lock()
	i.notes = nil
	i.mu.Unlock()
	soon(i.t, within, isTrue("a look", func() bool {
		i.mu.Lock()
		defer i.mu.Unlock()
		return i.notes != nil && i.Degraded() == ""
	}))
}

// put puts a record and waits until the store has it.
func (i *instance) put(key string, rank uint64, value string) {
	i.t.Helper()
	select {
	case <-i.Put(Records{key: {rank, []byte(value)}}):
	case <-time.After(patience):
		i.t.Fatalf("%s was not written", key)
	}
}

// has waits until a key was read with that rank and value.
func (i *instance) has(within time.Duration, key string, rank uint64, value string) {
	i.t.Helper()
	soon(i.t, within, func() error {
		i.mu.Lock()
		defer i.mu.Unlock()
		if r, is := i.reads[key]; !is || r.Rank != rank || string(r.Value) != value {
			return fmt.Errorf("%s read %s: %d %q, want %d %q", i.o.Run, key, r.Rank, r.Value, rank, value)
		}
		return nil
	})
}

// stands waits until the store has that under a key.
func (i *instance) stands(within time.Duration, key string, rank uint64, value string) {
	i.t.Helper()
	soon(i.t, within, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if r, is := i.Fetch(ctx, key); !is || r.Rank != rank || string(r.Value) != value {
			return fmt.Errorf("in the store stands %s: %d %q, want %d %q (%s)",
				key, r.Rank, r.Value, rank, value, i.Degraded())
		}
		return nil
	})
}

func (i *instance) degradedWithin(within time.Duration, why string) {
	i.t.Helper()
	soon(i.t, within, func() error {
		if got := i.Degraded(); !strings.Contains(got, why) || got == "" {
			return fmt.Errorf("degraded: %q, want %q", got, why)
		}
		return nil
	})
}

func (i *instance) inOrderWithin(within time.Duration) {
	i.t.Helper()
	soon(i.t, within, func() error {
		if got := i.Degraded(); got != "" {
			return fmt.Errorf("still degraded: %s", got)
		}
		return nil
	})
}

// metric returns a metric's value, by the end of its name.
func (i *instance) metric(name string) float64 {
	i.t.Helper()
	families, err := i.reg.Gather()
	if err != nil {
		i.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "executionbackup_shared_state_"+name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	i.t.Fatalf("no metric %s", name)
	return 0
}

func secretFile(t testing.TB, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
