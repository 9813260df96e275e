//go:build e2e

package beaconkit

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"testing"
	"time"

	"executionbackup/internal/apptest"
)

// beacon-kit with the standard methods and geth, which can't do more: what is Berachain's own in both configurations of
// its tests is left out.
func TestGeth(t *testing.T) {
	spec := regexp.MustCompile(`(?m)^(electra-one-fork-time) = .*`).
		ReplaceAll(read(t, apptest.Installed(t, "beaconkit/spec.toml")), []byte("$1 = 9_999_999_999_999"))
	var genesis map[string]any
	if err := json.Unmarshal(read(t, apptest.Installed(t, "beaconkit/eth-genesis.json")), &genesis); err != nil {
		t.Fatal(err)
	}
	config := genesis["config"].(map[string]any)
	delete(config, "berachain")
	config["depositContractAddress"] = "0x4242424242424242424242424242424242424242"
	text, err := json.Marshal(genesis)
	if err != nil {
		t.Fatal(err)
	}
	play(t, newChain(t, spec, text), "bin/geth", "engine_newPayloadV4")
}

// beacon-kit with methods of Berachain's own, which ExecutionBackup has no word for, and Berachain's geth.
func TestBeraGeth(t *testing.T) {
	c := newChain(t, read(t, apptest.Installed(t, "beaconkit/spec.toml")),
		read(t, apptest.Installed(t, "beaconkit/eth-genesis.json")))
	play(t, c, "beaconkit/geth", "engine_newPayloadV4P11")
}

// play makes a chain of a block every two seconds. Each node is restarted, and then the primary killed with SIGKILL: no
// block is tried twice or late, and the node votes again soon after its start.
func play(t *testing.T, c *chain, program, method string) {
	var nodes []*node
	var options apptest.Options
	for range 3 {
		n := startNode(t, apptest.Installed(t, program), c.genesis())
		nodes = append(nodes, n)
		options.Nodes = append(options.Nodes, apptest.Node{URL: "http://127.0.0.1:" + n.auth, Secret: secret[:]})
	}
	options.Secret = secret[:]
	m := apptest.Start(t, options)
	v := c.start(m.URL)
	apptest.Until(t, "the first block", func() bool { return v.height() > 0 })

	v.wait(2)
	for _, n := range nodes { // one that is killed before that has no state on disk, and would need peers
		n.restart()
		v.wait(3)
	}
	victim := slices.IndexFunc(m.Nodes(t), func(n apptest.NodeState) bool { return n.Primary })
	nodes[victim].Kill()
	killed := v.height()
	v.wait(8)
	nodes[victim].start()
	back := apptest.Until(t, "the node votes", func() bool { return votes(t, m)[victim] == "VALID" })
	v.wait(5)

	last := v.height()
	t.Logf("%d blocks, the longest gap %v; n%d, killed after block %d, voted %v after its start",
		last, wantSteady(t, v, last), victim+1, killed, back)
	if methods := methods(t, m); !slices.Contains(methods, method) {
		t.Errorf("beacon-kit called %v, not %s", methods, method)
	}
	apptest.Until(t, "all vote", func() bool {
		return slices.Equal(votes(t, m), []string{"VALID", "VALID", "VALID"})
	})
	want, err := nodes[0].block(last - 1)
	for i, n := range nodes {
		if got, err2 := n.block(last - 1); err != nil || err2 != nil || got != want || got == "" {
			t.Errorf("block %d of n%d is %q, %v, and that of n1 %q, %v", last-1, i+1, got, err2, want, err)
		}
	}
}

// wantSteady checks that no block up to the last one was tried twice or came late, and returns the longest gap.
func wantSteady(t *testing.T, v *validator, last uint64) (longest time.Duration) {
	t.Helper()
	var before time.Time
	for height := uint64(2); height <= last; height++ { // the first block's time is the genesis'
		b, err := v.block(height)
		if err != nil {
			t.Fatal(err)
		}
		if b.LastCommit.Round > 0 {
			t.Errorf("block %d was tried %d times", height-1, b.LastCommit.Round+1)
		}
		if !before.IsZero() {
			gap := b.Header.Time.Sub(before)
			longest = max(longest, gap)
			if gap > 3*time.Second {
				t.Errorf("block %d came %v after the one before", height, gap)
			}
		}
		before = b.Header.Time
	}
	return longest
}

// newPayload is one, as GET /blocks has it.
type newPayload struct {
	Method string
	Votes  []struct{ Vote string }
}

func payloads(t *testing.T, m *apptest.Multiplexer) (all []newPayload) {
	t.Helper()
	m.Get(t, "/blocks", &all)
	return all
}

// votes are those on the last payload, in the order of the nodes.
func votes(t *testing.T, m *apptest.Multiplexer) []string {
	t.Helper()
	all := payloads(t, m)
	votes := make([]string, 3)
	for i, v := range all[len(all)-1].Votes {
		votes[i] = v.Vote
	}
	return votes
}

// methods are those by which payloads came.
func methods(t *testing.T, m *apptest.Multiplexer) []string {
	t.Helper()
	names := map[string]bool{}
	for _, p := range payloads(t, m) {
		names[p.Method] = true
	}
	return slices.Sorted(maps.Keys(names))
}
