package verdict_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/health"
)

// A VALID without a quorum goes out after three graces, whatever is the matter with the others.
func TestNoQuorumCostsThreeGraces(t *testing.T) {
	dying := func(from int) *bubble.Fake {
		f := new(bubble.Fake)
		f.Arrived = func(_ string, n int) (func(), bool) { return func() {}, n >= from }
		return f
	}
	quick := func() *bubble.Fake { return bubble.Speaker(3, "VALID", good) }
	hanging := func() *bubble.Fake { return bubble.Speaker(3, "VALID", bubble.Forever) }
	for _, c := range []struct {
		name      string
		threshold string
		nodes     func() fakes
	}{
		{"one dies, one hangs", "0.6", func() fakes { return fakes{quick(), dying(3), hanging()} }},
		{"one is syncing, one hangs", "0.6", func() fakes {
			return fakes{quick(), bubble.Speaker(3, "SYNCING", 0), hanging()}
		}},
		{"two hang", "0.6", func() fakes { return fakes{quick(), hanging(), hanging()} }},
		{"one of three hangs, at 0.7", "0.7", func() fakes { return fakes{quick(), quick(), hanging()} }},
		{"one of three hangs, at 1", "1", func() fakes { return fakes{quick(), quick(), hanging()} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.In(t, c.nodes(), func(t *testing.T, b *bubble.Bubble) {
				b.Threshold(c.threshold)
				b.Follow(1, 2)
				if status, took := b.Send(bubble.PayloadCall(3)); status != "VALID" || took > good+3*grace {
					t.Errorf("newPayload: %s after %v", status, took)
				}
				if status, took := b.Send(bubble.ForkchoiceCall(3)); status != "VALID" || took > good+3*grace {
					t.Errorf("forkchoiceUpdated: %s after %v", status, took)
				}
			})
		})
	}
}

// A syncing node's quick SYNCING doesn't make voters late: they take 700 ms over each block.
func TestSyncingNodeMakesNobodyLate(t *testing.T) {
	slow := func() *bubble.Fake {
		return &bubble.Fake{Delay: func(method string, _ int) time.Duration {
			if strings.HasPrefix(method, "engine_newPayload") {
				return 700 * ms
			}
			return 0
		}}
	}
	resyncing := &bubble.Fake{
		Status: func(string, int) string { return "SYNCING" },
		Answer: func(method string) (string, bool) { return `{"currentBlock":"0x1"}`, method == "eth_syncing" },
	}
	bubble.In(t, fakes{slow(), slow(), resyncing}, func(t *testing.T, b *bubble.Bubble) {
		for i, s := range b.Follow(1, 10) {
			if s.NewPayload != "VALID" || s.Took != 700*ms {
				t.Errorf("block %d: %+v", i+1, s)
			}
		}
	})
}

// Neither does a quick INVALID.
func TestQuickObjectorMakesNobodyLate(t *testing.T) {
	slow := func() *bubble.Fake {
		return &bubble.Fake{Delay: func(method string, n int) time.Duration {
			if n > 1 && strings.HasPrefix(method, "engine_newPayload") {
				return 700 * ms
			}
			return 0
		}}
	}
	bubble.In(t, fakes{slow(), slow(), bubble.Speaker(2, "INVALID", 1*ms)}, func(t *testing.T, b *bubble.Bubble) {
		for i, s := range b.Follow(1, 6) {
			if want := map[bool]string{true: "VALID", false: "SYNCING"}[i == 0]; s.NewPayload != want {
				t.Errorf("block %d: %+v", i+1, s)
			}
		}
		for i, n := range b.Fleet.Pool.Nodes() {
			if n.Status().Laggard {
				t.Errorf("node %d is a laggard", i+1)
			}
		}
	})
}

