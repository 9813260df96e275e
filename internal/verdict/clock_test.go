package verdict_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/fleet"
)

// shortSlots are those of a chain on which attestations are due three seconds into a slot of five, by newPayloadV99.
func shortSlots(s *fleet.Settings) {
	s.Times = fleet.Times{Grace: grace, LateGrace: bubble.LateGrace, Slot: 5 * time.Second}
}

// takes is a fake that takes so long over each newPayload and forkchoiceUpdated.
func takes(d time.Duration) *bubble.Fake {
	return &bubble.Fake{Delay: func(method string, _ int) time.Duration {
		if strings.HasPrefix(method, "engine_newPayload") || strings.HasPrefix(method, "engine_forkchoiceUpdated") {
			return d
		}
		return 0
	}}
}

// hangs is a fake that answers nothing but probes.
func hangs() *bubble.Fake { return takes(bubble.Forever) }

// inSlot is a test of one payload that the CL sends at a time in its slot.
func inSlot(t *testing.T, nodes fakes, asked time.Duration, test func(b *bubble.Bubble, payload []byte)) {
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, nodes, bubble.Options{Settings: shortSlots})
		b.Run(func() {
			slot := time.Now().Truncate(time.Second).Add(time.Minute)
			time.Sleep(time.Until(slot.Add(asked))) // the bubble's clock
			test(b, bubble.PayloadAt(1, slot))
		})
	})
}

// When the CL has VALID to a payload, by when in the slot it asked: "not later than o = --attest-by, but at least
// --late-grace after the quorum".
func TestInSlot(t *testing.T) {
	type all = []time.Duration
	fast := all{20 * ms, 60 * ms, 400 * ms}
	hung := all{20 * ms, 60 * ms, bubble.Forever}
	sole := all{20 * ms, bubble.Forever}
	for _, c := range []struct {
		asked time.Duration
		take  all
		want  time.Duration
	}{
		{1000 * ms, fast, 400 * ms},
		{1000 * ms, hung, 560 * ms},
		{2700 * ms, hung, 300 * ms},
		{2900 * ms, fast, 110 * ms},
		{3500 * ms, fast, 110 * ms},
		{-900 * ms, hung, 560 * ms},
		{-5 * time.Second, hung, 560 * ms}, // our clock is wrong
		{1000 * ms, sole, 1520 * ms},
		{3500 * ms, sole, 520 * ms},
		{9999 * ms, sole, 520 * ms},
		{10 * time.Second, sole, 170 * ms}, // nobody attests any more
		{2 * time.Minute, hung, 110 * ms},
	} {
		var nodes fakes
		for _, d := range c.take {
			nodes = append(nodes, takes(d))
		}
		inSlot(t, nodes, c.asked, func(b *bubble.Bubble, payload []byte) {
			if status, took := b.Send(payload); status != "VALID" || took != c.want {
				t.Errorf("asked at %v of nodes that take %v: %s after %v, want VALID after %v", c.asked, c.take, status,
					took, c.want)
			}
		})
	}
}

// A forkchoiceUpdated goes by its head's timestamp where we saw its payload, else by the plain grace; and so does the
// first one, which waits until it is known what the payload is.
func TestForkchoiceInSlot(t *testing.T) {
	for _, c := range []struct {
		asked time.Duration
		head  int
		want  time.Duration
	}{
		{0, 1, 520 * ms},
		{3500 * ms, 1, 70 * ms},
		{2 * time.Minute, 1, 70 * ms},
		{3500 * ms, 2, 520 * ms},
	} {
		late := &bubble.Fake{Delay: func(method string, _ int) time.Duration {
			if strings.HasPrefix(method, "engine_forkchoiceUpdated") {
				return bubble.Forever
			}
			return 0
		}}
		inSlot(t, fakes{takes(20 * ms), takes(20 * ms), late}, c.asked, func(b *bubble.Bubble, payload []byte) {
			b.Send(payload)
			status, took := b.Send(bubble.ForkchoiceCall(c.head))
			if status != "VALID" || took != c.want {
				t.Errorf("asked at %v on block %d: %s after %v, want VALID after %v", c.asked, c.head, status, took,
					c.want)
			}
		})
	}
}

