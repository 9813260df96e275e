//go:build e2e

package live

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var reportTo = flag.String("report", "", "write the report to this path, with .md and .json added")

// report is what the tests of this process found.
var report = newReport()

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if err := report.save(); err != nil {
		fmt.Fprintln(os.Stderr, "write the report:", err)
		code = 1
	}
	for _, name := range report.untested() {
		fmt.Fprintln(os.Stderr, "NOT TESTED, because this machine refuses what it needs:", name)
	}
	os.Exit(code)
}

// long is the first value, or in the short form the second.
func long[T any](whole, short T) T {
	if testing.Short() {
		return short
	}
	return whole
}

// TestThroughExecutionBackup breaks one thing after the other on one chain. Where one stands still for good, the rest
// is told on another.
func TestThroughExecutionBackup(t *testing.T) {
	wantClients(t, "geth", "beacon-chain", "validator", "prysmctl")
	var all []scenario
	for _, s := range scenarios() {
		if s.short || !testing.Short() {
			all = append(all, s)
		}
	}
	binary := build(t)
	const mostChains = 4
	for chain := 1; len(all) > 0 && chain <= mostChains; chain++ {
		if chain > 1 {
			all = append([]scenario{restarts}, all...)
		}
		t.Run(fmt.Sprintf("chain %d", chain), func(t *testing.T) { all = all[tellAll(t, binary, all):] })
	}
	for _, s := range all {
		t.Errorf("%s was not told", s.name)
	}
}

// tellAll tells scenarios on a new chain and returns how many: those after which it stands still for good are the last.
func tellAll(t *testing.T, binary string, all []scenario) (told int) {
	kinds := long([]string{"geth", "geth", "erigon", "ethereumjs"}, []string{"geth", "geth", "ethereumjs"})
	w := newWorld(t, long(4*time.Second, 3*time.Second), long(2, 1), kinds...).through(binary)
	for i, s := range all {
		ok := t.Run(s.name, func(t *testing.T) { tell(t, w, s) })
		if !ok && !w.goesOn() {
			t.Errorf("after %q the chain stands still", s.name)
			return i + 1
		}
	}
	return len(all)
}

// scenarios are all in order: what must come before Fulu, the fork, the disputes with ethereumjs, and all else with
// blobs.
func scenarios() []scenario {
	var more []scenario
	for _, f := range faults {
		if !f.direct {
			more = append(more, f.scenario())
		}
	}
	// The short form has time for the first of them before the fork, the whole one for its long baseline.
	early := long(0, 1)
	all := slices.Concat([]scenario{baseline, restarts}, more[:early], []scenario{fork, rolling}, disputes)
	all = append(all, more[early:]...)
	// ExecutionBackup's own end comes late: what it kept of the chain, to feed nodes with, goes with it.
	return slices.Concat(all, []scenario{both, liesValid, killed}, changes)
}

// TestDirect does the same to Prysm's only geth, each time on a new chain: most don't survive.
func TestDirect(t *testing.T) {
	if testing.Short() {
		t.Skip("part of the whole form only")
	}
	wantClients(t, "geth", "beacon-chain", "validator", "prysmctl")
	for _, f := range faults {
		if f.alone {
			continue
		}
		t.Run(f.name, func(t *testing.T) { f.tellDirect(t) })
	}
}

// tellDirect tells a fault with nothing between Prysm and the geth, but for the proxy or cable that makes the fault.
func (f fault) tellDirect(t *testing.T) {
	w := newWorld(t, 4*time.Second, 2, "geth")
	r := newRun(t, w, f.scenario())
	defer r.end()
	v := &victim{node: w.nodes[0]}
	switch f.path {
	case overProxy:
		r.proxy(v)
	case overCable:
		r.cable(v)
	}
	w.begin(v.called())
	r.settle()
	f.play(r, v)
}

// build builds ExecutionBackup.
func build(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "executionbackup")
	out, err := exec.Command("go", "build", "-o", binary, "executionbackup/cmd/executionbackup").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return binary
}

// wantClients fails the test where clients are missing.
func wantClients(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		program(t, name)
	}
}
