package realgeth_test

import (
	"context"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/enginetest"
	"executionbackup/internal/geth"
)

// Three geths have different pools, for each block another one the fullest. ExecutionBackup asks each for its own build (geth gives
// the same id for the same attributes) and answers with the most valuable; the nodes whose pools lack its transactions take it.
func TestMostValuablePayload(t *testing.T) {
	nodes := geths(t, osaka(), 3)
	var proxies []*enginetest.Node // they show who is asked for what
	var addresses []string
	for _, node := range nodes {
		proxy := enginetest.Proxy(t, node.AuthURL(), nodeSecret[:])
		proxies, addresses = append(proxies, proxy), append(addresses, proxy.URL)
	}
	m := start(t, addresses)
	asked := 0
	call := func(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
		result, err := m.call(ctx, method, params...)
		if err == nil && strings.HasPrefix(method, "engine_getPayload") {
			asked++
			id, err := json.Marshal(params)
			if err != nil {
				t.Fatal(err)
			}
			for i, proxy := range proxies {
				if calls := proxy.CallsOf(method); len(calls) != asked || string(calls[asked-1].Params) != string(id) {
					t.Errorf("%s got %d calls of %s, want %d, the last with %s", name(i), len(calls), method, asked, id)
				}
			}
			wantMostValuable(t, nodes, method, params, result)
		}
		return result, err
	}
	producer, err := geth.NewProducer(t.Context(), osaka().Config, call)
	if err != nil {
		t.Fatal(err)
	}
	nonce := uint64(0)
	for block := range 3 {
		var fullest []*types.Transaction
		for i := range 3 {
			count := 1 + (i-block+3)%3 // 1, 2, 3, beginning with another node each time
			var txs []*types.Transaction
			for n := range uint64(count) {
				txs = append(txs, geth.Transfer(nonce+n))
			}
			if err := nodes[i].AddTransactions(txs...); err != nil {
				t.Fatal(err)
			}
			if count == 3 {
				fullest = txs
			}
		}
		nonce += 3
		payload, err := producer.Produce(t.Context(), geth.Order{Transactions: fullest})
		if err != nil {
			t.Fatal(err)
		}
		wantHead(t, nodes, payload.Hash)
	}
}

// wantMostValuable asks each node for the build that it has just been asked for: the first getPayload has fixed it. The answer must
// be the bytes of the most valuable of them.
func wantMostValuable(t *testing.T, nodes []*geth.Node, method string, params []any, answer json.RawMessage) {
	t.Helper()
	most := new(big.Int)
	var best []string
	for i, node := range nodes {
		raw, err := dial(t, node.AuthURL(), nodeSecret)(t.Context(), method, params...)
		if err != nil {
			t.Fatalf("%s: %v", name(i), err)
		}
		var built struct{ BlockValue *hexutil.Big }
		if err := json.Unmarshal(raw, &built); err != nil {
			t.Fatal(err)
		}
		switch value := built.BlockValue.ToInt(); value.Cmp(most) {
		case 1:
			most, best = value, []string{string(raw)}
		case 0:
			best = append(best, string(raw))
		}
	}
	if !slices.Contains(best, string(answer)) {
		t.Errorf("the payload is %s, want one with a value of %d wei: %s", answer, most, best)
	}
}