// Who is late on a payload to which nobody attests is no laggard; on one of this slot it is, and its slowness counts as
// before.
func TestOldPayloadsMakeNoLaggard(t *testing.T) {
	for _, c := range []struct {
		asked   time.Duration
		laggard bool
	}{{0, true}, {9 * time.Second, true}, {10 * time.Second, false}} {
		synctest.Test(t, func(t *testing.T) {
			nodes := fakes{takes(20 * ms), takes(60 * ms), takes(700 * ms)}
			b := bubble.New(t, nodes, bubble.Options{Settings: shortSlots})
			b.Run(func() {
				for n := 1; n <= 6; n++ {
					b.Send(bubble.PayloadAt(n, time.Now().Add(-c.asked).Truncate(time.Second)))
					b.Send(bubble.ForkchoiceCall(n))
					time.Sleep(5*time.Second - time.Duration(time.Now().Nanosecond())) // the bubble's clock
				}
				if got := b.Fleet.Pool.Nodes()[2].Status().Laggard; got != c.laggard {
					t.Errorf("late on payloads %v old: laggard %v, want %v", c.asked, got, c.laggard)
				}
			})
		})
	}
}

// A CL that syncs is answered at the pace of a quorum while there is room in the lanes, then at that of the slowest
// node that keeps up; one that hangs isn't waited for; and all that keep up end on the same head, with every payload.
func TestSync(t *testing.T) {
	const blocks = 1200
	slowest := takes(400 * ms)
	nodes := fakes{takes(20 * ms), takes(60 * ms), slowest}
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, nodes, bubble.Options{Settings: shortSlots})
		b.Run(func() {
			old := time.Now().Add(-time.Hour)
			var took []time.Duration
			for n := 1; n <= blocks; n++ {
				status, d := b.Send(bubble.PayloadAt(n, old.Add(time.Duration(n)*time.Second)))
				if status != "VALID" {
					t.Fatalf("block %d: %s", n, status)
				}
				took = append(took, d)
			}
			status, _ := b.Send(bubble.ForkchoiceCall(blocks))
			if status != "VALID" {
				t.Fatal(status)
			}
			for n, d := range took {
				switch {
				case n < 500 && d > 110*ms:
					t.Errorf("block %d took %v while there was room", n+1, d)
				case d > 500*ms:
					t.Errorf("block %d took %v, more than the slowest", n+1, d)
				}
			}
			if pace := took[blocks-1]; pace < 300*ms {
				t.Errorf("the last block took %v: nobody waited for room", pace)
			}
			time.Sleep(10 * time.Minute) // the bubble's clock
			seen := slowest.Seen()
			want := []string{}
			for n := 1; n <= blocks; n++ {
				want = append(want, fmt.Sprint("P", n))
			}
			if want = append(want, fmt.Sprint("F", blocks)); !slices.Equal(seen, want) {
				t.Errorf("the slowest node got %d calls, the last %v, want all %d in order",
					len(seen), seen[len(seen)-1], len(want))
			}
			if dropped := b.Fleet.Pool.Nodes()[2].Status().LaneDropped; dropped != 0 {
				t.Errorf("%d calls fell out of the slowest node's lane", dropped)
			}
		})
	})
}

// A node that hangs while the CL syncs doesn't keep up: its full lane holds nobody up.
func TestSyncBesideAHungNode(t *testing.T) {
	nodes := fakes{takes(20 * ms), takes(60 * ms), hangs()}
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, nodes, bubble.Options{Settings: shortSlots})
		b.Run(func() {
			old := time.Now().Add(-time.Hour)
			for n := 1; n <= 700; n++ {
				if status, took := b.Send(bubble.PayloadAt(n, old)); status != "VALID" || took > 110*ms {
					t.Fatalf("block %d: %s after %v", n, status, took)
				}
			}
		})
	})
}

// Payloads that keep coming from the future are told of once, and again when that is over.
func TestClockBehind(t *testing.T) {
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, fakes{takes(0), takes(0)},
			bubble.Options{Settings: shortSlots, Log: slog.New(slog.NewTextHandler(&log, nil))})
		b.Run(func() {
			n := 0
			send := func(times int, from time.Duration) {
				for range times {
					n++
					b.Send(bubble.PayloadAt(n, time.Now().Add(from)))
				}
			}
			says := func(when string, behind, over int, offset float64) {
				t.Helper()
				if got := strings.Count(log.String(), "come from the future: "); got != behind {
					t.Errorf("%s: told %d times that our clock is behind, want %d", when, got, behind)
				}
				if got := strings.Count(log.String(), "no longer come from the future"); got != over {
					t.Errorf("%s: told %d times that it is over, want %d", when, got, over)
				}
				if got := b.Value("executionbackup_clock_offset_seconds"); got != offset {
					t.Errorf("%s: the clock's offset is %v, want %v", when, got, offset)
				}
			}
			send(4, 3*time.Second)
			send(1, -time.Second)
			send(4, 3*time.Second)
			says("four in a row, twice", 0, 0, 0)
			send(2, 3*time.Second)
			says("six in a row", 1, 0, -3)
			b.Send(bubble.PayloadCall(n)) // without a timestamp: it says nothing
			send(1, 4*time.Second)
			says("seven", 1, 0, -4)
			send(1, time.Second)
			says("one second is no wonder", 1, 1, 0)
		})
	})
}

