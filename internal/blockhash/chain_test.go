package blockhash_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/beacon/engine"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/geth"
)

// Two blocks of every fork from Paris to Amsterdam, as geth builds them.
func TestOwnChain(t *testing.T) {
	chain, err := geth.NewChain(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	checkChain(t, chain)
}

// The chain of ethereum/execution-apis, made by others.
func TestForeignChain(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "testdata", "execution-apis")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the recorded chain of ethereum/execution-apis is not there: %v", err)
	}
	chain, err := geth.ReadChain(dir)
	if err != nil {
		t.Fatal(err)
	}
	checkChain(t, chain)
}

// checkChain checks every payload as it is, and then with one digit changed in one field. geth must agree: a node that
// knows none of the blocks but the genesis is the syncing client that Check stands in for.
func checkChain(t *testing.T, chain *geth.Chain) {
	node, err := geth.Start(geth.Config{Genesis: chain.Genesis})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Stop()
	call, err := node.Dial()
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range chain.Payloads {
		if got := blockhash.Check(t.Context(), payload.Method, encode(t, payload.Params)); got != match {
			t.Errorf("block %d: %+v, want %+v", payload.Number, got, match)
		}
		for _, field := range []string{"stateRoot", "transactions", "blockHash"} {
			changed := payload
			changed.Params = append([]json.RawMessage{change(t, payload.Params[0], field)}, payload.Params[1:]...)
			got := blockhash.Check(t.Context(), changed.Method, encode(t, changed.Params))
			if got.Outcome != blockhash.Invalid {
				t.Errorf("block %d with another %s: %+v, want invalid", payload.Number, field, got)
			}
			status, err := changed.NewPayload(t.Context(), call)
			if err != nil || status.Status != engine.INVALID {
				t.Errorf("block %d with another %s: geth says %s, %v, want INVALID",
					payload.Number, field, status.Status, err)
			}
		}
	}
}

// change returns a payload with the last digit of a field changed. An empty list gets an element.
func change(t *testing.T, payload json.RawMessage, field string) json.RawMessage {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(payload, &fields); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(fields[field], []byte("[]")) {
		fields[field] = json.RawMessage(`["0xc0"]`)
	} else {
		fields[field] = flip(fields[field])
	}
	return encode(t, fields)
}