// A node's INVALID beside none that could contradict it is no verdict: INVALID can't be taken back.
func TestLoneInvalid(t *testing.T) {
	t.Run("the other one is slow", func(t *testing.T) {
		late := &bubble.Fake{Delay: func(method string, n int) time.Duration {
			if n > 1 && strings.HasPrefix(method, "engine_newPayload") {
				return 600 * ms
			}
			return 0
		}}
		bubble.In(t, fakes{late, bubble.Speaker(6, "INVALID", 1*ms)}, func(t *testing.T, b *bubble.Bubble) {
			b.Follow(1, 5)
			if !b.Fleet.Pool.Nodes()[0].Status().Laggard {
				t.Fatal("it doesn't lag")
			}
			if status, took := b.Send(bubble.PayloadCall(6)); status != "SYNCING" || took != 600*ms {
				t.Errorf("newPayload: %s after %v", status, took)
			}
			if status, _ := b.Send(bubble.PayloadCall(6)); status != "SYNCING" {
				t.Errorf("again: %s", status)
			}
		})
	})
	t.Run("the other one has called it VALID, and is stopped", func(t *testing.T) {
		var stopped atomic.Bool
		good := &bubble.Fake{Refuse: stopped.Load}
		bubble.In(t, fakes{good, bubble.Speaker(2, "INVALID", 0)}, func(t *testing.T, b *bubble.Bubble) {
			b.Follow(1, 1)
			if status, _ := b.Send(bubble.PayloadCall(2)); status != "SYNCING" {
				t.Fatalf("newPayload: %s", status)
			}
			stopped.Store(true)
			b.Fleet.Pool.Recheck(b.Fleet.Context())
			for _, body := range [][]byte{bubble.ForkchoiceCall(2), bubble.PayloadCall(3), bubble.ForkchoiceCall(3)} {
				if status, _ := b.Send(body); status != "SYNCING" {
					t.Errorf("%s: %s", body, status)
				}
			}
		})
	})
	t.Run("the two others hang", func(t *testing.T) {
		hanging := func() *bubble.Fake { return bubble.Speaker(2, "VALID", bubble.Forever) }
		nodes := fakes{hanging(), hanging(), bubble.Speaker(4, "INVALID", 1*ms)}
		bubble.In(t, nodes, func(t *testing.T, b *bubble.Bubble) {
			b.Follow(1, 3)
			// They have their time; once they have used that up, they don't get it again.
			for _, want := range []time.Duration{5500 * ms, 3 * grace} {
				if status, took := b.Send(bubble.PayloadCall(4)); status != "SYNCING" || took != want {
					t.Errorf("%s after %v, want SYNCING after %v", status, took, want)
				}
			}
		})
	})
	t.Run("two of four that called it VALID are stopped", func(t *testing.T) {
		var stopped atomic.Bool
		good := func() *bubble.Fake { return &bubble.Fake{Refuse: stopped.Load} }
		nodes := fakes{good(), good(), bubble.Speaker(2, "INVALID", 0), bubble.Speaker(2, "INVALID", 0)}
		bubble.In(t, nodes, func(t *testing.T, b *bubble.Bubble) {
			b.Follow(1, 1)
			b.Send(bubble.PayloadCall(2))
			stopped.Store(true)
			b.Fleet.Pool.Recheck(b.Fleet.Context())
			for _, body := range [][]byte{bubble.ForkchoiceCall(2), bubble.PayloadCall(3), bubble.ForkchoiceCall(3)} {
				if status, _ := b.Send(body); status != "SYNCING" {
					t.Errorf("%s: %s", body, status)
				}
			}
		})
	})
}

// A repaired node ends its own objection: with the first VALID to a payload on top of it that it had never been sent.
func TestRepairedNodeEndsItsObjection(t *testing.T) {
	var repaired atomic.Bool
	broken := &bubble.Fake{Status: func(_ string, n int) string {
		if n >= 2 && !repaired.Load() {
			return "INVALID"
		}
		return "VALID"
	}}
	bubble.In(t, fakes{bubble.Healthy(), bubble.Healthy(), broken}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 1)
		for i, s := range b.Follow(2, 3) {
			if s.NewPayload != "SYNCING" || s.Forkchoice != "SYNCING" {
				t.Errorf("block %d: %+v", i+2, s)
			}
		}
		repaired.Store(true)
		for i, s := range b.Follow(5, 9) {
			if s.NewPayload != "VALID" || s.Forkchoice != "VALID" {
				t.Errorf("block %d: %+v", i+5, s)
			}
		}
		if n := b.Fleet.Memory.Objections(b.Fleet.Pool.Nodes()[2].ID); n != 0 {
			t.Errorf("%d objections are left", n)
		}
	})
}

