//go:build e2e

package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/geth"
)

// house is an ExecutionBackup in a process of its own, which an operator runs with a file, and a consensus client of
// ours that makes a block in each slot, as one with all validators of a network would.
type house struct {
	apptest.Client
	t        *testing.T
	socket   *apptest.Socket
	dir      string
	nodes    []string // specifications
	settings []string // further lines of the configuration
	slot     time.Duration
	ahead    time.Duration // by how much the consensus client's clock is ahead of the machine's
	building time.Duration // how long nodes may build a block
	process  *apptest.Process
	producer *geth.Producer
	sent     uint64   // transfers
	lost     []string // slots without a block, and why
}

// newHouse starts ExecutionBackup before nodes, and waits until the first block is made.
func newHouse(t *testing.T, genesis *core.Genesis, nodes []string, settings ...string) *house {
	t.Helper()
	h := &house{
		t: t, socket: apptest.NewSocket(t, "127.0.0.1:0"), dir: t.TempDir(),
		nodes: nodes, settings: settings, slot: 2 * time.Second, building: 50 * time.Millisecond,
	}
	h.Client = apptest.NewClient(t, "http://"+h.socket.Addr.String(), apptest.CLSecret)
	h.CL.Token = func() string { return enginetest.Token(apptest.CLSecret, time.Now().Add(h.ahead)) }
	h.start()
	h.lead(genesis)
	return h
}

// lead has the consensus client follow the chain that it finds, and waits until the first blocks are made.
func (h *house) lead(genesis *core.Genesis) {
	h.t.Helper()
	var err error
	if h.producer, err = geth.NewProducer(h.t.Context(), genesis.Config, h.Call); err != nil {
		h.t.Fatal(err)
	}
	h.slots(2)
	h.wantAll()
}

// twin starts another ExecutionBackup before the same nodes, which no consensus client calls yet.
func (h *house) twin() *house {
	h.t.Helper()
	second := *h
	second.socket, second.dir = apptest.NewSocket(h.t, "127.0.0.1:0"), h.t.TempDir()
	second.Client = apptest.NewClient(h.t, "http://"+second.socket.Addr.String(), apptest.CLSecret)
	second.start()
	return &second
}

// start starts ExecutionBackup, and returns when it takes calls.
func (h *house) start() {
	h.t.Helper()
	h.configure()
	binary, err := command()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(binary, "--config", h.path("executionbackup.yaml"))
	apptest.Hand(cmd, h.socket.File)
	h.process = apptest.StartProcess(h.t, cmd)
	h.process.WaitReady(h.t, h.Client)
}

// path is that of a file of the house.
func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

// configure writes the configuration. Later settings replace earlier ones.
func (h *house) configure() {
	h.t.Helper()
	write(h.t, h.path("cl.hex"), hex.EncodeToString(apptest.CLSecret))
	lines := map[string]string{
		"jwt_secret": h.path("cl.hex"), "slot": h.slot.String(), "open_admin": "true",
		"state_dir": h.path("state"), "evidence_dir": h.path("evidence"),
	}
	for _, line := range h.settings {
		key, value, _ := strings.Cut(line, ": ")
		lines[key] = value
	}
	var text strings.Builder
	for key, value := range lines {
		fmt.Fprintf(&text, "%s: %s\n", key, value)
	}
	text.WriteString("nodes:\n")
	for _, n := range h.nodes {
		fmt.Fprintf(&text, "  - %q\n", n)
	}
	write(h.t, h.path("executionbackup.yaml"), text.String())
}

// reload puts further settings in force by SIGHUP, and returns when they are.
func (h *house) reload(settings ...string) {
	h.t.Helper()
	h.settings = append(h.settings, settings...)
	h.configure()
	const reloads = `executionbackup_config_reloads_total{outcome="success"}`
	before := h.Metric(h.t, reloads)
	h.process.Signal(syscall.SIGHUP)
	apptest.Until(h.t, "the configuration is reloaded", func() bool { return h.Metric(h.t, reloads) > before })
}

// slots lets slots go by.
func (h *house) slots(n int) {
	h.t.Helper()
	for range n {
		h.slotWith(nil)
	}
}

