// Package blockhash judges a newPayload call by what the call itself says, without any state: does the payload hash to
// the block hash that it claims, do its blob transactions carry the versioned hashes that the consensus client expects,
// and is no transaction empty. The specification asks this of every execution client, even one that is syncing:
// https://github.com/ethereum/execution-apis/blob/main/src/engine/paris.md#specification (points 1 and 2) and
// https://github.com/ethereum/execution-apis/blob/main/src/engine/cancun.md#specification (point 3).
//
// Whatever the package doesn't know is skipped, never guessed: a newer method, a field that doesn't belong to the
// version, a value of the wrong form.
package blockhash

import (
	"context"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

// Outcome is what Check found.
type Outcome int

const (
	// Skipped means that nothing can be said about the payload.
	Skipped Outcome = iota
	// Match means that the payload is consistent in itself. It may still be invalid for what its execution does.
	Match
	// Invalid means that no client that follows the specification can call this payload valid.
	Invalid
)

// String returns the outcome in a word, fit for a metric's label.
func (o Outcome) String() string { return [...]string{"skipped", "match", "invalid"}[o] }

// Result is an outcome and, unless it is Match, the reason for it.
type Result struct {
	Outcome Outcome
	// Reason is a sentence for validationError (Invalid) or for the log (Skipped).
	Reason string
	// HashMismatch tells that an Invalid payload has the wrong block hash. newPayloadV1 calls this INVALID_BLOCK_HASH.
	HashMismatch bool
}

// Check judges a call of an engine_newPayload method. Params is the call's whole params array, as it came over the
// wire.
//
// Params are read once, in place, and beside a copy of the largest transaction little is held, whatever the payload's
// size. When ctx ends, so does the work, after the transaction at hand, and the outcome is Skipped.
func Check(ctx context.Context, method string, params []byte) Result {
	version, ok := versionOf(method)
	if !ok {
		return Result{Reason: fmt.Sprintf("the method %.60q is not known", method)}
	}
	p := payload{version: version}
	cur := cursor{ctx: ctx, rest: params}
	p.read(&cur)
	if cur.err != nil {
		return Result{Reason: cur.err.Error()}
	}
	return p.judge()
}

// Known reports whether payloads of an engine_newPayload method can be checked, as far as their fields are known.
func Known(method string) bool {
	_, ok := versionOf(method)
	return ok
}

// versionOf returns the version N of engine_newPayloadVN and engine_newPayloadWithWitnessVN, which has the same params.
func versionOf(method string) (int, bool) {
	number, ok := strings.CutPrefix(method, "engine_newPayloadV")
	if !ok {
		number, ok = strings.CutPrefix(method, "engine_newPayloadWithWitnessV")
	}
	// V6 carries V5's payload; a later version may change the header.
	if !ok || len(number) != 1 || number < "1" || number > "6" {
		return 0, false
	}
	return int(number[0] - '0'), true
}

// judge gives the verdict on a payload that was read to its end.
func (p *payload) judge() Result {
	if p.badTransaction != "" {
		return Result{Outcome: Invalid, Reason: p.badTransaction}
	}
	if p.version >= 3 {
		if difference := compareHashes(p.expectedBlobHashes, p.blobHashes); difference != "" {
			return Result{Outcome: Invalid, Reason: "blob versioned hashes do not match: " + difference}
		}
	}
	if hash := p.header.Hash(); hash != p.blockHash {
		return Result{Outcome: Invalid, HashMismatch: true, Reason: fmt.Sprintf(
			"block hash mismatch: payload says %s, header hashes to %s", p.blockHash, hash)}
	}
	return Result{Outcome: Match}
}

// compareHashes says how the blob hashes in the transactions differ from the expected ones, or nothing if they don't.
func compareHashes(expected, actual []common.Hash) string {
	if len(actual) != len(expected) {
		return fmt.Sprintf("%d expected, the transactions have %d", len(expected), len(actual))
	}
	for i := range expected {
		if actual[i] != expected[i] {
			return fmt.Sprintf("number %d should be %s, the transactions have %s", i, expected[i], actual[i])
		}
	}
	return ""
}
