package blockhash_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"executionbackup/internal/blockhash"
)

var match = blockhash.Result{Outcome: blockhash.Match}

func TestMatch(t *testing.T) {
	for version := 1; version <= 6; version++ {
		params := sample(t, version).params(t)
		for _, method := range []string{method(version), fmt.Sprintf("engine_newPayloadWithWitnessV%d", version)} {
			if got := blockhash.Check(t.Context(), method, params); got != match {
				t.Errorf("%s: %+v, want %+v", method, got, match)
			}
		}
	}
}

// A block without transactions, withdrawals, requests and blobs.
func TestMatchEmpty(t *testing.T) {
	c := newCall(t, 4, nil)
	c.rest[0] = json.RawMessage("[]")
	if got := blockhash.Check(t.Context(), method(4), c.params(t)); got != match {
		t.Errorf("%+v, want %+v", got, match)
	}
}

// newPayloadV2 carries the payload of V1, too.
func TestMatchV2BeforeShanghai(t *testing.T) {
	params := sample(t, 1).params(t)
	if got := blockhash.Check(t.Context(), method(2), params); got != match {
		t.Errorf("%+v, want %+v", got, match)
	}
}

// White space and the order of fields mean nothing.
func TestMatchAnyLayout(t *testing.T) {
	c := sample(t, 5)
	var text bytes.Buffer
	text.WriteString(" [ {")
	for i, name := range slices.Backward(slices.Sorted(maps.Keys(c.payload))) {
		fmt.Fprintf(&text, "\n\t%q : %s", name, c.payload[name])
		if i > 0 {
			text.WriteString(" ,")
		}
	}
	fmt.Fprintf(&text, "\r\n} , %s,%s , %s ] \n", c.rest[0], c.rest[1], c.rest[2])
	if got := blockhash.Check(t.Context(), method(5), text.Bytes()); got != match {
		t.Errorf("%+v, want %+v", got, match)
	}
}

// flip changes the last hexadecimal digit before the end of a value, whatever follows it.
func flip(value json.RawMessage) json.RawMessage {
	changed := bytes.Clone(value)
	i := bytes.LastIndexAny(changed, "0123456789abcdef")
	if changed[i]++; changed[i] > '9' && changed[i] < 'a' || changed[i] > 'f' {
		changed[i] = '0'
	}
	return changed
}

// No field can change without a verdict.
func TestEveryFieldIsJudged(t *testing.T) {
	for version := 1; version <= 6; version++ {
		check := func(what string, c call) {
			t.Helper()
			got := blockhash.Check(t.Context(), method(version), c.params(t))
			if got.Outcome != blockhash.Invalid || !got.HashMismatch {
				t.Errorf("V%d with another %s: %+v, want a hash mismatch", version, what, got)
			}
		}
		for name, value := range sample(t, version).payload {
			if string(value) != "null" {
				c := sample(t, version)
				c.payload[name] = flip(value)
				check(name, c)
			}
		}
		for _, name := range []string{"index", "validatorIndex", "address", "amount"} {
			if version >= 2 {
				c := sample(t, version)
				i := bytes.Index(c.payload["withdrawals"], []byte(name))
				end := i + len(name) + 3 + bytes.IndexByte(c.payload["withdrawals"][i+len(name)+3:], '"')
				c.payload["withdrawals"] = slices.Concat(flip(c.payload["withdrawals"][:end]),
					c.payload["withdrawals"][end:])
				check(name, c)
			}
		}
		for i, name := range []string{1: "parentBeaconBlockRoot", 2: "executionRequests"} {
			if name != "" && version >= i+2 {
				c := sample(t, version)
				c.rest[i] = flip(c.rest[i])
				check(name, c)
			}
		}
	}
}

func TestInvalid(t *testing.T) {
	const hash0, hash1 = "0x0100000000000000000000000000000000000000000000000000000000000000",
		"0x0100010000000000000000000000000000000000000000000000000000000000"
	list := func(texts ...string) json.RawMessage { return encode(t, texts) }
	var blobs []string
	if err := json.Unmarshal(sample(t, 3).rest[0], &blobs); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		version int
		change  func(c call)
		want    string
	}{
		{"empty transaction", 1, func(c call) { c.payload["transactions"] = list("0x01", "0x", "0x") },
			"transaction 1 is empty"},
		{"empty transaction first", 4,
			func(c call) { c.payload["transactions"] = list("0x") }, "transaction 0 is empty"},
		{"no blob hash expected", 3, func(c call) { c.rest[0] = list([]string{}...) },
			"blob versioned hashes do not match: 0 expected, the transactions have 4"},
		{"a blob hash is missing", 3, func(c call) { c.rest[0] = list(blobs[:3]...) },
			"blob versioned hashes do not match: 3 expected, the transactions have 4"},
		{"other order", 3, func(c call) { c.rest[0] = list(blobs[1], blobs[0], blobs[2], blobs[3]) },
			"blob versioned hashes do not match: number 0 should be " + hash1 + ", the transactions have " + hash0},
		{"not RLP", 3, func(c call) { c.payload["transactions"] = list("0x02", "0x03") },
			"transaction 1 is not a blob transaction: unexpected EOF"},
		{"RLP that ends early", 6, func(c call) { c.payload["transactions"] = list("0x03c20101") },
			"transaction 0 is not a blob transaction: unexpected EOF"},
		{"a short blob hash", 3, func(c call) { c.payload["transactions"] = list("0x03cd01010101010101010101c28101") },
			"transaction 0 is not a blob transaction: rlp: non-canonical size information"},
		{"a blob hash of one byte", 3,
			func(c call) { c.payload["transactions"] = list("0x03cc01010101010101010101c101") },
			"transaction 0 is not a blob transaction: a versioned hash has 1 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := sample(t, test.version)
			test.change(c)
			got := blockhash.Check(t.Context(), method(test.version), c.params(t))
			want := blockhash.Result{Outcome: blockhash.Invalid, Reason: test.want}
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

func TestHashMismatchNamesBothHashes(t *testing.T) {
	c := sample(t, 2)
	right, wrong := string(c.payload["blockHash"]), "0x"+strings.Repeat("ab", 32)
	c.payload["blockHash"] = encode(t, wrong)
	got := blockhash.Check(t.Context(), method(2), c.params(t))
	want := blockhash.Result{Outcome: blockhash.Invalid, HashMismatch: true,
		Reason: "block hash mismatch: payload says " + wrong + ", header hashes to " + strings.Trim(right, `"`)}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestAbandoned(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := blockhash.Check(ctx, method(1), sample(t, 1).params(t))
	if got.Outcome != blockhash.Skipped || !strings.HasSuffix(got.Reason, "abandoned: context canceled") {
		t.Errorf("%+v, want skipped and abandoned", got)
	}
}
