package enginetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// Honest is the model of one honest execution client, without a network: what it says depends on nothing but the calls
// that it has had, in their order. It says what geth 1.17.10 without peers would, with two differences: it doesn't
// execute blocks (see Bad), and it builds empty ones. A Node, in contrast, is as simple as a fake can be.
//
// A payload with an unknown parent is SYNCING, and nothing is kept of it: a client without peers has no use for it
// either, until it is sent again.
//
// It is safe for concurrent use as long as its fields are left alone.
type Honest struct {
	// Fork is the version of engine_newPayload that carries its blocks: 1 (Paris) to 5 (Amsterdam). It must be set.
	Fork int
	// Salt makes its payload ids other than those of clients with another salt. Geths have the same.
	Salt byte
	// MaxReorg is how far a forkchoice may go back; default: 32.
	MaxReorg uint64
	// Forgets is how often it refers to a block that it has rejected before it forgets that; default: 128.
	Forgets int

	mu       sync.Mutex
	version  string
	chain    chain
	rejected map[string]rejected // by the hash of the block and of every descendant that it has been asked about
	hits     map[string]int      // by the hash of the block
	builds   map[engine.PayloadID]Payload
}

// rejected is a block that failed to execute.
type rejected struct{ hash, parent string }

// Bad makes a payload one that every Honest client finds invalid when it executes it. It fits Payload.Child.
func Bad(p *Payload) { p.ExtraData = append([]byte("bad"), p.ExtraData...) }

// Answer answers the body of a request, one call or a batch, as the client would.
func (h *Honest) Answer(body []byte) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begin()
	var replies []Reply
	calls, batch := parse(body)
	for _, c := range calls {
		replies = append(replies, h.reply(c))
	}
	if batch {
		return []byte(join(replies).Body)
	}
	return []byte(replies[0].Body)
}

// begin makes the chain of a client that is new. The caller holds h.mu.
func (h *Honest) begin() {
	if h.rejected != nil {
		return
	}
	genesis := Genesis(h.Fork)
	h.chain = newChain(GenesisHash)
	h.chain.blocks[GenesisHash] = block{Hash: GenesisHash, ParentHash: zeroHash, Timestamp: quantity(genesis.Timestamp)}
	h.rejected, h.hits, h.builds = map[string]rejected{}, map[string]int{}, map[engine.PayloadID]Payload{}
	h.version = "v1.17.10"
	if h.MaxReorg == 0 {
		h.MaxReorg = 32
	}
	if h.Forgets == 0 {
		h.Forgets = 128
	}
}

func (h *Honest) reply(c *Call) Reply {
	result, err := h.execute(c)
	if known, ok := err.(*RPCError); ok {
		return c.failed(known)
	}
	if err != nil {
		return c.failed(&RPCError{Code: -32602, Message: err.Error()})
	}
	raw, err := json.Marshal(result)
	if err != nil {
		panic(err)
	}
	return c.succeeded(raw)
}

// execute carries out a call. An error that is no *RPCError is one of the params.
func (h *Honest) execute(c *Call) (any, error) {
	if c.Method == "" {
		return nil, &RPCError{Code: -32600, Message: "invalid request"}
	}
	family, version := split(c.Method)
	switch family {
	case "engine_newPayload":
		if version >= 1 && version <= 5 {
			return h.newPayload(c, version)
		}
	case "engine_forkchoiceUpdated":
		if version >= 1 && version <= 4 {
			return h.forkchoiceUpdated(c, version)
		}
	case "engine_getPayload":
		if version >= 1 && version <= 6 {
			return h.getPayload(c, version)
		}
	case "engine_exchangeCapabilities":
		return Client{}.withDefaults().Capabilities, nil
	case "engine_getClientVersion":
		return []any{map[string]string{"code": "GE", "name": "geth", "version": h.version, "commit": "0x01020304"}}, nil
	case "web3_clientVersion":
		return "geth/" + h.version, nil
	case "eth_syncing":
		return false, nil
	case "eth_chainId":
		return quantity(1), nil
	case "eth_blockNumber":
		return h.chain.blocks[h.chain.head].Number, nil
	case "eth_getBlockByNumber":
		n := &Node{chain: h.chain}
		return n.getBlockByNumber(c)
	case "eth_getBlockByHash":
		n := &Node{chain: h.chain}
		return n.getBlockByHash(c)
	}
	return nil, &RPCError{Code: -32601, Message: fmt.Sprintf("the method %s does not exist/is not available", c.Method)}
}