// slotWith lets one slot go by, and calls meanwhile, in a goroutine, something else; it returns when both are over. A
// slot is lost that has no block, called VALID, when it ends.
func (h *house) slotWith(meanwhile func()) {
	h.t.Helper()
	begin := time.Now().Add(h.ahead).Truncate(h.slot).Add(h.slot) // by the consensus client's clock
	for uint64(begin.Unix()) <= h.producer.Head.Timestamp {
		begin = begin.Add(h.slot)
	}
	<-time.After(time.Until(begin.Add(-h.ahead)))
	var both sync.WaitGroup
	defer both.Wait()
	if meanwhile != nil {
		both.Go(meanwhile)
	}
	ctx, cancel := context.WithDeadline(h.t.Context(), begin.Add(h.slot-h.ahead))
	defer cancel()
	if raw, err := geth.Transfer(h.sent).MarshalBinary(); err != nil {
		h.t.Error(err)
	} else if _, err := h.Call(ctx, "eth_sendRawTransaction", hexutil.Bytes(raw)); err == nil {
		h.sent++
	}
	_, err := h.producer.Produce(ctx, geth.Order{Timestamp: uint64(begin.Unix()), BuildTime: h.building})
	if err != nil {
		h.lost = append(h.lost, fmt.Sprintf("block %d at %s: %v",
			h.producer.Head.Number+1, begin.Format(time.TimeOnly), err))
	}
}

// wantAll fails the test if a slot is lost.
func (h *house) wantAll() {
	h.t.Helper()
	if len(h.lost) > 0 {
		h.t.Fatalf("%d slots are lost: %s", len(h.lost), strings.Join(h.lost, "; "))
	}
}

// judged is a payload as GET /blocks has it.
type judged struct {
	Hash, Verdict string
	Dispute       bool
	Votes         []struct{ Node, Status, Vote string }
}

// last is the last payload that has a verdict.
func (h *house) last() (last judged) {
	h.t.Helper()
	apptest.Until(h.t, "the last payload has a verdict", func() bool {
		var all []judged
		h.Get(h.t, "/blocks", &all)
		if len(all) > 0 {
			last = all[len(all)-1]
		}
		return last.Verdict != ""
	})
	return last
}

// votes waits until that is what the nodes voted on the last payload, in order; "" is none. Nobody waits for the vote
// of a node that is syncing.
func (h *house) votes(want ...string) {
	h.t.Helper()
	apptest.Try(h.t, apptest.Patience, func() error {
		var got []string
		for _, v := range h.last().Votes {
			got = append(got, v.Vote)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			return fmt.Errorf("the votes are %q, want %q", got, want)
		}
		return nil
	})
}

// genesisNow is the beginning of a chain a minute ago, with Osaka.
func genesisNow() *core.Genesis {
	active := uint64(0)
	g := geth.Genesis(geth.Schedule{Shanghai: &active, Cancun: &active, Prague: &active, Osaka: &active})
	g.Timestamp = uint64(time.Now().Add(-time.Minute).Unix())
	return g
}

// startClients starts so many geths without peers on a genesis.
func startClients(t *testing.T, genesis *core.Genesis, n int) (clients []*client) {
	t.Helper()
	for i := range n {
		clients = append(clients, startClient(t, byte(i+1), func(c *geth.Config) { c.Genesis = genesis }))
	}
	return clients
}

// specs are clients as ExecutionBackup's configuration has them, n1, n2, and so on. Who is behind a proxy is called
// there.
func specs(t *testing.T, clients []*client, proxies map[int]*enginetest.Node) (list []string) {
	t.Helper()
	for i, c := range clients {
		file := filepath.Join(t.TempDir(), "jwt.hex")
		write(t, file, hex.EncodeToString(c.config.Secret[:]))
		url := c.url
		if p := proxies[i]; p != nil {
			url = p.URL
		}
		list = append(list, fmt.Sprintf("%s#name=n%d#jwt-secret=%s", url, i+1, file))
	}
	return list
}

// proxy starts a proxy before a client.
func (c *client) proxy() *enginetest.Node { return enginetest.Proxy(c.t, c.url, c.config.Secret[:]) }

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// command builds the daemon, once, and returns where it is.
var command = sync.OnceValues(func() (string, error) {
	path := filepath.Join(commandDir, "executionbackup")
	out, err := exec.Command("go", "build", "-o", path, "executionbackup/cmd/executionbackup").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the daemon: %w: %s", err, out)
	}
	return path, nil
})

// commandDir is where the daemon is built.
var commandDir string
