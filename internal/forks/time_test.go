package forks

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNext(t *testing.T) {
	now := time.Unix(1000, 0)
	other := fork(2000)
	other.ForkID = "0x00000000" // less than that of fork(2000)
	next := func(e Entry) Config { return Config{fork(0), e, none} }
	for _, c := range []struct {
		name string
		said []Said
		want Entry // Unknown: there is none
	}{
		{"nobody", nil, unknown},
		{"none", nodes(next(none), next(unknown)), unknown},
		{"one knows it", nodes(next(none), next(fork(2000)), next(unknown)), fork(2000)},
		{"the earliest", nodes(next(fork(3000)), next(fork(2000)), next(fork(4000))), fork(2000)},
		{"the earliest, though most know another", nodes(next(fork(3000)), next(fork(3000)), next(other)), other},
		{"one that has begun", nodes(next(fork(1000)), next(fork(2000)), next(fork(10))), fork(2000)},
		{"all have begun", nodes(next(fork(1000))), unknown},
		{"in a second", nodes(next(fork(1001))), fork(1001)},
		{"two of one time", nodes(next(fork(2000)), next(other)), other},
		{"two of one time, turned round", nodes(next(other), next(fork(2000))), other},
		{"two of one time, of which most know one", nodes(next(other), next(fork(2000)), next(fork(2000))), fork(2000)},
		{"only the last is known", nodes(Config{fork(0), unknown, fork(2000)}), fork(2000)},
		{"only the last is known, and a next one", nodes(Config{fork(0), unknown, fork(2000)}, next(fork(1500))),
			fork(1500)},
		{"the last isn't the next", nodes(Config{fork(0), fork(1500), fork(1200)}), fork(1500)},
		{"only the last is known, and has begun", nodes(Config{fork(0), unknown, fork(1000)}), unknown},
		{"genesis", nodes(next(fork(0))), unknown},
		{"never", nodes(next(fork(math.MaxUint64))), fork(math.MaxUint64)},
		{"current and last don't count", nodes(Config{fork(3000), none, fork(2000)}), unknown},
	} {
		if got, found := Next(c.said, now); got != c.want || found != (c.want.State == Known) {
			t.Errorf("%s: got %+v, %t", c.name, got, found)
		}
	}
}

func TestInterval(t *testing.T) {
	const fork = 1742999832
	for _, c := range []struct {
		name        string
		from        time.Duration // the time, from the fork on
		activations []uint64
		want        time.Duration
	}{
		{"no fork", 0, nil, 10 * time.Minute},
		{"genesis", -fork * time.Second, []uint64{0}, 10 * time.Minute},
		{"long before", -2 * time.Hour, []uint64{fork}, 10 * time.Minute},
		{"ten minutes before the hour", -70 * time.Minute, []uint64{fork}, 10 * time.Minute},
		{"nine minutes before the hour", -69 * time.Minute, []uint64{fork}, 9 * time.Minute},
		{"a moment before the hour", -time.Hour - time.Nanosecond, []uint64{fork}, time.Nanosecond},
		{"an hour before", -time.Hour, []uint64{fork}, time.Minute},
		{"as it begins", 0, []uint64{fork}, time.Minute},
		{"an hour after", time.Hour, []uint64{fork}, time.Minute},
		{"more than an hour after", time.Hour + time.Nanosecond, []uint64{fork}, 10 * time.Minute},
		{"of several", -69 * time.Minute, []uint64{fork + 60, 0, fork, math.MaxUint64, 7}, 9 * time.Minute},
		{"of several, in one's hour", -69 * time.Minute, []uint64{fork + 60, fork - 7200, fork}, time.Minute},
		{"never", 0, []uint64{math.MaxUint64, math.MaxInt64, math.MaxInt64 + 1, lastSecond + 1}, 10 * time.Minute},
	} {
		if got := Interval(time.Unix(fork, 0).Add(c.from), c.activations); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// Whenever it begins, a node is asked each minute in the hours around each fork.
func TestIntervalsMeetForks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		activations := rapid.SliceOfN(rapid.Uint64Range(1000000, 1050000), 1, 3).Draw(t, "activations")
		now := time.Unix(980000, 0).Add(time.Duration(rapid.Int64Range(0, 1e13).Draw(t, "start")))
		for now.Before(time.Unix(1060000, 0)) {
			next := now.Add(Interval(now, activations))
			if !next.After(now) || next.Sub(now) > 10*time.Minute {
				t.Fatalf("from %s to %s", now, next)
			}
			for _, activation := range activations {
				begin, end := time.Unix(int64(activation)-3600, 0), time.Unix(int64(activation)+3600, 0)
				if next.After(begin) && !now.After(end) && next.Sub(now) > time.Minute {
					t.Fatalf("from %s to %s, over %s", now, next, begin)
				}
			}
			now = next
		}
	})
}

func TestNear(t *testing.T) {
	const fork, day = 1742999832, 24 * time.Hour
	for _, c := range []struct {
		timestamp   uint64
		activations []uint64
		after       time.Duration
		want        bool
	}{
		{fork, nil, day, false},
		{fork, []uint64{fork}, day, true},
		{fork - 900, []uint64{fork}, day, true},
		{fork - 901, []uint64{fork}, day, false},
		{fork + 86400, []uint64{fork}, day, true},
		{fork + 86401, []uint64{fork}, day, false},
		{fork + 1, []uint64{fork}, time.Second, true},
		{fork + 2, []uint64{fork}, 1999 * time.Millisecond, false},
		{fork, []uint64{fork}, 0, true},
		{fork + 1, []uint64{fork}, 0, false},
		{fork + 1, []uint64{fork}, -time.Hour, false},
		{fork - 900, []uint64{fork}, 0, true},
		{fork, []uint64{1, fork - 100000, fork + 100000}, day, false},
		{fork, []uint64{1, fork - 100000, fork + 900}, day, true},
		{12, []uint64{0}, day, false},
		{12, []uint64{1}, day, true},
		{0, []uint64{900}, day, true},
		{0, []uint64{math.MaxUint64}, day, false},
		{math.MaxUint64, []uint64{math.MaxUint64}, day, true},
		{math.MaxUint64, []uint64{math.MaxUint64 - 86400}, day, true},
		{math.MaxUint64, []uint64{math.MaxUint64 - 86401}, day, false},
		{math.MaxUint64, []uint64{1}, math.MaxInt64, false},
		{math.MaxUint64 - 900, []uint64{math.MaxUint64}, day, true},
	} {
		if got := Near(c.timestamp, c.activations, c.after); got != c.want {
			t.Errorf("%d, %d, %s: %t", c.timestamp, c.activations, c.after, got)
		}
	}
}
