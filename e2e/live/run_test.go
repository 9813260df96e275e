//go:build e2e

package live

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"
)

// run is one telling of a scenario: it lets slots go by, remembers what happened when, and judges it in the end.
type run struct {
	*world
	t       *testing.T
	result  *result
	returns []comeback
}

// comeback is a node that could be reached again.
type comeback struct {
	node string
	at   time.Time
}

// comebackLimit is how soon after it can be reached a killed node must vote VALID again.
const comebackLimit = 5 * time.Second

func newRun(t *testing.T, w *world, s scenario) *run {
	return &run{world: w, t: t, result: &result{Name: s.name, About: s.about, Halts: s.halts, Direct: w.eb == nil}}
}

// tell plays a scenario in a world that is well. In the baseline allowed slots were missed.
func tell(t *testing.T, w *world, s scenario, allowed int) {
	t.Helper()
	r := newRun(t, w, s)
	defer r.end(allowed)
	if s.amid {
		r.settleChain()
	} else {
		r.settle()
	}
	s.play(r)
}

// end counts, judges and reports; also where the scenario ended early.
func (r *run) end(allowed int) {
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
			r.judge(allowed)
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
	waitFor(r.t, settleTime+max(0, time.Until(r.startOf(1))), "the chain goes on", func() bool {
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
	took := waitFor(r.t, settleTime, "every node votes VALID", r.allVote)
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
	return last.Verdict == "VALID" && !slices.ContainsFunc(states, func(s nodeState) bool {
		status, _ := last.vote(s.Name)
		return !s.DoNotUse && (s.State != "alive" || status != "VALID")
	})
}

// before, during and after let slots go by. They return in the middle of the last of them, so that what happens next happens
// before the first slot of the next phase.
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
	waitFor(r.t, 60*time.Second, n.name+" listens", n.listens)
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

// count waits for the last slot's block and gathers what happened.
func (r *run) count() {
	phases := r.result.Phases
	from, to := phases[0].From, phases[len(phases)-1].To
	r.until(r.startOf(to).Add(r.slot / 2))
	r.readBlocks(from, to)
	r.readLogs(r.startOf(from), r.startOf(to))
	if epoch, err := r.cl.finalized(); err == nil {
		r.result.Finalized = epoch
	}
	if r.eb != nil {
		r.readVerdicts(r.startOf(from), r.startOf(to))
	}
}

// readBlocks goes over the blocks of the slots.
func (r *run) readBlocks(from, to int) {
	attested := map[int]uint64{}
	for slot := from; slot <= to; slot++ { // the one after has the last one's attestations
		b, err := r.cl.block(slot)
		if err != nil {
			r.fail("read the block of slot %d: %v", slot, err)
			continue
		}
		if b != nil {
			for at, who := range b.attested {
				attested[at] |= who
			}
		}
		if slot < to {
			r.result.add(slot, b)
		}
	}
	for slot := from; slot < to; slot++ {
		r.result.Attested += bits.OnesCount64(attested[slot])
		r.result.Attesters += validators / slotsPerEpoch
	}
}

// readLogs counts what the consensus client complained of, and looks for the reason of each miss.
func (r *run) readLogs(from, to time.Time) {
	var all []logLine
	logs := map[string]string{"beacon": r.cl.beacon.log, "validator": r.cl.validator.log}
	if r.eb != nil {
		logs["executionbackup"] = r.eb.log()
	}
	for name, file := range logs {
		lines, err := complaints(name, file, from.Add(-r.slot), to.Add(r.slot))
		if err != nil {
			r.fail("read the log of %s: %v", name, err)
		}
		all = append(all, lines...)
	}
	slices.SortFunc(all, func(a, b logLine) int { return a.Time.Compare(b.Time.Time) })
	kinds := map[string]int{}
	for _, line := range all {
		if line.Program != "executionbackup" && line.isError() && !line.Time.Before(from) && line.Time.Before(to) {
			r.result.CLErrors++
			kinds[short(line.String())]++
		}
	}
	for _, text := range slices.Sorted(maps.Keys(kinds)) {
		r.result.CLErrorKinds = append(r.result.CLErrorKinds, fmt.Sprintf("%d × %s", kinds[text], text))
	}
	for i := range r.result.Missed {
		m := &r.result.Missed[i]
		begin := r.startOf(m.Slot)
		for _, line := range all {
			if !line.Time.Before(begin.Add(-r.slot)) && line.Time.Before(begin.Add(r.slot)) && len(m.Why) < 4 {
				m.Why = append(m.Why, fmt.Sprintf("%+.1f s %s", line.Time.Sub(begin).Seconds(), short(line.String())))
			}
		}
	}
}

// short is a log line without what makes each line another.
func short(text string) string {
	const most = 240
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}

// readVerdicts sums up what ExecutionBackup answered, and finds out when nodes that came back voted VALID.
func (r *run) readVerdicts(from, to time.Time) {
	var took []float64
	records := r.eb.seen.between(from, to.Add(r.slot))
	for _, record := range records {
		if record.Verdict == "" || !record.Time.Before(to) {
			continue
		}
		took = append(took, float64(record.Took)/1000)
		if record.Dispute {
			r.result.Disputes++
		}
		if r.result.Verdicts == nil {
			r.result.Verdicts = map[string]int{}
		}
		r.result.Verdicts[record.Verdict]++
	}
	slices.Sort(took)
	r.result.P50, r.result.P99 = percentile(took, 50), percentile(took, 99)
	for _, c := range r.returns {
		r.result.Back = append(r.result.Back, firstValid(c, records))
	}
}

// percentile of sorted values; 0 if there are none.
func percentile(sorted []float64, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

// firstValid finds a node's first VALID after it came back.
func firstValid(c comeback, records []record) returned {
	for _, record := range records {
		if status, at := record.vote(c.node); status == "VALID" && at.After(c.at) {
			return returned{Node: c.node, Seconds: at.Sub(c.at).Seconds()}
		}
	}
	return returned{Node: c.node, Seconds: never}
}

// judge checks the claims that hold for every scenario.
func (r *run) judge(allowed int) {
	for _, m := range r.result.Missed {
		if len(m.Why) == 0 {
			r.fail("slot %d was missed, and no log says why", m.Slot)
		}
	}
	if missed := len(r.result.Missed); !r.result.Halts && r.result.Name != baseline.name && missed > allowed {
		r.fail("%d slots were missed, and %d in the baseline", missed, allowed)
	}
	for _, b := range r.result.Back {
		switch {
		case b.Seconds == never:
			r.fail("%s didn't vote VALID after it came back", b.Node)
		case b.Seconds > comebackLimit.Seconds():
			r.fail("%s voted VALID only %.1f s after it came back", b.Node, b.Seconds)
		}
	}
}
