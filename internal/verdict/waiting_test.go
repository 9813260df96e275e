package verdict_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/history"
)

const (
	ms    = time.Millisecond
	good  = bubble.Good
	grace = bubble.Grace
)

type fakes = []*bubble.Fake

// epoch is when every bubble begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// check compares each slot's times with the longest that it may take.
func check(t *testing.T, slots []bubble.Slot, atMost func(i int) time.Duration) {
	t.Helper()
	for i, s := range slots {
		if s.NewPayload != "VALID" || s.Forkchoice != "VALID" {
			t.Errorf("block %d: %+v", i+1, s)
		}
		if limit := atMost(i); s.Took > limit || s.ForkchoiceTook > limit {
			t.Errorf("block %d took %v and %v, want at most %v", i+1, s.Took, s.ForkchoiceTook, limit)
		}
	}
}

// A node that hangs from second 10 on, probes and all, costs at most one grace in each of two calls.
func TestOneHangs(t *testing.T) {
	hanging := &bubble.Fake{Delay: func(string, int) time.Duration {
		if time.Since(epoch) >= 10*time.Second {
			return bubble.Forever
		}
		return 0
	}}
	bubble.In(t, fakes{bubble.Healthy(), hanging, bubble.Healthy()}, func(t *testing.T, b *bubble.Bubble) {
		slots := b.Follow(1, 30)
		slow := 0
		for _, s := range slots {
			if s.Took > good {
				slow++
			}
		}
		if slow == 0 || slow > 2 {
			t.Errorf("%d slow calls, want one or two", slow)
		}
		check(t, slots, func(i int) time.Duration {
			if i < 5 || i >= 7 {
				return good
			}
			return good + grace
		})
		if s := b.Fleet.Pool.Nodes()[1].Status(); !s.Laggard || !s.Reachable() {
			t.Errorf("the hung node: %+v", s)
		}
	})
}

// The same where only engine calls hang: the prober sees nothing.
func TestOneHangsBehindGoodProbes(t *testing.T) {
	hanging := &bubble.Fake{Delay: func(method string, n int) time.Duration {
		if strings.HasPrefix(method, "engine_") && n >= 5 {
			return bubble.Forever
		}
		return 0
	}}
	bubble.In(t, fakes{bubble.Healthy(), hanging, bubble.Healthy()}, func(t *testing.T, b *bubble.Bubble) {
		check(t, b.Follow(1, 30), func(i int) time.Duration {
			if i == 4 || i == 5 {
				return good + grace
			}
			return good
		})
	})
}

// A node that takes three seconds over every payload costs two graces, gets everything in order, and ends on the same
// head as the others.
func TestOneIsLate(t *testing.T) {
	late := &bubble.Fake{Delay: func(method string, _ int) time.Duration {
		if strings.HasPrefix(method, "engine_newPayload") {
			return 3 * time.Second
		}
		return 0
	}}
	bubble.In(t, fakes{bubble.Healthy(), bubble.Healthy(), late}, func(t *testing.T, b *bubble.Bubble) {
		check(t, b.Follow(1, 30), func(i int) time.Duration {
			if i < 2 {
				return good + grace
			}
			return good
		})
		time.Sleep(2 * time.Minute) // the bubble's clock
		var payloads []string
		calls := late.Seen()
		for _, c := range calls {
			if c[0] == 'P' {
				payloads = append(payloads, c)
			}
		}
		var want []string
		for i := 1; i <= 30; i++ {
			want = append(want, fmt.Sprint("P", i))
		}
		if !slices.Equal(payloads, want) {
			t.Errorf("payloads came as %v", payloads)
		}
		if last := calls[len(calls)-1]; last != "F30" {
			t.Errorf("the last call is %s, want F30", last)
		}
	})
}

