package proxy

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"executionbackup/internal/engine"
	"executionbackup/internal/evidence"
	"executionbackup/internal/jsonrpc"
)

// candidate is a payload that a node built.
type candidate struct {
	reply
	payload      engine.Payload
	value        *big.Int // blockValue in wei; nil where the method has none (V1)
	prevRandao   common.Hash
	feeRecipient common.Address
	gasUsed      uint64
	transactions int
	blobs        int

	raw         []byte // the execution payload
	withdrawals []byte // raw
	commitments [][]byte
	requests    []byte // raw execution requests; nil before Prague

	wrongRecipient bool   // good but for the fee recipient: a last resort
	out            string // why it is not proposed; "" where nothing speaks against it

	shown     evidence.Call // how it was shown to the other voters
	objection []byte        // the result in which one called it INVALID
}

// built is where in a result what is judged stands.
type built struct {
	payload, value, bundle, requests []byte
	members                          [len(payloadMembers)][]byte
	transactions                     [][]byte
	commitments, blobs, proofs       [][]byte // of the bundle
	bare                             *built   // what would be judged of it if there were no envelope; nil where that is known
}

var payloadMembers = [...]string{"blockHash", "parentHash", "blockNumber", "timestamp", "prevRandao", "feeRecipient", "gasUsed", "withdrawals"}

// fields are what is looked for in a result, while it is read: it is large. From V2 on there is an envelope around the
// payload; a method without a version may have one or not.
func (b *built) fields(m engine.Method) []jsonrpc.Field {
	if m.Version == 1 {
		return b.inPayload()
	}
	fields := []jsonrpc.Field{
		{Name: "executionPayload", Value: &b.payload, Members: b.inPayload()},
		{Name: "blockValue", Value: &b.value},
		{Name: "blobsBundle", Value: &b.bundle, Members: []jsonrpc.Field{
			{Name: "commitments", Elements: &b.commitments}, {Name: "blobs", Elements: &b.blobs}, {Name: "proofs", Elements: &b.proofs},
		}},
		{Name: "executionRequests", Value: &b.requests},
	}
	if m.Version == 0 {
		b.bare = new(built)
		fields = append(fields, b.bare.inPayload()...)
	}
	return fields
}

func (b *built) inPayload() []jsonrpc.Field {
	fields := make([]jsonrpc.Field, 0, len(payloadMembers)+1)
	for i, name := range payloadMembers {
		fields = append(fields, jsonrpc.Field{Name: name, Value: &b.members[i]})
	}
	return append(fields, jsonrpc.Field{Name: "transactions", Elements: &b.transactions})
}

// readCandidate reads what is judged of a built payload. An error says why it can't be proposed at all.
func readCandidate(m engine.Method, got reply, b *built) (*candidate, error) {
	switch {
	case got.err != nil:
		return nil, got.err
	case got.Err != nil:
		return nil, got.Err
	}
	bare := m.Version == 1
	if m.Version == 0 && b.payload == nil {
		b, bare = b.bare, true
	}
	if bare {
		b.payload = got.Result
	}
	c := &candidate{reply: got, raw: b.payload, withdrawals: b.members[7], commitments: b.commitments}
	if !bare {
		if err := c.readEnvelope(b, known(m)); err != nil {
			return nil, err
		}
	}
	var ok [5]bool
	c.payload.Hash, ok[0] = engine.ParseHash(b.members[0])
	c.payload.Parent, ok[1] = engine.ParseHash(b.members[1])
	c.payload.Number, ok[2] = engine.ParseQuantity(b.members[2])
	c.payload.Timestamp, ok[3] = engine.ParseQuantity(b.members[3])
	c.prevRandao, ok[4] = engine.ParseHash(b.members[4])
	for i, good := range ok {
		if !good {
			return nil, fmt.Errorf("execution payload: %s is missing or malformed", payloadMembers[i])
		}
	}
	if err := json.Unmarshal(b.members[5], &c.feeRecipient); err != nil {
		return nil, errors.New("execution payload: feeRecipient is missing or malformed")
	}
	c.gasUsed, _ = engine.ParseQuantity(b.members[6])
	if b.transactions == nil {
		return nil, errors.New("execution payload: transactions are missing or malformed")
	}
	c.transactions = len(b.transactions)
	return c, nil
}

// readEnvelope reads what stands around the payload from V2 on. Only where the version isn't known it may be without value.
func (c *candidate) readEnvelope(b *built, known bool) error {
	if known || !jsonrpc.IsNull(b.value) {
		var value hexutil.Big
		if err := json.Unmarshal(b.value, &value); err != nil || jsonrpc.IsNull(b.value) {
			return errors.New("payload envelope: blockValue is missing or malformed")
		}
		c.value = value.ToInt()
	}
	if !jsonrpc.IsNull(b.requests) {
		c.requests = b.requests
	}
	c.blobs = len(b.blobs)
	return nil
}

// newestVersion is the latest of getPayload whose answer we know (amsterdam.md#engine_getpayloadv6).
const newestVersion = 6

// known reports whether we know what a version's answer is, and what newPayload carries it on. Else nothing is made up.
func known(m engine.Method) bool { return m.Version >= 1 && m.Version <= newestVersion }