var errInvalidParams = errors.New("invalid parameters") // -32602

var (
	invalidState      = &RPCError{Code: -38002, Message: "Invalid forkchoice state"}
	invalidAttributes = &RPCError{Code: -38003, Message: "Invalid payload attributes"}
	unsupportedFork   = &RPCError{Code: -38005, Message: "Unsupported fork"}
	tooDeepReorg      = &RPCError{Code: -38006, Message: "Too deep reorg"}
)

// newPayload judges the hash before all else, then looks whether it has the block, and then whether it can execute it.
func (h *Honest) newPayload(c *Call, version int) (any, error) {
	var data engine.ExecutableData
	var blobHashes []common.Hash
	var beaconRoot *common.Hash
	var more []hexutil.Bytes
	targets := []any{&data, &blobHashes, &beaconRoot, &more}
	if err := c.arguments(1, targets[:[...]int{0, 1, 1, 3, 4, 4}[version]]...); err != nil {
		return nil, err
	}
	if err := h.fits(version, data, blobHashes, beaconRoot, more); err != nil {
		return nil, err
	}
	var requests [][]byte
	if more != nil {
		requests = [][]byte{}
		for _, r := range more {
			requests = append(requests, r)
		}
	}
	if _, err := engine.ExecutableDataToBlock(data, blobHashes, beaconRoot, requests); err != nil {
		return invalid("", err.Error()), nil
	}
	b := block{quantity(data.Number), data.BlockHash.Hex(), data.ParentHash.Hex(), quantity(data.Timestamp)}
	if _, ok := h.chain.blocks[b.Hash]; ok {
		return valid(b.Hash), nil
	}
	if status := h.linksToRejected(b.Hash, b.Hash); status != nil {
		return status, nil
	}
	parent, ok := h.chain.blocks[b.ParentHash]
	if !ok {
		if status := h.linksToRejected(b.ParentHash, b.Hash); status != nil {
			return status, nil
		}
		return engine.PayloadStatusV1{Status: engine.SYNCING}, nil
	}
	if b.Timestamp <= parent.Timestamp {
		return invalid(parent.Hash, "invalid timestamp"), nil
	}
	// geth finds a recent parent by its hash alone, and then that the number is wrong.
	if bytes.HasPrefix(data.ExtraData, []byte("bad")) || b.Number != parent.Number+1 {
		h.rejected[b.Hash] = rejected{b.Hash, b.ParentHash}
		h.hits[b.Hash] = 1
		return invalid(parent.Hash, "invalid merkle root"), nil
	}
	h.chain.blocks[b.Hash] = b
	return valid(b.Hash), nil
}

// fits checks that a payload has what its version asks for, and nothing else.
func (h *Honest) fits(
	version int, data engine.ExecutableData, blobHashes []common.Hash, beaconRoot *common.Hash,
	requests []hexutil.Bytes,
) error {
	blobs := data.ExcessBlobGas != nil || data.BlobGasUsed != nil
	later := data.SlotNumber != nil || data.BlockAccessList != nil
	switch {
	case version == 1 && data.Withdrawals != nil,
		version == 2 && (h.Fork > 2 || blobs || (data.Withdrawals != nil) != (h.Fork == 2)),
		version >= 3 && (data.Withdrawals == nil || data.ExcessBlobGas == nil || data.BlobGasUsed == nil),
		version >= 3 && (blobHashes == nil || beaconRoot == nil),
		version >= 4 && requests == nil,
		version == 4 && later,
		version >= 5 && (data.SlotNumber == nil || data.BlockAccessList == nil):
		return errInvalidParams
	case version >= 3 && version != h.Fork:
		return unsupportedFork
	}
	for i, r := range requests {
		if len(r) < 2 || i > 0 && r[0] <= requests[i-1][0] {
			return errInvalidParams
		}
	}
	return nil
}

