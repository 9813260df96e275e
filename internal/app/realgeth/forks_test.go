package realgeth_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/core"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/geth"
)

// scheduled is the beginning of a chain that is in Osaka, with forks to come; 0 is never. Its hash doesn't depend on
// them.
func scheduled(genesis, bpo1, amsterdam uint64) *core.Genesis {
	at := func(time uint64) *uint64 {
		if time == 0 {
			return nil
		}
		return &time
	}
	g := geth.Genesis(geth.Schedule{
		Shanghai: new(uint64), Cancun: new(uint64), Prague: new(uint64), Osaka: new(uint64),
		BPO1: at(bpo1), Amsterdam: at(amsterdam),
	})
	g.Timestamp = genesis
	// So much that it falls by the target with each block without blobs: who has another target has another header.
	g.ExcessBlobGas = new(uint64(200_000_000))
	return g
}

// Of three geths with one genesis hash one lacks the next fork. That is told soon after our start, and after each
// return of that node, until it has been repaired.
func TestForkDifference(t *testing.T) {
	amsterdam := uint64(time.Now().Add(3 * time.Hour).Unix())
	full, old := scheduled(0, 0, amsterdam), scheduled(0, 0, 0)
	if full.ToBlock().Hash() != old.ToBlock().Hash() {
		t.Fatal("the genesis hashes differ")
	}
	nodes := geths(t, full, 2)
	nodes = append(nodes, startGeth(t, geth.Config{Genesis: old}))
	proxy := enginetest.Proxy(t, nodes[2].AuthURL(), nodeSecret[:]) // it counts
	begun, asked := time.Now(), 0
	m := start(t, []string{nodes[0].AuthURL(), nodes[1].AuthURL(), proxy.URL})
	differs := func(want float64) {
		t.Helper()
		apptest.Within(t, 15*time.Second-time.Since(begun), "g3 is asked", func() bool {
			return len(proxy.CallsOf("eth_config")) > asked
		})
		apptest.Try(t, 15*time.Second-time.Since(begun), func() error {
			all := m.Metric(t, "executionbackup_fork_config_difference")
			next := m.Metric(t, `executionbackup_fork_config_difference{field="next",node="g3"}`)
			if all != want || next != want {
				return fmt.Errorf("%v differences, %v of them in the next fork of g3; want %v", all, next, want)
			}
			return nil
		})
		t.Logf("%v differences %v after the start", want, time.Since(begun).Round(time.Millisecond))
	}
	told := func() []string { return m.Log.Lines("level=ERROR", "fork configuration differs", "node=g3") }

	differs(1)
	m.Log.Wait(t, "level=ERROR", "fork configuration differs", "node=g3", "no next fork",
		time.Unix(int64(amsterdam), 0).UTC().Format("2006-01-02 15:04:05 UTC"), "in 2 hours")

	restart := func(genesis *core.Genesis) {
		t.Helper()
		stop(t, nodes[2])
		m.Recheck(t)
		if got := m.Node(t, "g3"); got.State != "dead" {
			t.Fatalf("%+v, want it dead", got)
		}
		config := nodes[2].Config()
		config.Genesis = genesis
		asked = len(proxy.CallsOf("eth_config"))
		nodes[2] = startGeth(t, config)
		begun = time.Now()
	}
	restart(old)
	differs(1)
	restart(full)
	differs(0)
	m.Log.Wait(t, "fork configuration differs no longer", "node=g3")
	if lines := told(); len(lines) != 1 {
		t.Errorf("it was told %d times, want once: %q", len(lines), lines)
	}
	if lines := m.Log.Lines("fork configuration differs"); len(lines) != 2 {
		t.Errorf("it was told of others than g3: %q", lines)
	}
	restart(old)
	differs(1)
	apptest.Until(t, "the new difference is logged", func() bool { return len(told()) == 2 })
}
