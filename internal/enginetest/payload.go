package enginetest

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
)

// Payload is an execution payload with what goes along with it in engine_newPayload. Its block hash is right until a
// test makes it wrong.
type Payload struct {
	engine.ExecutableData

	Version         int           // of the engine_newPayload that carries it: 1 (Paris) to 5 (Amsterdam)
	VersionedHashes []common.Hash // from V3
	BeaconRoot      common.Hash   // from V3
	Requests        [][]byte      // from V4
}

// future is the timestamp of block 0, far beyond any clock: so that when a test runs has no say in how long a verdict
// waits.
const future = 4_000_000_000

// Genesis returns block 0, whose children are payloads of a version. Its hash, GenesisHash, is no real one.
func Genesis(version int) Payload {
	return Payload{
		Version:        version,
		ExecutableData: engine.ExecutableData{BlockHash: common.HexToHash(GenesisHash), Timestamp: future},
	}
}

// Chain returns n payloads, each the child of the one before it and the first of genesis. See Child for change.
func Chain(version, n int, change func(*Payload)) []Payload {
	var payloads []Payload
	for parent := Genesis(version); len(payloads) < n; {
		parent = parent.Child(change)
		payloads = append(payloads, parent)
	}
	return payloads
}

// Child returns the next payload, 12 seconds later and empty. Change, if not nil, edits it before it is hashed. It may
// change the version, too: what that version has and the payload lacks is filled in. The same parent and change give
// the same child.
func (p Payload) Child(change func(*Payload)) Payload {
	number := p.Number + 1
	child := Payload{
		Version:    p.Version,
		BeaconRoot: common.BigToHash(new(big.Int).SetUint64(0xbeac<<32 | number)),
		ExecutableData: engine.ExecutableData{
			ParentHash:    p.BlockHash,
			StateRoot:     types.EmptyRootHash,
			ReceiptsRoot:  types.EmptyReceiptsHash,
			LogsBloom:     make([]byte, types.BloomByteLength),
			Random:        common.BigToHash(new(big.Int).SetUint64(0xda0<<32 | number)),
			Number:        number,
			GasLimit:      36_000_000,
			Timestamp:     p.Timestamp + 12,
			ExtraData:     []byte{},
			BaseFeePerGas: big.NewInt(7),
			Transactions:  [][]byte{},
		},
	}
	if change != nil {
		change(&child)
	}
	child.seal()
	return child
}

// Pad returns a change that adds a transaction of n bytes (2n as hex), for large payloads.
func Pad(n int) func(*Payload) {
	tx := types.NewTx(&types.LegacyTx{Data: make([]byte, n), V: big.NewInt(27), R: big.NewInt(1), S: big.NewInt(1)})
	raw, err := tx.MarshalBinary()
	if err != nil {
		panic(err)
	}
	return func(p *Payload) { p.Transactions = append(p.Transactions, raw) }
}

// seal fills in what the version asks for and sets the block hash.
func (p *Payload) seal() {
	var beaconRoot *common.Hash
	var requests [][]byte
	if p.Version >= 2 && p.Withdrawals == nil {
		p.Withdrawals = []*types.Withdrawal{}
	}
	if p.Version >= 3 {
		beaconRoot = &p.BeaconRoot
		if p.BlobGasUsed == nil {
			p.BlobGasUsed, p.ExcessBlobGas = new(uint64), new(uint64)
		}
	}
	if p.Version >= 4 {
		requests = append([][]byte{}, p.Requests...)
	}
	if p.Version >= 5 {
		if p.SlotNumber == nil {
			p.SlotNumber = new(p.Number)
		}
		if p.BlockAccessList == nil {
			p.BlockAccessList = []byte{0xc0} // an empty list in RLP
		}
	}
	b, err := engine.ExecutableDataToBlockNoHash(p.ExecutableData, p.VersionedHashes, beaconRoot, requests)
	if err != nil {
		panic(fmt.Sprintf("enginetest: payload cannot be hashed: %v", err))
	}
	p.BlockHash = b.Hash()
}

