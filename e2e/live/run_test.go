//go:build e2e

package live

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"executionbackup/internal/apptest"
)

// run is one telling of a scenario: it lets slots go by, remembers what happened when, and judges it in the end.
type run struct {
	*world
	t       *testing.T
	told    scenario
	result  *result
	returns []comeback

	overdueBefore float64 // verdicts that were overdue before it began
}

// comeback is a node that could be reached again.
type comeback struct {
	node string
	at   time.Time
}

func newRun(t *testing.T, w *world, s scenario) *run {
	r := &run{world: w, t: t, told: s}
	r.result = &result{Name: s.name, About: s.about, Halts: s.halts, Direct: w.eb == nil}
	if w.eb != nil {
		r.overdueBefore = w.eb.overdue.total()
	}
	return r
}

// tell plays a scenario in a world that is well.
func tell(t *testing.T, w *world, s scenario) {
	t.Helper()
	r := newRun(t, w, s)
	defer r.end()
	if s.amid {
		r.settleChain()
	} else {
		r.settle()
	}
	s.play(r)
}

// end counts, judges and reports; also where the scenario ended early.
func (r *run) end() {
	switch {
	case r.t.Skipped():
		r.result.NotTested = true
	case len(r.result.Phases) == 0:
		r.fail("it didn't begin")
	default:
		if r.t.Failed() {
			r.fail("it ended early")
		}
		r.count()
		if r.eb != nil {
			r.result.Failures = append(r.result.Failures, r.result.judge(r.told, report.baseline())...)
		}
	}
	for _, f := range r.result.Failures {
		r.t.Error(f)
	}
	r.t.Log(r.result)
	report.add(r.result)
}

// settleTime is how long a chain and its nodes may take to be well again.
const settleTime = time.Minute

// settleChain waits until the chain goes on.
func (r *run) settleChain() {
	r.t.Helper()
	apptest.Within(r.t, settleTime+max(0, time.Until(r.startOf(1))), "the chain goes on", func() bool {
		head, err := r.cl.block("head")
		return err == nil && head != nil && head.Slot > 0 && head.Slot >= r.slotAt(time.Now())-1
	})
}

// settle waits until the chain goes on and every node follows it, and a geth is the primary.
func (r *run) settle() {
	r.t.Helper()
	r.settleChain()
	if r.eb == nil {
		return
	}
	took := apptest.Within(r.t, settleTime, "every node votes VALID", r.allVote)
	if took > time.Second {
		r.t.Logf("settled in %v", took.Round(time.Millisecond))
	}
	if r.node(r.eb.primary()).kind != "geth" {
		r.eb.yield(r.eb.primary())
	}
}

// allVote reports whether every voter is alive and said VALID to the last payload.
func (r *run) allVote() bool {
	records := r.eb.seen.between(time.Now().Add(-2*r.slot), time.Now())
	states := r.eb.states()
	if len(records) == 0 || len(states) == 0 {
		return false
	}
	last := records[len(records)-1]
	return last.Verdict == "VALID" && !slices.ContainsFunc(states, func(s apptest.NodeState) bool {
		status, _ := last.vote(s.Name)
		return !s.DoNotUse && (s.State != "alive" || status != "VALID")
	})
}

// before, during and after let slots go by. They return in the middle of the last of them, so that what happens next
// happens before the first slot of the next phase.
func (r *run) before(slots int) { r.phase("before", slots) }
func (r *run) during(slots int) { r.phase("during", slots) }
func (r *run) after(slots int)  { r.phase("after", slots) }

func (r *run) phase(name string, slots int) {
	r.t.Helper()
	from := r.slotAt(time.Now()) + 1
	if n := len(r.result.Phases); n > 0 {
		from = r.result.Phases[n-1].To
	}
	to := max(from, r.slotAt(time.Now())) + slots // a fault that took its time makes the phase longer
	r.result.Phases = append(r.result.Phases, phase{Name: name, From: from, To: to})
	r.until(r.startOf(to - 1).Add(r.slot / 2))
}

// until waits for a time on the chain.
func (r *run) until(at time.Time) {
	select {
	case <-time.After(time.Until(at)):
	case <-r.t.Context().Done():
	}
}

// start starts a node and notes when it can be reached.
func (r *run) start(n *node) {
	r.t.Helper()
	n.start()
	apptest.Within(r.t, 60*time.Second, n.name+" listens", n.listens)
	r.back(n.name)
}

// back notes that a node can be reached again.
func (r *run) back(name string) {
	r.returns = append(r.returns, comeback{name, time.Now()})
}

// note puts something into the report.
func (r *run) note(format string, args ...any) {
	r.result.Notes = append(r.result.Notes, fmt.Sprintf(format, args...))
}

// fail notes that a claim doesn't hold.
func (r *run) fail(format string, args ...any) {
	r.result.Failures = append(r.result.Failures, fmt.Sprintf(format, args...))
}
