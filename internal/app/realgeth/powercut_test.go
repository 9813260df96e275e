package realgeth_test

import (
	"slices"
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

// cutPower lets geths follow a chain and kills them, with us, and starts them again, which have the head on their disks
// then, but not its state. The last geth is the rest of the network: it goes on, and we don't have it any more.
func cutPower(t *testing.T) (nodes []*geth.Node, network *geth.Node, head geth.Payload) {
	t.Helper()
	nodes = startFleet(t)
	m := start(t, urls(nodes))
	v := startValidator(t, m)
	v.produce(t)
	wantHead(t, nodes, v.Head.Hash)
	for i, node := range nodes { // or a geth that is killed is back at genesis
		stop(t, node)
		nodes[i] = startGeth(t, node.Config())
	}
	m.Recheck(t)
	for range 5 {
		v.produce(t)
	}
	wantHead(t, nodes, v.Head.Hash)
	m.Stop()
	nodes, network = nodes[:2], nodes[2]
	for i, node := range nodes {
		if err := node.Backend().ChainDb().SyncKeyValue(); err != nil {
			t.Fatal(err)
		}
		if err := node.Kill(); err != nil {
			t.Fatal(err)
		}
		nodes[i] = startGeth(t, node.Config())
		if at := nodes[i].Backend().BlockChain().CurrentBlock(); at.Hash() == v.Head.Hash || at.Number.Sign() == 0 {
			t.Fatalf("%s is back at block %d", name(i), at.Number)
		}
	}
	return nodes, network, v.Head
}

// After a power cut of everything geths call the head VALID and build nothing on it. Nobody has kept the payloads, and
// there are no peers. They execute what they have.
func TestPowerCutOfAll(t *testing.T) {
	nodes, _, cut := cutPower(t)
	v := startValidator(t, start(t, urls(nodes)))
	v.Head = cut
	apptest.Try(t, apptest.Patience, func() error {
		_, err := v.Build(t.Context(), geth.Order{})
		return err
	})
	wantHead(t, nodes, cut.Hash)
	v.produce(t)
	v.wantVotes(t, "VALID", "VALID")
}

// The same where nobody asks for a payload, as where the CL has no validator that proposes: the geths call the head
// VALID, and lack the state for what comes after it.
func TestPowerCutOfAllUnasked(t *testing.T) {
	nodes, network, cut := cutPower(t)
	m := start(t, urls(nodes))
	if got := forkchoice(t, m.call, cut, common.Hash{}, common.Hash{}); got.Status != "VALID" {
		t.Fatalf("the CL hears %+v of its head", got)
	}
	producer, err := geth.NewProducer(t.Context(), osaka().Config, dial(t, network.AuthURL(), nodeSecret))
	if err != nil {
		t.Fatal(err)
	}
	apptest.Until(t, "the nodes follow", func() bool {
		next, err := producer.Produce(t.Context(), geth.Order{})
		if err != nil {
			t.Fatal(err)
		}
		newPayload(t, m.call, next)
		heard := forkchoice(t, m.call, next, common.Hash{}, common.Hash{})
		return heard == valid(next) && !slices.ContainsFunc(nodes, func(n *geth.Node) bool {
			return n.Backend().BlockChain().CurrentBlock().Hash() != next.Hash
		})
	})
}
