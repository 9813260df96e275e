package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/geth"
)

// patience is how long a consensus client waits for newPayload and forkchoiceUpdated.
const patience = 8 * time.Second

// consensusClient plays the consensus client that proposes every block, and the users whose transactions are in them.
// It knows ExecutionBackup, and no node.
type consensusClient struct {
	call     geth.Call
	producer *geth.Producer
	payload  *geth.Payload        // built, and not VALID yet
	txs      []*types.Transaction // of the next block
	nonce    uint64               // of the first of them
}

func newConsensusClient(ctx context.Context, net *network) (*consensusClient, error) {
	call, err := geth.Dial(net.url, net.secret)
	if err != nil {
		return nil, err
	}
	c := &consensusClient{call: call}
	if c.producer, err = geth.NewProducer(ctx, net.genesis.Config, call); err != nil {
		return nil, err
	}
	return c, c.send(ctx)
}

// slot is what became of the time that one block has.
type slot struct {
	payload geth.Payload // the block; zero where none could be built
	txs     int          // in the block
	err     error        // why it isn't the head now
	sendErr error        // why the next block's transactions weren't taken
}

// slot makes a block the head. One that isn't called VALID is put to ExecutionBackup again in the next slot.
func (c *consensusClient) slot(ctx context.Context) slot {
	s := slot{txs: len(c.txs)}
	s.payload, s.err = c.propose(ctx)
	if s.err == nil {
		c.nonce += uint64(len(c.txs))
		c.txs = nil
	}
	s.sendErr = c.send(ctx)
	return s
}

// propose makes the calls of a proposer: forkchoiceUpdated with attributes, getPayload, newPayload, forkchoiceUpdated.
func (c *consensusClient) propose(ctx context.Context) (geth.Payload, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if c.payload == nil {
		payload, err := c.producer.Build(ctx, geth.Order{
			Timestamp: c.timestamp(), Transactions: c.txs,
		})
		if err != nil {
			return geth.Payload{}, err
		}
		c.payload = &payload
	}
	payload := *c.payload
	if err := payload.Import(ctx, c.call, common.Hash{}, common.Hash{}); err != nil {
		return payload, err
	}
	c.producer.Head, c.payload = payload, nil
	return payload, nil
}

// timestamp is that of a block whose slot begins now, on a chain that isn't ahead of the clock.
func (c *consensusClient) timestamp() uint64 {
	return max(c.producer.Head.Timestamp+1, uint64(time.Now().Unix()))
}

// send sends the transactions of the next block, so that they are in the pools when it is built; those that a block is
// still to have, once more: a node that has been stopped has lost them.
func (c *consensusClient) send(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if c.txs == nil {
		for i := range 1 + (c.producer.Head.Number+1)%4 {
			c.txs = append(c.txs, geth.Transfer(c.nonce+i))
		}
	}
	for _, tx := range c.txs {
		raw, err := tx.MarshalBinary()
		if err != nil {
			return err
		}
		_, err = c.call(ctx, "eth_sendRawTransaction", hexutil.Bytes(raw))
		if err != nil && !strings.Contains(err.Error(), "already known") {
			return fmt.Errorf("transaction %d: %w", tx.Nonce(), err)
		}
	}
	return nil
}