// A node that refuses connections costs nothing.
func TestOneRefuses(t *testing.T) {
	dead := &bubble.Fake{Refuse: func() bool { return true }}
	bubble.In(t, fakes{dead, bubble.Healthy(), bubble.Healthy()}, func(t *testing.T, b *bubble.Bubble) {
		check(t, b.Follow(1, 30), func(int) time.Duration { return good })
		if calls := dead.Seen(); len(calls) > 0 {
			t.Errorf("it got %v", calls)
		}
	})
}

// Of two nodes, one whose probes still answer hangs: at most three graces, twice.
func TestOneOfTwoHangs(t *testing.T) {
	hanging := &bubble.Fake{Delay: func(method string, n int) time.Duration {
		if strings.HasPrefix(method, "engine_") && n >= 3 {
			return bubble.Forever
		}
		return 0
	}}
	bubble.In(t, fakes{bubble.Healthy(), hanging}, func(t *testing.T, b *bubble.Bubble) {
		slots := b.Follow(1, 10)
		slow := 0
		for i, s := range slots {
			if s.NewPayload != "VALID" || s.Forkchoice != "VALID" || s.Took > good+3*grace ||
				s.ForkchoiceTook > 3*grace {
				t.Errorf("block %d: %+v", i+1, s)
			}
			if s.Took > good {
				slow++
			}
			if i >= 4 && (s.Took != good || s.ForkchoiceTook != 0) {
				t.Errorf("block %d: %+v, want as with one node", i+1, s)
			}
		}
		if slow == 0 || slow > 2 {
			t.Errorf("%d slow calls", slow)
		}
	})
}

// All hang: SYNCING at the method's limit, and all is well within a probe of their recovery.
func TestAllHang(t *testing.T) {
	hung, healed := epoch.Add(6*time.Second), epoch.Add(26*time.Second)
	hang := func(string, int) time.Duration {
		if time.Now().Before(hung) {
			return 0
		}
		return time.Until(healed)
	}
	nodes := fakes{{Delay: hang}, {Delay: hang}, {Delay: hang}}
	bubble.In(t, nodes, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 3) // until all hang
		// newPayloadV99's limit is that of the newest method that we know.
		if status, took := b.Send(bubble.PayloadCall(4)); status != "SYNCING" || took != 5500*ms {
			t.Errorf("newPayload: %s after %v", status, took)
		}
		// Whoever let the payload's time go by is waited for no longer than three graces.
		if status, took := b.Send(bubble.ForkchoiceCall(4)); status != "SYNCING" || took != 3*grace {
			t.Errorf("forkchoiceUpdated: %s after %v", status, took)
		}
		time.Sleep(time.Until(healed) + 4*time.Second) // the bubble's clock: a probe, and its interval
		for i, s := range b.Follow(5, 5) {
			if s.NewPayload != "VALID" || s.Forkchoice != "VALID" || s.Took != 0 || s.ForkchoiceTook != 0 {
				t.Errorf("block %d: %+v", i+5, s)
			}
		}
	})
}

// An objection two seconds after the quorum: the CL has heard VALID, and the next call on the block hears SYNCING.
func TestLateObjection(t *testing.T) {
	objector := &bubble.Fake{
		Delay: func(method string, n int) time.Duration {
			if n == 5 && strings.HasPrefix(method, "engine_newPayload") {
				return good + grace + 2*time.Second
			}
			return 0
		},
		Status: func(_ string, n int) string {
			switch {
			case n == 5:
				return "INVALID"
			case n > 5: // it forgets its objection, and doesn't take it back
				return "SYNCING"
			}
			return "VALID"
		},
	}
	bubble.In(t, fakes{bubble.Healthy(), bubble.Healthy(), objector}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 4)
		if status, took := b.Send(bubble.PayloadCall(5)); status != "VALID" || took != good+grace {
			t.Fatalf("newPayload: %s after %v", status, took)
		}
		time.Sleep(3 * time.Second) // the bubble's clock
		for _, body := range [][]byte{bubble.ForkchoiceCall(5), bubble.PayloadCall(6), bubble.ForkchoiceCall(6)} {
			if status, _ := b.Send(body); status != "SYNCING" {
				t.Errorf("%s: %s", body, status)
			}
		}
	})
}