// linksToRejected returns the status of block head if block check, which is head or its parent, links to a rejected
// one.
func (h *Honest) linksToRejected(check, head string) any {
	bad, ok := h.rejected[check]
	if !ok {
		return nil
	}
	if h.hits[bad.hash]++; h.hits[bad.hash] >= h.Forgets {
		delete(h.hits, bad.hash)
		maps.DeleteFunc(h.rejected, func(_ string, other rejected) bool { return other == bad })
		return nil
	}
	h.rejected[head] = bad
	return invalid(bad.parent, "links to previously rejected block")
}

func (h *Honest) forkchoiceUpdated(c *Call, version int) (any, error) {
	var state engine.ForkchoiceStateV1
	var raw json.RawMessage
	var custody any
	targets := []any{&state, &raw, &custody}
	if err := c.arguments(1, targets[:[...]int{0, 2, 2, 2, 3}[version]]...); err != nil {
		return nil, err
	}
	var attributes *engine.PayloadAttributes
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &attributes); err != nil {
			return nil, err
		}
	}
	if attributes != nil {
		if err := h.suits(version, attributes); err != nil {
			return nil, err
		}
	}
	head := state.HeadBlockHash.Hex()
	if head == zeroHash {
		return engine.STATUS_INVALID, nil
	}
	b, ok := h.chain.blocks[head]
	if !ok {
		if status := h.linksToRejected(head, head); status != nil {
			return map[string]any{"payloadStatus": status, "payloadId": nil}, nil
		}
		return engine.STATUS_SYNCING, nil
	}
	if h.canonical(head) && head != h.chain.head {
		if b.Number < h.chain.blocks[h.chain.finalized].Number {
			return followed(head, nil), nil // it stays where it is
		}
		if uint64(h.chain.blocks[h.chain.head].Number-b.Number) > h.MaxReorg {
			return nil, tooDeepReorg
		}
	}
	h.chain.head = head
	for _, other := range []struct {
		name *string
		hash string
	}{{&h.chain.finalized, state.FinalizedBlockHash.Hex()}, {&h.chain.safe, state.SafeBlockHash.Hex()}} {
		if other.hash == zeroHash {
			continue
		}
		if !h.canonical(other.hash) {
			return nil, invalidState
		}
		*other.name = other.hash
	}
	if attributes == nil {
		return followed(head, nil), nil
	}
	if attributes.Timestamp <= uint64(b.Timestamp) {
		return nil, invalidAttributes
	}
	return followed(head, h.build(b, attributes, raw)), nil
}

// suits checks that payload attributes are those of a version.
func (h *Honest) suits(version int, a *engine.PayloadAttributes) error {
	switch {
	case version == 1 && (a.Withdrawals != nil || a.BeaconRoot != nil || h.Fork > 1):
		return errInvalidParams
	case version == 2 && (a.BeaconRoot != nil || h.Fork <= 2 && (a.Withdrawals != nil) != (h.Fork == 2)),
		version >= 3 && (a.Withdrawals == nil || a.BeaconRoot == nil),
		version >= 4 && a.SlotNumber == nil:
		return invalidAttributes
	case version == 2 && h.Fork > 2, version == 3 && h.Fork != 3 && h.Fork != 4, version == 4 && h.Fork != 5:
		return unsupportedFork
	}
	return nil
}

// canonical reports whether a block is the head or one of its ancestors.
func (h *Honest) canonical(hash string) bool {
	b, ok := h.chain.blocks[hash]
	return ok && h.chain.at(b.Number) == hash
}

