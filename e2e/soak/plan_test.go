//go:build e2e

package soak

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// nodes is how many there are. Two may fail at once.
const nodes = 3

// event is one fault, or two at once.
type event struct {
	at    time.Duration // since the beginning of the first slot
	parts []part
}

// part is a fault with what a seed chose for it.
type part struct {
	*fault
	victim int // of the nodes, where it happens to one
	lasts  time.Duration
}

// rest is how long nothing is broken at the end: connections to nodes that were needed once are kept for 90 s, and
// what is in use then is measured.
const rest = 2 * time.Minute

// busy is until when in its slot the consensus client calls. Half of the faults begin then: in the rest of the slot no
// call is in flight, nothing is built, and a geth that begins to lie is asked of no payload, for it called the head
// VALID a moment ago.
const busy = buildTime + 50*time.Millisecond

// newPlan draws an event for every period, the same for the same arguments. The first period is quiet, and the end.
//
// All faults come once before one comes again, as in a deck that is shuffled when it is used up. In the second half the
// process of ExecutionBackup doesn't end, so that what leaks has time to be seen.
func newPlan(seed uint64, duration, period time.Duration) (events []event) {
	random := rand.New(rand.NewPCG(seed, 0))
	var deck []*fault
	draw := func(fits func(f *fault) bool) *fault {
		for {
			if i := slices.IndexFunc(deck, fits); i >= 0 {
				f := deck[i]
				deck = slices.Delete(deck, i, i+1)
				return f
			}
			for _, i := range random.Perm(len(faults)) {
				deck = append(deck, &faults[i])
			}
		}
	}
	for begin := period; begin+period+rest <= duration; begin += period {
		e := event{at: begin + time.Duration(random.Int64N(int64(slot)))} // anywhere in the slot
		if random.IntN(2) == 0 {
			e.at = begin + time.Duration(random.Int64N(int64(busy)))
		}
		late := begin >= duration/2
		first := draw(func(f *fault) bool { return !f.ends || !late })
		e.parts = append(e.parts, newPart(random, first, period))
		if !first.alone && random.IntN(4) == 0 {
			second := newPart(random, draw(func(f *fault) bool {
				return !f.alone && f != first && (f.thing == "" || f.thing != first.thing) &&
					(!f.ends || !late && !first.ends)
			}), period)
			if first.node && second.node && second.victim == e.parts[0].victim {
				second.victim = (second.victim + 1) % nodes
			}
			e.parts = append(e.parts, second)
		}
		events = append(events, e)
	}
	return events
}

// newPart draws the rest. A fault is over after two thirds of the period at the latest.
func newPart(random *rand.Rand, f *fault, period time.Duration) part {
	spread := f.lasts[1] - f.lasts[0]
	lasts := f.lasts[0] + time.Duration(random.Int64N(int64(spread)+1))
	return part{fault: f, victim: random.IntN(nodes), lasts: min(lasts, period*2/3).Round(100 * time.Millisecond)}
}

// lasts is how long the longest of its parts lasts.
func (e event) lasts() (longest time.Duration) {
	for _, p := range e.parts {
		longest = max(longest, p.lasts)
	}
	return longest
}

// mayLose is how many slots it may cost: those of its parts together.
func (e event) mayLose() (slots int) {
	for _, p := range e.parts {
		slots += p.lost
		if p.halts {
			slots += int(p.lasts/slot) + 2 // the first and the last are touched in part
		}
	}
	return slots
}

// mayDispute reports whether one of its parts makes disputes.
func (e event) mayDispute() bool {
	return slices.ContainsFunc(e.parts, func(p part) bool { return p.disputes })
}

// has reports whether a fault is one of its parts.
func (e event) has(name string) bool {
	return slices.ContainsFunc(e.parts, func(p part) bool { return p.name == name })
}

// mayWait reports whether a call may wait during one of its parts, for another process or for an end of a dispute.
func (e event) mayWait() bool {
	return slices.ContainsFunc(e.parts, func(p part) bool { return p.ends || p.halts })
}

func (e event) String() string {
	var parts []string
	for _, p := range e.parts {
		text := p.name
		if p.node {
			text += fmt.Sprintf(" of %s", nodeName(p.victim))
		}
		if p.lasts > 0 {
			text += fmt.Sprintf(" for %v", p.lasts)
		}
		parts = append(parts, text)
	}
	return fmt.Sprintf("%v: %s", e.at.Round(100*time.Millisecond), strings.Join(parts, ", and "))
}

func nodeName(i int) string { return fmt.Sprintf("geth-%d", i+1) }
