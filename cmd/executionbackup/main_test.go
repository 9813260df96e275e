package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"executionbackup/internal/enginetest"
)

// runMain makes this test binary the command itself, for tests that need a process of its own.
const runMain = "TEST_RUN_MAIN=1"

func TestMain(m *testing.M) {
	if name, value, _ := strings.Cut(runMain, "="); os.Getenv(name) == value {
		main()
	}
	os.Exit(m.Run())
}

// execute runs a command line to its end.
func execute(t *testing.T, environ []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), append([]string{"executionbackup"}, args...), environ, &out, &errs)
	return status, out.String(), errs.String()
}

// daemon is a running one, in this process or in one of its own.
type daemon struct {
	url string
	log *logbook
}

// start runs a daemon in this process, on a free port unless args name one, until the test ends.
func start(t *testing.T, environ []string, args ...string) *daemon {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	d := &daemon{log: newLogbook()}
	var stdout bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		environ := append([]string{"EXECUTIONBACKUP_PORT=0"}, environ...)
		ended <- run(ctx, append([]string{"executionbackup"}, args...), environ, &stdout, d.log)
		d.log.close()
	}()
	t.Cleanup(func() {
		stop()
		if status := <-ended; status != 0 {
			t.Errorf("exit status %d: %s", status, d.log)
		}
		if stdout.Len() > 0 {
			t.Errorf("stdout: %s", stdout.String())
		}
	})
	d.url = "http://" + d.log.address(t)
	return d
}

// listed is what GET /nodes says of a node, as far as tests look at it.
type listed struct {
	Name, URL, State string
	Drained          bool
	DoNotUse         bool `json:"do_not_use"`
}

// nodes probes all nodes and returns what is known of them.
func (d *daemon) nodes(t *testing.T) (nodes []listed) {
	t.Helper()
	d.get(t, "/recheck", new(struct{}))
	d.get(t, "/nodes", &nodes)
	return nodes
}

// names are the nodes' names, in order.
func (d *daemon) names(t *testing.T) string {
	t.Helper()
	var names []string
	for _, n := range d.nodes(t) {
		names = append(names, n.Name)
	}
	return strings.Join(names, " ")
}

func (d *daemon) get(t *testing.T, path string, into any) {
	t.Helper()
	resp, err := http.Get(d.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s: %v", path, resp.Status, err)
	}
}

// cl returns a consensus client of the daemon.
func (d *daemon) cl(t *testing.T, secret []byte) *enginetest.CL {
	return enginetest.NewCL(t, d.url, secret)
}

// logbook keeps what a daemon logs.
type logbook struct {
	mu      sync.Mutex
	text    bytes.Buffer
	closed  bool
	changed chan struct{} // closed and replaced at each write
}

func newLogbook() *logbook { return &logbook{changed: make(chan struct{})} }

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(b)
}

// close says that nothing more will come.
func (l *logbook) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed, l.closed = make(chan struct{}), true
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wait returns what a pattern's group matched, as soon as it is there.
func (l *logbook) wait(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(20 * time.Second)
	for {
		l.mu.Lock()
		found, closed, changed := re.FindSubmatch(l.text.Bytes()), l.closed, l.changed
		l.mu.Unlock()
		switch {
		case len(found) > 1:
			return string(found[1])
		case found != nil:
			return ""
		case closed:
			t.Fatalf("ended without %s: %s", pattern, l)
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("no %s in the log: %s", pattern, l)
		}
	}
}

// address is where the daemon listens.
func (l *logbook) address(t *testing.T) string {
	t.Helper()
	return l.wait(t, `msg=listening address=(\S+)`)
}

// file writes a file of the test's own and returns its path.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// secret is what consensus clients share with us in these tests.
var secret = bytes.Repeat([]byte{0xc1}, 32)

func secretFile(t *testing.T) string { return file(t, hex.EncodeToString(secret)) }

// spec is the specification of a test node, with its own secret.
func spec(n *enginetest.Node, options string) string {
	return n.URL + "#jwt-secret=" + n.SecretFile + options
}