// Hash returns the block hash in hex, as Rule.BlockHash takes it.
func (p Payload) Hash() string { return p.BlockHash.Hex() }

// MarshalJSON returns the executionPayload object, without members that its version doesn't have.
func (p Payload) MarshalJSON() ([]byte, error) { return withoutNulls(p.ExecutableData) }

// Params returns the params of the engine_newPayload that carries the payload.
func (p Payload) Params() []any {
	params := []any{p}
	if p.Version >= 3 {
		params = append(params, append([]common.Hash{}, p.VersionedHashes...), p.BeaconRoot)
	}
	if p.Version >= 4 {
		params = append(params, p.requests())
	}
	return params
}

func (p Payload) requests() []hexutil.Bytes {
	requests := []hexutil.Bytes{}
	for _, r := range p.Requests {
		requests = append(requests, r)
	}
	return requests
}

// Envelope returns what a version of engine_getPayload says when it has built the payload. It fits Rule.Result.
func (p Payload) Envelope(version int, blockValue string) string {
	type object map[string]any
	var result any = p
	if version >= 2 {
		envelope := object{"executionPayload": p, "blockValue": blockValue}
		if version >= 3 {
			envelope["blobsBundle"] = object{"commitments": []any{}, "proofs": []any{}, "blobs": []any{}}
			envelope["shouldOverrideBuilder"] = false
		}
		if version >= 4 {
			envelope["executionRequests"] = p.requests()
		}
		result = envelope
	}
	raw, err := json.Marshal(result)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// Attributes returns payload attributes for a build on p, in the shape of its version.
func (p Payload) Attributes() *engine.PayloadAttributes {
	next := p.Child(nil)
	attributes := &engine.PayloadAttributes{
		Timestamp:             next.Timestamp,
		Random:                next.Random,
		SuggestedFeeRecipient: common.HexToAddress("0xfee0000000000000000000000000000000000000"),
		Withdrawals:           next.Withdrawals,
		SlotNumber:            next.SlotNumber,
	}
	if p.Version >= 3 {
		attributes.BeaconRoot = &next.BeaconRoot
	}
	if p.Version >= 5 {
		attributes.TargetGasLimit = &next.GasLimit
	}
	return attributes
}

// withoutNulls encodes a payload or payload attributes. For what a version doesn't have go-ethereum writes null, CLs
// write nothing.
func withoutNulls(v any) (json.RawMessage, error) {
	raw, err := json.Marshal(v)
	return json.RawMessage(nulls.Replace(string(raw))), err
}

var nulls = strings.NewReplacer(
	`,"withdrawals":null`, "",
	`,"blobGasUsed":null`, "",
	`,"excessBlobGas":null`, "",
	`,"parentBeaconBlockRoot":null`, "",
	`,"slotNumber":null`, "",
	`,"targetGasLimit":null`, "",
)

// What getPayload may answer, with all members that are judged of it. No block has its hash.
const (
	BuiltPayloadV1 = `{` + // the payload alone, as before V2
		`"blockHash":"0x0101010101010101010101010101010101010101010101010101010101010101",` +
		`"parentHash":"0x0202020202020202020202020202020202020202020202020202020202020202",` +
		`"blockNumber":"0x1","timestamp":"0x2",` +
		`"prevRandao":"0x0303030303030303030303030303030303030303030303030303030303030303",` +
		`"feeRecipient":"0x0000000000000000000000000000000000000001",` +
		`"gasUsed":"0x5208","transactions":["0x02"],"withdrawals":[]}`
	BuiltBundle  = `"blobsBundle":{"commitments":["0xaa"],"proofs":[],"blobs":["0xbb"]}`
	BuiltPayload = `{"executionPayload":` + BuiltPayloadV1 + `,"blockValue":"0x7",` + BuiltBundle +
		`,"executionRequests":[]}`
)
