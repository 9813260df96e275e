package enginejson

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"executionbackup/internal/engine"
	"executionbackup/internal/rawjson"
)

// BuiltReader finds what is judged of getPayload's result in the one scan in which the result is received, because it
// has megabytes. Whoever receives it looks for the Fields; Read then decodes what was found. It belongs to the
// goroutine that makes the call.
type BuiltReader struct {
	method engine.Method

	payload, value, bundle, requests []byte                    // raw; nil where they weren't found
	members                          [len(builtMembers)][]byte // of the payload, in the order of builtMembers
	transactions                     [][]byte
	commitments, blobs, proofs       [][]byte // of the bundle

	// bare looks for the same without an envelope, where the method's version doesn't tell whether there is one; else
	// nil.
	bare *BuiltReader
}

// builtMembers are the members of a payload that are judged, but for its transactions.
var builtMembers = [...]string{
	"blockHash", "parentHash", "blockNumber", "timestamp", "prevRandao", "feeRecipient", "gasUsed", "withdrawals",
}

// NewBuiltReader returns a reader of one answer to a method.
func NewBuiltReader(m engine.Method) *BuiltReader {
	b := &BuiltReader{method: m}
	if m.Version == 0 {
		b.bare = new(BuiltReader)
	}
	return b
}

// Fields are what is looked for in a result. From V2 on there is an envelope around the payload; a method without a
// version may have one or not.
func (b *BuiltReader) Fields() []rawjson.Field {
	if b.method.Version == 1 {
		return b.payloadFields()
	}
	fields := []rawjson.Field{
		{Name: "executionPayload", Value: &b.payload, Members: b.payloadFields()},
		{Name: "blockValue", Value: &b.value},
		{Name: "blobsBundle", Value: &b.bundle, Members: []rawjson.Field{
			{Name: "commitments", Elements: &b.commitments},
			{Name: "blobs", Elements: &b.blobs},
			{Name: "proofs", Elements: &b.proofs},
		}},
		{Name: "executionRequests", Value: &b.requests},
	}
	if b.bare != nil {
		fields = append(fields, b.bare.payloadFields()...)
	}
	return fields
}

// payloadFields are what is looked for in a payload.
func (b *BuiltReader) payloadFields() []rawjson.Field {
	fields := make([]rawjson.Field, 0, len(builtMembers)+1)
	for i, name := range builtMembers {
		fields = append(fields, rawjson.Field{Name: name, Value: &b.members[i]})
	}
	return append(fields, rawjson.Field{Name: "transactions", Elements: &b.transactions})
}

// Read reads what is judged of a result whose fields have been found. An error says why it can't be proposed at all.
func (b *BuiltReader) Read(result []byte) (*engine.Built, error) {
	bare, from := b.method.Version == 1, b
	if b.bare != nil && b.payload == nil {
		bare, from = true, b.bare
	}
	built := &engine.Built{Raw: from.payload, Commitments: from.commitments}
	if bare {
		built.Raw = result
	} else if err := b.readEnvelope(built); err != nil {
		return nil, err
	}
	if err := from.readPayload(built); err != nil {
		return nil, err
	}
	built.Misfit = from.misfit(b.method)
	return built, nil
}

// readPayload reads what is judged of the payload itself.
func (b *BuiltReader) readPayload(built *engine.Built) error {
	var ok [5]bool
	p := &built.Payload
	p.Hash, ok[0] = parseHash(b.members[0])
	p.Parent, ok[1] = parseHash(b.members[1])
	p.Number, ok[2] = parseQuantity(b.members[2])
	p.Timestamp, ok[3] = parseQuantity(b.members[3])
	built.PrevRandao, ok[4] = parseHash(b.members[4])
	if i := slices.Index(ok[:], false); i >= 0 {
		return fmt.Errorf("execution payload: %s is missing or malformed", builtMembers[i])
	}
	if err := json.Unmarshal(b.members[5], &built.FeeRecipient); err != nil {
		return errors.New("execution payload: feeRecipient is missing or malformed")
	}
	built.GasUsed, _ = parseQuantity(b.members[6])
	list, err := readWithdrawals(b.members[7])
	built.Withdrawals, built.OddWithdrawals = list, err != nil
	if b.transactions == nil {
		return errors.New("execution payload: transactions are missing or malformed")
	}
	built.Transactions = len(b.transactions)
	return nil
}

