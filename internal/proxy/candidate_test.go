package proxy

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
)

// What comes with the blobs has the numbers and lengths of the method's version; of one that we don't know nothing is said.
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
			result := fmt.Sprintf(`{"blobsBundle":{"commitments":%s,"proofs":%s,"blobs":%s}}`, c.commitments, c.proofs, c.blobs)
			var b built
			if err := jsonrpc.Read([]byte(result), b.fields(m)...); err != nil {
				t.Fatal(err)
			}
			if got := b.misfit(m); (got == "") != (c.want == "") || !strings.HasSuffix(got, c.want) {
				t.Errorf("V%s: got %q, want %q", version, got, c.want)
			}
		}
	}
}

// The right fee recipient comes before who won, that before value, value before gas, and gas before the primary, in whatever order they came.
func TestRank(t *testing.T) {
	wei := big.NewInt
	want := []*candidate{ // best first; the primary's and the winner's have a fate
		{value: wei(1), out: "won"},
		{value: wei(3)},
		{value: wei(2), gasUsed: 9},
		{value: wei(2), gasUsed: 1, out: "primary"},
		{value: wei(2), gasUsed: 1},
		{value: wei(0), gasUsed: 8, out: "primary"},
		{gasUsed: 7},
		{gasUsed: 6, out: "primary"},
		{gasUsed: 6},
		{value: wei(8), out: "won", wrongRecipient: true},
		{value: wei(9), gasUsed: 9, out: "primary", wrongRecipient: true},
		{wrongRecipient: true},
	}
	for i := range want {
		got := append(slices.Clone(want[i:]), want[:i]...)
		slices.Reverse(got)
		is := func(fate string) func(*candidate) bool { return func(c *candidate) bool { return c.out == fate } }
		rank(got, is("primary"), is("won"))
		if !slices.Equal(got, want) {
			t.Errorf("turned by %d: wrong order", i)
		}
	}
}
