package forks

import "time"

// Next returns the first fork to come that any node knows of, and whether there is one.
func Next(said []Said, now time.Time) (Entry, bool) { return Entry{}, false }

// Interval returns how long after now nodes are asked again: a minute within an hour before or after an activation,
// else ten, but no longer than until that hour begins. Genesis (0) is no activation.
func Interval(now time.Time, activations []uint64) time.Duration { return 0 }

// Near reports whether a block's time is within 15 minutes before an activation and so long after it. Genesis (0) is no
// activation.
func Near(timestamp uint64, activations []uint64, after time.Duration) bool { return false }
