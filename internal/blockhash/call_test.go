package blockhash_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/holiman/uint256"
)

// call is a newPayload call that a test can change before it is checked.
type call struct {
	payload map[string]json.RawMessage
	rest    []json.RawMessage // the params after the payload
}

// params returns the params array.
func (c call) params(t testing.TB) []byte {
	t.Helper()
	return encode(t, append([]json.RawMessage{encode(t, c.payload)}, c.rest...))
}

// encode returns a value's JSON.
func encode(t testing.TB, value any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// newCall returns the call of a newPayload version for a block that go-ethereum made and hashed.
func newCall(t testing.TB, version int, txs types.Transactions) call {
	t.Helper()
	header := &types.Header{
		ParentHash: common.Hash{1}, Coinbase: common.Address{2}, Root: common.Hash{3}, Bloom: types.Bloom{4},
		Difficulty: new(big.Int), Number: big.NewInt(5), GasLimit: 6, GasUsed: 7, Time: 8, Extra: []byte{9},
		MixDigest: common.Hash{10}, BaseFee: new(big.Int).Lsh(big.NewInt(11), 240),
	}
	body := &types.Body{Transactions: txs}
	if version >= 2 {
		body.Withdrawals = types.Withdrawals{
			{Index: 12, Validator: 13, Address: common.Address{14}, Amount: 15}, {Index: 16},
		}
	}
	var rest []any
	if version >= 3 {
		var blobHashes []common.Hash
		for _, tx := range txs {
			blobHashes = append(blobHashes, tx.BlobHashes()...)
		}
		header.BlobGasUsed, header.ExcessBlobGas = new(uint64(17)), new(uint64(0))
		header.ParentBeaconRoot = &common.Hash{19}
		rest = append(rest, blobHashes, header.ParentBeaconRoot)
	}
	if version >= 4 {
		requests := [][]byte{{0, 20}, {1, 21, 22}}
		header.RequestsHash = new(types.CalcRequestsHash(requests))
		rest = append(rest, []hexutil.Bytes{requests[0], requests[1]})
	}
	accessList := []byte{0xc1, 23}
	if version >= 5 {
		header.BlockAccessListHash, header.SlotNumber = new(crypto.Keccak256Hash(accessList)), new(uint64(24))
	}
	if version >= 6 {
		rest = append(rest, []hexutil.Bytes{{25}, {}})
	}
	block := types.NewBlock(header, body, nil, trie.NewStackTrie(nil))
	data := engine.BlockToExecutableData(block, nil, nil, nil).ExecutionPayload
	if version >= 5 {
		data.BlockAccessList = accessList
	}
	var c call
	if err := json.Unmarshal(encode(t, data), &c.payload); err != nil {
		t.Fatal(err)
	}
	for _, value := range rest {
		c.rest = append(c.rest, encode(t, value))
	}
	return c
}

// transactions returns transactions of all lengths and types, enough of them for more than one byte of index, with two
// blob transactions among them if blobs is set.
func transactions(blobs bool) types.Transactions {
	var txs types.Transactions
	for i := range 300 {
		txs = append(txs, types.NewTx(&types.DynamicFeeTx{Nonce: uint64(i), Data: make([]byte, i)}))
	}
	txs[0] = types.NewTx(&types.LegacyTx{Nonce: 1, GasPrice: big.NewInt(2)})
	if blobs {
		for i := range 2 {
			txs[5*i+1] = types.NewTx(&types.BlobTx{
				ChainID: uint256.NewInt(1), AccessList: types.AccessList{{Address: common.Address{1}}},
				BlobHashes: []common.Hash{{1, byte(i)}, {1, byte(i), 1}},
			})
		}
	}
	return txs
}

// sample returns a call with 300 transactions, from V3 on with blobs.
func sample(t testing.TB, version int) call {
	t.Helper()
	return newCall(t, version, transactions(version >= 3))
}

// method returns the name of a newPayload method.
func method(version int) string { return fmt.Sprintf("engine_newPayloadV%d", version) }