// readEnvelope reads what stands around the payload from V2 on. Only where the version isn't known it may be without
// value.
func (b *BuiltReader) readEnvelope(built *engine.Built) error {
	if b.method.KnownGetPayload() || !rawjson.IsNull(b.value) {
		var value hexutil.Big
		if err := json.Unmarshal(b.value, &value); err != nil || rawjson.IsNull(b.value) {
			return errors.New("payload envelope: blockValue is missing or malformed")
		}
		built.Value = value.ToInt()
	}
	if !rawjson.IsNull(b.requests) {
		built.Requests = b.requests
	}
	built.Blobs = len(b.blobs)
	return nil
}

// What a blobs bundle has (cancun.md#blobsbundlev1, osaka.md#blobsbundlev2).
const (
	blobBytes   = 131072 // of a blob
	pointBytes  = 48     // of a commitment, and of a proof
	cellProofs  = 128    // for each blob since Osaka: one for each cell
	bundleSince = 3      // the version of getPayload that has the first bundle
	proofsSince = 5      // the version whose bundle has cell proofs
)

// misfit returns what of the blobs bundle has a number or a length that the method's version doesn't allow, or "".
func (b *BuiltReader) misfit(m engine.Method) string {
	if m.Version < bundleSince || !m.KnownGetPayload() {
		return ""
	}
	proofs := len(b.blobs)
	if m.Version >= proofsSince {
		proofs *= cellProofs
	}
	switch {
	case b.commitments == nil || b.blobs == nil || b.proofs == nil:
		return "blobs bundle: something is missing or malformed"
	case len(b.blobs) != len(b.commitments):
		return fmt.Sprintf("blobs bundle: %d blobs for %d commitments", len(b.blobs), len(b.commitments))
	case len(b.proofs) != proofs:
		return fmt.Sprintf("blobs bundle: %d proofs for %d blobs", len(b.proofs), len(b.blobs))
	case !allHave(b.commitments, pointBytes):
		return "blobs bundle: a commitment has not 48 bytes"
	case !allHave(b.proofs, pointBytes):
		return "blobs bundle: a proof has not 48 bytes"
	case !allHave(b.blobs, blobBytes):
		return "blobs bundle: a blob has not 131072 bytes"
	}
	return ""
}

// allHave reports whether all of a list are as long as DATA of n bytes. What is in them is not looked at: there is too
// much.
func allHave(list [][]byte, n int) bool {
	return !slices.ContainsFunc(list, func(raw []byte) bool { return len(raw) != len(`"0x"`)+2*n || raw[0] != '"' })
}

// NewPayload is the call with which the CL would show a built payload to the nodes. From Cancun on it needs the
// attributes' beacon root; the versioned hashes are those of the blobs that come along. It is nil where getPayload's
// version isn't known.
func NewPayload(m engine.Method, b *engine.Built, beaconRoot *common.Hash) (*engine.Call, error) {
	version := m.Version
	if !m.KnownGetPayload() {
		return nil, nil
	}
	if version >= proofsSince { // newPayload has no such step: getPayloadV5 differs from V4 in its blobs bundle only
		version--
	}
	const around = 256 // bytes: brackets, commas and the beacon root
	params := make([]byte, 0, len(b.Raw)+len(b.Requests)+len(b.Commitments)*hexHash+around)
	params = append(append(params, '['), b.Raw...)
	if version >= bundleSince {
		hashes, err := versionedHashes(b.Commitments)
		if err != nil {
			return nil, err
		}
		params = append(append(params, ','), hashes...)
		params = append(append(params, ','), hashOrNull(beaconRoot)...)
	}
	if version >= 4 {
		params = append(append(params, ','), orNull(b.Requests)...)
	}
	c := NewCall(fmt.Sprintf("engine_newPayloadV%d", version), append(params, ']'))
	c.Block, c.Payload, c.Named = b.Payload.Hash, b.Payload, true
	return c, nil
}

// hexHash is the size of a hash in an array.
const hexHash = len(`"0x",`) + 2*common.HashLength

// versionedHashes are those of the bundle's commitments (EIP-4844, kzg_to_versioned_hash), as a raw array.
func versionedHashes(commitments [][]byte) ([]byte, error) {
	hashes := make([]common.Hash, len(commitments))
	for i, raw := range commitments {
		var commitment hexutil.Bytes
		if err := json.Unmarshal(raw, &commitment); err != nil {
			return nil, errors.New("blobs bundle: a commitment is malformed")
		}
		hashes[i] = sha256.Sum256(commitment)
		hashes[i][0] = 1
	}
	return json.Marshal(hashes)
}
