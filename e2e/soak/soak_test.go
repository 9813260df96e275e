//go:build e2e

package soak

import (
	"context"
	"flag"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"executionbackup/internal/apptest"
)

var (
	seed     = flag.Uint64("seed", 1, "which sequence of faults")
	duration = flag.Duration("duration", 0, "how long; 0 skips the test")
	period   = flag.Duration("period", time.Minute, "from one fault to the next")
	race     = flag.Bool("race-build", false, "build ExecutionBackup with the race detector")
	reportTo = flag.String("report", "", "write the report to this file")
)

// TestSoak makes a block in every slot while something breaks in every period. See docs/end-to-end.md.
func TestSoak(t *testing.T) {
	if *duration == 0 {
		t.Skip("make soak")
	}
	os.Remove(*reportTo) // another run's
	events := newPlan(*seed, *duration, *period)
	t.Logf("seed %d, %v, %d faults:", *seed, *duration, len(events))
	for i, e := range events {
		t.Logf("%3d. %v", i+1, e)
	}
	r := report{seed: *seed, race: *race, commit: apptest.Commit()}
	w := newWorld(t, build(t, *race))
	begin := time.Now().Truncate(slot).Add(2 * slot)
	ctx, stop := context.WithCancel(t.Context())
	var producing sync.WaitGroup
	defer producing.Wait()
	defer stop()
	producing.Go(func() { w.chain.run(ctx, begin, int(*duration/slot)) })

	r.begun = begin
	over, doing := false, "nothing was broken yet"
	defer func() { // also of a run that broke off
		r.took = time.Since(begin)
		stop()
		producing.Wait()
		w.finish(&r)
		if !over {
			r.wrong = append(r.wrong, "the run broke off, and nobody has looked at what was left: "+doing)
		}
		if *reportTo != "" {
			if err := r.save(*reportTo); err != nil {
				t.Error(err)
			}
		}
		t.Log("\n" + r.markdown())
		for _, line := range r.wrong {
			t.Error(line)
		}
	}()
	tally := w.disputes()
	count := func() { // those since the last event
		now := w.disputes()
		if n := len(r.events); n > 0 {
			r.events[n-1].disputes = tally.since(now)
		}
		tally = now
	}
	for _, e := range events {
		if !waitUntil(begin.Add(e.at), begin.Add(*duration-rest)) {
			w.fault("only %d of %d faults were made: they took too long", len(r.events), len(events))
			break
		}
		for _, n := range w.nodes {
			n.door.Forget()
		}
		count()
		r.levels = append(r.levels, w.level()...)
		doing = e.String()
		r.events = append(r.events, w.play(e))
		r.levels = append(r.levels, w.level()...)
	}
	waitUntil(begin.Add(*duration), begin.Add(*duration))
	producing.Wait()
	count()
	r.levels = append(r.levels, w.level()...)
	doing = "at the end"
	w.end()
	if kills := r.played("kill -9") + r.played("kill -9, long"); kills >= enoughKills && w.fed == 0 {
		w.fault("geths were killed %d times, and none was fed what it had missed", kills)
	}
	over = true
}

// waitUntil waits for a time, and reports whether that is before the end. A fault that was late makes all others late.
func waitUntil(at, end time.Time) bool {
	if time.Now().After(end) {
		return false
	}
	<-time.After(time.Until(at))
	return true
}

// level is what is in use now, or nothing where that can't be read.
func (w *world) level() []level {
	l, err := w.eb.level()
	if err != nil {
		w.fault("read what is in use: %v", err)
		return nil
	}
	return []level{l}
}

// enoughKills is of how many geths that come back one at least is to be fed: any single one may get the blocks from its
// peers first, which is why the head that it has in the end says nothing.
const enoughKills = 4

// finish writes down what came out.
func (w *world) finish(r *report) {
	r.account = settle(r.events, w.chain.outcomes)
	r.overdue, r.fed = w.overdue, w.fed
	for _, o := range w.chain.outcomes {
		if o.took > 0 {
			r.verdicts, r.answered = append(r.verdicts, o.took), append(r.answered, o.answered)
		}
	}
	r.wrong = slices.Concat(r.account.wrong, w.wrong, w.chain.wrong, w.eb.ends())
	if len(r.levels) > 0 {
		r.wrong = append(r.wrong, compare(base(r.levels), r.levels[len(r.levels)-1])...)
	}
}
