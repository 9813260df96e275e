//go:build e2e

// Package hostile has the tests of ExecutionBackup as a process under load and hostile input, where memory, file
// descriptors and goroutines are the process's own. docs/hostile-input.md says what each got.
package hostile

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

var command string // the daemon

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "executionbackup")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	command = filepath.Join(dir, "executionbackup")
	build := exec.Command("go", "build", "-o", command, "executionbackup/cmd/executionbackup")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the daemon: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// daemon is an ExecutionBackup in a process of its own, with the client that talks to it.
type daemon struct {
	*apptest.Process
	apptest.Client
	t *testing.T
}

var secret = bytes.Repeat([]byte{7}, 32)

// start runs a daemon before the nodes until the end of the test, and returns when they have been probed.
func start(t *testing.T, nodes []string, args ...string) *daemon {
	t.Helper()
	file := filepath.Join(t.TempDir(), "jwt.hex")
	if err := os.WriteFile(file, []byte(hex.EncodeToString(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"--nodes", strings.Join(nodes, ","), "--jwt-secret", file, "--port", "0",
		"--evidence-dir", "", "--state-dir", t.TempDir()}, args...)
	p := apptest.StartProcess(t, exec.Command(command, args...))
	t.Cleanup(func() {
		p.Signal(syscall.SIGTERM)
		p.WantExit(t, 0)
	})
	d := &daemon{p, apptest.NewClient(t, p.Log.URL(t), secret), t}
	p.WaitReady(t, d.Client)
	return d
}

// level is what a process has in use.
type level struct {
	goroutines, descriptors int
	live                    int // bytes of the heap, at the last collection
	resident, peak          int // bytes
}

func (l level) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d MB live, %d MB resident, %d MB at most",
		l.goroutines, l.descriptors, l.live>>20, l.resident>>20, l.peak>>20)
}

func (d *daemon) level() level {
	d.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Cmd.Process.Pid))
	if err != nil {
		d.t.Skipf("no /proc: %v", err)
	}
	kilobytes := func(name string) int {
		_, rest, _ := strings.Cut(string(status), name+":")
		n, err := strconv.Atoi(strings.Fields(rest)[0])
		if err != nil {
			d.t.Fatal(err)
		}
		return n << 10
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Cmd.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	// The next collection is due at twice what was live at the last one.
	return level{
		int(d.Metric(d.t, "go_goroutines")), len(files), int(d.Metric(d.t, "go_memstats_next_gc_bytes")) / 2,
		kilobytes("VmRSS"), kilobytes("VmHWM"),
	}
}

// node is an execution client that keeps nothing, so that it can be sent gigabytes.
type node struct {
	url string

	mu     sync.Mutex
	delay  map[string]time.Duration                                // by family: how long it takes
	answer map[string]func(w http.ResponseWriter, r *http.Request) // instead of its answer
}

func startNode(t *testing.T) *node {
	n := &node{delay: map[string]time.Duration{}, answer: map[string]func(http.ResponseWriter, *http.Request){}}
	server := newServer(t, n)
	n.url = server
	return n
}

// families are those that the nodes tell apart, by a part of their methods' names.
var families = []string{
	"newPayload", "forkchoiceUpdated", "eth_syncing", "eth_chainId", "eth_getBlockByNumber", "eth_call",
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := make([]byte, 1<<10)
	size, _ := io.ReadFull(r.Body, start)
	start = start[:size]
	hash := regexp.MustCompile(`"(?:blockHash|headBlockHash)":("0x[0-9a-f]{64}")`)
	rest, _ := io.ReadAll(io.LimitReader(r.Body, 4<<20)) // the block hash may be at the end
	io.Copy(io.Discard, r.Body)
	family := ""
	for _, f := range families {
		if bytes.Contains(start, []byte(f)) {
			family = f
			break
		}
	}
	n.mu.Lock()
	delay, answer := n.delay[family], n.answer[family]
	n.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return
	}
	if answer != nil {
		answer(w, r)
		return
	}
	latest := "null"
	if m := hash.FindSubmatch(append(start, rest...)); m != nil {
		latest = string(m[1])
	}
	result := map[string]string{
		"newPayload": `{"status":"VALID","latestValidHash":` + latest + `,"validationError":null}`,
		"forkchoiceUpdated": `{"payloadStatus":{"status":"VALID","latestValidHash":` + latest +
			`,"validationError":null},"payloadId":null}`,
		"eth_syncing":          "false",
		"eth_chainId":          `"0x1"`,
		"eth_getBlockByNumber": `{"hash":"` + enginetest.GenesisHash + `","number":"0x0"}`,
		"eth_call":             `"0x"`,
	}[family]
	if result == "" {
		result = "null"
	}
	id := "1"
	if m := regexp.MustCompile(`"id":(\d+)`).FindSubmatch(start); m != nil {
		id = string(m[1])
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, id, result)
}

func (n *node) set(family string, delay time.Duration, answer func(http.ResponseWriter, *http.Request)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay[family], n.answer[family] = delay, answer
}

// newServer serves until the end of the test and cuts off what still runs then.
func newServer(t *testing.T, handler http.Handler) (url string) {
	listener := listen(t)
	server := &http.Server{Handler: handler}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return "http://" + listener.Addr().String()
}
