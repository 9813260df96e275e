//go:build e2e

package live

import (
	"fmt"
	"maps"
	"math/bits"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

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
		if err := r.eb.readOverdue(); err != nil {
			r.fail("read how many verdicts were overdue: %v", err)
		}
		r.result.Overdue = int(r.eb.overdue.total() - r.overdueBefore)
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
	logs := map[string]string{
		"beacon": filepath.Join(r.dir, "beacon.log"), "validator": filepath.Join(r.dir, "validator.log"),
	}
	if r.eb != nil {
		logs[executionBackup] = r.eb.log()
	}
	var all []logLine
	for name, file := range logs {
		lines, err := complaints(name, file, from.Add(-r.slot), to.Add(r.slot))
		if err != nil {
			r.fail("read the log of %s: %v", name, err)
		}
		all = append(all, lines...)
	}
	slices.SortFunc(all, func(a, b logLine) int { return a.Time.Compare(b.Time.Time) })
	r.countErrors(all, from, to)
	for i := range r.result.Missed {
		m := &r.result.Missed[i]
		m.Why = explain(all, r.startOf(m.Slot), r.slot)
	}
}

// countErrors counts the consensus client's errors between two times.
func (r *run) countErrors(lines []logLine, from, to time.Time) {
	kinds := map[string]int{}
	for _, line := range lines {
		if line.Program != executionBackup && line.isError() && !line.Time.Before(from) && line.Time.Before(to) {
			r.result.CLErrors++
			kinds[short(line.String())]++
		}
	}
	for _, text := range slices.Sorted(maps.Keys(kinds)) {
		r.result.CLErrorKinds = append(r.result.CLErrorKinds, fmt.Sprintf("%d × %s", kinds[text], text))
	}
}

// explain returns what was said from the slot before a missed one into the next, at most a few lines.
func explain(lines []logLine, begin time.Time, slot time.Duration) (why []string) {
	const most = 6
	said := map[string]bool{}
	for _, line := range lines {
		text := short(line.String())
		if line.Time.Before(begin.Add(-slot)) || !line.Time.Before(begin.Add(slot+slot/2)) ||
			said[text] || len(why) == most {
			continue
		}
		said[text] = true
		why = append(why, fmt.Sprintf("%+.1f s %s", line.Time.Sub(begin).Seconds(), text))
	}
	return why
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
	for _, c := range r.returns {
		r.result.Back = append(r.result.Back, firstValid(c, r.eb.seen.between(from, to.Add(r.slot))))
	}
	r.result.sumUp(r.eb.seen.between(from, to))
}

// sumUp counts and times the verdicts. Back says already which nodes came back.
func (r *result) sumUp(records []record) {
	r.Verdicts = map[string]int{}
	var took, answered []float64
	for _, record := range records {
		if record.Verdict == "" {
			continue
		}
		took = append(took, float64(record.Took)/1000)
		if record.Asked == nil {
			r.Unclocked++
		} else {
			answered = append(answered, float64(*record.Asked+record.Took)/1e6)
		}
		r.Beyond = max(r.Beyond, float64(record.Took-record.others(r.Back))/1000)
		r.Verdicts[record.Verdict]++
		if record.Dispute {
			r.Disputes++
		}
	}
	slices.Sort(took)
	slices.Sort(answered)
	r.P50, r.P99 = percentile(took, 50), percentile(took, 99)
	r.AnsweredP50, r.AnsweredP99 = percentile(answered, 50), percentile(answered, 99)
}

// others is when the last voter but those that came back had said something, in microseconds from the call; 0 if none
// had.
func (r record) others(back []returned) (last int64) {
	for _, v := range r.Votes {
		isBack := slices.ContainsFunc(back, func(b returned) bool { return b.Node == v.Node })
		if v.Vote != "" && !isBack {
			last = max(last, v.Took)
		}
	}
	return last
}

// percentile of sorted values; 0 if there are none.
func percentile(sorted []float64, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

// comebackLimit is how long after it can be reached a node may say something else than VALID to a newPayload. None need
// come within that time: they come once a slot, and a dead node is sent none until it has been probed, which is every
// two seconds.
const comebackLimit = 5 * time.Second

// firstValid finds a node's first VALID after it came back.
func firstValid(c comeback, records []record) returned {
	back := returned{Node: c.node, Seconds: never}
	for _, record := range records {
		status, at := record.vote(c.node)
		if status == "VALID" && at.After(c.at) {
			back.Seconds = at.Sub(c.at).Seconds()
			break
		}
		if record.Time.Sub(c.at) > comebackLimit {
			back.Late = true
		}
	}
	return back
}
