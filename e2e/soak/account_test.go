//go:build e2e

package soak

import (
	"fmt"
	"strings"
	"time"
)

// outcome is what became of one slot.
type outcome struct {
	start    time.Time
	lost     string        // what the consensus client heard instead of a block that is VALID; "" if it had one in time
	took     time.Duration // of newPayload, where that was VALID, else 0
	answered time.Duration // when in the slot that was
	pause    time.Duration // the longest in it for which a goroutine that wanted to run didn't: the machine was busy
}

// told is an event as it came to pass.
type told struct {
	event
	begun, over time.Time
	back        time.Duration // from its end until all nodes were alive again without objections
	disputes    int           // until the next event
}

// longestPause is how long the machine may stand still in a slot that is counted as ours. The calls of a slot whose
// nodes hang, with all that is waited for, take less than the rest of it.
const longestPause = 500 * time.Millisecond

// mostWaited is how long a verdict may take, but where ExecutionBackup ends or a dispute is waited for. One node is
// well at any time, so that is three graces (each 500 ms of 12 s), and what a busy machine takes. A call that waits
// longer for a node that hangs loses no slot, but its attestations.
const mostWaited = 3*slot/24 + longestPause

// mostPaused is the share of the slots that may be lost to the machine, in thousandths.
const mostPaused = 10

// account is what the faults cost.
type account struct {
	slots   int
	lost    []int    // by event
	quiet   int      // lost before the first event, or after one when all was as before
	paused  int      // lost while the machine stood still
	wrong   []string // what should not have been
	details []string // of each slot that was lost
}

// settle says which event cost which slots. A slot is the latest event's that had begun before the slot was over; but
// one that began a slot after all nodes were as before is nobody's.
func settle(events []told, outcomes []outcome) account {
	a := account{slots: len(outcomes), lost: make([]int, len(events))}
	for _, o := range outcomes {
		last := -1
		for i, e := range events {
			if e.begun.Before(o.start.Add(slot)) {
				last = i
			}
		}
		if o.took > mostWaited && o.pause <= longestPause && (last < 0 || !events[last].mayWait()) {
			a.fault("%s: the verdict took %v", o.start.UTC().Format(time.TimeOnly), o.took.Round(time.Millisecond))
		}
		if o.lost == "" {
			continue
		}
		because, quiet := "nothing was broken yet", true
		if last >= 0 {
			e := events[last]
			because, quiet = e.String(), o.start.After(e.over.Add(e.back+slot))
		}
		a.details = append(a.details, fmt.Sprintf("%s: %s (%s; the longest pause of the machine was %v)",
			o.start.UTC().Format(time.TimeOnly), o.lost, because, o.pause.Round(time.Millisecond)))
		switch {
		case o.pause > longestPause:
			a.paused++
		case quiet:
			a.quiet++
		default:
			a.lost[last]++
		}
	}
	if a.quiet > 0 {
		a.fault("%d slots were lost while nothing was broken, not yet or no longer", a.quiet)
	}
	if a.paused*1000 > a.slots*mostPaused {
		a.fault("%d of %d slots were lost while the machine stood still: that says nothing of us", a.paused, a.slots)
	}
	for i, e := range events {
		if a.lost[i] > e.mayLose() {
			a.fault("%v: %d slots were lost, and it may cost %d", e, a.lost[i], e.mayLose())
		}
		if e.disputes > 0 && !e.mayDispute() {
			a.fault("%v: %d calls were disputed", e, e.disputes)
		}
	}
	return a
}

func (a *account) fault(format string, args ...any) {
	a.wrong = append(a.wrong, strings.TrimSpace(fmt.Sprintf(format, args...)))
}
