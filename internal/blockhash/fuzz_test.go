package blockhash_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"executionbackup/internal/blockhash"
)

// FuzzCheck compares with go-ethereum's own reading of the same call: it must not find another block hash than Check.
// Run it with -fuzzminimizetime=100x; the inputs are long, and the default spends a minute on shortening each.
func FuzzCheck(f *testing.F) {
	for version := 1; version <= 6; version++ {
		txs := transactions(version >= 3)[:8]
		f.Add(method(version), newCall(f, version, txs).params(f))
	}
	f.Add("engine_newPayloadWithWitnessV2", newCall(f, 1, nil).params(f))
	f.Fuzz(func(t *testing.T, method string, params []byte) {
		got := blockhash.Check(t.Context(), method, params)
		if (got.Outcome == blockhash.Match) != (got.Reason == "") {
			t.Fatalf("%+v: a reason belongs to all but a match", got)
		}
		if got.Outcome == blockhash.Skipped {
			return
		}
		err := gethSays(params)
		mismatch := err != nil && strings.Contains(err.Error(), "blockhash mismatch")
		if got.Outcome == blockhash.Match && mismatch {
			t.Errorf("a match, but geth says: %v", err)
		}
		if got.Outcome == blockhash.Invalid && err == nil {
			t.Errorf("%+v, but geth finds nothing wrong", got)
		}
	})
}

// gethSays builds a block from the params with go-ethereum's own functions.
func gethSays(params []byte) error {
	var list []json.RawMessage
	if err := json.Unmarshal(params, &list); err != nil {
		return err
	}
	var (
		data       engine.ExecutableData
		blobHashes []common.Hash
		beaconRoot *common.Hash
		hexes      []hexutil.Bytes
		requests   [][]byte
	)
	for i, into := range []any{&data, &blobHashes, &beaconRoot, &hexes} {
		if i < len(list) {
			if err := json.Unmarshal(list[i], into); err != nil {
				return err
			}
		}
	}
	if hexes != nil {
		requests = [][]byte{}
	}
	for _, request := range hexes {
		requests = append(requests, request)
	}
	_, err := engine.ExecutableDataToBlock(data, blobHashes, beaconRoot, requests)
	return err
}
