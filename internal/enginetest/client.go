package enginetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Client describes the execution client that a node plays. The zero value is a healthy, synced one that calls every
// payload VALID and takes every head.
type Client struct {
	Code, Name, Version, Commit string // as in engine_getClientVersionV1; default: a geth

	Capabilities []string // what engine_exchangeCapabilities lists; default: what a node answers up to Osaka
	ChainID      uint64   // default: 1
	Genesis      string   // hash of block 0; default: GenesisHash
	Syncing      bool     // what eth_syncing says

	// Strict makes the client say SYNCING to a payload whose parent it doesn't have and to a head that it doesn't have.
	Strict bool

	PayloadID  string         // id of every build; default: its own for each build and each node
	BlockValue string         // of every build, in hex; default: 0x1
	Build      func(*Payload) // changes what getPayload* returns, before it is hashed; must not call the node
}

func (c Client) withDefaults() Client {
	c.Code = cmp.Or(c.Code, "GE")
	c.Name = cmp.Or(c.Name, "geth")
	c.Version = cmp.Or(c.Version, "v1.17.10")
	c.Commit = cmp.Or(c.Commit, "0x01020304")
	if c.Capabilities == nil {
		c.Capabilities = []string{
			"engine_newPayloadV1", "engine_newPayloadV2", "engine_newPayloadV3", "engine_newPayloadV4",
			"engine_forkchoiceUpdatedV1", "engine_forkchoiceUpdatedV2", "engine_forkchoiceUpdatedV3",
			"engine_getPayloadV1", "engine_getPayloadV2", "engine_getPayloadV3", "engine_getPayloadV4",
			"engine_getPayloadV5", "engine_getClientVersionV1",
		}
	}
	c.ChainID = cmp.Or(c.ChainID, 1)
	c.Genesis = cmp.Or(c.Genesis, GenesisHash)
	c.BlockValue = cmp.Or(c.BlockValue, "0x1")
	return c
}

// Update changes the client while it runs.
func (n *Node) Update(change func(*Client)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.client)
	n.client = n.client.withDefaults()
	if n.client.Genesis != n.chain.genesis {
		n.chain = newChain(n.client.Genesis)
	}
}

var unknownPayload = &RPCError{Code: -38001, Message: "Unknown payload"}

// execute carries out a call as the client would.
func (n *Node) execute(c *Call) (result any, failure *RPCError) {
	if c.Method == "" {
		if !json.Valid(c.raw) {
			return nil, &RPCError{Code: -32700, Message: "parse error"}
		}
		return nil, &RPCError{Code: -32600, Message: "invalid request"}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	result, err := n.dispatch(c)
	if known, ok := err.(*RPCError); ok {
		return nil, known
	}
	if err != nil {
		return nil, &RPCError{Code: -32602, Message: err.Error()}
	}
	return result, nil
}

// dispatch finds the method. The caller holds n.mu.
func (n *Node) dispatch(c *Call) (any, error) {
	switch family, version := split(c.Method); family {
	case "engine_newPayload":
		return n.newPayload(c)
	case "engine_forkchoiceUpdated":
		return n.forkchoiceUpdated(c)
	case "engine_getPayload":
		return n.getPayload(c, version)
	case "engine_exchangeCapabilities":
		return n.client.Capabilities, nil
	case "engine_getClientVersion":
		client := map[string]string{
			"code": n.client.Code, "name": n.client.Name, "version": n.client.Version, "commit": n.client.Commit,
		}
		return []any{client}, nil
	case "eth_syncing":
		if n.client.Syncing {
			number := n.chain.blocks[n.chain.head].Number
			return map[string]quantity{"startingBlock": 0, "currentBlock": number, "highestBlock": number + 1}, nil
		}
		return false, nil
	case "eth_chainId":
		return quantity(n.client.ChainID), nil
	case "net_version":
		return strconv.FormatUint(n.client.ChainID, 10), nil
	case "web3_clientVersion":
		return n.client.Name + "/" + n.client.Version, nil
	case "eth_blockNumber":
		return n.chain.blocks[n.chain.head].Number, nil
	case "eth_getBlockByNumber":
		return n.getBlockByNumber(c)
	case "eth_getBlockByHash":
		return n.getBlockByHash(c)
	}
	return nil, &RPCError{Code: -32601, Message: fmt.Sprintf("the method %s does not exist/is not available", c.Method)}
}

// quantity is a number as the Engine API writes it.
type quantity uint64

func (q quantity) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "0x%x", uint64(q)), nil }

func (q *quantity) UnmarshalText(text []byte) error {
	digits, ok := strings.CutPrefix(string(text), "0x")
	if !ok {
		return fmt.Errorf("quantity %q without 0x", text)
	}
	v, err := strconv.ParseUint(digits, 16, 64)
	*q = quantity(v)
	return err
}