// What the parts of a blobs bundle have, in bytes, and how many proofs there are for a blob since Osaka: one for each cell
// (cancun.md#blobsbundlev1, osaka.md#blobsbundlev2).
const (
	blobBytes   = 131072
	pointBytes  = 48 // a commitment, a proof
	proofsSince = 5
	cellProofs  = 128
)

// misfit returns what of the blobs bundle has a number or a length that the method's version doesn't allow, or "". Whether
// it is what the transactions need shows when their hashes are compared.
func (b *built) misfit(m engine.Method) string {
	if m.Version < 3 || !known(m) {
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

// allHave reports whether all of a list are as long as DATA of n bytes. What is in them is not looked at: there is too much.
func allHave(list [][]byte, n int) bool {
	return !slices.ContainsFunc(list, func(raw []byte) bool { return len(raw) != len(`"0x"`)+2*n || raw[0] != '"' })
}

// compare looks for what is not as the attributes of its build ask for. It returns why the candidate must not be proposed, or "".
func (c *candidate) compare(b *build) string {
	if c.payload.Parent != b.head {
		return fmt.Sprintf("its parent is %s, not the head %s", c.payload.Parent, b.head)
	}
	a := b.attributes
	if !a.Judged {
		return ""
	}
	switch {
	case c.payload.Timestamp != a.Timestamp:
		return fmt.Sprintf("its timestamp is %d, not %d", c.payload.Timestamp, a.Timestamp)
	case c.prevRandao != a.PrevRandao:
		return "its prevRandao is not that of the attributes"
	case !c.hasWithdrawals(a):
		return "its withdrawals are not those of the attributes"
	}
	c.wrongRecipient = c.feeRecipient != a.FeeRecipient
	return ""
}

func (c *candidate) hasWithdrawals(a *engine.Attributes) bool {
	own, err := engine.ParseWithdrawals(c.withdrawals)
	return err == nil && (own == nil) == (a.Withdrawals == nil) && slices.Equal(own, a.Withdrawals)
}

// newPayload is the call with which the CL would show the candidate to the nodes: method and raw parameters. From
// Cancun on it needs the attributes' beacon root; the versioned hashes are those of the blobs that come along. There is
// none, and method is "", where the version isn't known.
func (c *candidate) newPayload(m engine.Method, a *engine.Attributes) (method string, params []byte, err error) {
	version := m.Version
	if !known(m) {
		return "", nil, nil
	}
	if version >= 5 { // getPayloadV5 differs from V4 in its blobs bundle only
		version--
	}
	const around = 256 // bytes: brackets, commas and the beacon root
	params = make([]byte, 0, len(c.raw)+len(c.requests)+len(c.commitments)*hexHash+around)
	params = append(append(params, '['), c.raw...)
	if version >= 3 {
		hashes, err := c.versionedHashes()
		if err != nil {
			return "", nil, err
		}
		params = append(append(params, ','), hashes...)
		params = append(append(params, ','), orNull(a.BeaconRoot)...)
	}
	if version >= 4 {
		params = append(append(params, ','), orNull(c.requests)...)
	}
	return fmt.Sprintf("engine_newPayloadV%d", version), append(params, ']'), nil
}

// hexHash is the size of a hash in an array.
const hexHash = len(`"0x",`) + 2*common.HashLength

// versionedHashes are those of the bundle's commitments (EIP-4844, kzg_to_versioned_hash), as a raw array.
func (c *candidate) versionedHashes() ([]byte, error) {
	hashes := make([]common.Hash, len(c.commitments))
	for i, raw := range c.commitments {
		var commitment hexutil.Bytes
		if err := json.Unmarshal(raw, &commitment); err != nil {
			return nil, errors.New("blobs bundle: a commitment is malformed")
		}
		hashes[i] = sha256.Sum256(commitment)
		hashes[i][0] = 1
	}
	return json.Marshal(hashes)
}

func orNull(raw []byte) []byte {
	if raw == nil {
		return []byte("null")
	}
	return raw
}

// doubted reports whether all that speaks against it is another node's word.
func (c *candidate) doubted() bool { return c.objection != nil }

// offered reports whether it can be proposed, be it as a last resort.
func (c *candidate) offered() bool { return c.out == "" || c.doubted() }

// rank orders candidates, best first: those with the right fee recipient, then the one that won before, then by value, where
// they are worth the same (or have no value, as in V1) by gas used, for the primary may have built an empty one, and then
// the primary's.
func rank(candidates []*candidate, primary, won func(*candidate) bool) {
	slices.SortStableFunc(candidates, func(a, b *candidate) int {
		return cmp.Or(
			first(!a.wrongRecipient, !b.wrongRecipient),
			first(won(a), won(b)),
			b.worth().Cmp(a.worth()),
			cmp.Compare(b.gasUsed, a.gasUsed),
			first(primary(a), primary(b)),
		)
	})
}

// worth is the value of a candidate; zero where it isn't told.
func (c *candidate) worth() *big.Int {
	if c.value == nil {
		return new(big.Int)
	}
	return c.value
}

// first compares two of which the one that holds comes first.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
