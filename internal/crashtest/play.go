//go:build unix

package crashtest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"executionbackup/internal/apptest"
)

// play plays a script, and compares. It belongs to the test's goroutine.
type play struct {
	t             *testing.T
	random        *rand.Rand
	subject, twin *side
	kills         int // as many as are wanted

	killing  sync.WaitGroup
	killedAt time.Time // guarded by killing

	answers, killed, broken, unsure, excused int
	heard                                    map[string]int // what the twin said, and how often
	proved                                   int            // lives of the subject when all nodes had proved themselves
	answered                                 time.Time      // when the subject had answered the last step
}

// moment is how long before a kill something may have been said late that isn't on disk.
const moment = 100 * time.Millisecond

// step plays a step to both, and compares.
func (p *play) step(st *step) {
	p.t.Helper()
	lives := p.subject.lives()
	before := p.answered
	want, got := p.answer(p.twin, st), p.answer(p.subject, st)
	p.answered = time.Now()
	p.answers++
	p.heard[want]++
	switch {
	case got == want:
	case want == "INVALID" && got == "SYNCING" && p.subject.lives() != p.proved:
		p.unsure++ // only what nodes say in this run is counted for INVALID
	case st.ends && (want == "VALID" || want == "SYNCING") && (got == "VALID" || got == "SYNCING"):
	default:
		p.t.Fatalf("after %d kills: %s: %s says %q, and %s %q", p.killed, st.what, p.subject.name, got, p.twin.name,
			want)
	}
	if st.plain && p.subject.lives() == lives {
		p.proved = lives
	}
	if st.late > 0 {
		p.settleLate(st, before)
	}
	if p.subject.lives() != lives || st.ends {
		p.compareNodes("after "+st.what, kept.withoutState)
	}
	p.maybeKill()
}

// answer makes the call of a step. What breaks because the process was killed is made again, as consensus clients do.
func (p *play) answer(s *side, st *step) (answer string) {
	p.t.Helper()
	if st.before != nil {
		st.before(s)
	}
	apptest.Try(p.t, apptest.Patience, func() (err error) {
		if answer, err = st.call(p.t.Context(), s); err != nil && s == p.subject {
			p.broken++
		}
		return err
	})
	if st.after != nil {
		st.after(s)
	}
	return answer
}

// compareNodes compares what must outlive a process: what each node objects to, and whether it is drained. At the end
// of an episode all nodes but a dead one are alive again, too.
func (p *play) compareNodes(when string, of func(kept) kept) {
	p.t.Helper()
	same := func(a, b kept) bool { return of(a) == of(b) }
	apptest.Try(p.t, 5*time.Second, func() error {
		want, err := p.twin.condition(p.t.Context())
		if err != nil {
			p.t.Fatal(err)
		}
		got, err := p.subject.condition(p.t.Context())
		if err == nil && !maps.EqualFunc(got, want, same) {
			err = fmt.Errorf("%s the nodes are %+v, and those of the twin %+v", when, got, want)
		}
		return err
	})
}

// settleLate deals with an objection that was said after the answer, or ended then. That is saved behind it, and lost
// where the process was killed before it could be: then both are to forget the objection.
func (p *play) settleLate(st *step, answered time.Time) {
	p.t.Helper()
	p.killing.Wait()
	name, ctx := names[st.late-1], p.t.Context()
	for begun := time.Now(); ; <-time.After(10 * time.Millisecond) {
		want, err := p.twin.condition(ctx)
		if err != nil {
			p.t.Fatal(err)
		}
		got, err := p.subject.condition(ctx)
		if err == nil && got[name].objections == want[name].objections {
			return
		}
		if err != nil && time.Since(begun) > apptest.Patience {
			p.t.Fatal(err)
		}
		if err == nil && time.Since(begun) > time.Second {
			break
		}
	}
	said := p.subject.released
	if st.ends {
		said = p.answered
	}
	if p.killedAt.Before(answered) || p.killedAt.After(said.Add(moment)) {
		p.t.Fatalf("%s, and that is lost; it was %v before the last kill", st.what, p.killedAt.Sub(said))
	}
	p.excused++
	for _, s := range []*side{p.twin, p.subject} {
		if got, err := s.post(ctx, "/clear_objections", name); err != nil || got != "HTTP 200" {
			p.t.Fatal(got, err)
		}
	}
}

// maybeKill has the process killed soon, if it hasn't to be already.
func (p *play) maybeKill() {
	if p.subject.lives() < p.killed || p.killed >= p.kills || p.random.IntN(3) == 0 {
		return
	}
	p.killing.Wait()
	p.killed++
	after := time.Duration(0) // often: what isn't on disk before an answer is lost then
	if p.random.IntN(3) > 0 {
		after = time.Duration(p.random.Int64N(int64(50 * time.Millisecond)))
	}
	p.killing.Go(func() {
		<-time.After(after)
		p.killedAt = time.Now()
		p.subject.kill()
	})
}

// end ends both well, and looks whether all was kept all the time.
func (p *play) end() {
	p.t.Helper()
	p.killing.Wait()
	for _, s := range []*side{p.subject, p.twin} {
		p.t.Helper()
		apptest.Try(p.t, apptest.Patience, func() error { return s.client.IsReady(p.t.Context()) })
		s.stop(syscall.SIGTERM)
		s.ended.Wait()
		if code := s.process.Cmd.ProcessState.ExitCode(); code != 0 {
			p.t.Errorf("%s: exit status %d", s.name, code)
		}
		for _, line := range slices.Concat(s.process.Log.Lines("state isn't kept"), s.process.Log.Lines("set aside")) {
			p.t.Errorf("%s: %s", s.name, strings.TrimSpace(line))
		}
	}
}
