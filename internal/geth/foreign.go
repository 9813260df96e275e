package geth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/rlp"
)

// ReadChain reads a recorded chain out of a directory: genesis.json, and chain.rlp with the blocks after it, as
// ethereum/execution-apis has them in its tests.
//
// A block holds only the hash of its execution requests, so ReadChain executes the chain to get them.
func ReadChain(dir string) (*Chain, error) {
	genesis, blocks, err := readBlocks(dir)
	if err != nil {
		return nil, fmt.Errorf("read chain: %w", err)
	}
	executed, err := core.NewBlockChain(rawdb.NewMemoryDatabase(), genesis, beacon.New(ethash.NewFaker()), nil)
	if err != nil {
		return nil, fmt.Errorf("read chain: %w", err)
	}
	defer executed.Stop()
	chain := &Chain{Genesis: genesis}
	for _, block := range blocks {
		if block.Difficulty().Sign() > 0 {
			chain.PreMerge = append(chain.PreMerge, block)
		} else {
			payload, err := payloadOf(executed, block)
			if err != nil {
				return nil, fmt.Errorf("read chain: block %d: %w", block.NumberU64(), err)
			}
			chain.Payloads = append(chain.Payloads, payload)
		}
		if _, err := executed.InsertChain(types.Blocks{block}); err != nil {
			return nil, fmt.Errorf("read chain: block %d: %w", block.NumberU64(), err)
		}
	}
	return chain, nil
}

// readBlocks reads the files of a recorded chain.
func readBlocks(dir string) (*core.Genesis, []*types.Block, error) {
	text, err := os.ReadFile(filepath.Join(dir, "genesis.json"))
	if err != nil {
		return nil, nil, err
	}
	genesis := new(core.Genesis)
	if err := json.Unmarshal(text, genesis); err != nil {
		return nil, nil, fmt.Errorf("genesis.json: %w", err)
	}
	file, err := os.Open(filepath.Join(dir, "chain.rlp"))
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	var blocks []*types.Block
	for stream := rlp.NewStream(file, 0); ; {
		block := new(types.Block)
		err := stream.Decode(block)
		if errors.Is(err, io.EOF) {
			return genesis, blocks, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("chain.rlp: block after %d: %w", len(blocks), err)
		}
		blocks = append(blocks, block)
	}
}

// payloadOf makes the newPayload call for a block whose parent is the chain's head.
func payloadOf(chain *core.BlockChain, block *types.Block) (Payload, error) {
	v, err := versionsAt(chain.Config(), block.Time())
	if err != nil {
		return Payload{}, err
	}
	requests, err := requestsOf(chain, block)
	if err != nil {
		return Payload{}, err
	}
	object, err := json.Marshal(engine.BlockToExecutableData(block, nil, nil, nil).ExecutionPayload)
	if err != nil {
		return Payload{}, err
	}
	var blobHashes []common.Hash
	for _, tx := range block.Transactions() {
		blobHashes = append(blobHashes, tx.BlobHashes()...)
	}
	var beaconRoot common.Hash
	if root := block.BeaconRoot(); root != nil {
		beaconRoot = *root
	}
	return newPayload(v, object, blobHashes, beaconRoot, requests)
}

// requestsOf executes a block for its execution requests.
func requestsOf(chain *core.BlockChain, block *types.Block) ([]hexutil.Bytes, error) {
	hash := block.RequestsHash()
	if hash == nil || *hash == types.EmptyRequestsHash {
		return nil, nil
	}
	parent := chain.CurrentBlock()
	state, err := chain.StateAt(parent.Root, parent.Number, parent.Time)
	if err != nil {
		return nil, err
	}
	result, err := chain.Processor().Process(context.Background(), block, state, nil, nil, vm.Config{}, nil)
	if err != nil {
		return nil, err
	}
	if got := types.CalcRequestsHash(result.Requests); got != *hash {
		return nil, fmt.Errorf("the execution requests hash to %s, the header says %s", got, hash)
	}
	requests := make([]hexutil.Bytes, len(result.Requests))
	for i, request := range result.Requests {
		requests[i] = request
	}
	return requests, nil
}
