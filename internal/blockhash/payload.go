package blockhash

import (
	"bytes"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/trie"
)

// payload is what is gathered from the params of a newPayload call.
type payload struct {
	version            int // of the method
	header             types.Header
	blockHash          common.Hash
	blobHashes         []common.Hash // of the transactions, in their order
	badTransaction     string        // what is wrong with the first bad transaction
	expectedBlobHashes []common.Hash // V3 and later
}

// field is one field of a payload.
type field struct {
	name  string
	since int // the version of the first newPayload method whose payload must have it
	read  func(p *payload, c *cursor)
}

// fields are those of the structures ExecutionPayloadV1 to V4.
var fields = []field{
	{"parentHash", 1, func(p *payload, c *cursor) { c.fixed(p.header.ParentHash[:]) }},
	{"feeRecipient", 1, func(p *payload, c *cursor) { c.fixed(p.header.Coinbase[:]) }},
	{"stateRoot", 1, func(p *payload, c *cursor) { c.fixed(p.header.Root[:]) }},
	{"receiptsRoot", 1, func(p *payload, c *cursor) { c.fixed(p.header.ReceiptHash[:]) }},
	{"logsBloom", 1, func(p *payload, c *cursor) { c.fixed(p.header.Bloom[:]) }},
	{"prevRandao", 1, func(p *payload, c *cursor) { c.fixed(p.header.MixDigest[:]) }},
	{"blockNumber", 1, func(p *payload, c *cursor) { p.header.Number = c.quantity(64) }},
	{"gasLimit", 1, func(p *payload, c *cursor) { p.header.GasLimit = c.uint64() }},
	{"gasUsed", 1, func(p *payload, c *cursor) { p.header.GasUsed = c.uint64() }},
	{"timestamp", 1, func(p *payload, c *cursor) { p.header.Time = c.uint64() }},
	{"extraData", 1, (*payload).readExtraData},
	{"baseFeePerGas", 1, func(p *payload, c *cursor) { p.header.BaseFee = c.quantity(256) }},
	{"blockHash", 1, func(p *payload, c *cursor) { c.fixed(p.blockHash[:]) }},
	{"transactions", 1, (*payload).readTransactions},
	{"withdrawals", 2, (*payload).readWithdrawals},
	{"blobGasUsed", 3, func(p *payload, c *cursor) { p.header.BlobGasUsed = new(c.uint64()) }},
	{"excessBlobGas", 3, func(p *payload, c *cursor) { p.header.ExcessBlobGas = new(c.uint64()) }},
	{"blockAccessList", 5, func(p *payload, c *cursor) {
		p.header.BlockAccessListHash = new(crypto.Keccak256Hash(c.data()))
	}},
	{"slotNumber", 5, func(p *payload, c *cursor) { p.header.SlotNumber = new(c.uint64()) }},
}

// read reads the params array.
func (p *payload) read(c *cursor) {
	c.expect("[")
	c.named("executionPayload", func() { p.readPayload(c) })
	if p.version >= 3 {
		c.expect(",")
		c.named("expectedBlobVersionedHashes", func() { p.expectedBlobHashes = readHashes(c) })
		c.expect(",")
		p.header.ParentBeaconRoot = new(common.Hash)
		c.named("parentBeaconBlockRoot", func() { c.fixed(p.header.ParentBeaconRoot[:]) })
	}
	if p.version >= 4 {
		c.expect(",")
		c.named("executionRequests", func() { p.header.RequestsHash = new(types.CalcRequestsHash(readRequests(c))) })
	}
	if p.version >= 6 {
		c.expect(",")
		// The inclusion list is not part of the block.
		c.named("inclusionListTransactions", func() { c.array(func() { c.data() }) })
	}
	c.expect("]")
	c.end()
}

// readPayload reads the payload object, which must have the fields of its version, once each, and no others. A field
// that is null counts as not provided
// (https://github.com/ethereum/execution-apis/blob/main/src/engine/cancun.md#specification, point 1).
func (p *payload) readPayload(c *cursor) {
	// The constants of a proof-of-stake header: https://eips.ethereum.org/EIPS/eip-3675#block-structure
	p.header.UncleHash = types.EmptyUncleHash
	p.header.Difficulty = common.Big0

	var seen, given [32]bool // by index in fields
	c.object(func(name string) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		if i < 0 {
			c.fail("not a field that is known")
			return
		}
		if seen[i] {
			c.fail("given twice")
		}
		seen[i] = true
		if c.next("null") {
			return
		}
		given[i] = true
		fields[i].read(p, c)
	})
	for i, f := range fields {
		switch {
		case given[i] && f.since > p.version:
			c.fail("%s: not a field of V%d", f.name, p.version)
		case !given[i] && f.since <= p.version && !(f.name == "withdrawals" && p.version == 2):
			// newPayloadV2 carries the blocks of two forks: without withdrawals before Shanghai, with them since.
			c.fail("%s: missing", f.name)
		}
	}
}

// readExtraData reads DATA of at most 32 bytes.
func (p *payload) readExtraData(c *cursor) {
	p.header.Extra = bytes.Clone(c.data())
	if len(p.header.Extra) > 32 {
		c.fail("more than 32 bytes")
	}
}

// readWithdrawals reads an array of WithdrawalV1 and keeps its root
// (https://github.com/ethereum/execution-apis/blob/main/src/engine/shanghai.md#withdrawalv1).
func (p *payload) readWithdrawals(c *cursor) {
	var withdrawals types.Withdrawals
	c.array(func() {
		w, seen := new(types.Withdrawal), make(map[string]bool, 4)
		c.object(func(name string) {
			switch name {
			case "index":
				w.Index = c.uint64()
			case "validatorIndex":
				w.Validator = c.uint64()
			case "address":
				c.fixed(w.Address[:])
			case "amount":
				w.Amount = c.uint64()
			default:
				c.fail("not a field that is known")
			}
			if seen[name] {
				c.fail("given twice")
			}
			seen[name] = true
		})
		if len(seen) != 4 {
			c.fail("a withdrawal has %d fields instead of 4", len(seen))
		}
		withdrawals = append(withdrawals, w)
	})
	p.header.WithdrawalsHash = new(types.DeriveSha(withdrawals, trie.NewStackTrie(nil)))
}

// readHashes reads an array of 32-byte DATA.
func readHashes(c *cursor) []common.Hash {
	var hashes []common.Hash
	c.array(func() {
		var hash common.Hash
		c.fixed(hash[:])
		hashes = append(hashes, hash)
	})
	return hashes
}

// readRequests reads an array of EIP-7685 requests. Whether they are ordered and not empty is for the nodes to judge:
// it is an error of the call (-32602), not a verdict on the block.
func readRequests(c *cursor) [][]byte {
	var requests [][]byte
	c.array(func() { requests = append(requests, bytes.Clone(c.data())) })
	return requests
}
