//go:build e2e

package soak

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// The same seed makes the same sequence, another seed another one.
func TestPlanIsTheSeeds(t *testing.T) {
	text := func(seed uint64) string { return fmt.Sprint(newPlan(seed, time.Hour, time.Minute)) }
	first := text(1)
	if text(1) != first {
		t.Error("one seed makes two sequences")
	}
	if text(2) == first {
		t.Error("two seeds make one sequence")
	}
}

// What every sequence keeps to, whatever the seed.
func TestPlanKeepsTheRules(t *testing.T) {
	const duration, period = 2 * time.Hour, time.Minute
	for seed := range uint64(200) {
		seen, pairs := map[string]bool{}, 0
		events := newPlan(seed, duration, period)
		if got, want := len(events), int((duration-rest)/period)-1; got != want {
			t.Fatalf("seed %d: %d events, want %d", seed, got, want)
		}
		for i, e := range events {
			if earliest := time.Duration(i+1) * period; e.at < earliest || e.at >= earliest+slot {
				t.Errorf("seed %d: event %d is at %v", seed, i, e.at)
			}
			if e.lasts() > period*2/3 {
				t.Errorf("seed %d: %v lasts too long", seed, e)
			}
			broken := map[int]bool{}
			for _, p := range e.parts {
				seen[p.name] = true
				if p.alone && len(e.parts) > 1 {
					t.Errorf("seed %d: %v should be alone", seed, e)
				}
				if p.ends && e.at >= duration/2+slot {
					t.Errorf("seed %d: %v ends the process in the second half", seed, e)
				}
				if p.node && broken[p.victim] {
					t.Errorf("seed %d: %v breaks one node twice", seed, e)
				}
				broken[p.victim] = broken[p.victim] || p.node
			}
			if len(e.parts) == 2 {
				pairs++
				a, b := e.parts[0], e.parts[1]
				if a.fault == b.fault || a.ends && b.ends || a.thing == b.thing && a.thing != "" {
					t.Errorf("seed %d: %v is no pair", seed, e)
				}
			}
		}
		if len(seen) != len(faults) {
			t.Errorf("seed %d: only %d of %d faults in %v", seed, len(seen), len(faults), duration)
		}
		if pairs < 5 {
			t.Errorf("seed %d: %d pairs", seed, pairs)
		}
	}
}

// find returns the fault of that name, for so long.
func find(name string, lasts time.Duration) part {
	i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
	return part{fault: &faults[i], lasts: lasts}
}

// What faults may cost.
func TestMayLose(t *testing.T) {
	for _, c := range []struct {
		parts    []part
		slots    int
		disputes bool
	}{
		{[]part{find("kill -9", 10*time.Second)}, 0, false},
		{[]part{find("SIGSTOP, long", 30*time.Second)}, 0, false},
		{[]part{find("kill -9", 10*time.Second), find("late", 10*time.Second)}, 0, false},
		{[]part{find("SIGTERM of ExecutionBackup", 0)}, 0, false},
		{[]part{find("kill -9 of ExecutionBackup", 0)}, 1, false},
		{[]part{find("kill -9 of ExecutionBackup", 0), find("kill -9", 10*time.Second)}, 1, false},
		{[]part{find("lies INVALID", 10*time.Second)}, 5 + 2 + 2, true}, // all that it touches, and two
		{[]part{find("power cut", 4*time.Second)}, 2 + 2 + 8, false},
		{[]part{find("rolling upgrade", 0)}, 0, false},
	} {
		e := event{parts: c.parts}
		if e.mayLose() != c.slots || e.mayDispute() != c.disputes {
			t.Errorf("%v may lose %d slots (disputes: %t), want %d (%t)",
				e, e.mayLose(), e.mayDispute(), c.slots, c.disputes)
		}
	}
}

// Who pays for a slot that was lost, and when that is too much.
func TestSettle(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	at := func(n int) time.Time { return begin.Add(time.Duration(n) * slot) }
	killed := told{event: event{parts: []part{find("kill -9", 10*time.Second)}}, begun: at(30).Add(time.Second)}
	ours := told{event: event{parts: []part{find("kill -9 of ExecutionBackup", 0)}}, begun: at(60).Add(time.Second)}
	liar := told{event: event{parts: []part{find("lies INVALID", 4*time.Second)}}, begun: at(90), disputes: 3}
	for _, e := range []*told{&killed, &ours, &liar} {
		e.over, e.back = e.begun.Add(e.lasts()), time.Second
	}
	disputed := killed
	disputed.disputes = 1
	for _, c := range []struct {
		name   string
		events []told
		lost   []int // slots
		paused []int // slots in which the machine stood still
		slow   []int // slots with a verdict that took long
		want   []int // lost by each event
		wrong  int
	}{
		{"nothing lost", []told{killed, ours}, nil, []int{7}, nil, []int{0, 0}, 0},
		{"lost before anything broke", []told{killed}, []int{29}, nil, nil, []int{0}, 1},
		{"lost in the slot in which it broke", []told{killed}, []int{30}, nil, nil, []int{1}, 1},
		{"lost as all is well again", []told{killed, ours}, []int{35}, nil, nil, []int{1, 0}, 1},
		{"lost long after", []told{killed, ours}, []int{59}, nil, nil, []int{0, 0}, 1},
		{"lost long after what may cost one", []told{ours}, []int{65}, nil, nil, []int{0}, 1},
		{"lost as it may be", []told{killed, ours}, []int{60}, nil, nil, []int{0, 1}, 0},
		{"one more", []told{killed, ours}, []int{60, 61}, nil, nil, []int{0, 2}, 1},
		{"a dispute that may be", []told{liar}, []int{90, 91, 92}, nil, nil, []int{3}, 0},
		{"one that may not", []told{disputed}, nil, nil, nil, []int{0}, 1},
		{"lost to the machine", []told{killed}, []int{40}, []int{40}, nil, []int{0}, 0},
		{"too much lost to the machine", []told{killed}, []int{40, 41}, []int{40, 41}, nil, []int{0}, 1},
		{"a slow verdict", []told{killed, ours}, nil, nil, []int{32}, []int{0, 0}, 1},
		{"slow for another process", []told{killed, ours}, nil, nil, []int{60}, []int{0, 0}, 0},
		{"slow for the machine", []told{killed}, nil, []int{32}, []int{32}, []int{0}, 0},
	} {
		outcomes := make([]outcome, 120)
		for i := range outcomes {
			outcomes[i].start = at(i)
			if slices.Contains(c.lost, i) {
				outcomes[i].lost = "SYNCING"
			}
			if slices.Contains(c.slow, i) {
				outcomes[i].took = time.Second
			}
			if slices.Contains(c.paused, i) {
				outcomes[i].pause = time.Second
			}
		}
		a := settle(c.events, outcomes)
		if !slices.Equal(a.lost, c.want) || len(a.wrong) != c.wrong || len(a.details) != len(c.lost) {
			t.Errorf("%s: %v lost, wrong: %q, want %v and %d", c.name, a.lost, a.wrong, c.want, c.wrong)
		}
	}
}

func TestReportSaysWhetherItPassed(t *testing.T) {
	for want, r := range map[string]report{
		"**Passed**":           {commit: "0123abc"},
		"**Failed**: 2 things": {commit: "0123abc", wrong: []string{"a", "b"}},
	} {
		if text := r.markdown(); !strings.Contains(text, want) || !strings.Contains(text, "0123abc") {
			t.Errorf("want %q and the commit in\n%s", want, text)
		}
	}
}
