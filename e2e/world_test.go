//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/app"
	"executionbackup/internal/config"
	"executionbackup/internal/geth"
)

// client is an execution client in a process of its own.
type client struct {
	t      *testing.T
	config geth.Config
	file   string // of its secret
	url    string
	cmd    *exec.Cmd
}

// startClient starts a geth without peers, with a data directory. The changes are made to its configuration.
func startClient(t *testing.T, n byte, changes ...func(*geth.Config)) *client {
	t.Helper()
	active := uint64(0)
	c := &client{t: t}
	c.config = geth.Config{
		Genesis:  geth.Genesis(geth.Schedule{Shanghai: &active, Cancun: &active, Prague: &active, Osaka: &active}),
		DataDir:  t.TempDir(),
		Secret:   [32]byte{n},
		AuthPort: freePort(t),
	}
	for _, change := range changes {
		change(&c.config)
	}
	c.file = filepath.Join(t.TempDir(), "jwt.hex")
	if err := os.WriteFile(c.file, []byte(hex.EncodeToString(c.config.Secret[:])), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.signal(syscall.SIGKILL) })
	c.start()
	return c
}

// start starts the process and returns when it serves.
func (c *client) start() {
	c.t.Helper()
	text, err := json.Marshal(c.config)
	if err != nil {
		c.t.Fatal(err)
	}
	c.cmd = exec.Command(os.Args[0])
	c.cmd.Env = append(os.Environ(), gethVariable+"="+string(text))
	c.cmd.Stderr = c.t.Output()
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		c.t.Fatalf("geth didn't start: %v", err)
	}
	c.url = strings.TrimSpace(line)
}

// signal ends the process and returns when it is gone.
func (c *client) signal(s syscall.Signal) {
	if c.cmd == nil {
		return
	}
	c.cmd.Process.Signal(s)
	c.cmd.Wait()
	c.cmd = nil
}

// latest asks the client itself for its head.
func (c *client) latest() common.Hash {
	c.t.Helper()
	var block struct{ Hash common.Hash }
	c.result(&block, c.url, "eth_getBlockByNumber", "latest", false)
	return block.Hash
}

// result makes a call with the client's secret, to the client or to who has the same, and decodes the result into v,
// unless that is nil.
func (c *client) result(v any, url, method string, params ...any) {
	c.t.Helper()
	call, err := geth.Dial(url, c.config.Secret)
	if err != nil {
		c.t.Fatal(err)
	}
	raw, err := call(c.t.Context(), method, params...)
	if err == nil && v != nil {
		err = json.Unmarshal(raw, v)
	}
	if err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
}

// serve runs an ExecutionBackup until the end of the test.
func serve(t *testing.T, a *app.App) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// world is clients, an ExecutionBackup before them, and a CL that produces blocks through it.
type world struct {
	t        *testing.T
	clients  []*client
	url      string
	producer *geth.Producer
	slowest  time.Duration // of the CL's calls
	calls    int
}

func newWorld(t *testing.T, clients ...*client) *world {
	t.Helper()
	var specs []string
	for _, c := range clients {
		specs = append(specs, c.url+"#jwt-secret="+c.file)
	}
	conf, err := config.Load(config.Inputs{Flags: map[string][]string{
		"nodes": {strings.Join(specs, ",")}, "jwt-secret": {clients[0].file}, "port": {"0"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(conf, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	serve(t, a)
	w := &world{t: t, clients: clients, url: "http://" + a.Addr().String()}
	w.get("/recheck", nil)
	call, err := geth.Dial(w.url, clients[0].config.Secret)
	if err != nil {
		t.Fatal(err)
	}
	timed := func(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
		begun := time.Now()
		defer func() {
			w.calls++
			w.slowest = max(w.slowest, time.Since(begun))
		}()
		return call(ctx, method, params...)
	}
	if w.producer, err = geth.NewProducer(t.Context(), clients[0].config.Genesis.Config, timed); err != nil {
		t.Fatal(err)
	}
	return w
}

// produce makes a block through ExecutionBackup. Every block must be VALID.
func (w *world) produce() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	if _, err := w.producer.Produce(ctx, geth.Order{}); err != nil {
		w.t.Fatalf("block %d: %v", w.producer.Head.Number+1, err)
	}
}

// produceFor makes a block every period until the time is over or enough returns true. It returns whether that was so.
func (w *world) produceFor(d, period time.Duration, enough func() bool) bool {
	w.t.Helper()
	end := time.Now().Add(d)
	tick := time.NewTicker(period)
	defer tick.Stop()
	for time.Now().Before(end) {
		<-tick.C
		w.produce()
		if enough() {
			return true
		}
	}
	return false
}

func (w *world) get(path string, v any) {
	w.t.Helper()
	resp, err := http.Get(w.url + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %d %s %v", path, resp.StatusCode, body, err)
	}
	if v != nil {
		if err := json.Unmarshal(body, v); err != nil {
			w.t.Fatal(err)
		}
	}
}

// votes returns the votes on the last block, in the order of the nodes.
func (w *world) votes() (votes []string) {
	w.t.Helper()
	var blocks []struct {
		Votes []struct{ Vote string }
	}
	w.get("/blocks", &blocks)
	for _, v := range blocks[len(blocks)-1].Votes {
		votes = append(votes, v.Vote)
	}
	return votes
}

// state returns the state of the i-th node.
func (w *world) state(i int) string {
	w.t.Helper()
	var nodes []struct{ State string }
	w.get("/nodes", &nodes)
	return nodes[i].State
}
