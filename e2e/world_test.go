//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/apptest"
	"executionbackup/internal/geth"
)

// client is an execution client in a process of its own.
type client struct {
	t      *testing.T
	config geth.Config
	url    string
	*apptest.Process
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
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), gethVariable+"="+string(text))
	cmd.Stderr = c.t.Output()
	c.Process = apptest.StartProcess(c.t, cmd)
	c.url = c.Log.Match(c.t, `(http\S+)\n`)
}

// end ends the process with a signal and returns when it is gone.
func (c *client) end(s syscall.Signal) {
	c.t.Helper()
	c.Signal(s)
	if err := c.Wait(); err != nil {
		c.t.Fatal(err)
	}
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
	*apptest.Multiplexer
	t        *testing.T
	clients  []*client
	call     geth.Call // what the CL calls
	producer *geth.Producer
	slowest  time.Duration // of the CL's calls
	calls    int
}

func newWorld(t *testing.T, clients ...*client) *world {
	t.Helper()
	options := apptest.Options{Secret: clients[0].config.Secret[:]}
	for _, c := range clients {
		options.Nodes = append(options.Nodes, apptest.Node{URL: c.url, Secret: c.config.Secret[:]})
	}
	w := &world{Multiplexer: apptest.Start(t, options), t: t, clients: clients}
	var err error
	if w.call, err = geth.Dial(w.URL, clients[0].config.Secret); err != nil {
		t.Fatal(err)
	}
	timed := func(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
		begun := time.Now()
		defer func() {
			w.calls++
			w.slowest = max(w.slowest, time.Since(begun))
		}()
		return w.call(ctx, method, params...)
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

// votes returns the votes on the last block, in the order of the nodes.
func (w *world) votes() (votes []string) {
	w.t.Helper()
	var blocks []struct {
		Votes []struct{ Vote string }
	}
	w.Get(w.t, "/blocks", &blocks)
	for _, v := range blocks[len(blocks)-1].Votes {
		votes = append(votes, v.Vote)
	}
	return votes
}

// state returns the state of the i-th node.
func (w *world) state(i int) string {
	w.t.Helper()
	return w.Nodes(w.t)[i].State
}
