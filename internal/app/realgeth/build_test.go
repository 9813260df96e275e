package realgeth_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/geth"
)

// Three geths have different pools, and for each of twenty blocks another one the fullest. ExecutionBackup asks each
// for its own build (geth gives the same id for the same attributes) and answers with the most valuable; the nodes
// whose pools lack its transactions take it.
func TestMostValuablePayload(t *testing.T) {
	const blocks = 20
	genesis := osaka()
	senders := newSenders(genesis, 3)
	nodes := geths(t, genesis, 3)
	var proxies []*enginetest.Node // they show who is asked for what
	var addresses []string
	for i, node := range nodes {
		proxy := enginetest.Proxy(t, node.AuthURL(), nodeSecret[:])
		proxies, addresses = append(proxies, proxy), append(addresses, proxy.URL)
		senders[i].eth = dial(t, node.AuthURL(), nodeSecret) // it serves eth_ as well
	}
	m := start(t, addresses)
	asked := 0
	var taken [3]int // how often a node's payload was the best
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
	producer, err := geth.NewProducer(t.Context(), genesis.Config, call)
	if err != nil {
		t.Fatal(err)
	}
	for block := range blocks {
		fullest := block % 3
		for i, s := range senders {
			count := 1
			if i == fullest {
				count = 3
			}
			s.send(t, nodes[i], count)
		}
		payload, err := producer.Produce(t.Context(), geth.Order{Transactions: senders[fullest].pending})
		if err != nil {
			t.Fatalf("block %d: %v", block+1, err)
		}
		wantHead(t, nodes, payload.Hash)
		senders[fullest].pending = nil
		taken[fullest]++
	}
	t.Logf("%d blocks in %d builds; taken from each node: %v", blocks, asked, taken)
}

// genesisChain is the chain id of internal/geth's chains.
var genesisChain = geth.Genesis(geth.Schedule{}).Config.ChainID

// sender is an account whose transactions one node alone has in its pool.
type sender struct {
	key     *ecdsa.PrivateKey
	eth     geth.Call // to that node
	nonce   uint64
	pending []*types.Transaction
}

// newSenders gives n accounts money.
func newSenders(genesis *core.Genesis, n int) []*sender {
	var senders []*sender
	for i := range n {
		key, err := crypto.ToECDSA(crypto.Keccak256([]byte{'s', byte(i)}))
		if err != nil {
			panic(err) // the keys are constant
		}
		genesis.Alloc[crypto.PubkeyToAddress(key.PublicKey)] = types.Account{Balance: big.NewInt(params.Ether)}
		senders = append(senders, &sender{key: key})
	}
	return senders
}

// send gives the node transactions more, and returns when a build can have all that are pending.
func (s *sender) send(t *testing.T, node *geth.Node, count int) {
	t.Helper()
	for range count {
		tx := types.MustSignNewTx(s.key, types.LatestSignerForChainID(genesisChain), &types.DynamicFeeTx{
			ChainID: genesisChain, Nonce: s.nonce, To: &common.Address{1}, Gas: params.TxGas,
			GasTipCap: big.NewInt(params.GWei), GasFeeCap: big.NewInt(100 * params.GWei),
		})
		raw, err := tx.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.eth(t.Context(), "eth_sendRawTransaction", hexutil.Encode(raw)); err != nil {
			t.Fatal(err)
		}
		s.nonce++
		s.pending = append(s.pending, tx)
	}
	apptest.Try(t, apptest.Patience, func() error {
		pending, queued := node.Backend().TxPool().Stats()
		if pending != len(s.pending) || queued != 0 {
			return fmt.Errorf("%d transactions are pending and %d queued, want %d", pending, queued, len(s.pending))
		}
		return nil
	})
}

// wantMostValuable asks each node for the build that it has just been asked for: the first getPayload has fixed it. The
// answer must be the bytes of the most valuable of them.
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