// After a power cut two of three come back short, and say that they are synced: from the second call on they don't
// outvote the one that has all.
func TestPowerCut(t *testing.T) {
	short := func() *bubble.Fake { return &bubble.Fake{Status: func(string, int) string { return "SYNCING" }} }
	bubble.In(t, fakes{short(), bubble.Healthy(), short()}, func(t *testing.T, b *bubble.Bubble) {
		b.Send(bubble.PayloadCall(21))
		if status, _ := b.Send(bubble.ForkchoiceCall(21)); status != "VALID" {
			t.Errorf("forkchoiceUpdated: %s", status)
		}
		for i, s := range b.Follow(22, 4) {
			if s.NewPayload != "VALID" || s.Forkchoice != "VALID" {
				t.Errorf("block %d: %+v", i+22, s)
			}
		}
	})
}

// Nor do they where the chain stands still, because all its validators are behind us: then the CL goes on saying which
// block its head is, and no payload comes.
func TestPowerCutOfTheOnlyValidators(t *testing.T) {
	short := func() *bubble.Fake { return &bubble.Fake{Status: func(string, int) string { return "SYNCING" }} }
	bubble.In(t, fakes{short(), bubble.Healthy(), short()}, func(t *testing.T, b *bubble.Bubble) {
		b.Send(bubble.ForkchoiceCall(21))
		if status, _ := b.Send(bubble.ForkchoiceCall(21)); status != "VALID" {
			t.Errorf("forkchoiceUpdated: %s", status)
		}
	})
}

// But a node that objects to the block lacks nothing: clients forget what they objected to, and say SYNCING.
func TestObjectorBeforeThereIsAHead(t *testing.T) {
	forgets := &bubble.Fake{Status: func(method string, block int) string {
		switch {
		case block < 21:
			return "VALID"
		case strings.HasPrefix(method, "engine_newPayload"):
			return "INVALID"
		}
		return "SYNCING"
	}}
	bubble.In(t, fakes{bubble.Healthy(), bubble.Healthy(), forgets}, func(t *testing.T, b *bubble.Bubble) {
		b.Send(bubble.PayloadCall(20)) // all prove themselves, and no block is the head
		for _, call := range [][]byte{bubble.PayloadCall(21), bubble.ForkchoiceCall(21)} {
			if status, _ := b.Send(call); status != "SYNCING" {
				t.Errorf("got %s, want a dispute", status)
			}
		}
		if state := b.Fleet.Pool.Nodes()[2].Status().State; state != health.Alive {
			t.Errorf("the objector is %v", state)
		}
	})
}

// A port without the Engine API is no alive voter, whatever it says of itself, and never primary. It still gets every
// call.
func TestPortWithoutEngineAPI(t *testing.T) {
	var upgraded atomic.Bool
	lacking := &bubble.Fake{Fail: func(method string) string {
		if strings.HasPrefix(method, "engine_") && !upgraded.Load() {
			return `{"code":-32601,"message":"the method does not exist"}`
		}
		return ""
	}}
	bubble.In(t, fakes{lacking, bubble.Healthy(), bubble.Healthy()}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 8)
		s := b.Fleet.Pool.Nodes()[0].Status()
		if s.State != health.Dead || !strings.Contains(s.Reason, "Engine API") {
			t.Errorf("it is %s: %s", s.State, s.Reason)
		}
		if b.Fleet.Pool.Primary() == b.Fleet.Pool.Nodes()[0] {
			t.Error("it is the primary")
		}
		if got := lacking.Seen(); got[len(got)-1] != "F8" {
			t.Errorf("it got %v", got)
		}
		upgraded.Store(true)
		b.Follow(9, 2)
		if s := b.Fleet.Pool.Nodes()[0].Status(); s.State != health.Alive {
			t.Errorf("then it is %s: %s", s.State, s.Reason)
		}
	})
}

