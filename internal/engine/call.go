package engine

import (
	"crypto/sha256"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// Call is one call to an execution client: the bytes in which it goes to a node, and in words what we judge of it.
// Nobody changes it once it has been read or written, so that all nodes share it.
type Call struct {
	Method Method
	Body   []byte // one JSON-RPC request, as the CL sent it
	ID     []byte // of the request: its answer has the same
	Params []byte // in Body; nil where there are none

	Block       common.Hash // that a newPayload or forkchoiceUpdated is about
	Named       bool        // the call names it; if not, the nodes will say what is wrong
	Payload     Payload     // of newPayload
	Forkchoice  Forkchoice  // of forkchoiceUpdated
	PayloadID   string      // of getPayload
	List        List        // of getBlobs, hasBlobs and getPayloadBodies
	Transaction []byte      // of eth_sendRawTransaction; nil where it isn't hexadecimal
}

// Payload names a payload: what we judge of newPayload's first parameter.
type Payload struct {
	Hash, Parent common.Hash
	Number       uint64
	Timestamp    uint64 // seconds
}

// Forkchoice is what we judge of forkchoiceUpdated's parameters.
type Forkchoice struct {
	State                 []byte // the first parameter as it stands in the call
	Head, Safe, Finalized common.Hash
	Attributes            *Attributes // nil where there are none
	CustodyColumns        []byte      // raw (amsterdam.md#engine_forkchoiceupdatedv4); nil where there are none
}

// Attributes are payload attributes (paris.md#payloadattributesv1 and its successors): what a built payload must have.
// They are kept with the build, and hold nothing of the request: on other chains it has megabytes of transactions.
type Attributes struct {
	// Digest tells them from others, byte for byte.
	Digest [sha256.Size]byte
	// Judged says that the rest could be read. If not, the nodes will say what is wrong.
	Judged       bool
	Timestamp    uint64 // seconds
	PrevRandao   common.Hash
	FeeRecipient common.Address
	Withdrawals  []types.Withdrawal // nil before Shanghai
	BeaconRoot   *common.Hash       // nil before Cancun
}
