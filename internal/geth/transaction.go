package geth

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto/kzg4844"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"
)

const (
	txGas  = 1_000_000          // enough for the small things done here, in every fork
	tip    = params.GWei        // what the block builder gets per gas
	maxFee = 1000 * params.GWei // what the sender pays at most per gas, for execution and for blobs
)

// Transaction returns a transaction of Developer: a call or a transfer, or where to is nil the creation of a contract.
func Transaction(nonce uint64, to *common.Address, wei *big.Int, data []byte) *types.Transaction {
	return types.MustSignNewTx(developerKey, types.LatestSignerForChainID(chainID), &types.DynamicFeeTx{
		ChainID: chainID, Nonce: nonce, To: to, Value: wei, Data: data,
		Gas: txGas, GasTipCap: big.NewInt(tip), GasFeeCap: big.NewInt(maxFee),
	})
}

// Transfer returns a transaction of Developer that sends a thousandth of an ether to an account of its own.
func Transfer(nonce uint64) *types.Transaction {
	to := common.BigToAddress(new(big.Int).SetUint64(1<<32 + nonce))
	return Transaction(nonce, &to, big.NewInt(params.Ether/1000), nil)
}

// WithdrawalRequest returns a transaction of Developer after which the block, from Prague on, has an execution request
// (https://eips.ethereum.org/EIPS/eip-7002).
func WithdrawalRequest(nonce uint64) *types.Transaction {
	const publicKey, amount = 48, 8 // bytes
	data := make([]byte, publicKey+amount)
	data[0], data[publicKey] = byte(nonce), 1
	return Transaction(nonce, &params.WithdrawalQueueAddress, big.NewInt(params.GWei), data)
}

// BlobTransaction returns a transaction with one blob. Its account is not Developer's and counts its own nonces from 0.
// geth takes it into a block from Osaka on, because its sidecar has cell proofs
// (https://eips.ethereum.org/EIPS/eip-7594). The first one in a process costs two seconds, ten with the race detector:
// the trusted setup has to be loaded.
func BlobTransaction(nonce uint64) (*types.Transaction, error) {
	var blob kzg4844.Blob
	blob[31] = byte(nonce)
	commitment, err := kzg4844.BlobToCommitment(&blob)
	if err != nil {
		return nil, err
	}
	proofs, err := kzg4844.ComputeCellProofs(&blob)
	if err != nil {
		return nil, err
	}
	sidecar := types.NewBlobTxSidecar(types.BlobSidecarVersion1, []kzg4844.Blob{blob},
		[]kzg4844.Commitment{commitment}, proofs)
	return types.SignNewTx(blobKey, types.LatestSignerForChainID(chainID), &types.BlobTx{
		ChainID: uint256.MustFromBig(chainID), Nonce: nonce, To: Developer,
		BlobHashes: sidecar.BlobHashes(), Sidecar: sidecar,
		Gas: txGas, GasTipCap: uint256.NewInt(tip), GasFeeCap: uint256.NewInt(maxFee),
		BlobFeeCap: uint256.NewInt(maxFee),
	})
}
