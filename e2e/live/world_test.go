//go:build e2e

package live

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"executionbackup/internal/apptest"
)

// world is a network of one consensus client, its execution clients, and ExecutionBackup between them; or without that.
type world struct {
	genesis
	t          testing.TB
	dir        string
	ports      *ports
	secret     [32]byte
	secretFile string

	nodes  []*node
	eb     *multiplexer // nil where Prysm talks to one node directly
	cl     *prysm
	sender *sender
}

// leadTime is from now to genesis: clients need it to start.
const leadTime = 30 * time.Second

// newWorld starts execution clients of these kinds, named g1, g2, e1 and so on, for a chain that begins soon.
func newWorld(t testing.TB, slot time.Duration, fuluEpoch int, kinds ...string) *world {
	t.Helper()
	w := &world{t: t, dir: worldDir(t), ports: newPorts()}
	for i := range w.secret {
		w.secret[i] = byte(rand.Uint32())
	}
	w.secretFile = w.writeSecret("jwt.hex", w.secret)
	w.genesis = newGenesis(t, w.dir, time.Now().Add(leadTime).Truncate(time.Second), slot, fuluEpoch)
	count := map[string]int{}
	for _, kind := range kinds {
		count[kind]++
		n := w.newNode(fmt.Sprintf("%s%d",
			map[string]string{"geth": "g", "erigon": "r", "ethereumjs": "e"}[kind], count[kind]), kind)
		n.start()
		w.nodes = append(w.nodes, n)
	}
	return w
}

// through puts ExecutionBackup before the execution clients, and Prysm before that. more are further lines of its
// configuration.
func (w *world) through(binary string, more ...string) *world {
	w.t.Helper()
	w.eb = startMultiplexer(w.t, w.dir, binary, w.ports.next(), w.secretFile, w.slot, w.specs(), more)
	w.begin(w.eb.URL)
	return w
}

// goesOn reports whether the chain does, by itself or within a minute.
func (w *world) goesOn() bool {
	deadline := time.Now().Add(time.Minute)
	for tick := time.NewTicker(time.Second); time.Now().Before(deadline); <-tick.C {
		if head, err := w.cl.block("head"); err == nil && head != nil && head.Slot >= w.slotAt(time.Now())-1 {
			return true
		}
	}
	return false
}

// begin starts Prysm and the transactions.
func (w *world) begin(endpoint string) {
	w.t.Helper()
	w.cl = startPrysm(w.t, w.dir, w.genesis, w.ports, endpoint, w.secretFile)
	w.t.Cleanup(func() {
		for _, p := range []*apptest.Process{w.cl.validator, w.cl.beacon} {
			if err := p.Terminate(); err != nil {
				w.t.Error(err)
			}
		}
	})
	w.sender = startSender(w.t, w.genesis, w.nodes, endpoint, w.secret)
}

func (w *world) newNode(name, kind string) *node {
	peers := w.ports.next()
	first, _ := strconv.Atoi(peers)
	for range 3 { // Erigon uses the following ones, too
		w.ports.next()
	}
	auth, _ := strconv.Atoi(w.ports.next())
	http, _ := strconv.Atoi(w.ports.next())
	n := &node{
		t: w.t, name: name, kind: kind, host: "127.0.0.1", auth: auth, http: http, peers: first,
		dir: filepath.Join(w.dir, name), genesis: w.execution, secretFile: w.secretFile,
	}
	w.t.Cleanup(func() { n.Kill() })
	return n
}

// node returns the node of that name.
func (w *world) node(name string) *node {
	for _, n := range w.nodes {
		if n.name == name {
			return n
		}
	}
	w.t.Fatalf("there is no node %s", name)
	return nil
}

// specs are the nodes as ExecutionBackup's configuration has them.
func (w *world) specs() (specs []string) {
	for _, n := range w.nodes {
		if n.left {
			continue
		}
		text := n.called() + "#name=" + n.name
		if n.doNotUse {
			text += "#do-not-use"
		}
		specs = append(specs, text)
	}
	return specs
}

// reload puts the nodes as they stand now in force.
func (w *world) reload() {
	w.t.Helper()
	w.eb.reload(w.specs(), w.eb.onDispute)
}

func (w *world) writeSecret(name string, secret [32]byte) string {
	file := filepath.Join(w.dir, name)
	if err := os.WriteFile(file, []byte(hex.EncodeToString(secret[:])), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// worldDir is where a world's files are: under E2E_DIR, where they stay for who wants to read the logs; else they go
// with the test.
func worldDir(t testing.TB) string {
	base := os.Getenv("E2E_DIR")
	if base == "" {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(base, "world-")
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the logs are in %s", dir)
	return dir
}

// ports gives out ports that are free, and below those that the system gives out: nobody takes one while a client is
// down.
type ports struct{ last int }

func newPorts() *ports { return &ports{last: 20000 + rand.IntN(11000)} }

func (p *ports) next() string {
	for {
		p.last++
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p.last))
		if err == nil {
			l.Close()
			return strconv.Itoa(p.last)
		}
	}
}
