package forks

import (
	"math"
	"time"
)

// lastSecond is the last that dates are written for: of the year 9999.
const lastSecond = 253402300799

// until returns the time from now to an activation: less than nothing after it, and as long as there is for one that
// has no date.
func until(activation uint64, now time.Time) time.Duration {
	if activation > lastSecond {
		return math.MaxInt64
	}
	return time.Unix(int64(activation), 0).Sub(now)
}

// Until returns the time from now to the fork: less than nothing after it, and as long as there is for one so far away
// that it has no date.
func (e Entry) Until(now time.Time) time.Duration { return until(e.Activation, now) }

// Next returns the first fork to come that any node knows of, and whether there is one: who is wrong about the time
// alone leaves the chain at that time. Of several of one time it is the one that most know of. Where a node's next fork
// isn't known, its last one is to come all the same.
func Next(said []Said, now time.Time) (next Entry, found bool) {
	for _, r := range ranked(said, toCome) {
		e := r.entry
		if e.State == Known && !e.began(now) && (!found || e.Activation < next.Activation) {
			next, found = e, true
		}
	}
	return next, found
}

func toCome(c *Config) *Entry {
	if c.Next.State == Unknown {
		return &c.Last
	}
	return &c.Next
}

// Interval returns how long after now nodes are asked again: a minute within an hour before or after an activation,
// else ten, but no longer than until that hour begins. Genesis (0) is no activation.
func Interval(now time.Time, activations []uint64) time.Duration {
	interval := 10 * time.Minute
	for _, activation := range activations {
		left := until(activation, now)
		switch {
		case activation == 0 || left < -time.Hour:
		case left <= time.Hour:
			return time.Minute
		default:
			interval = min(interval, left-time.Hour)
		}
	}
	return interval
}

// Near reports whether a block's time is within 15 minutes before an activation and so long after it. Genesis (0) is no
// activation.
func Near(timestamp uint64, activations []uint64, after time.Duration) bool {
	const before = 15 * time.Minute
	for _, activation := range activations {
		switch {
		case activation == 0:
		case timestamp < activation && activation-timestamp <= uint64(before/time.Second),
			timestamp >= activation && timestamp-activation <= uint64(max(0, after)/time.Second):
			return true
		}
	}
	return false
}
