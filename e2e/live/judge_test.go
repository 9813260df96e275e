//go:build e2e

package live

import "fmt"

// A crash and a return cost the consensus client no grace. Two claims show it. The slowest verdicts are compared with
// the baseline's, or with leastBase, since the quickest baselines are below what a busy machine adds to any call. That
// shows whatever holds up all nodes alike; but a slow baseline would hide a grace. So besides no verdict may be more
// than mostBeyond later than the last of the nodes to which nothing happened.
const (
	leastBase  = 20. // ms
	mostBeyond = 50. // ms
)

// judge returns the claims that don't hold for a scenario. base is the baseline of the same run.
func (r *result) judge(s scenario, base *result) (failures []string) {
	fail := func(format string, args ...any) { failures = append(failures, fmt.Sprintf(format, args...)) }
	for _, m := range r.Missed {
		if len(m.Why) == 0 {
			fail("slot %d was missed, and no log says why", m.Slot)
		}
	}
	allowed := len(base.Missed)
	if s.spotless {
		allowed = 0
	}
	if missed := len(r.Missed); !s.halts && s.name != baseline.name && missed > allowed {
		fail("%d slots were missed, and %d may be", missed, allowed)
	}
	for _, b := range r.Back {
		if b.Seconds == never {
			fail("%s didn't vote VALID after it came back", b.Node)
		} else if b.Late {
			fail("%s voted VALID only %.1f s after it came back, and was asked between", b.Node, b.Seconds)
		}
	}
	if r.Overdue > 0 {
		fail("%d verdicts came after --attest-by, though their quorum was there before", r.Overdue)
	}
	if r.Unclocked > 0 {
		fail("of %d verdicts nobody knows when in the slot they came", r.Unclocked)
	}
	if most := 3 * max(base.P99, leastBase); s.quick && r.P99 > most {
		fail("p99 of newPayload is %.0f ms, and %.0f may be: three times the baseline's", r.P99, most)
	}
	if s.quick && r.Beyond > mostBeyond {
		fail("a verdict came %.0f ms after all nodes that weren't killed had answered, and %.0f may be",
			r.Beyond, mostBeyond)
	}
	return failures
}
