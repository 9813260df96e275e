//go:build e2e

package soak

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// report is what the run found, on one page.
type report struct {
	seed     uint64
	commit   string // of what is tested
	race     bool
	begun    time.Time
	took     time.Duration
	account  account
	events   []told
	levels   []level
	verdicts []time.Duration
	answered []time.Duration // in their slots
	overdue  int
	fed      int // times that a node was fed what it had missed
	wrong    []string
}

// played is how often a fault was made.
func (r report) played(name string) (times int) {
	for _, e := range r.events {
		if e.has(name) {
			times++
		}
	}
	return times
}

// percentile is the time that so many hundredths don't exceed.
func percentile(times []time.Duration, hundredths int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	times = slices.Sorted(slices.Values(times))
	return times[(len(times)-1)*hundredths/100].Round(time.Millisecond)
}

func (r report) markdown() string {
	var m strings.Builder
	build := ""
	if r.race {
		build = ", built with the race detector"
	}
	lost, may := r.account.quiet, 0
	for _, n := range r.account.lost {
		lost += n
	}
	for _, e := range r.events {
		may += e.mayLose()
	}
	passed := "**Passed**: every slot that was lost may be lost, and there is nothing that should not have been."
	if len(r.wrong) > 0 {
		passed = fmt.Sprintf("**Failed**: %d things [should not have been](#what-should-not-have-been).", len(r.wrong))
	}
	fmt.Fprintf(&m, "# Soak, seed %d\n\n%s\n\n", r.seed, passed)
	fmt.Fprintf(&m, "%s, %v: %d slots of %v, three geths, ExecutionBackup %s in a process of its own%s, %d faults.\n\n",
		r.begun.UTC().Format("2 January 2006, 15:04 MST"), r.took.Round(time.Second), r.account.slots, slot,
		r.commit, build, len(r.events))
	fmt.Fprintf(&m, "| | |\n|---|---|\n")
	fmt.Fprintf(&m, "| slots lost | %d of %d that may be, and %d while the machine stood still |\n", lost, may,
		r.account.paused)
	fmt.Fprintf(&m, "| verdict on a payload, p50 / p99 / slowest | %v / %v / %v |\n", percentile(r.verdicts, 50),
		percentile(r.verdicts, 99), percentile(r.verdicts, 100))
	fmt.Fprintf(&m, "| answered in the slot, p50 / p99 | %v / %v |\n", percentile(r.answered, 50),
		percentile(r.answered, 99))
	fmt.Fprintf(&m, "| overdue: later than the slot's clock wants it, though the quorum was there | %d |\n", r.overdue)
	fmt.Fprintf(&m, "| nodes that were fed what they had missed | %d times |\n", r.fed)
	if len(r.levels) > 0 {
		before, after := base(r.levels), r.levels[len(r.levels)-1]
		fmt.Fprintf(&m, "| in use after %v of the last process | %v |\n", before.age.Round(time.Second), before)
		fmt.Fprintf(&m, "| in use at the end, after %v | %v |\n", after.age.Round(time.Second), after)
	}
	m.WriteString("\n## What should not have been\n\n")
	for _, line := range r.wrong {
		fmt.Fprintf(&m, "- %s\n", line)
	}
	if len(r.wrong) == 0 {
		m.WriteString("Nothing.\n")
	}
	m.WriteString("\n## What each fault cost\n\n")
	m.WriteString("Of two at once both are counted. Back is from the end of the fault until all nodes vote again, " +
		"and may object.\n\n")
	m.WriteString("| fault | what it is | times | beside another | slots lost | that it may | disputed calls | " +
		"back, s, at most |\n|---|---|---|---|---|---|---|---|\n")
	var absent []string
	for _, f := range faults {
		var times, beside, lost, may, disputes int
		var back time.Duration
		for i, e := range r.events {
			if !e.has(f.name) {
				continue
			}
			times++
			beside += len(e.parts) - 1
			lost += r.account.lost[i]
			may += e.mayLose()
			disputes += e.disputes
			back = max(back, e.back)
		}
		if times == 0 {
			absent = append(absent, f.name)
			continue
		}
		fmt.Fprintf(&m, "| %s | %s | %d | %d | %d | %d | %d | %.1f |\n", f.name, f.about, times, beside, lost, may,
			disputes, back.Seconds())
	}
	if len(absent) > 0 {
		fmt.Fprintf(&m, "\nThere was no time for: %s.\n", strings.Join(absent, "; "))
	}
	m.WriteString("\n## Slots that were lost\n\n")
	for _, line := range r.account.details {
		fmt.Fprintf(&m, "- %s\n", line)
	}
	if len(r.account.details) == 0 {
		m.WriteString("None.\n")
	}
	return m.String()
}

func (r report) save(path string) error { return os.WriteFile(path, []byte(r.markdown()), 0o644) }
