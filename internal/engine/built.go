package engine

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// Built is what we judge of a payload that a node built (getPayload), with the bytes it stands in.
type Built struct {
	Payload      Payload
	Value        *big.Int // blockValue in wei; nil where the method has none (V1)
	PrevRandao   common.Hash
	FeeRecipient common.Address
	GasUsed      uint64
	Withdrawals  []types.Withdrawal // nil before Shanghai
	// OddWithdrawals says that the withdrawals can't be read.
	OddWithdrawals bool
	Transactions   int
	Blobs          int
	// Misfit says what of the blobs bundle has a number or a length that the method's version doesn't allow; "" where
	// all fits. Whether the bundle is what the transactions need shows when their hashes are compared.
	Misfit string

	Raw         []byte   // the execution payload
	Commitments [][]byte // raw
	Requests    []byte   // raw execution requests; nil before Prague
}

// newestGetPayload is the latest version of getPayload whose answer we know (amsterdam.md#engine_getpayloadv6).
const newestGetPayload = 6

// KnownGetPayload reports whether we know what the answer to a version of getPayload is, and what newPayload carries it
// on. Else nothing is made up.
func (m Method) KnownGetPayload() bool { return m.Version >= 1 && m.Version <= newestGetPayload }
