package quorum

import (
	"fmt"
	"math/big"
	"strings"
)

// Rules are an operator's settings for reaching a verdict.
type Rules struct {
	// Threshold is the share of votes that makes INVALID or SYNCING the verdict (--fcu-invalid-threshold).
	Threshold Ratio
	// MinValid is how many VALID votes a VALID verdict needs at least (--min-valid).
	MinValid int
	// OnDispute is what a dispute leads to (--on-dispute).
	OnDispute Policy
	// MinClients is how many implementations have to say VALID for Live to go on (--majority-implementations).
	MinClients int
	// ByClient gives each implementation one vote instead of each node (--vote-by=client).
	ByClient bool
}

// CountsClients reports whether it matters which implementation a node is.
func (r Rules) CountsClients() bool { return r.ByClient || r.OnDispute == Live }

// Ratio is an exact fraction. Votes are compared in integers, because 3 of 5 must reach 0.6.
type Ratio struct{ num, den int64 }

// maxRatio is how long the text of a ratio may be.
const maxRatio = 32

// ParseRatio reads a decimal ("0.6") or a fraction ("2/3") greater than 1/2 and at most 1.
func ParseRatio(s string) (Ratio, error) {
	// No exponents: big.Rat would write all their zeros out.
	if len(s) > maxRatio || strings.ContainsAny(s, "eEpP") {
		return Ratio{}, fmt.Errorf("%q is not a plain number", s)
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return Ratio{}, fmt.Errorf("%q is not a number", s)
	}
	if r.Cmp(big.NewRat(1, 2)) <= 0 || r.Cmp(big.NewRat(1, 1)) > 0 {
		return Ratio{}, fmt.Errorf("%s is out of range: more than 0.5 and at most 1", s)
	}
	// Far more digits than a share of nodes can need, and small enough that Reached cannot overflow.
	if r.Denom().Cmp(big.NewInt(1e9)) > 0 {
		return Ratio{}, fmt.Errorf("%s has more than nine decimal places", s)
	}
	return Ratio{num: r.Num().Int64(), den: r.Denom().Int64()}, nil
}

// Reached reports whether part is at least this share of whole. Nothing is a share of an empty whole.
func (r Ratio) Reached(part, whole int) bool {
	return whole > 0 && int64(part)*r.den >= int64(whole)*r.num
}

// String returns the fraction as a decimal, or as num/den where it has no short one.
func (r Ratio) String() string {
	rat := big.NewRat(r.num, max(r.den, 1))
	if n, exact := rat.FloatPrec(); exact {
		return rat.FloatString(n)
	}
	return rat.String()
}
