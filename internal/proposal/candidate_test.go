package proposal

import (
	"math/big"
	"slices"
	"testing"

	"executionbackup/internal/engine"
)

// The right fee recipient comes before who won, that before value, value before gas, and gas before the primary, in
// whatever order they came.
func TestRank(t *testing.T) {
	of := func(value int64, gas uint64, fate string) *candidate {
		b := &engine.Built{GasUsed: gas}
		if value >= 0 {
			b.Value = big.NewInt(value)
		}
		return &candidate{Built: b, out: fate}
	}
	wrong := func(c *candidate) *candidate {
		c.wrongRecipient = true
		return c
	}
	const none = -1
	want := []*candidate{ // best first; the primary's and the winner's have a fate
		of(1, 0, "won"),
		of(3, 0, ""),
		of(2, 9, ""),
		of(2, 1, "primary"),
		of(2, 1, ""),
		of(0, 8, "primary"),
		of(none, 7, ""),
		of(none, 6, "primary"),
		of(none, 6, ""),
		wrong(of(8, 0, "won")),
		wrong(of(9, 9, "primary")),
		wrong(of(none, 0, "")),
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