// What settles a verdict settles it at once, and what could still change it is waited for.
func TestAnswersAtOnce(t *testing.T) {
	says := func(status string, after time.Duration) *bubble.Fake {
		return &bubble.Fake{
			Status: func(method string, n int) string {
				if n < 2 {
					return "VALID"
				}
				return status
			},
			Delay: func(method string, n int) time.Duration {
				if n < 2 || method == "eth_syncing" {
					return 0
				}
				return after
			},
		}
	}
	for _, c := range []struct {
		name  string
		nodes fakes
		want  string
		took  time.Duration
	}{
		{"two of three condemn",
			fakes{says("INVALID", 1*ms), says("INVALID", 2*ms), says("VALID", 3*time.Second)},
			"INVALID", 2 * ms},
		{"two of three are syncing",
			fakes{says("SYNCING", 1*ms), says("SYNCING", 2*ms), says("VALID", 3*time.Second)},
			"SYNCING", 2 * ms},
		{"a dispute that nothing can end",
			fakes{says("VALID", 1*ms), says("VALID", 2*ms), says("INVALID", 3*ms), says("VALID", 3*time.Second)},
			"SYNCING", 3 * ms},
		{"all VALID", fakes{says("VALID", 1*ms), says("VALID", 2*ms), says("VALID", 300*ms)}, "VALID", 300 * ms},
		{"a quorum waits a grace",
			fakes{says("VALID", 1*ms), says("VALID", 2*ms), says("VALID", 3*time.Second)},
			"VALID", 2*ms + grace},
		{"an objection within the grace",
			fakes{says("VALID", 1*ms), says("VALID", 2*ms), says("INVALID", 400*ms)},
			"SYNCING", 400 * ms},
		{"of two, one VALID waits three graces",
			fakes{says("VALID", 1*ms), says("VALID", 5*time.Second)},
			"VALID", 1*ms + 3*grace},
		{"of two, an objection in the third", fakes{says("VALID", 1*ms), says("INVALID", 1200*ms)},
			"SYNCING", 1200 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.In(t, c.nodes, func(t *testing.T, b *bubble.Bubble) {
				b.Follow(1, 1)
				if status, took := b.Send(bubble.PayloadCall(2)); status != c.want || took != c.took {
					t.Errorf("%s after %v, want %s after %v", status, took, c.want, c.took)
				}
			})
		})
	}
}

// A node that dies while it is waited for is waited for no longer.
func TestDeathEndsTheWait(t *testing.T) {
	death := epoch.Add(2*time.Second + 100*ms)
	dying := &bubble.Fake{
		Refuse: func() bool { return !time.Now().Before(death) },
		Delay: func(method string, n int) time.Duration {
			if n == 2 {
				return bubble.Forever
			}
			return 0
		},
	}
	bubble.In(t, fakes{dying, {}}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 1)
		time.AfterFunc(time.Until(death), func() { b.Fleet.Pool.Recheck(b.Fleet.Context()) })
		if status, took := b.Send(bubble.PayloadCall(2)); status != "VALID" || took != 100*ms {
			t.Errorf("%s after %v", status, took)
		}
	})
}

// A CL that hangs up has its answer, as far as order goes; the nodes still get the call.
func TestHangUp(t *testing.T) {
	slow := &bubble.Fake{Delay: func(method string, n int) time.Duration {
		if n == 1 && strings.HasPrefix(method, "engine_newPayload") {
			return 5 * time.Second
		}
		return 0
	}}
	bubble.In(t, fakes{slow}, func(t *testing.T, b *bubble.Bubble) {
		ctx, hangUp := context.WithTimeout(t.Context(), time.Second)
		defer hangUp()
		b.Post(ctx, bubble.PayloadCall(1))
		b.Send(bubble.ForkchoiceCall(1))
		if got := slow.Seen(); !slices.Equal(got, []string{"P1", "F1"}) {
			t.Errorf("the node got %v", got)
		}
		synctest.Wait() // nobody waited for the verdict
		if took := b.Fleet.History.Records()[0].Took; took != history.Micros(5*time.Second) {
			t.Errorf("the payload took %v", took)
		}
	})
}