// With all dead, a node that is back is asked by the next call, before a probe has found it.
func TestAllDeadAreTried(t *testing.T) {
	var stopped atomic.Bool
	nodes := fakes{{Refuse: stopped.Load}, {Refuse: stopped.Load}}
	bubble.In(t, nodes, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 2)
		stopped.Store(true)
		b.Fleet.Pool.Recheck(b.Fleet.Context())
		if status, _ := b.Send(bubble.PayloadCall(3)); status != "SYNCING" {
			t.Errorf("with all dead: %s", status)
		}
		stopped.Store(false)
		if status, _ := b.Send(bubble.PayloadCall(3)); status != "VALID" {
			t.Errorf("they are back: %s", status)
		}
	})
}

// A node that is no voter doesn't become a laggard, however late it is: nobody waits for it anyway.
func TestSyncingNodeDoesNotLag(t *testing.T) {
	resyncing := &bubble.Fake{
		Status: func(string, int) string { return "SYNCING" },
		Answer: func(method string) (string, bool) { return `{"currentBlock":"0x1"}`, method == "eth_syncing" },
		Delay: func(method string, _ int) time.Duration {
			if strings.HasPrefix(method, "engine_newPayload") {
				return 1500 * ms
			}
			return 0
		},
	}
	bubble.In(t, fakes{bubble.Healthy(), bubble.Healthy(), resyncing}, func(t *testing.T, b *bubble.Bubble) {
		check(t, b.Follow(1, 6), func(int) time.Duration { return good })
		if s := b.Fleet.Pool.Nodes()[2].Status(); s.Laggard || s.State != health.Syncing {
			t.Errorf("it is %s, laggard %t", s.State, s.Laggard)
		}
	})
}

// A client that executes beside its answers says VALID to a payload, and SYNCING to the forkchoiceUpdated on it: it
// lacks nothing.
func TestSyncingAfterValidIsNotBehind(t *testing.T) {
	lazy := &bubble.Fake{Status: func(method string, _ int) string {
		if strings.HasPrefix(method, "engine_forkchoiceUpdated") {
			return "SYNCING"
		}
		return "VALID"
	}}
	bubble.In(t, fakes{bubble.Healthy(), bubble.Healthy(), lazy}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 4)
		if s := b.Fleet.Pool.Nodes()[2].Status(); s.State != health.Alive {
			t.Errorf("it is %s: %s", s.State, s.Reason)
		}
	})
}

// Who couldn't be reached has not been sent the payload: its VALID to it proves that it follows.
func TestRefusedPayloadIsStillNew(t *testing.T) {
	var stopped atomic.Bool
	restarted := &bubble.Fake{Refuse: stopped.Load}
	bubble.In(t, fakes{bubble.Healthy(), bubble.Healthy(), restarted}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 3)
		n := b.Fleet.Pool.Nodes()[2]
		if !b.Fleet.Memory.Qualified(n.ID) {
			t.Fatal("it hasn't proved itself")
		}
		stopped.Store(true)
		b.Send(bubble.PayloadCall(4))
		stopped.Store(false)
		time.Sleep(3 * time.Second) // the bubble's clock: a probe finds it
		if b.Fleet.Memory.Qualified(n.ID) {
			t.Fatal("a refused connection is no break")
		}
		b.Send(bubble.PayloadCall(3))
		if b.Fleet.Memory.Qualified(n.ID) {
			t.Error("it has proved itself with what it had been sent before")
		}
		b.Send(bubble.PayloadCall(4))
		if !b.Fleet.Memory.Qualified(n.ID) {
			t.Error("it hasn't proved itself with what it had never been sent")
		}
	})
}

// A node that stands by its objection to an ancestor, and says so again when the CL has its answer, tells nothing new:
// the objection is late once at most.
func TestStandingObjectionIsNotLate(t *testing.T) {
	objector := bubble.Speaker(11, "INVALID", 100*ms)
	bubble.In(t, fakes{bubble.Healthy(), objector, bubble.Healthy()}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 20)
		time.Sleep(time.Minute) // the bubble's clock
		if n := b.Value("executionbackup_late_objections_total"); n != 0 {
			t.Errorf("%v objections were late", n)
		}
		if n := b.Counted("executionbackup_disputes_total", "method", "NewPayload"); n != 10 {
			t.Errorf("%v disputes", n)
		}
	})
}
