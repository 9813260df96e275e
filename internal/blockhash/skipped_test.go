package blockhash_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"executionbackup/internal/blockhash"
)

func TestUnknownMethods(t *testing.T) {
	params := sample(t, 5).params(t)
	for _, name := range []string{
		"engine_newPayloadV7", "engine_newPayloadV0", "engine_newPayloadV", "engine_newPayloadV05",
		"engine_newPayloadV15", "engine_newPayloadV-5", "engine_newPayloadFancyV5", "engine_newPayload",
		"engine_newpayloadV5", "engine_newPayloadWithWitnessV7", "eth_call", "",
	} {
		if got := blockhash.Check(t.Context(), name, params); got.Outcome != blockhash.Skipped || got.Reason == "" {
			t.Errorf("%q: %+v, want skipped with a reason", name, got)
		}
	}
}

// A call of another shape than its method's is not judged, even where its hash could be computed.
func TestOtherShapes(t *testing.T) {
	set := func(field, value string) func(*call) {
		return func(c *call) { c.payload[field] = json.RawMessage(value) }
	}
	hash := func(digits int) string { return `"0x` + strings.Repeat("0", digits) + `"` }
	for _, test := range []struct {
		name    string
		version int
		change  func(c *call)
		want    string
	}{
		{"unknown field", 3, set("newThing", `"0x0"`), "executionPayload: newThing: not a field that is known"},
		{"unknown field that is null", 3, set("newThing", "null"),
			"executionPayload: newThing: not a field that is known"},
		{"long unknown field", 3, set(strings.Repeat("x", 1000), "null"),
			"executionPayload: " + strings.Repeat("x", 40) + ": not a field that is known"},
		{"other case", 3, set("BlockHash", hash(64)), "executionPayload: BlockHash: not a field that is known"},
		{"withdrawals in V1", 1, set("withdrawals", "[]"), "executionPayload: withdrawals: not a field of V1"},
		{"blob gas in V2", 2, set("blobGasUsed", `"0x0"`), "executionPayload: blobGasUsed: not a field of V2"},
		{"slot number in V4", 4, set("slotNumber", `"0x0"`), "executionPayload: slotNumber: not a field of V4"},
		{"withdrawals missing", 3,
			func(c *call) { delete(c.payload, "withdrawals") }, "executionPayload: withdrawals: missing"},
		{"null is missing", 5, set("blockAccessList", "null"), "executionPayload: blockAccessList: missing"},
		{"null hash", 1, set("stateRoot", "null"), "executionPayload: stateRoot: missing"},
		{"short hash", 1, set("stateRoot", hash(62)), "executionPayload: stateRoot: 31 bytes instead of 32"},
		{"long hash", 1, set("stateRoot", hash(66)), "executionPayload: stateRoot: 33 bytes instead of 32"},
		{"odd digits", 1, set("extraData", `"0x0"`),
			"executionPayload: extraData: encoding/hex: odd length hex string"},
		{"no prefix", 1, set("extraData", `"00"`), "executionPayload: extraData: want a string that begins with 0x"},
		{"upper-case prefix", 1, set("extraData", `"0X00"`),
			"executionPayload: extraData: want a string that begins with 0x"},
		{"not hex", 1, set("extraData", `"0xgg"`),
			"executionPayload: extraData: encoding/hex: invalid byte: U+0067 'g'"},
		{"escaped digit", 1, set("extraData", `"0x\u0030\u0030"`),
			`executionPayload: extraData: encoding/hex: invalid byte: U+005C '\'`},
		{"long extra data", 1, set("extraData", hash(66)), "executionPayload: extraData: more than 32 bytes"},
		{"number", 1, set("gasUsed", "7"), `executionPayload: gasUsed: want "\"", have "7,\"logsBlo"`},
		{"leading zero", 1, set("gasUsed", `"0x07"`), "executionPayload: gasUsed: not a quantity of 64 bits"},
		{"no digits", 1, set("gasUsed", `"0x"`), "executionPayload: gasUsed: not a quantity of 64 bits"},
		{"65 bits", 1, set("gasUsed", `"0x10000000000000000"`), "executionPayload: gasUsed: not a quantity of 64 bits"},
		{"signed", 1, set("gasUsed", `"0x-1"`), "executionPayload: gasUsed: encoding/hex: invalid byte: U+002D '-'"},
		{"257 bits", 1, set("baseFeePerGas", `"0x1`+strings.Repeat("0", 64)+`"`),
			"executionPayload: baseFeePerGas: not a quantity of 256 bits"},
		{"transactions are no list", 1, set("transactions", "{}"),
			`executionPayload: transactions: want "[", have "{},\"withdr"`},
		{"null transaction", 1, set("transactions", `[null]`),
			`executionPayload: transactions: want "\"", have "null],\"wit"`},
		{"withdrawal without amount", 2, set("withdrawals", `[{"index":"0x1","validatorIndex":"0x1"}]`),
			"executionPayload: withdrawals: a withdrawal has 2 fields instead of 4"},
		{"withdrawal with more", 2, set("withdrawals", `[{"kind":"0x1"}]`),
			"executionPayload: withdrawals: kind: not a field that is known"},
		{"withdrawal with a field twice", 2, set("withdrawals", `[{"index":"0x1","index":"0x1"}]`),
			"executionPayload: withdrawals: index: given twice"},
		{"a param too few", 3, func(c *call) { c.rest = c.rest[:1] }, `want ",", have "]"`},
		{"a param too many", 3, func(c *call) { c.rest = append(c.rest, json.RawMessage("[]")) },
			`want "]", have ",[]]"`},
		{"null blob hashes", 3, func(c *call) { c.rest[0] = json.RawMessage("null") },
			`expectedBlobVersionedHashes: want "[", have "null,\"0x13"`},
		{"null root", 3, func(c *call) { c.rest[1] = json.RawMessage("null") },
			`parentBeaconBlockRoot: want "\"", have "null]"`},
		{"null requests", 4, func(c *call) { c.rest[2] = json.RawMessage("null") },
			`executionRequests: want "[", have "null]"`},
		{"inclusion list of numbers", 6, func(c *call) { c.rest[3] = json.RawMessage("[1]") },
			`inclusionListTransactions: want "\"", have "1]]"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := sample(t, test.version)
			test.change(&c)
			got := blockhash.Check(t.Context(), method(test.version), c.params(t))
			want := blockhash.Result{Reason: test.want}
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// What isn't an array of exactly these values, or not JSON, is no call.
func TestOtherText(t *testing.T) {
	good := sample(t, 1).params(t)
	object := good[1 : len(good)-1]
	for name, params := range map[string][]byte{
		"nothing":            nil,
		"null":               []byte("null"),
		"an empty array":     []byte("[]"),
		"by name":            object,
		"text after it":      append(bytes.Clone(good), '1'),
		"a comma at the end": append(bytes.TrimSuffix(good, []byte("]")), ",]"...),
		"a duplicate":        bytes.Replace(good, []byte("{"), []byte(`{"gasUsed":"0x7",`), 1),
		"a null duplicate":   bytes.Replace(good, []byte("{"), []byte(`{"gasUsed":null,`), 1),
		"an escaped name":    bytes.Replace(good, []byte("gasUsed"), []byte(`gas\u0055sed`), 1),
		"a comma in front":   bytes.Replace(good, []byte("{"), []byte("{,"), 1),
	} {
		got := blockhash.Check(t.Context(), method(1), params)
		if got.Outcome != blockhash.Skipped || got.Reason == "" {
			t.Errorf("%s: %+v, want skipped with a reason", name, got)
		}
	}
	for end := range good {
		if end%97 != 0 && end < len(good)-100 {
			continue // the text is long
		}
		if got := blockhash.Check(t.Context(), method(1), good[:end]); got.Outcome != blockhash.Skipped {
			t.Errorf("the first %d bytes: %+v, want skipped", end, got)
		}
	}
}
