//go:build e2e

package live

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"executionbackup/internal/apptest"
)

// TestRepairs tells on a chain of its own what leaves the nodes otherwise than they were. g3 stands for the rest of the
// network: it has no vote, nothing happens to it, and the others find there what they lack.
func TestRepairs(t *testing.T) {
	if testing.Short() {
		t.Skip("part of the whole form only")
	}
	wantClients(t, "geth", "beacon-chain", "validator", "prysmctl")
	w := newWorld(t, 4*time.Second, 1, "geth", "geth", "ethereumjs", "geth")
	w.node("g3").doNotUse = true
	w.through(build(t))
	for _, s := range []scenario{powerCuts, upgradedObjector} {
		t.Run(s.name, func(t *testing.T) { tell(t, w, s) })
	}
}

// soonValid is how many slots may go by until the consensus client hears VALID again.
const soonValid = 4

// powerCuts turns off all but Prysm.
var powerCuts = scenario{
	name: "power cut", halts: true,
	about: "kill -9 of all nodes that vote and of ExecutionBackup at once. Two slots later they start again, one " +
		"after the other, in an order drawn at random; some slots later all of it again, in the contrary order. " +
		"Within four slots Prysm hears VALID.",
	play: func(r *run) {
		for _, n := range []*node{other(r), primary(r)} { // or they have no state on disk: see restarts
			r.terminate(n)
			r.start(n)
			r.before(2)
		}
		order := append(r.voters(), nil)
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for range 2 {
			r.powerCut(order)
			slices.Reverse(order)
		}
	},
}

// powerCut kills all nodes and ExecutionBackup, and starts them again in that order. Nil is ExecutionBackup.
func (r *run) powerCut(order []*node) {
	r.t.Helper()
	for _, n := range r.voters() {
		n.Signal(syscall.SIGKILL)
	}
	power := r.eb.cut()
	defer power()
	for _, n := range r.voters() {
		n.Kill()
	}
	r.during(2)
	var names []string
	for _, n := range order {
		if n == nil {
			names = append(names, executionBackup)
			power()
			continue
		}
		names = append(names, n.name)
		n.start()
		apptest.Within(r.t, time.Minute, n.name+" listens", n.listens)
		if n.kind == "geth" {
			r.join(n)
		}
	}
	back := time.Now()
	r.after(soonValid)
	r.wantValid(back, "after "+strings.Join(names, ", "))
	r.after(4)
	r.wantRecovery()
}

// voters are the nodes that vote.
func (r *run) voters() []*node {
	return slices.DeleteFunc(slices.Clone(r.nodes), func(n *node) bool { return n.doNotUse })
}

// join makes a geth a peer of the one that stands for the network.
func (r *run) join(n *node) {
	r.t.Helper()
	apptest.Until(r.t, n.name+" has a peer", func() bool { return n.meet(r.node("g3")) == nil })
}

// wantValid notes when the first VALID to a newPayload came, and a failure where that is too late.
func (r *run) wantValid(since time.Time, what string) {
	for _, record := range r.eb.seen.between(since, time.Now()) {
		if record.Verdict == "VALID" {
			took := record.Time.Add(time.Duration(record.Took) * time.Microsecond).Sub(since)
			r.note("%s: VALID after %.1f s", what, took.Seconds())
			if took > soonValid*r.slot {
				r.fail("%s: VALID only after %v", what, took)
			}
			return
		}
	}
	r.fail("%s: no VALID within %d slots", what, soonValid)
}

// upgradedObjector ends a dispute as docs/operations.md tells operators to.
var upgradedObjector = scenario{
	name: "objector upgraded", halts: true,
	about: "ethereumjs objects to what follows on a block full of blobs, and the validators stop. Four slots later " +
		"it is drained, and geth runs behind its URL, with an empty data directory and a geth as its peer. The " +
		"dispute is over within two slots of its first VALID to a payload, and it votes when it is undrained.",
	play: func(r *run) {
		e1 := r.node("e1")
		r.until(r.startOf(r.fuluEpoch*slotsPerEpoch + 1))
		r.before(2)
		r.fillOneBlock()
		apptest.Within(r.t, 3*r.slot, "ethereumjs objects", func() bool { return r.disputed(2 * r.slot) })
		r.during(4)
		r.finalVerdict("SYNCING")
		r.wantHalt()
		r.change("/drain_nodes", e1)
		r.terminate(e1)
		before := r.valids(e1)
		e1.kind, e1.dir = "geth", e1.dir+"-geth"
		e1.start()
		r.join(e1)
		valid := apptest.Within(r.t, settleTime, "it says VALID", func() bool { return r.valids(e1) > before })
		over := apptest.Within(r.t, 2*r.slot, "the dispute is over", func() bool { return !r.objections() })
		r.note("its first VALID came %.1f s after it could be reached, and the dispute was over %.1f s later",
			valid.Seconds(), over.Seconds())
		r.change("/undrain_nodes", e1)
		r.after(4)
		r.wantRecovery()
		if r.objections() || !r.allVote() {
			r.fail("the dispute isn't over, or not every node votes VALID: %+v", r.eb.states())
		}
	},
}

// change posts a change of one node.
func (r *run) change(path string, n *node) {
	r.t.Helper()
	if got := r.eb.ChangeNodes(r.t, path, n.name); got.Status != http.StatusOK {
		r.t.Fatalf("%s: HTTP %d: %s", path, got.Status, got.Body)
	}
}

// valids is how many payloads a node has called VALID since ExecutionBackup's last start.
func (r *run) valids(n *node) float64 {
	return r.eb.Metric(r.t, fmt.Sprintf(
		`executionbackup_node_statuses_total{method="NewPayload",node=%q,status="VALID"}`, n.name))
}

// objections reports whether a node stands by an INVALID.
func (r *run) objections() bool {
	states := r.eb.states()
	return len(states) == 0 || slices.ContainsFunc(states, func(s apptest.NodeState) bool { return s.Objections > 0 })
}
