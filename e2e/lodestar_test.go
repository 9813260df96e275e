//go:build e2e

package e2e

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/apptest"
	"executionbackup/internal/geth"
)

// slow is what no call of Lodestar takes, in milliseconds. We take that much at most for a payload, and it would try a
// failed one again after 2 s.
const slow = 900

// lodestarLine is what e2e/clients/lodestar/driver.mjs prints: one of these.
type lodestarLine struct {
	Building int

	Slot  int
	Block *struct {
		Hash                common.Hash
		Transactions, Blobs int
		Found               int // of the blobs, by getBlobs
	}
	Failed string
	Took   map[string]float64 // milliseconds, by call

	State string

	Last *struct {
		State, Client string
		Bodies        []int // how many transactions each block has
		Body          int   // the last block
	}
}

// startLodestar starts Lodestar's Engine API client, which makes so many blocks.
func startLodestar(t *testing.T, url string, secret [32]byte, blocks int) *apptest.Process {
	t.Helper()
	cmd := exec.Command("node", apptest.Installed(t, "lodestar/driver.mjs"),
		url, hex.EncodeToString(secret[:]), strconv.Itoa(blocks), "2")
	cmd.Stderr = t.Output()
	return apptest.StartProcess(t, cmd)
}

// lodestarLines are what it has printed.
func lodestarLines(t *testing.T, p *apptest.Process) (lines []lodestarLine) {
	t.Helper()
	for text := range strings.Lines(p.Log.String()) {
		var line lodestarLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		lines = append(lines, line)
	}
	return lines
}

// Lodestar's own Engine API client makes a block every two seconds. Each geth is restarted, and then the primary killed
// with SIGKILL when it has just begun to build: no block fails, no call is slow, and Lodestar never takes its execution
// client for anything but synced.
func TestLodestar(t *testing.T) {
	blocks, restart, kill, back := 30, []int{3, 6, 9}, 12, 20
	if testing.Short() {
		blocks, restart, kill, back = 15, []int{2, 4, 6}, 8, 11
	}
	w := newWorld(t, startClient(t, 1), startClient(t, 2), startClient(t, 3))
	fill := newFilling(w, blocks/3)
	lodestar := startLodestar(t, w.URL, w.clients[0].config.Secret, blocks)
	victim := 0
	for n := 1; n <= blocks; n++ {
		lodestar.Log.Wait(t, fmt.Sprintf(`{"building":%d}`, n))
		// One that is killed before a clean stop has no state on disk, and would need peers.
		if i := slices.Index(restart, n); i >= 0 {
			w.clients[i].end(syscall.SIGTERM)
			w.clients[i].start()
		}
		switch n {
		case kill:
			victim = slices.IndexFunc(w.Nodes(t), func(n apptest.NodeState) bool { return n.Primary })
			w.clients[victim].end(syscall.SIGKILL)
		case back:
			w.clients[victim].start()
		}
		lodestar.Log.Wait(t, fmt.Sprintf(`{"slot":%d,`, n))
		fill.send()
	}
	lodestar.WantExit(t, 0)

	head := wantNoneFailed(t, lodestarLines(t, lodestar))
	apptest.Until(t, "the node that was killed votes", func() bool { return w.votes()[victim] == "VALID" })
	for i, c := range w.clients {
		apptest.Until(t, fmt.Sprintf("node %d has the last block", i+1), func() bool { return c.latest() == head })
	}
}

// The same with nothing between Lodestar and its only geth costs slots, and Lodestar sees it.
func TestLodestarDirect(t *testing.T) {
	if testing.Short() {
		t.Skip("part of the whole form only")
	}
	const blocks, restart, kill, back = 20, 3, 6, 8
	c := startClient(t, 1)
	lodestar := startLodestar(t, c.url, c.config.Secret, blocks)
	for n := 1; n <= blocks; n++ {
		lodestar.Log.Wait(t, fmt.Sprintf(`{"slot":%d,`, n))
		switch n {
		case restart:
			c.end(syscall.SIGTERM)
			c.start()
		case kill:
			c.end(syscall.SIGKILL)
		case back:
			c.start()
		}
	}
	if err := lodestar.Wait(); err != nil {
		t.Fatal(err)
	}
	var failed []int
	var states []string
	for _, l := range lodestarLines(t, lodestar) {
		if l.Failed != "" {
			failed = append(failed, l.Slot)
		}
		if l.State != "" {
			states = append(states, l.State)
		}
	}
	t.Logf("slots %v failed, and to Lodestar it was %v", failed, states)
	if len(failed) == 0 || !slices.Contains(states, "OFFLINE") {
		t.Error("that is no fault that Lodestar would notice")
	}
}

