package quorum

import (
	"testing"
	"time"
)

// ofTwelve is the clock of a slot of twelve seconds, for a call that came at a time in it.
func ofTwelve(asked time.Duration) Clock {
	return Clock{
		Grace: grace, LateGrace: 50 * ms, AttestBy: 3 * time.Second, Slot: 12 * time.Second, Known: true, Asked: asked,
	}
}

// "not later than --grace after the quorum; not later than o = --attest-by, but at least --late-grace after the quorum;
// --late-grace after the quorum where o ≥ 2 slots". "three times the wait that the clock leaves at the first VALID, but
// not less than one --grace where o < 2 slots".
func TestClock(t *testing.T) {
	for _, c := range []struct {
		asked, at  time.Duration // when in the slot the call came, and the quorum or the first VALID after that
		wait, sole time.Duration
	}{
		{-999 * ms, 60 * ms, 500 * ms, 1500 * ms},
		{0, 60 * ms, 500 * ms, 1500 * ms},
		{1000 * ms, 60 * ms, 500 * ms, 1500 * ms},
		{2440 * ms, 60 * ms, 500 * ms, 1500 * ms}, // half a second is left
		{2441 * ms, 60 * ms, 499 * ms, 1497 * ms},
		{2700 * ms, 60 * ms, 240 * ms, 720 * ms},
		{2800 * ms, 60 * ms, 140 * ms, 500 * ms},
		{2890 * ms, 60 * ms, 50 * ms, 500 * ms},
		{2900 * ms, 60 * ms, 50 * ms, 500 * ms},
		{3500 * ms, 60 * ms, 50 * ms, 500 * ms},
		{1000 * ms, 2500 * ms, 50 * ms, 500 * ms}, // early in the slot, and the nodes are slow
		{24*time.Second - 1, 60 * ms, 50 * ms, 500 * ms},
		{24 * time.Second, 60 * ms, 50 * ms, 150 * ms}, // nobody attests any more
		{time.Hour, 60 * ms, 50 * ms, 150 * ms},
	} {
		clock := ofTwelve(c.asked)
		if wait, sole := clock.wait(c.at), clock.soleWait(c.at); wait != c.wait || sole != c.sole {
			t.Errorf("asked at %v, at %v: got %v and %v, want %v and %v", c.asked, c.at, wait, sole, c.wait, c.sole)
		}
		clock.Known = false
		if wait, sole := clock.wait(c.at), clock.soleWait(c.at); wait != grace || sole != 3*grace || clock.Old() {
			t.Errorf("asked at %v, which isn't known: got %v and %v", c.asked, wait, sole)
		}
	}
	small := ofTwelve(3500 * ms)
	small.Grace = 10 * ms
	if wait := small.wait(0); wait != 10*ms {
		t.Errorf("with a grace below the late one: got %v, want the grace", wait)
	}
}

// A poll waits by its clock; beside an INVALID it doesn't.
func TestPollByTheClock(t *testing.T) {
	v := voter
	at := func(asked time.Duration) func(*Poll) { return func(p *Poll) { p.Clock = ofTwelve(asked) } }
	three := script(20, 0, says(valid), 60, 1, says(valid))
	for _, c := range []scenario{
		{name: "early", set: at(1000 * ms), events: three, at: 560 * ms, want: valid},
		{name: "early, all heard", set: at(1000 * ms),
			events: script(20, 0, says(valid), 60, 1, says(valid), 400, 2, says(valid)), at: 400 * ms, want: valid},
		{name: "the slot's quarter comes before the grace is over", set: at(2700 * ms), events: three, at: 300 * ms,
			want: valid},
		{name: "just before it", set: at(2900 * ms), events: three, at: 110 * ms, want: valid},
		{name: "after it", set: at(3500 * ms), events: three, at: 110 * ms, want: valid},
		{name: "an objection within the late grace", set: at(3500 * ms),
			events: script(20, 0, says(valid), 60, 1, says(valid), 109, 2, says(invalid)), at: 109 * ms, want: syncing},
		{name: "two slots old", set: at(24 * time.Second), events: three, at: 110 * ms, want: valid},
		{name: "no quorum, early", set: at(1000 * ms), events: script(20, 0, says(valid)), at: 1520 * ms, want: valid},
		{name: "no quorum, late: a grace at least", set: at(3500 * ms), events: script(20, 0, says(valid)),
			at: 520 * ms, want: valid},
		{name: "no quorum, old", set: at(24 * time.Second), events: script(20, 0, says(valid)),
			at: 170 * ms, want: valid},
		{name: "a quorum that comes after a sole VALID's time was nearly over", set: at(3500 * ms),
			events: script(20, 0, says(valid), 500, 1, says(valid)), at: 520 * ms, want: valid},
		{name: "VALID beside INVALID, late", set: at(3500 * ms),
			events: script(20, 0, says(valid), 30, 1, says(invalid)), at: 1520 * ms, want: syncing},
		{name: "VALID beside INVALID, old", set: at(time.Hour),
			events: script(20, 0, says(valid), 30, 1, says(invalid)), at: 1520 * ms, want: syncing},
		{name: "nobody, late", set: at(3500 * ms), at: timeout, want: none},
	} {
		c.seats = seats(v(), v(), v())
		c.run(t)
	}
}

func TestOverdue(t *testing.T) {
	for _, c := range []struct {
		asked, quorum, answered time.Duration
		want                    bool
	}{
		{1000 * ms, 60 * ms, 560 * ms, false},
		{1000 * ms, 60 * ms, 5000 * ms, true},
		{1000 * ms, 60 * ms, 1900 * ms, false}, // later than it had to be, and in time
		{2900 * ms, 60 * ms, 110 * ms, false},
		{2900 * ms, 60 * ms, 161 * ms, true},
		{2940 * ms, 59 * ms, 110 * ms, false},  // the late grace goes beyond the quarter
		{2940 * ms, 61 * ms, 5000 * ms, false}, // there was no quorum in time
		{time.Minute, 60 * ms, 5000 * ms, false},
	} {
		clock := ofTwelve(c.asked)
		if got := clock.Overdue(c.quorum, c.answered); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
		clock.Known = false
		if clock.Overdue(c.quorum, c.answered) {
			t.Errorf("%+v: overdue by a clock that isn't known", c)
		}
	}
}
