package geth

import (
	"context"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
)

// Chain is a chain in the form in which a consensus client hands it to a node.
type Chain struct {
	Genesis *core.Genesis
	// PreMerge are the blocks up to the merge, for Node.Import.
	PreMerge []*types.Block
	// Payloads are all later blocks in order.
	Payloads []Payload
}

// blocksPerFork is how many blocks NewChain makes in each fork.
const blocksPerFork = 2

// NewChain makes a chain with two blocks in each fork from Paris to Amsterdam, one every 12 s from time 12 on. Every
// block has a transfer, and a withdrawal since Shanghai. The second block of a fork also creates a contract, makes an
// execution request (since Prague) and, if blobs is set, carries a blob (since Osaka), which costs two seconds, ten
// with the race detector.
func NewChain(ctx context.Context, blobs bool) (*Chain, error) {
	begin := func(fork uint64) *uint64 { return new(secondsPerSlot * (blocksPerFork*fork + 1)) }
	genesis := Genesis(Schedule{
		Shanghai: begin(1), Cancun: begin(2), Prague: begin(3), Osaka: begin(4), BPO1: begin(5), Amsterdam: begin(6),
	})
	node, err := Start(Config{Genesis: genesis})
	if err != nil {
		return nil, err
	}
	defer node.Stop()
	call, err := node.Dial()
	if err != nil {
		return nil, err
	}
	producer, err := NewProducer(ctx, genesis.Config, call)
	if err != nil {
		return nil, err
	}
	chain := &Chain{Genesis: genesis}
	plan := plan{config: genesis.Config, blobs: blobs}
	for number := uint64(1); number <= 7*blocksPerFork; number++ {
		order, err := plan.order(number)
		if err != nil {
			return nil, err
		}
		if err := node.AddTransactions(order.Transactions...); err != nil {
			return nil, err
		}
		payload, err := producer.Produce(ctx, order)
		if err != nil {
			return nil, err
		}
		chain.Payloads = append(chain.Payloads, payload)
	}
	return chain, nil
}

// plan says what the blocks of NewChain hold.
type plan struct {
	config           *params.ChainConfig
	blobs            bool
	nonce, blobNonce uint64 // of the next transactions
}

// order returns the order for a block. The orders must be asked for in sequence.
func (p *plan) order(number uint64) (Order, error) {
	order := Order{Timestamp: secondsPerSlot * number, FeeRecipient: common.Address{19: 0xfe}}
	block := new(big.Int).SetUint64(number)
	if p.config.IsShanghai(block, order.Timestamp) {
		order.Withdrawals = types.Withdrawals{{Index: number, Validator: 7, Address: Developer, Amount: 1e9}} // gwei
	}
	add := func(tx *types.Transaction) {
		order.Transactions = append(order.Transactions, tx)
		p.nonce++
	}
	add(Transfer(p.nonce))
	if number%blocksPerFork == 1 {
		return order, nil
	}
	add(Transaction(p.nonce, nil, new(big.Int), creation))
	if p.config.IsPrague(block, order.Timestamp) {
		add(WithdrawalRequest(p.nonce))
	}
	if p.blobs && p.config.IsOsaka(block, order.Timestamp) {
		tx, err := BlobTransaction(p.blobNonce)
		if err != nil {
			return Order{}, fmt.Errorf("make a blob: %w", err)
		}
		order.Transactions = append(order.Transactions, tx)
		p.blobNonce++
	}
	return order, nil
}

// creation is init code for every fork: it stores 1 in slot 0 and returns the one byte of the contract, STOP.
var creation = common.FromHex("6001600055" + "60016000f3")
