//go:build e2e

package soak

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/geth"
)

// world is three geths, ExecutionBackup before them with a Redis beside it, a consensus client, and the network.
type world struct {
	t     *testing.T
	dir   string
	nodes []*node
	redis *apptest.Redis
	eb    *multiplexer
	chain *chain

	fed     int // times that a node was fed what it had missed
	overdue int // VALIDs that went out late in the slot though their quorum was there in time

	mu    sync.Mutex
	wrong []string // what should not have been, beside slots and disputes
}

func newWorld(t *testing.T, binary string) *world {
	t.Helper()
	dir := os.Getenv("E2E_DIR")
	if dir == "" {
		dir = t.TempDir()
	}
	for _, old := range []string{"executionbackup.log", "state", "evidence"} { // of another run, and another chain
		if err := os.RemoveAll(filepath.Join(dir, old)); err != nil {
			t.Fatal(err)
		}
	}
	active := uint64(0)
	genesis := geth.Genesis(geth.Schedule{Shanghai: &active, Cancun: &active, Prague: &active, Osaka: &active})
	genesis.Timestamp = uint64(time.Now().Add(-time.Minute).Unix())
	all := startNodes(t, dir, genesis)
	w := &world{t: t, dir: dir, nodes: all[:nodes], redis: apptest.StartRedis(t)}
	w.eb = startMultiplexer(t, dir, binary, w.redis.URL, w.nodes)
	w.chain = newChain(t, w.eb.URL, all[nodes], genesis.Config)
	return w
}

func (w *world) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
	w.t.Logf(format, args...)
}

// mostBack is how long a fault may go on after its end: a node that can't be fed what it missed has to sync by itself.
const mostBack = 2 * time.Minute

// play makes one event happen, and returns when all is as before.
func (w *world) play(e event) told {
	w.t.Logf("%s: %v", time.Now().UTC().Format(time.TimeOnly), e)
	story := told{event: e, begun: time.Now()}
	var undo []func()
	for _, p := range e.parts {
		var victim *node
		if p.node {
			victim = w.nodes[p.victim]
		}
		over, end := time.Now().Add(p.lasts), p.begin(w, victim)
		undo = append(undo, func() { <-time.After(time.Until(over)); end() })
	}
	if len(e.parts) == 2 && e.parts[1].lasts < e.parts[0].lasts {
		slices.Reverse(undo)
	}
	for _, end := range undo {
		end()
	}
	story.over = time.Now()
	for {
		trouble := w.trouble()
		story.back = time.Since(story.over)
		if trouble == nil {
			break
		}
		if story.back > mostBack {
			w.fault("%v: %v after its end: %v", e, mostBack, trouble)
			break
		}
		<-time.After(200 * time.Millisecond)
	}
	return story
}

// trouble says why all isn't as before any fault.
func (w *world) trouble() error {
	var states []apptest.NodeState
	if err := w.eb.get("/nodes", &states); err != nil {
		return err
	}
	if len(states) != nodes {
		return fmt.Errorf("there are %d nodes", len(states))
	}
	for _, s := range states {
		if s.State != "alive" || s.Laggard || s.Drained || s.Objections > 0 || !s.Qualified {
			return fmt.Errorf("%s is %s (laggard: %t, drained: %t, may object: %t, objections: %d): %s",
				s.Name, s.State, s.Laggard, s.Drained, s.Qualified, s.Objections, s.Reason)
		}
	}
	for _, metric := range []string{"executionbackup_state_degraded", "executionbackup_shared_state_degraded"} {
		if degraded, err := w.eb.metric(metric); err != nil || degraded != 0 {
			return fmt.Errorf("%s: %v, %v", metric, degraded, err)
		}
	}
	return nil
}

// powerCut kills everything but the consensus client and the network, at once, and returns what starts it again.
// ExecutionBackup is there first: its supervisor doesn't wait.
func (w *world) powerCut() (start func()) {
	var cut sync.WaitGroup
	for _, n := range w.nodes {
		cut.Go(n.kill)
	}
	w.eb.end(syscall.SIGKILL)
	cut.Wait()
	return func() {
		for _, n := range w.nodes {
			n.start()
		}
	}
}

