// Package enginejson reads and writes the words of the Engine API (package engine) in JSON: calls of the CL and of our
// own, answers of nodes and ours. What is read is slices of the bytes that it came in, scanned once; only what is
// judged is decoded, and strictly: a member that could be read in two ways makes the whole malformed. See
// https://github.com/ethereum/execution-apis/tree/main/src/engine.
package enginejson

import (
	"bytes"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// parseHash decodes a raw JSON string of 32 bytes of DATA.
func parseHash(raw []byte) (hash common.Hash, ok bool) {
	if len(raw) != 2+2+2*common.HashLength || raw[0] != '"' {
		return hash, false
	}
	return hash, hash.UnmarshalText(raw[1:len(raw)-1]) == nil
}

// parseQuantity decodes a raw JSON string of QUANTITY that fits 64 bits.
func parseQuantity(raw []byte) (n uint64, ok bool) {
	var q hexutil.Uint64
	if q.UnmarshalJSON(bytes.TrimSpace(raw)) != nil {
		return 0, false
	}
	return uint64(q), true
}

// orNull is a raw value, or null where there is none.
func orNull(raw []byte) []byte {
	if raw == nil {
		return null
	}
	return raw
}

var null = []byte("null")