// build makes the payload at once; the id, whose first byte is the version as geth has it, is that of the request.
func (h *Honest) build(b block, a *engine.PayloadAttributes, raw json.RawMessage) *engine.PayloadID {
	sum := sha256.Sum256(fmt.Append(nil, h.Salt, b.Hash, string(raw)))
	id := engine.PayloadID(sum[:8])
	id[0] = [...]byte{0, 1, 2, 3, 3, 4}[h.Fork]
	parent := Payload{Version: h.Fork}
	parent.BlockHash, parent.Number = common.HexToHash(b.Hash), uint64(b.Number)
	h.builds[id] = parent.Child(func(p *Payload) {
		p.Timestamp, p.Random, p.FeeRecipient = a.Timestamp, a.Random, a.SuggestedFeeRecipient
		p.Withdrawals, p.SlotNumber = a.Withdrawals, a.SlotNumber
		if a.BeaconRoot != nil {
			p.BeaconRoot = *a.BeaconRoot
		}
	})
	return &id
}

func (h *Honest) getPayload(c *Call, version int) (any, error) {
	var id engine.PayloadID
	if err := c.arguments(1, &id); err != nil {
		return nil, err
	}
	if kind := [...]byte{0, 1, 2, 3, 3, 3, 4}[version]; id[0] != kind && !(version == 2 && id[0] == 1) {
		return nil, unsupportedFork
	}
	payload, ok := h.builds[id]
	if !ok {
		return nil, unknownPayload
	}
	if version == 3 && h.Fork != 3 || (version == 4 || version == 5) && h.Fork != 4 {
		return nil, unsupportedFork
	}
	return json.RawMessage(payload.Envelope(version, "0x1")), nil
}

// arguments decodes the params into targets as geth does: none of the first required may be missing or null, and there
// may not be more than targets.
func (c *Call) arguments(required int, targets ...any) error {
	var all []json.RawMessage
	if len(c.Params) > 0 {
		if err := json.Unmarshal(c.Params, &all); err != nil {
			return err
		}
	}
	if len(all) > len(targets) {
		return fmt.Errorf("too many arguments, want at most %d", len(targets))
	}
	for i := range required {
		if i >= len(all) || string(all[i]) == "null" {
			return fmt.Errorf("missing value for required argument %d", i)
		}
	}
	return c.params(targets...)
}

func valid(hash string) engine.PayloadStatusV1 {
	latest := common.HexToHash(hash)
	return engine.PayloadStatusV1{Status: engine.VALID, LatestValidHash: &latest}
}

// invalid returns an INVALID. latest "" is null.
func invalid(latest, reason string) engine.PayloadStatusV1 {
	status := engine.PayloadStatusV1{Status: engine.INVALID, ValidationError: &reason}
	if latest != "" {
		status.LatestValidHash = new(common.HexToHash(latest))
	}
	return status
}

func followed(head string, id *engine.PayloadID) engine.ForkChoiceResponse {
	return engine.ForkChoiceResponse{PayloadStatus: valid(head), PayloadID: id}
}

// Head returns the hash of the head.
func (h *Honest) Head() common.Hash {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begin()
	return common.HexToHash(h.chain.head)
}

// Crash ends the client and starts it again, n blocks short but never without block 1 if it had that: it has forgotten
// all above its new head, what it has rejected, and what it has built.
func (h *Honest) Crash(n uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begin()
	number := uint64(h.chain.blocks[h.chain.head].Number)
	top := max(number-min(n, number), min(number, 1))
	rewound := &Node{chain: h.chain}
	rewound.Rewind(top)
	h.chain = rewound.chain
	clear(h.rejected)
	clear(h.hits)
	clear(h.builds)
}

// Upgrade makes the client call itself another version.
func (h *Honest) Upgrade(version string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begin()
	h.version = version
}

// Sync gives the client all blocks of another one and its forkchoice, as its peers would.
func (h *Honest) Sync(from *Honest) {
	from.mu.Lock()
	from.begin()
	chain := from.chain
	chain.blocks = maps.Clone(from.chain.blocks)
	from.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begin()
	h.chain = chain
}

// String tells what the client has, for a test that failed.
func (h *Honest) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begin()
	head := h.chain.blocks[h.chain.head]
	return fmt.Sprintf("head %.10s (block %d) and %d blocks", head.Hash, head.Number, len(h.chain.blocks))
}
