package realgeth_test

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/apptest"
	"executionbackup/internal/geth"
)

// After a power cut three geths are back at different heads, 20, 10 and 12, and all say that they don't sync. The CL,
// which has block 20, goes on from there: the one that can follow is followed, from the second call on, though the
// other two say SYNCING.
func TestPowerCut(t *testing.T) {
	const last = 26
	builder := geths(t, osaka(), 1)[0]
	producer, err := geth.NewProducer(t.Context(), osaka().Config, dial(t, builder.AuthURL(), nodeSecret))
	if err != nil {
		t.Fatal(err)
	}
	var chain []geth.Payload
	for range last {
		p, err := producer.Produce(t.Context(), geth.Order{})
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, p)
	}
	nodes := geths(t, osaka(), 3)
	heads := []int{20, 10, 12}
	for i, node := range nodes {
		call := dial(t, node.AuthURL(), nodeSecret)
		for _, p := range chain[:heads[i]] {
			if err := p.Import(t.Context(), call, common.Hash{}, common.Hash{}); err != nil {
				t.Fatal(err)
			}
		}
		if raw, err := call(t.Context(), "eth_syncing"); err != nil || string(raw) != "false" {
			t.Fatalf("%s: eth_syncing says %s, %v", name(i), raw, err)
		}
	}
	m := start(t, urls(nodes))
	calls := 0
	want := func(method string, p geth.Payload, got status) {
		t.Helper()
		if calls++; calls == 1 && got.Status == "SYNCING" {
			return
		}
		if got != valid(p) {
			t.Errorf("call %d, %s of block %d: %+v, want VALID", calls, method, p.Number, got)
		}
	}
	for _, p := range chain[heads[0]:] {
		want("newPayload", p, newPayload(t, m.call, p))
		want("forkchoiceUpdated", p, forkchoice(t, m.call, p, common.Hash{}, common.Hash{}))
	}
	wantHead(t, nodes[:1], chain[last-1].Hash)
}

// A power cut takes us and all geths, which have the head on their disks, but not its state: they call it VALID and
// build nothing on it. Nobody has kept the payloads, and there are no peers. They execute what they have.
func TestPowerCutOfAll(t *testing.T) {
	nodes := startFleet(t)
	m := start(t, urls(nodes))
	v := startValidator(t, m)
	v.produce(t)
	for i, node := range nodes { // or a geth that is killed is back at genesis
		stop(t, node)
		nodes[i] = startGeth(t, node.Config())
	}
	m.Recheck(t)
	for range 5 {
		v.produce(t)
	}
	m.Stop()
	for i, node := range nodes {
		if err := node.Backend().ChainDb().SyncKeyValue(); err != nil {
			t.Fatal(err)
		}
		if err := node.Kill(); err != nil {
			t.Fatal(err)
		}
		nodes[i] = startGeth(t, node.Config())
		if got := head(t, dial(t, nodes[i].AuthURL(), nodeSecret)); got == v.Head.Hash {
			t.Fatalf("%s is back at the head", name(i))
		}
	}
	cut := v.Head
	v = startValidator(t, start(t, urls(nodes)))
	v.Head = cut
	apptest.Try(t, apptest.Patience, func() error {
		_, err := v.Build(t.Context(), geth.Order{})
		return err
	})
	wantHead(t, nodes, cut.Hash)
	v.produce(t)
	v.wantVotes(t, "VALID", "VALID", "VALID")
}
