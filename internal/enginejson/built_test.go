package enginejson_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"

	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/rawjson"
)

// readBuilt reads what a method built, as whoever receives it does.
func readBuilt(m engine.Method, result []byte) (*engine.Built, error) {
	r := enginejson.NewBuiltReader(m)
	if err := rawjson.Read(result, r.Fields()...); err != nil {
		return nil, err
	}
	return r.Read(result)
}

// What comes with the blobs has the numbers and lengths of the method's version; of one that we don't know nothing is
// said.
func TestBundleFits(t *testing.T) {
	data := func(bytes int) string { return `"0x` + strings.Repeat("00", bytes) + `"` }
	many := func(one string, n int) string { return "[" + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + "]" }
	commitment, blob := data(48), data(131072)
	for _, c := range []struct {
		versions                   string
		commitments, proofs, blobs string
		want                       string // "" where it fits
	}{
		{"3 4 5 6", "[]", "[]", "[]", ""},
		{"3 4", many(commitment, 2), many(commitment, 2), many(blob, 2), ""},
		{"5 6", many(commitment, 2), many(commitment, 256), many(blob, 2), ""},
		{"5 6", many(commitment, 2), many(commitment, 2), many(blob, 2), "2 proofs for 2 blobs"},
		{"3 4", many(commitment, 1), many(commitment, 128), many(blob, 1), "128 proofs for 1 blobs"},
		{"3 5", "[]", many(commitment, 1), "[]", "1 proofs for 0 blobs"},
		{"3 4 5 6", many(commitment, 1), "[]", many(`"0x00"`, 1), "0 proofs for 1 blobs"},
		{"3 4 5 6", many(commitment, 1), "[]", many(blob, 2), "2 blobs for 1 commitments"},
		{"3 4", many(commitment, 1), many(commitment, 1), many(`"0x00"`, 1), "a blob has not 131072 bytes"},
		{"3 4", many(data(47), 1), many(commitment, 1), many(blob, 1), "a commitment has not 48 bytes"},
		{"3 4", many(commitment, 1), many(data(49), 1), many(blob, 1), "a proof has not 48 bytes"},
		{"3 4", many(commitment, 1), many("null", 1), many(blob, 1), "a proof has not 48 bytes"},
		{"3 4 5 6", "null", "[]", "[]", "missing or malformed"},
		{"3 4 5 6", "[]", "null", "[]", "missing or malformed"},
		{"3 4 5 6", "[]", "[]", "7", "missing or malformed"},
		{"2 7 99 4P11", many(commitment, 1), "[]", many(`"0x00"`, 3), ""},
	} {
		for version := range strings.FieldsSeq(c.versions) {
			m := engine.ParseMethod("engine_getPayloadV" + version)
			result := fmt.Sprintf(`"blobsBundle":{"commitments":%s,"proofs":%s,"blobs":%s}`,
				c.commitments, c.proofs, c.blobs)
			b, err := readBuilt(m, []byte(strings.Replace(enginetest.BuiltPayload, enginetest.BuiltBundle, result, 1)))
			if err != nil {
				t.Fatal(err)
			}
			if got := b.Misfit; (got == "") != (c.want == "") || !strings.HasSuffix(got, c.want) {
				t.Errorf("V%s: got %q, want %q", version, got, c.want)
			}
		}
	}
}

// FuzzBuilt reads built payloads. What is judged must mean the same to encoding/json, which the CL's decoder is taken
// to be like, and to make a newPayload of it must not panic.
func FuzzBuilt(f *testing.F) {
	for version := range 7 {
		f.Add(version, []byte(enginetest.BuiltPayload))
	}
	for version := range 2 {
		f.Add(version, []byte(enginetest.BuiltPayloadV1))
	}
	f.Fuzz(func(t *testing.T, version int, result []byte) {
		m := engine.ParseMethod(fmt.Sprintf("engine_getPayloadV%d", version))
		b, err := readBuilt(m, result)
		if err != nil {
			return
		}
		enginejson.NewPayload(m, b, nil)
		if !json.Valid(result) {
			return
		}
		type judged struct {
			BlockHash, ParentHash, PrevRandao string
			BlockNumber, Timestamp            hexutil.Uint64
		}
		var second struct {
			judged
			ExecutionPayload judged
			BlockValue       *hexutil.Big
		}
		if err := json.Unmarshal(result, &second); err != nil {
			if m.Version < 2 {
				return // a member around a payload that has none
			}
			t.Fatalf("%q is accepted, and %v", result, err)
		}
		payload, value := second.ExecutionPayload, (*big.Int)(second.BlockValue)
		if len(b.Raw) == len(result) { // without an envelope
			payload, value = second.judged, nil
		}
		if !strings.EqualFold(payload.BlockHash, b.Payload.Hash.Hex()) ||
			!strings.EqualFold(payload.ParentHash, b.Payload.Parent.Hex()) ||
			!strings.EqualFold(payload.PrevRandao, b.PrevRandao.Hex()) ||
			uint64(payload.BlockNumber) != b.Payload.Number ||
			uint64(payload.Timestamp) != b.Payload.Timestamp || (value == nil) != (b.Value == nil) ||
			value != nil && value.Cmp(b.Value) != 0 {
			t.Fatalf("%q read as %+v %v and %+v", result, b.Payload, b.Value, second)
		}
	})
}