// upgradeAll drains one node after the other, starts it again and takes it back, as docs/operations.md says.
func (w *world) upgradeAll() {
	for _, n := range w.nodes {
		w.change("/drain_nodes", n.name)
		n.terminate()
		n.start()
		apptest.Within(w.t, mostBack, n.name+" is back", func() bool {
			var states []apptest.NodeState
			err := w.eb.get("/nodes", &states)
			return err == nil && slices.ContainsFunc(states, func(s apptest.NodeState) bool {
				return s.Name == n.name && s.State == "alive" && !s.Laggard
			})
		})
		w.change("/undrain_nodes", n.name)
		<-time.After(slot) // or what is built for the next proposal would be lost on one node after the other
	}
}

// tally is how many calls of newPayload and forkchoiceUpdated a process has found disputed.
type tally struct{ process, calls int }

func (w *world) disputes() (t tally) {
	w.t.Helper()
	apptest.Try(w.t, apptest.Patience, func() error {
		_, t.process = w.eb.current()
		t.calls = 0
		for _, method := range []string{"NewPayload", "ForkchoiceUpdated"} {
			n, err := w.eb.metric(fmt.Sprintf("executionbackup_disputes_total{method=%q}", method))
			if err != nil {
				return err
			}
			t.calls += int(n)
		}
		return nil
	})
	return t
}

// since is how many came between two tallies. Those of a process that ended in between are lost.
func (t tally) since(later tally) int {
	if t.process == later.process {
		return later.calls - t.calls
	}
	return later.calls
}

// change posts the name of a node to a path of the REST API.
func (w *world) change(path, name string) {
	w.t.Helper()
	apptest.Try(w.t, apptest.Patience, func() error { return w.post(path, name) })
}

func (w *world) post(path, node string) error {
	got, err := w.eb.Ask(w.t.Context(), http.MethodPost, path, fmt.Sprintf(`{"nodes":[%q]}`, node),
		"Content-Type", "application/json")
	if err == nil && got.Status != http.StatusOK {
		err = fmt.Errorf("%s %s: HTTP %d: %s", path, node, got.Status, got.Body)
	}
	return err
}

// add adds a node again, unless a reload or a restart has done so.
func (w *world) add(n *node) {
	w.t.Helper()
	apptest.Try(w.t, apptest.Patience, func() error {
		var states []apptest.NodeState
		if err := w.eb.get("/nodes", &states); err != nil {
			return err
		}
		for _, s := range states {
			if s.Name == n.name {
				return nil
			}
		}
		return w.post("/add_nodes", n.specification())
	})
}

// knock makes calls with a token of another secret, as long as wanted.
func (w *world) knock() (stop func()) {
	stranger := apptest.NewClient(w.t, w.eb.URL, w.nodes[0].secret[:])
	ctx, cancel := context.WithCancel(w.t.Context())
	var knocking sync.WaitGroup
	knocking.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			status, _, answer, err := stranger.Post(ctx, []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}`))
			if err == nil && status != http.StatusUnauthorized {
				w.fault("a call with a wrong token got HTTP %d: %s", status, answer)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	return func() { cancel(); knocking.Wait() }
}

// end looks at everything when the chain has ended: it must be as if nothing had happened.
func (w *world) end() {
	if trouble := w.trouble(); trouble != nil {
		w.fault("at the end: %v", trouble)
	}
	var disputes []struct {
		Standing  bool
		Kind      string
		Hash      string
		Objectors []string
	}
	if err := w.eb.get("/disputes", &disputes); err != nil {
		w.fault("at the end: %v", err)
	}
	for _, d := range disputes {
		if d.Standing {
			w.fault("at the end a dispute stands: %+v", d)
		}
	}
	for _, n := range w.nodes {
		if head, err := n.latest(); err != nil || head != w.chain.valid.Hash {
			w.fault("at the end %s is at %v (%v), and the chain at %v", n.name, head, err, w.chain.valid.Hash)
		}
	}
	for _, n := range w.nodes {
		for _, v := range n.door.Violations() {
			if v == "a CL's token" {
				w.fault("%s saw %s", n.name, v)
			}
		}
	}
	w.eb.stop()
	log, err := os.ReadFile(w.eb.log())
	if err != nil {
		w.t.Fatal(err)
	}
	w.overdue = strings.Count(string(log), "msg=\"overdue")
	w.fed = strings.Count(string(log), "msg=\"caught up\"")
	for _, word := range []string{"DATA RACE", "panic: ", "panic serving", "panic=", "fatal error: "} {
		if n := strings.Count(string(log), word); n > 0 {
			w.fault("the log of ExecutionBackup has %q %d times", word, n)
		}
	}
}
