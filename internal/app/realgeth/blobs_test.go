package realgeth_test

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"

	"executionbackup/internal/geth"
)

// A blob that sits in one node's pool only is found, the primary's or not; blobs of several nodes are put together.
func TestBlobsOfOneNodeOnly(t *testing.T) {
	genesis := osaka()
	senders := newSenders(genesis, 2)
	nodes := geths(t, genesis, 3)
	m := start(t, urls(nodes))
	producer, err := geth.NewProducer(t.Context(), genesis.Config, m.call)
	if err != nil {
		t.Fatal(err)
	}
	block, err := producer.Produce(t.Context(), geth.Order{}) // before it geth's pools are closed
	if err != nil {
		t.Fatal(err)
	}
	wantHead(t, nodes, block.Hash)

	primary := m.primary(t)
	others := slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return i == primary })
	if len(others) != 2 {
		t.Fatalf("%d nodes are not the primary", len(others))
	}
	var blobs []*types.BlobTxSidecar
	for i, node := range others {
		tx := blobFrom(t, senders[i].key, uint64(i))
		if err := nodes[node].AddTransactions(tx); err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, tx.BlobTxSidecar())
	}
	a, b, nowhere := blobs[0].BlobHashes()[0], blobs[1].BlobHashes()[0], common.Hash{1}
	for _, c := range []struct {
		name   string
		hashes []common.Hash
		want   []*types.BlobTxSidecar // by position; nil where nobody has it
	}{
		{"on one node", []common.Hash{a}, blobs[:1]},
		{"on the other", []common.Hash{b}, blobs[1:]},
		{"mixed", []common.Hash{b, a}, []*types.BlobTxSidecar{blobs[1], blobs[0]}},
		{"one is nowhere", []common.Hash{a, nowhere, b}, []*types.BlobTxSidecar{blobs[0], nil, blobs[1]}},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole := !slices.Contains(c.want, nil)
			var v2, v3 []*blobAndProofs
			m.result(t, &v2, "engine_getBlobsV2", c.hashes)
			m.result(t, &v3, "engine_getBlobsV3", c.hashes)
			wantBlobs(t, v3, c.want)
			if whole {
				wantBlobs(t, v2, c.want)
			} else if v2 != nil {
				t.Error("getBlobsV2 has an answer")
			}

			var v4 []*struct {
				Cells  []hexutil.Bytes `json:"blob_cells"`
				Proofs []hexutil.Bytes
			}
			m.result(t, &v4, "engine_getBlobsV4", c.hashes, "0x21000000000000000000000000000000") // cells 0 and 5
			var has []bool
			m.result(t, &has, "engine_hasBlobs", c.hashes)
			for i, want := range c.want {
				if has[i] != (want != nil) || (v4[i] == nil) != (want == nil) {
					t.Errorf("blob %d: hasBlobs says %t, getBlobsV4 %+v", i, has[i], v4[i])
				}
				if want == nil {
					continue
				}
				cells, err := want.CellProofsAt(0)
				if err != nil {
					t.Fatal(err)
				}
				if len(v4[i].Cells) != 2 || [48]byte(v4[i].Proofs[1]) != cells[5] {
					t.Errorf("blob %d: getBlobsV4 gave %d cells, or a wrong proof", i, len(v4[i].Cells))
				}
			}
		})
	}
}

// blobFrom returns the n-th blob in a transaction of the key's account.
func blobFrom(t *testing.T, key *ecdsa.PrivateKey, n uint64) *types.Transaction {
	t.Helper()
	tx, err := geth.BlobTransaction(n)
	if err != nil {
		t.Fatal(err)
	}
	return types.MustSignNewTx(key, types.LatestSignerForChainID(genesisChain), &types.BlobTx{
		ChainID: uint256.MustFromBig(genesisChain), BlobHashes: tx.BlobHashes(), Sidecar: tx.BlobTxSidecar(), Gas: params.TxGas,
		GasTipCap: uint256.NewInt(params.GWei), GasFeeCap: uint256.NewInt(100 * params.GWei), BlobFeeCap: uint256.MustFromBig(big.NewInt(params.GWei)),
	})
}

// blobAndProofs is a BlobAndProofV2 (osaka.md#blobandproofv2).
type blobAndProofs struct {
	Blob   hexutil.Bytes
	Proofs []hexutil.Bytes
}

func wantBlobs(t *testing.T, got []*blobAndProofs, want []*types.BlobTxSidecar) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d blobs, want %d", len(got), len(want))
	}
	for i, w := range want {
		switch {
		case w == nil && got[i] == nil:
		case w == nil || got[i] == nil:
			t.Errorf("blob %d: got it: %t, want it: %t", i, got[i] != nil, w != nil)
		case string(got[i].Blob) != string(w.Blobs[0][:]) || len(got[i].Proofs) != len(w.Proofs):
			t.Errorf("blob %d is another one, or has %d proofs in place of %d", i, len(got[i].Proofs), len(w.Proofs))
		}
	}
}

// result makes a call and decodes its result.
func (m *multiplexer) result(t *testing.T, v any, method string, params ...any) {
	t.Helper()
	raw, err := m.call(t.Context(), method, params...)
	if err == nil {
		err = json.Unmarshal(raw, v)
	}
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", method, err))
	}
}
