package proposal

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"

	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/session"
)

// candidate is a payload that a node built. It belongs to its proposal.
type candidate struct {
	fleet.Reply
	*engine.Built

	wrongRecipient bool   // good but for the fee recipient: a last resort
	out            string // why it is not proposed; "" where nothing speaks against it
	isDoubted      bool   // all that speaks against it is that another voter calls it INVALID

	shown *engine.Call // the newPayload with which it was shown to the other voters; nil where it wasn't
}

// compare compares the candidate with the head and the attributes of its build. It returns why the candidate must not
// be proposed, or "", and notes a wrong fee recipient.
func (c *candidate) compare(b *session.Build) string {
	if c.Payload.Parent != b.Head {
		return fmt.Sprintf("its parent is %s, not the head %s", c.Payload.Parent, b.Head)
	}
	a := b.Attributes
	if !a.Judged {
		return ""
	}
	switch {
	case c.Payload.Timestamp != a.Timestamp:
		return fmt.Sprintf("its timestamp is %d, not %d", c.Payload.Timestamp, a.Timestamp)
	case c.PrevRandao != a.PrevRandao:
		return "its prevRandao is not that of the attributes"
	case !c.hasWithdrawals(a):
		return "its withdrawals are not those of the attributes"
	}
	c.wrongRecipient = c.FeeRecipient != a.FeeRecipient
	return ""
}

// hasWithdrawals reports whether its withdrawals are those of the attributes.
func (c *candidate) hasWithdrawals(a *engine.Attributes) bool {
	return !c.OddWithdrawals && (c.Withdrawals == nil) == (a.Withdrawals == nil) &&
		slices.Equal(c.Withdrawals, a.Withdrawals)
}

// isOffered reports whether it can be proposed, even if only as a last resort.
func (c *candidate) isOffered() bool { return c.out == "" || c.isDoubted }

// rank orders candidates, best first: those with the right fee recipient before others, then the one that won before,
// then by value. Where they are worth the same (or have no value, as in V1) the one that used more gas comes first, for
// the primary may have built an empty payload, and then the primary's.
func rank(candidates []*candidate, isPrimary, hasWon func(*candidate) bool) {
	slices.SortStableFunc(candidates, func(a, b *candidate) int {
		return cmp.Or(
			first(!a.wrongRecipient, !b.wrongRecipient),
			first(hasWon(a), hasWon(b)),
			b.worth().Cmp(a.worth()),
			cmp.Compare(b.GasUsed, a.GasUsed),
			first(isPrimary(a), isPrimary(b)),
		)
	})
}

// worth is the value of a candidate in wei; zero where it isn't known.
func (c *candidate) worth() *big.Int {
	if c.Value == nil {
		return new(big.Int)
	}
	return c.Value
}

// first compares by a condition: whatever meets it comes first.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
