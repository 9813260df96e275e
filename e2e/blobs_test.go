//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"math/big"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"

	"executionbackup/internal/geth"
)

// A blob that sits in one node's pool only is found, the primary's or not; blobs of several nodes are put together. It
// is here because the race detector makes go-ethereum take minutes over its trusted setup.
func TestBlobsOfOneNodeOnly(t *testing.T) {
	t.Parallel()
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("blobs")))
	if err != nil {
		t.Fatal(err)
	}
	fund := func(c *geth.Config) {
		c.Genesis.Alloc[crypto.PubkeyToAddress(key.PublicKey)] = types.Account{Balance: big.NewInt(params.Ether)}
	}
	w := newWorld(t, startClient(t, 1, fund), startClient(t, 2, fund), startClient(t, 3, fund))
	w.produce()

	nodes := w.Nodes(t)
	var blobs []*types.BlobTxSidecar
	for i, c := range w.clients {
		if nodes[i].Primary {
			continue
		}
		tx := blobFrom(t, key, uint64(len(blobs)))
		raw, err := tx.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		c.result(nil, c.url, "eth_sendRawTransaction", hexutil.Encode(raw))
		blobs = append(blobs, tx.BlobTxSidecar())
	}
	if len(blobs) != 2 {
		t.Fatalf("%d nodes are not the primary", len(blobs))
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
			w.clients[0].result(&v2, w.URL, "engine_getBlobsV2", c.hashes)
			w.clients[0].result(&v3, w.URL, "engine_getBlobsV3", c.hashes)
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
			// cells 0 and 5
			w.clients[0].result(&v4, w.URL, "engine_getBlobsV4", c.hashes, "0x21000000000000000000000000000000")
			var has []bool
			w.clients[0].result(&has, w.URL, "engine_hasBlobs", c.hashes)
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

// blobFrom returns the n-th blob in the first transaction of the key's account.
func blobFrom(t *testing.T, key *ecdsa.PrivateKey, n uint64) *types.Transaction {
	t.Helper()
	tx, err := geth.BlobTransaction(n)
	if err != nil {
		t.Fatal(err)
	}
	chain := tx.ChainId()
	return types.MustSignNewTx(key, types.LatestSignerForChainID(chain), &types.BlobTx{
		ChainID: uint256.MustFromBig(chain), BlobHashes: tx.BlobHashes(),
		Sidecar: tx.BlobTxSidecar(), Gas: params.TxGas,
		GasTipCap: uint256.NewInt(params.GWei), GasFeeCap: uint256.NewInt(100 * params.GWei),
		BlobFeeCap: uint256.NewInt(params.GWei),
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
