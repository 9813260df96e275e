package proxy

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto/kzg4844"
	"github.com/holiman/uint256"
)

// The hash is that which a node would have answered with.
func TestTransactionHash(t *testing.T) {
	blobs := types.NewBlobTxSidecar(types.BlobSidecarVersion1,
		make([]kzg4844.Blob, 1), make([]kzg4844.Commitment, 1), make([]kzg4844.Proof, 128))
	for _, tx := range []*types.Transaction{
		types.NewTx(&types.LegacyTx{Nonce: 1, GasPrice: common.Big1}),
		types.NewTx(&types.DynamicFeeTx{ChainID: common.Big1, Nonce: 2}),
		types.NewTx(&types.BlobTx{ChainID: uint256.NewInt(1), BlobHashes: blobs.BlobHashes(), Sidecar: blobs}),
	} {
		raw, err := tx.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := transactionHash([]byte(`"` + hexutil.Encode(raw) + `"`)); !ok || got != tx.Hash() {
			t.Errorf("type %d: got %s, %t; want %s", tx.Type(), got, ok, tx.Hash())
		}
	}
	for _, raw := range []string{``, `null`, `1`, `"0x"`, `"0x0"`, `"02"`, `"0x03c0"`} {
		if got, ok := transactionHash([]byte(raw)); ok {
			t.Errorf("%s: got %s", raw, got)
		}
	}
}