// held is a handler of logs that keeps whoever logs a message waiting, as a machine does that is too busy.
type held struct {
	slog.Handler
	message string
}

func (h held) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.message {
		time.Sleep(4 * time.Second) // the bubble's clock
	}
	return nil
}

func (h held) WithAttrs([]slog.Attr) slog.Handler { return h }

// An answer that is overdue is counted: VALID had its quorum in time, and we were too slow.
func TestOverdueVerdict(t *testing.T) {
	for _, c := range []struct {
		message string // whoever logs it is kept waiting
		want    float64
	}{{"", 0}, {"block hash not checked", 1}} {
		synctest.Test(t, func(t *testing.T) {
			log := slog.New(held{slog.NewTextHandler(io.Discard, nil), c.message})
			// The SYNCING begins the check.
			nodes := fakes{bubble.Speaker(1, "SYNCING", 10*ms), takes(20 * ms), takes(60 * ms), takes(70 * ms)}
			b := bubble.New(t, nodes, bubble.Options{Settings: shortSlots, Log: log})
			b.Run(func() {
				slot := time.Now().Truncate(time.Second).Add(time.Minute)
				time.Sleep(time.Until(slot.Add(time.Second))) // the bubble's clock
				if status, _ := b.Send(bubble.PayloadAt(1, slot)); status != "VALID" {
					t.Fatal(status)
				}
				synctest.Wait()
				if got := b.Value("executionbackup_overdue_verdicts_total"); got != c.want {
					t.Errorf("%q: %v verdicts were overdue, want %v", c.message, got, c.want)
				}
			})
		})
	}
}

// A forkchoiceUpdated that comes while its head's payload is being checked goes by the clock that this shows.
func TestForkchoiceInSlotAfterACheck(t *testing.T) {
	// They don't know the payload, and have it when it is the head.
	lacks := func(forkchoice time.Duration) *bubble.Fake {
		return &bubble.Fake{
			Status: func(method string, _ int) string {
				if strings.HasPrefix(method, "engine_newPayload") {
					return "SYNCING"
				}
				return "VALID"
			},
			Delay: func(method string, _ int) time.Duration {
				if strings.HasPrefix(method, "engine_forkchoiceUpdated") {
					return forkchoice
				}
				return 0
			},
		}
	}
	onBench(t, fakes{lacks(0), lacks(0), lacks(bubble.Forever)}, func(t *testing.T, b *bubble.Bubble) {
		for range cap(b.Bench.Checks()) { // other payloads are being checked
			b.Bench.Checks() <- struct{}{}
		}
		slot := time.Now().Truncate(time.Second).Add(time.Minute)
		time.Sleep(time.Until(slot.Add(4 * time.Second))) // the bubble's clock
		go b.Send(bubble.PayloadAt(1, slot))
		synctest.Wait()
		time.AfterFunc(100*ms, func() { <-b.Bench.Checks() })
		if status, took := b.Send(bubble.ForkchoiceCall(1)); status != "VALID" || took != 100*ms {
			t.Errorf("%s after %v, want VALID as soon as the check is over", status, took)
		}
	})
}

// On Gnosis a slot takes five seconds, and the grace is in proportion.
func TestGnosis(t *testing.T) {
	for chainID, want := range map[string]time.Duration{"0x1": 500 * ms, "0x64": 500 * ms * 5 / 12} {
		var nodes fakes
		for _, d := range []time.Duration{20 * ms, 60 * ms, bubble.Forever} {
			n := takes(d)
			n.Answer = func(method string) (string, bool) {
				switch method {
				case "eth_chainId":
					return `"` + chainID + `"`, true
				case "eth_getBlockByNumber":
					return `{"number":"0x0","hash":"` + bubble.Hash(0).Hex() + `"}`, true
				}
				return "", false
			}
			nodes = append(nodes, n)
		}
		settings := func(s *fleet.Settings) { s.Times = fleet.Times{Grace: -1, LateGrace: bubble.LateGrace} }
		synctest.Test(t, func(t *testing.T) {
			b := bubble.New(t, nodes, bubble.Options{Settings: settings})
			b.Run(func() {
				if status, took := b.Send(bubble.PayloadAt(1, time.Now())); status != "VALID" || took != 60*ms+want {
					t.Errorf("chain %s: %s after %v, want VALID a grace of %v after 60 ms", chainID, status, took, want)
				}
			})
		})
	}
}