// A node that is killed and comes back costs no grace, however long it takes over its first payloads: nobody waits for
// it until it has answered one in time. One that stays slow becomes a laggard like any other.
func TestNobodyWaitsForOneThatHasJustComeBack(t *testing.T) {
	for _, c := range []struct {
		slow    int // payloads after its return that it is slow with
		laggard bool
	}{{0, false}, {1, false}, {5, false}, {100, true}} {
		back := epoch.Add(40 * time.Second)
		killed := &bubble.Fake{
			Refuse: func() bool { return time.Since(epoch) > 20*time.Second && time.Now().Before(back) },
			Delay: func(method string, n int) time.Duration {
				if strings.HasPrefix(method, "engine_newPayload") && n > 20 && n <= 21+c.slow {
					return 3 * grace
				}
				return 0
			},
		}
		bubble.In(t, fakes{bubble.Healthy(), killed, bubble.Healthy()}, func(t *testing.T, b *bubble.Bubble) {
			check(t, b.Follow(1, 60), func(int) time.Duration { return good })
			if s := b.Fleet.Pool.Nodes()[1].Status(); s.Laggard != c.laggard {
				t.Errorf("slow with %d payloads: laggard %v, want %v", c.slow, s.Laggard, c.laggard)
			}
		})
	}
}

// Where all voters have just come back, all are waited for: none of them is known to be better than the others.
func TestAllHaveJustComeBack(t *testing.T) {
	var down atomic.Bool
	var nodes fakes
	for _, d := range []time.Duration{20 * ms, 60 * ms, 100 * ms} {
		n := takes(d)
		n.Refuse = down.Load
		nodes = append(nodes, n)
	}
	bubble.In(t, nodes, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 3)
		for _, is := range []bool{true, false} {
			down.Store(is)
			if _, err := b.Fleet.Pool.Recheck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range b.Fleet.Pool.Nodes() {
			if s := n.Status(); !s.Returned || !s.Laggard {
				t.Fatalf("%s: %+v", n.Name(), s)
			}
		}
		if status, took := b.Send(bubble.PayloadCall(4)); status != "VALID" || took != 100*ms {
			t.Errorf("%s after %v, want VALID when all have said so", status, took)
		}
	})
}

// An objector that was repaired is waited for when it comes back, though it is a laggard then: the first payload that
// is sent to it ends the dispute.
func TestRepairedObjectorIsWaitedFor(t *testing.T) {
	from, to := epoch.Add(21*time.Second), epoch.Add(29*time.Second)
	repaired := func() bool { return time.Now().After(from) }
	objector := &bubble.Fake{
		Refuse: func() bool { return repaired() && time.Now().Before(to) },
		Status: func(_ string, n int) string {
			switch {
			case n < 3 || repaired():
				return "VALID"
			case n == 3:
				return "INVALID"
			}
			return "SYNCING"
		},
		Delay: func(method string, _ int) time.Duration {
			if repaired() && strings.HasPrefix(method, "engine_newPayload") {
				return 200 * ms
			}
			return 0
		},
	}
	bubble.In(t, fakes{bubble.Healthy(), bubble.Healthy(), objector}, func(t *testing.T, b *bubble.Bubble) {
		slots := b.Follow(1, 20)
		sent := false
		for i, s := range slots[3:] {
			n := i + 4
			first := !sent && n > 14 && slices.Contains(objector.Seen(), fmt.Sprint("P", n))
			sent = sent || first
			switch {
			case !sent && s.NewPayload != "SYNCING", sent && s.NewPayload != "VALID":
				t.Errorf("block %d: %+v, sent to the repaired node: %v", n, s, sent)
			case first && s.Took != 200*ms:
				t.Errorf("block %d took %v, want as long as the repaired node", n, s.Took)
			}
		}
		if !sent {
			t.Error("nothing was sent to the repaired node")
		}
	})
}
