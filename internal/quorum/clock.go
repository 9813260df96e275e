package quorum

import "time"

// Clock is how long a VALID in hand waits for others to object: what is paid for is when in the slot the consensus
// client has its answer, so the wait goes by the slot's clock where that is known.
type Clock struct {
	Grace     time.Duration // the longest wait, from the quorum of VALID on
	LateGrace time.Duration // the shortest, however late it is
	AttestBy  time.Duration // when in the slot the answer is due
	Slot      time.Duration // how long a slot takes

	// Known says that it is known when in the slot the call came, and that our clock isn't behind the slot's.
	Known bool
	// Asked is when in the slot the call came: our clock, less the payload's timestamp.
	Asked time.Duration
}

// Old reports whether the payload is so old that nobody attests to it: the consensus client is syncing.
func (c *Clock) Old() bool { return c.Known && c.Asked >= 2*c.Slot }

// wait is how long others may object to a quorum of VALID, which was reached at a time from the call's arrival.
func (c *Clock) wait(at time.Duration) time.Duration {
	switch {
	case !c.Known:
		return c.Grace
	case c.Old():
		return min(c.Grace, c.LateGrace)
	}
	return min(c.Grace, max(c.LateGrace, c.AttestBy-c.Asked-at))
}

// soleGraces is how many waits a VALID without a quorum has for the others, and how many graces an objection has for
// whoever could end it: a hung node must not cost more.
const soleGraces = 3

// soleWait is how long a VALID without a quorum waits, which came at a time from the call's arrival. As long as
// somebody attests to the payload that is never less than a grace: otherwise whoever proposes late could time the false
// VALID of one client.
func (c *Clock) soleWait(at time.Duration) time.Duration {
	wait := soleGraces * c.wait(at)
	if !c.Old() {
		wait = max(wait, c.Grace)
	}
	return wait
}

// tolerance is how late a timer may be before an answer counts as overdue.
const tolerance = 50 * time.Millisecond

// Overdue reports whether an answer came later than the clock allows though its quorum was in time. Both times are from
// the call's arrival.
func (c *Clock) Overdue(quorum, answered time.Duration) bool {
	return c.Known && !c.Old() && c.Asked+quorum < c.AttestBy && answered > quorum+c.wait(quorum)+tolerance &&
		c.Asked+answered > c.AttestBy+tolerance
}
