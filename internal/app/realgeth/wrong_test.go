package realgeth_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"executionbackup/internal/geth"
)

// wrong is a payload with one digit changed.
type wrong struct {
	geth.Payload
	what string
	// rehashed says that the block hash is that of the changed block: only who executes it finds out.
	rehashed bool
}

// wrongs returns a payload with another state root, another transaction if it has one, and another block hash.
func wrongs(t testing.TB, p geth.Payload) []wrong {
	t.Helper()
	changes := []string{"stateRoot"}
	if !bytes.Equal(member(t, p, "transactions"), []byte("[]")) {
		changes = append(changes, "transactions")
	}
	var list []wrong
	for _, name := range changes {
		changed := with(t, p, name, flip(member(t, p, name)))
		list = append(list, wrong{changed, name, false}, wrong{rehash(t, changed), name + " and its block hash", true})
	}
	return append(list, wrong{with(t, p, "blockHash", flip(member(t, p, "blockHash"))), "blockHash", false})
}

// member returns a member of a payload object.
func member(t testing.TB, p geth.Payload, name string) json.RawMessage {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(p.Params[0], &members); err != nil {
		t.Fatal(err)
	}
	return members[name]
}

// with returns a payload with another value of a member.
func with(t testing.TB, p geth.Payload, name string, value json.RawMessage) geth.Payload {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(p.Params[0], &members); err != nil {
		t.Fatal(err)
	}
	members[name] = value
	object, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	p.Params = slices.Clone(p.Params)
	p.Params[0] = object
	if err := json.Unmarshal(members["blockHash"], &p.Hash); err != nil {
		t.Fatal(err)
	}
	return p
}

// flip changes the last hexadecimal digit in a value: of the last transaction, that is in its signature.
func flip(value json.RawMessage) json.RawMessage {
	changed := bytes.Clone(value)
	i := bytes.LastIndexAny(changed, "0123456789abcdef")
	if changed[i] == '0' {
		changed[i] = '1'
	} else {
		changed[i] = '0'
	}
	return changed
}

// rehash gives a payload the block hash that it hashes to.
func rehash(t testing.TB, p geth.Payload) geth.Payload {
	t.Helper()
	var data engine.ExecutableData
	var blobHashes []common.Hash
	var beaconRoot *common.Hash
	var hexRequests []hexutil.Bytes
	for i, target := range []any{&data, &blobHashes, &beaconRoot, &hexRequests}[:len(p.Params)] {
		if err := json.Unmarshal(p.Params[i], target); err != nil {
			t.Fatal(err)
		}
	}
	var requests [][]byte
	if hexRequests != nil {
		requests = [][]byte{}
	}
	for _, request := range hexRequests {
		requests = append(requests, request)
	}
	block, err := engine.ExecutableDataToBlockNoHash(data, blobHashes, beaconRoot, requests)
	if err != nil {
		t.Fatalf("block %d: %v", p.Number, err)
	}
	hash, err := json.Marshal(block.Hash())
	if err != nil {
		t.Fatal(err)
	}
	return with(t, p, "blockHash", hash)
}
