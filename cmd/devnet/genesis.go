package main

import (
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/params"

	"executionbackup/internal/geth"
)

// amsterdamSlot is the first slot of that fork, from the start on. Before it is Osaka.
const amsterdamSlot = 20

// chooseGenesis returns the genesis that the file of --genesis has, or a new one.
func chooseGenesis(o options) (*core.Genesis, error) {
	switch {
	case o.genesis != "":
		return readGenesis(o.genesis)
	case o.cl:
		return plainGenesis(), nil
	}
	return newGenesis(o.period), nil
}

// isTimely reports whether timestamps, which are whole seconds, can keep up with the blocks.
func isTimely(period time.Duration) bool { return period >= time.Second }

// newGenesis begins a chain now. It is on Osaka, and comes to Amsterdam by itself. Where its timestamps can't keep up
// it begins in the future, so that no verdict goes by them.
func newGenesis(period time.Duration) *core.Genesis {
	first := time.Now() // of block 1
	if !isTimely(period) {
		first = first.Add(time.Hour)
	}
	amsterdam := uint64(first.Add(amsterdamSlot * max(period, time.Second)).Unix())
	begin := new(uint64)
	genesis := geth.Genesis(geth.Schedule{
		Shanghai: begin, Cancun: begin, Prague: begin, Osaka: begin, BPO1: begin, Amsterdam: &amsterdam,
	})
	genesis.Timestamp = uint64(first.Unix()) - 1
	return genesis
}

// plainGenesis begins a chain now that stays on Prague: every consensus client can begin there, and no later fork's
// time depends on how long its slots and epochs are.
func plainGenesis() *core.Genesis {
	begin := new(uint64)
	genesis := geth.Genesis(geth.Schedule{Shanghai: begin, Cancun: begin, Prague: begin})
	genesis.Config.BlobScheduleConfig.BPO1 = nil
	genesis.Timestamp = uint64(time.Now().Unix())
	return genesis
}

// readGenesis reads a genesis in geth's form.
func readGenesis(file string) (*core.Genesis, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	genesis := new(core.Genesis)
	if err := json.Unmarshal(text, genesis); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if genesis.Config == nil || genesis.Config.ChainID == nil {
		return nil, fmt.Errorf("%s has no config.chainId", file)
	}
	if !genesis.Config.IsPrague(new(big.Int), genesis.Timestamp) {
		return genesis, nil
	}
	// geth makes no block without them, and tells its caller that the payload's attributes are invalid.
	for _, contract := range []common.Address{params.WithdrawalQueueAddress, params.ConsolidationQueueAddress} {
		if len(genesis.Alloc[contract].Code) == 0 {
			return nil, fmt.Errorf("%s lacks the system contract %s, without which Prague has no block", file, contract)
		}
	}
	return genesis, nil
}

// writeGenesis writes a genesis in geth's form.
func writeGenesis(file string, genesis *core.Genesis) error {
	text, err := json.MarshalIndent(genesis, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o600)
}
