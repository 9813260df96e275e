package calls

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto/kzg4844"
	"github.com/holiman/uint256"

	"executionbackup/internal/enginejson"
	"executionbackup/internal/jsonrpc"
)

// hashOf returns the hash of a transaction as it stands in a call.
func hashOf(t *testing.T, raw string) (common.Hash, bool) {
	t.Helper()
	var r jsonrpc.Request
	body := `{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":[` + raw + `]}`
	if err := jsonrpc.ParseRequest([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	c, err := enginejson.ReadCall(&r)
	if err != nil {
		t.Fatal(err)
	}
	return transactionHash(c.Transaction)
}

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
		if got, ok := hashOf(t, `"`+hexutil.Encode(raw)+`"`); !ok || got != tx.Hash() {
			t.Errorf("type %d: got %s, %t; want %s", tx.Type(), got, ok, tx.Hash())
		}
	}
	for _, raw := range []string{``, `null`, `1`, `"0x"`, `"0x0"`, `"02"`, `"0x03c0"`} {
		if got, ok := hashOf(t, raw); ok {
			t.Errorf("%s: got %s", raw, got)
		}
	}
}
