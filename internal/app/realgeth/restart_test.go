package realgeth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/apptest"
	"executionbackup/internal/geth"
)

// startFleet starts three geths that keep their data over a restart.
func startFleet(t *testing.T) []*geth.Node {
	t.Helper()
	var nodes []*geth.Node
	for range 3 {
		nodes = append(nodes, startGeth(t, geth.Config{Genesis: osaka(), DataDir: filepath.Join(t.TempDir(), "data")}))
	}
	return nodes
}

// validator makes blocks over an ExecutionBackup.
type validator struct {
	*geth.Producer
	m *multiplexer
	// after, where it isn't nil, is called once, when a method that begins with method has been answered.
	method string
	after  func()
}

func startValidator(t *testing.T, m *multiplexer) *validator {
	t.Helper()
	v := &validator{m: m}
	call := func(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
		result, err := m.call(ctx, method, params...)
		if do := v.after; do != nil && strings.HasPrefix(method, v.method) {
			v.after = nil
			do()
		}
		return result, err
	}
	producer, err := geth.NewProducer(t.Context(), osaka().Config, call)
	if err != nil {
		t.Fatal(err)
	}
	v.Producer = producer
	return v
}

// produce makes the next block with a transfer in it. If a call fails on the way or is not answered with VALID, so does
// the test.
func (v *validator) produce(t *testing.T) {
	t.Helper()
	tx := geth.Transfer(v.Head.Number)
	raw, err := tx.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.m.call(t.Context(), "eth_sendRawTransaction", hexutil.Bytes(raw)); err != nil {
		t.Fatalf("block %d: %v", v.Head.Number+1, err)
	}
	if _, err := v.Produce(t.Context(), geth.Order{Transactions: []*types.Transaction{tx}}); err != nil {
		t.Fatalf("block %d: %v", v.Head.Number+1, err)
	}
}

// wantVotes fails the test unless these come to be the votes on the head, node by node; "" is none. Nobody waits for
// the vote of a node that is syncing.
func (v *validator) wantVotes(t *testing.T, want ...string) {
	t.Helper()
	apptest.Try(t, apptest.Patience, func() error {
		last := v.m.last(t)
		var votes []string
		for _, vote := range last.Votes {
			votes = append(votes, vote.Vote)
		}
		if last.Hash != v.Head.Hash.Hex() || last.Verdict != "VALID" || last.Dispute || !slices.Equal(votes, want) {
			return fmt.Errorf("block %d: the record is %+v, want the votes %q", v.Head.Number, last, want)
		}
		return nil
	})
}

// wantVoter fails the test unless a node is alive and its new objections count.
func wantVoter(t *testing.T, m *multiplexer, i int) {
	t.Helper()
	if got := m.Node(t, name(i)); got.State != "alive" || got.Laggard || !got.Qualified {
		t.Errorf("%+v, want it alive, qualified and no laggard", got)
	}
}

// Each of three geths is stopped in turn, at another point of a block's production, and misses at least a block. It is
// fed what it missed, and votes again.
func TestStopInMidProduction(t *testing.T) {
	nodes := startFleet(t)
	m := start(t, urls(nodes))
	v := startValidator(t, m)
	for i, method := range []string{"engine_forkchoiceUpdated", "engine_getPayload", "engine_newPayload"} {
		v.produce(t)
		v.wantVotes(t, "VALID", "VALID", "VALID")

		v.method, v.after = method, func() { stop(t, nodes[i]) }
		v.produce(t)
		v.produce(t)
		votes := []string{"VALID", "VALID", "VALID"}
		votes[i] = ""
		v.wantVotes(t, votes...)

		nodes[i] = startGeth(t, nodes[i].Config())
		m.Recheck(t)
		wantHead(t, nodes, v.Head.Hash) // it is fed
		v.produce(t)
		v.wantVotes(t, "VALID", "VALID", "VALID")
		wantVoter(t, m, i)
		wantHead(t, nodes, v.Head.Hash)
	}
	if got, want := v.Head.Number, uint64(12); got != want {
		t.Errorf("the head is block %d, want %d", got, want)
	}
}

// Each of three geths is restarted between two blocks, misses none of them, and votes on the next.
func TestRestartBetweenBlocks(t *testing.T) {
	nodes := startFleet(t)
	m := start(t, urls(nodes))
	v := startValidator(t, m)
	v.produce(t)
	for i := range nodes {
		stop(t, nodes[i])
		nodes[i] = startGeth(t, nodes[i].Config())
		m.Recheck(t)
		v.produce(t)
		v.wantVotes(t, "VALID", "VALID", "VALID")
		wantVoter(t, m, i)
	}
	wantHead(t, nodes, v.Head.Hash)
}

// A geth that was killed has lost the state of its last blocks and misses others. It is fed all of them while the chain
// goes on, and votes again.
func TestKill(t *testing.T) {
	nodes := startFleet(t)
	// geth can come back from a kill by itself only where it was stopped cleanly once, some blocks after genesis.
	first := startValidator(t, &multiplexer{call: dial(t, nodes[2].AuthURL(), nodeSecret)})
	for range 2 {
		first.produce(t)
		for _, node := range nodes[:2] {
			err := first.Head.Import(t.Context(), dial(t, node.AuthURL(), nodeSecret), common.Hash{}, common.Hash{})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	stop(t, nodes[2])
	nodes[2] = startGeth(t, nodes[2].Config())

	m := start(t, urls(nodes))
	v := startValidator(t, m)
	for range 3 {
		v.produce(t)
	}
	v.wantVotes(t, "VALID", "VALID", "VALID")
	if err := nodes[2].Kill(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		v.produce(t)
	}
	v.wantVotes(t, "VALID", "VALID", "")

	nodes[2] = startGeth(t, nodes[2].Config())
	m.Recheck(t)
	for range 2 {
		v.produce(t)
	}
	wantHead(t, nodes, v.Head.Hash) // it is fed
	v.produce(t)
	v.wantVotes(t, "VALID", "VALID", "VALID")
	wantVoter(t, m, 2)
	wantHead(t, nodes, v.Head.Hash)
}
