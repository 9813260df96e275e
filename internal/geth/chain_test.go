package geth_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/geth"
)

// One node makes a chain over every fork, another imports it and has the same head.
func TestNewChain(t *testing.T) {
	chain, err := geth.NewChain(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	node, call := start(t, geth.Config{Genesis: chain.Genesis})
	importAll(t, call, chain.Payloads)

	var methods []string
	for _, payload := range chain.Payloads {
		methods = append(methods, payload.Method[len("engine_"):])
		for i, receipt := range node.Backend().BlockChain().GetReceiptsByHash(payload.Hash) {
			if receipt.Status != types.ReceiptStatusSuccessful {
				t.Errorf("block %d: transaction %d has failed", payload.Number, i)
			}
		}
	}
	want := []string{"newPayloadV1", "newPayloadV1", "newPayloadV2", "newPayloadV2", "newPayloadV3", "newPayloadV3",
		"newPayloadV4", "newPayloadV4", "newPayloadV4", "newPayloadV4", "newPayloadV4", "newPayloadV4",
		"newPayloadV5", "newPayloadV5"}
	if !slices.Equal(methods, want) {
		t.Errorf("methods %v, want %v", methods, want)
	}
	var last struct {
		Transactions []hexutil.Bytes
		Withdrawals  types.Withdrawals
	}
	end := chain.Payloads[len(chain.Payloads)-1]
	if err := json.Unmarshal(end.Params[0], &last); err != nil {
		t.Fatal(err)
	}
	if len(last.Transactions) != 4 || len(last.Withdrawals) != 1 {
		t.Errorf("the last block has %d transactions and %d withdrawals, want 4 and 1",
			len(last.Transactions), len(last.Withdrawals))
	}
	for i, name := range []string{"blob", 2: "execution request"} {
		if name != "" && string(end.Params[i+1]) == "[]" {
			t.Errorf("the last block has no %s", name)
		}
	}
}

// Each fork works from genesis on, too.
func TestForksFromGenesis(t *testing.T) {
	var schedule geth.Schedule
	forks := []**uint64{
		&schedule.Shanghai, &schedule.Cancun, &schedule.Prague, &schedule.Osaka, &schedule.BPO1, &schedule.Amsterdam,
	}
	for i, want := range []string{"V2", "V3", "V4", "V4", "V4", "V5"} {
		*forks[i] = new(uint64)
		node, call := start(t, geth.Config{Genesis: geth.Genesis(schedule)})
		for _, payload := range produce(t, node, call, 2) {
			if got := payload.Method[len("engine_newPayload"):]; got != want {
				t.Errorf("fork %d: block %d has version %s, want %s", i, payload.Number, got, want)
			}
		}
	}
}

// The chain of ethereum/execution-apis, made by others.
func TestReadChain(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "testdata", "execution-apis")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the recorded chain of ethereum/execution-apis is not there: %v", err)
	}
	chain, err := geth.ReadChain(dir)
	if err != nil {
		t.Fatal(err)
	}
	node, call := start(t, geth.Config{Genesis: chain.Genesis})
	if err := node.Import(chain.PreMerge); err != nil {
		t.Fatal(err)
	}
	importAll(t, call, chain.Payloads)
	if got, want := len(chain.PreMerge)+len(chain.Payloads), 54; got != want {
		t.Errorf("%d blocks, want %d", got, want)
	}
	// headfcu.json names this head.
	want := common.HexToHash("0xd226371d0b1551adb03fb52b71f08e3e11247fe9b1af994768af8cdaa8e7dcd7")
	if got := head(t, call); got != want {
		t.Errorf("the head is %s, want %s", got, want)
	}
}

func TestReadChainThatIsNotThere(t *testing.T) {
	if _, err := geth.ReadChain(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want %v", err, os.ErrNotExist)
	}
}

// importAll imports payloads and checks the head.
func importAll(t *testing.T, call geth.Call, payloads []geth.Payload) {
	t.Helper()
	for _, payload := range payloads {
		if err := payload.Import(t.Context(), call, common.Hash{}, common.Hash{}); err != nil {
			t.Fatalf("block %d: %v", payload.Number, err)
		}
	}
	if got, want := head(t, call), payloads[len(payloads)-1].Hash; got != want {
		t.Errorf("the head is %s, want %s", got, want)
	}
}

// A transaction that is sent over the wire reaches a block, although the pool takes it in later.
func TestProduceWaitsForTransactions(t *testing.T) {
	node, call := start(t, geth.Config{Genesis: geth.Genesis(osaka)})
	producer, err := geth.NewProducer(t.Context(), node.Config().Genesis.Config, call)
	if err != nil {
		t.Fatal(err)
	}
	for nonce := range uint64(5) {
		tx := geth.Transfer(nonce)
		raw, err := tx.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := call(t.Context(), "eth_sendRawTransaction", hexutil.Bytes(raw)); err != nil {
			t.Fatal(err)
		}
		payload, err := producer.Produce(t.Context(), geth.Order{Transactions: []*types.Transaction{tx}})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := payload.Number, nonce+1; got != want {
			t.Errorf("block %d, want %d", got, want)
		}
	}
}

func TestProduceGivesUpWithItsContext(t *testing.T) {
	node, call := start(t, geth.Config{Genesis: geth.Genesis(osaka)})
	producer, err := geth.NewProducer(t.Context(), node.Config().Genesis.Config, call)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = producer.Produce(ctx, geth.Order{Transactions: []*types.Transaction{geth.Transfer(7)}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
	}
	if producer.Head.Number != 0 {
		t.Errorf("the head is block %d, want 0", producer.Head.Number)
	}
}