// wantNoneFailed checks all that Lodestar printed, and returns its head.
func wantNoneFailed(t *testing.T, lines []lodestarLine) (head common.Hash) {
	t.Helper()
	var states []string
	var transactions []int // in each block
	var blobs int
	slowest := map[string]int{}
	for _, l := range lines {
		if l.State != "" {
			states = append(states, l.State)
		}
		if l.Failed != "" {
			t.Errorf("slot %d: %s", l.Slot, l.Failed)
		}
		for call, took := range l.Took {
			slowest[call] = max(slowest[call], int(took))
			if took > slow {
				t.Errorf("slot %d: %s took %.0f ms", l.Slot, call, took)
			}
		}
		if b := l.Block; b != nil {
			head, blobs, transactions = b.Hash, blobs+b.Blobs, append(transactions, b.Transactions)
			if b.Found != b.Blobs {
				t.Errorf("slot %d: getBlobs has %d of %d blobs", l.Slot, b.Found, b.Blobs)
			}
		}
	}
	t.Logf("%d blocks, %v transactions in them, %d blobs; slowest calls in ms: %v",
		len(transactions), transactions, blobs, slowest)
	if want := []string{"SYNCED"}; !slices.Equal(states, want) {
		t.Errorf("to Lodestar we were %v, want %v", states, want)
	}
	if blobs == 0 {
		t.Error("no block had a blob")
	}
	last := lines[len(lines)-1].Last
	if last == nil || last.State != "SYNCED" || last.Client != "GE" ||
		!slices.Equal(last.Bodies, transactions) || last.Body != transactions[len(transactions)-1] {
		t.Errorf("at the end it has %+v, want the transactions of %v", last, transactions)
	}
	return head
}

// filling is the transactions of a chain's blocks.
type filling struct {
	w       *world
	account common.Address       // that the blobs come from
	blobs   []*types.Transaction // by nonce: each takes a quarter of a second
	rounds  int
}

func newFilling(w *world, blobs int) *filling {
	w.t.Helper()
	f := &filling{w: w}
	for nonce := range uint64(blobs) {
		tx, err := geth.BlobTransaction(nonce)
		if err == nil {
			f.account, err = types.Sender(types.LatestSignerForChainID(tx.ChainId()), tx)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		f.blobs = append(f.blobs, tx)
	}
	return f
}

// send sends three transfers, and every third time a blob, as far as it gets in a second: the first blob takes a geth
// longer. What no block has yet is sent again, because a node that was away has no peers to tell it. Errors don't
// matter: one that has a transaction already says so, too.
func (f *filling) send() {
	ctx, cancel := context.WithTimeout(f.w.t.Context(), time.Second)
	defer cancel()
	first, err := f.made(ctx, geth.Developer)
	if err != nil {
		return
	}
	round := []*types.Transaction{geth.Transfer(first), geth.Transfer(first + 1), geth.Transfer(first + 2)}
	if f.rounds++; f.rounds%3 == 0 {
		if next, err := f.made(ctx, f.account); err == nil {
			round = append(round, f.blobs[next])
		}
	}
	for _, tx := range round {
		raw, err := tx.MarshalBinary()
		if err != nil {
			f.w.t.Fatal(err)
		}
		f.w.call(ctx, "eth_sendRawTransaction", hexutil.Encode(raw))
	}
}

// made is how many transactions of an account the blocks have.
func (f *filling) made(ctx context.Context, account common.Address) (uint64, error) {
	var count hexutil.Uint64
	raw, err := f.w.call(ctx, "eth_getTransactionCount", account, "latest")
	if err == nil {
		err = count.UnmarshalJSON(raw)
	}
	return uint64(count), err
}
