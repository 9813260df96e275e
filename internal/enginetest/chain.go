package enginetest

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
)

// GenesisHash is the hash of block 0 of a node, unless its Client says otherwise, and the parent of every Chain.
const GenesisHash = "0x9e5e519e5e519e5e519e5e519e5e519e5e519e5e519e5e519e5e519e5e519e5e"

var zeroHash = common.Hash{}.Hex()

// chain is what a node remembers of the payloads that it has executed, and its forkchoice.
type chain struct {
	blocks                         map[string]block // by hash
	genesis, head, safe, finalized string
}

// block is also what eth_getBlockByNumber shows.
type block struct {
	Number     quantity `json:"number"`
	Hash       string   `json:"hash"`
	ParentHash string   `json:"parentHash"`
	Timestamp  quantity `json:"timestamp"`
}

func newChain(genesis string) chain {
	return chain{
		blocks:  map[string]block{genesis: {Hash: genesis, ParentHash: zeroHash}},
		genesis: genesis, head: genesis, safe: genesis, finalized: genesis,
	}
}

// build is a payload that the node has been asked to build.
type build struct {
	parent     block
	attributes engine.PayloadAttributes
}

func (n *Node) newPayload(c *Call) (any, error) {
	var payload struct {
		BlockHash, ParentHash  string
		BlockNumber, Timestamp quantity
	}
	if err := c.params(&payload); err != nil {
		return nil, err
	}
	if payload.BlockHash == "" {
		return nil, errors.New("missing value for required argument 0")
	}
	if _, ok := n.chain.blocks[payload.ParentHash]; !ok && n.client.Strict {
		return Rule{Status: "SYNCING"}.result(c, ""), nil
	}
	n.chain.blocks[payload.BlockHash] = block{
		payload.BlockNumber, payload.BlockHash, payload.ParentHash, payload.Timestamp,
	}
	return Rule{Status: "VALID"}.result(c, ""), nil
}

func (n *Node) forkchoiceUpdated(c *Call) (any, error) {
	var state struct{ HeadBlockHash, SafeBlockHash, FinalizedBlockHash string }
	var attributes json.RawMessage
	if err := c.params(&state, &attributes); err != nil {
		return nil, err
	}
	if state.HeadBlockHash == "" {
		return nil, errors.New("missing value for required argument 0")
	}
	head, ok := n.chain.blocks[state.HeadBlockHash]
	if !ok && n.client.Strict {
		return Rule{Status: "SYNCING"}.result(c, ""), nil
	}
	if !ok { // a head out of the blue: all that can be told of it is its hash
		head = block{Hash: state.HeadBlockHash, ParentHash: zeroHash}
		n.chain.blocks[head.Hash] = head
	}
	n.chain.head = head.Hash
	if state.SafeBlockHash != zeroHash {
		n.chain.safe = state.SafeBlockHash
	}
	if state.FinalizedBlockHash != zeroHash {
		n.chain.finalized = state.FinalizedBlockHash
	}
	if len(attributes) == 0 || string(attributes) == "null" {
		return Rule{Status: "VALID"}.result(c, ""), nil
	}
	b := build{parent: head}
	if err := json.Unmarshal(attributes, &b.attributes); err != nil {
		return nil, &RPCError{Code: -38003, Message: "Invalid payload attributes"}
	}
	return Rule{Status: "VALID"}.result(c, n.startBuild(b, head.Hash+string(attributes))), nil
}

// startBuild returns the id of a build, the one that the same request has got before if there was one.
func (n *Node) startBuild(b build, request string) (id string) {
	id = n.client.PayloadID
	if id == "" {
		if n.buildIDs[request] == "" {
			n.buildIDs[request] = fmt.Sprintf("0x%08x%08x", n.serial, len(n.buildIDs)+1)
		}
		id = n.buildIDs[request]
	}
	n.builds[id] = b
	return id
}

func (n *Node) getPayload(c *Call, version int) (any, error) {
	var id string
	if err := c.params(&id); err != nil {
		return nil, err
	}
	b, ok := n.builds[id]
	if !ok {
		return nil, unknownPayload
	}
	parent := Payload{Version: b.version(version)}
	parent.BlockHash, parent.Number = common.HexToHash(b.parent.Hash), uint64(b.parent.Number)
	payload := parent.Child(func(p *Payload) {
		p.Timestamp = b.attributes.Timestamp
		p.Random = b.attributes.Random
		p.FeeRecipient = b.attributes.SuggestedFeeRecipient
		p.Withdrawals = b.attributes.Withdrawals
		p.SlotNumber = b.attributes.SlotNumber
		if b.attributes.BeaconRoot != nil {
			p.BeaconRoot = *b.attributes.BeaconRoot
		}
		p.ExtraData = fmt.Appendf(nil, "node %d", n.serial)
		if n.client.Build != nil {
			n.client.Build(p)
		}
	})
	return json.RawMessage(payload.Envelope(version, n.client.BlockValue)), nil
}

// version returns the version of engine_newPayload that will carry what a version of engine_getPayload returns.
func (b build) version(getPayload int) int {
	switch {
	case getPayload == 2 && b.attributes.Withdrawals == nil:
		return 1
	case getPayload <= 4:
		return getPayload
	case getPayload == 5:
		return 4
	}
	return 5
}

func (n *Node) getBlockByNumber(c *Call) (any, error) {
	var tag string
	if err := c.params(&tag); err != nil {
		return nil, err
	}
	hash := ""
	switch tag {
	case "earliest":
		hash = n.chain.genesis
	case "latest", "pending":
		hash = n.chain.head
	case "safe":
		hash = n.chain.safe
	case "finalized":
		hash = n.chain.finalized
	default:
		var number quantity
		if err := number.UnmarshalText([]byte(tag)); err != nil {
			return nil, err
		}
		hash = n.chain.at(number)
	}
	if b, ok := n.chain.blocks[hash]; ok {
		return b, nil
	}
	return nil, nil
}

func (n *Node) getBlockByHash(c *Call) (any, error) {
	var hash string
	if err := c.params(&hash); err != nil {
		return nil, err
	}
	if b, ok := n.chain.blocks[hash]; ok && (b.ParentHash != zeroHash || hash == n.chain.genesis) {
		return b, nil
	}
	return nil, nil // also of a head out of the blue
}

// at returns the hash of the head's ancestor with a number, "" if it isn't known. Block 0 always is.
func (c *chain) at(number quantity) string {
	if number == 0 {
		return c.genesis
	}
	for b, ok := c.blocks[c.head]; ok && b.Number >= number; b, ok = c.blocks[b.ParentHash] {
		if b.Number == number {
			return b.Hash
		}
	}
	return ""
}

// Rewind makes the node forget all blocks above a number, as a client does that has crashed: its head, safe and
// finalized blocks are that block then, if they were above it. A node without such a block falls back to genesis.
func (n *Node) Rewind(number uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &n.chain
	top := c.at(quantity(number))
	if top == "" {
		top = c.genesis
	}
	for hash, b := range c.blocks {
		if b.Number > quantity(number) {
			delete(c.blocks, hash)
		}
	}
	for _, hash := range []*string{&c.head, &c.safe, &c.finalized} {
		if _, ok := c.blocks[*hash]; !ok {
			*hash = top
		}
	}
}
