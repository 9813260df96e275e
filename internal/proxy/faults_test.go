package proxy

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"executionbackup/internal/health"
)

// speaker is a fake that says one thing from a block on, after a while, and VALID at once before that.
func speaker(from int, status string, after time.Duration) *fake {
	return &fake{
		status: func(_ string, n int) string {
			if n < from {
				return "VALID"
			}
			return status
		},
		delay: func(method string, n int) time.Duration {
			if n < from || !strings.HasPrefix(method, "engine_") {
				return 0
			}
			return after
		},
	}
}

// A VALID without a quorum goes out after three graces, whatever is the matter with the others.
func TestNoQuorumCostsThreeGraces(t *testing.T) {
	dying := func(from int) *fake {
		f := new(fake)
		f.arrived = func(_ string, n int) (func(), bool) { return func() {}, n >= from }
		return f
	}
	for _, c := range []struct {
		name      string
		threshold string
		nodes     func() []*fake
	}{
		{"one dies, one hangs", "0.6", func() []*fake { return []*fake{speaker(3, "VALID", good), dying(3), speaker(3, "VALID", forever)} }},
		{"one is syncing, one hangs", "0.6", func() []*fake {
			return []*fake{speaker(3, "VALID", good), speaker(3, "SYNCING", 0), speaker(3, "VALID", forever)}
		}},
		{"two hang", "0.6", func() []*fake {
			return []*fake{speaker(3, "VALID", good), speaker(3, "VALID", forever), speaker(3, "VALID", forever)}
		}},
		{"one of three hangs, at 0.7", "0.7", func() []*fake {
			return []*fake{speaker(3, "VALID", good), speaker(3, "VALID", good), speaker(3, "VALID", forever)}
		}},
		{"one of three hangs, at 1", "1", func() []*fake {
			return []*fake{speaker(3, "VALID", good), speaker(3, "VALID", good), speaker(3, "VALID", forever)}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, c.nodes(), func(t *testing.T, b *bubble) {
				b.threshold(c.threshold)
				b.follow(1, 2)
				if status, took := b.send(payloadCall(3)); status != "VALID" || took > good+3*grace {
					t.Errorf("newPayload: %s after %v", status, took)
				}
				if status, took := b.send(forkchoiceCall(3)); status != "VALID" || took > good+3*grace {
					t.Errorf("forkchoiceUpdated: %s after %v", status, took)
				}
			})
		})
	}
}

// A syncing node's quick SYNCING doesn't make voters late: they take 700 ms over each block.
func TestSyncingNodeMakesNobodyLate(t *testing.T) {
	slow := func() *fake {
		return &fake{delay: func(method string, _ int) time.Duration {
			if strings.HasPrefix(method, "engine_newPayload") {
				return 700 * ms
			}
			return 0
		}}
	}
	resyncing := &fake{
		status: func(string, int) string { return "SYNCING" },
		answer: func(method string) (string, bool) { return `{"currentBlock":"0x1"}`, method == "eth_syncing" },
	}
	inBubble(t, []*fake{slow(), slow(), resyncing}, func(t *testing.T, b *bubble) {
		for i, s := range b.follow(1, 10) {
			if s.newPayload != "VALID" || s.took != 700*ms {
				t.Errorf("block %d: %+v", i+1, s)
			}
		}
	})
}

// Neither does a quick INVALID.
func TestQuickObjectorMakesNobodyLate(t *testing.T) {
	slow := func() *fake {
		return &fake{delay: func(method string, n int) time.Duration {
			if n > 1 && strings.HasPrefix(method, "engine_newPayload") {
				return 700 * ms
			}
			return 0
		}}
	}
	inBubble(t, []*fake{slow(), slow(), speaker(2, "INVALID", 1*ms)}, func(t *testing.T, b *bubble) {
		for i, s := range b.follow(1, 6) {
			if want := map[bool]string{true: "VALID", false: "SYNCING"}[i == 0]; s.newPayload != want {
				t.Errorf("block %d: %+v", i+1, s)
			}
		}
		for i, n := range b.pool.Nodes() {
			if n.Status().Laggard {
				t.Errorf("node %d is a laggard", i+1)
			}
		}
	})
}

// A node's INVALID beside none that could contradict it is no verdict: INVALID can't be taken back.
func TestLoneInvalid(t *testing.T) {
	t.Run("the other one is slow", func(t *testing.T) {
		late := &fake{delay: func(method string, n int) time.Duration {
			if n > 1 && strings.HasPrefix(method, "engine_newPayload") {
				return 600 * ms
			}
			return 0
		}}
		inBubble(t, []*fake{late, speaker(6, "INVALID", 1*ms)}, func(t *testing.T, b *bubble) {
			b.follow(1, 5)
			if !b.pool.Nodes()[0].Status().Laggard {
				t.Fatal("it doesn't lag")
			}
			if status, took := b.send(payloadCall(6)); status != "SYNCING" || took != 600*ms {
				t.Errorf("newPayload: %s after %v", status, took)
			}
			if status, _ := b.send(payloadCall(6)); status != "SYNCING" {
				t.Errorf("again: %s", status)
			}
		})
	})
	t.Run("the other one has called it VALID, and is stopped", func(t *testing.T) {
		var stopped atomic.Bool
		good := &fake{refuse: stopped.Load}
		inBubble(t, []*fake{good, speaker(2, "INVALID", 0)}, func(t *testing.T, b *bubble) {
			b.follow(1, 1)
			if status, _ := b.send(payloadCall(2)); status != "SYNCING" {
				t.Fatalf("newPayload: %s", status)
			}
			stopped.Store(true)
			b.pool.Recheck(b.ctx)
			for _, body := range [][]byte{forkchoiceCall(2), payloadCall(3), forkchoiceCall(3)} {
				if status, _ := b.send(body); status != "SYNCING" {
					t.Errorf("%s: %s", body, status)
				}
			}
		})
	})
	t.Run("the two others hang", func(t *testing.T) {
		inBubble(t, []*fake{speaker(2, "VALID", forever), speaker(2, "VALID", forever), speaker(4, "INVALID", 1*ms)}, func(t *testing.T, b *bubble) {
			b.follow(1, 3)
			// They have their time; once they have used that up, they don't get it again.
			for _, want := range []time.Duration{5500 * ms, 3 * grace} {
				if status, took := b.send(payloadCall(4)); status != "SYNCING" || took != want {
					t.Errorf("%s after %v, want SYNCING after %v", status, took, want)
				}
			}
		})
	})
	t.Run("two of four that called it VALID are stopped", func(t *testing.T) {
		var stopped atomic.Bool
		good := func() *fake { return &fake{refuse: stopped.Load} }
		inBubble(t, []*fake{good(), good(), speaker(2, "INVALID", 0), speaker(2, "INVALID", 0)}, func(t *testing.T, b *bubble) {
			b.follow(1, 1)
			b.send(payloadCall(2))
			stopped.Store(true)
			b.pool.Recheck(b.ctx)
			for _, body := range [][]byte{forkchoiceCall(2), payloadCall(3), forkchoiceCall(3)} {
				if status, _ := b.send(body); status != "SYNCING" {
					t.Errorf("%s: %s", body, status)
				}
			}
		})
	})
}

// A repaired node ends its own objection: with the first VALID to a payload on top of it that it had never been sent.
func TestRepairedNodeEndsItsObjection(t *testing.T) {
	var repaired atomic.Bool
	broken := &fake{status: func(_ string, n int) string {
		if n >= 2 && !repaired.Load() {
			return "INVALID"
		}
		return "VALID"
	}}
	inBubble(t, []*fake{healthy(), healthy(), broken}, func(t *testing.T, b *bubble) {
		b.follow(1, 1)
		for i, s := range b.follow(2, 3) {
			if s.newPayload != "SYNCING" || s.forkchoice != "SYNCING" {
				t.Errorf("block %d: %+v", i+2, s)
			}
		}
		repaired.Store(true)
		for i, s := range b.follow(5, 9) {
			if s.newPayload != "VALID" || s.forkchoice != "VALID" {
				t.Errorf("block %d: %+v", i+5, s)
			}
		}
		if n := b.memory.Objections(b.pool.Nodes()[2].ID); n != 0 {
			t.Errorf("%d objections are left", n)
		}
	})
}

// After a power cut two of three come back short, and say that they are synced: from the second call on they don't outvote
// the one that has all.
func TestPowerCut(t *testing.T) {
	short := func() *fake { return &fake{status: func(string, int) string { return "SYNCING" }} }
	inBubble(t, []*fake{short(), healthy(), short()}, func(t *testing.T, b *bubble) {
		b.send(payloadCall(21))
		if status, _ := b.send(forkchoiceCall(21)); status != "VALID" {
			t.Errorf("forkchoiceUpdated: %s", status)
		}
		for i, s := range b.follow(22, 4) {
			if s.newPayload != "VALID" || s.forkchoice != "VALID" {
				t.Errorf("block %d: %+v", i+22, s)
			}
		}
	})
}

// A port without the Engine API is no alive voter, whatever it says of itself, and never primary. It still gets every call.
func TestPortWithoutEngineAPI(t *testing.T) {
	var upgraded atomic.Bool
	lacking := &fake{fail: func(method string) string {
		if strings.HasPrefix(method, "engine_") && !upgraded.Load() {
			return `{"code":-32601,"message":"the method does not exist"}`
		}
		return ""
	}}
	inBubble(t, []*fake{lacking, healthy(), healthy()}, func(t *testing.T, b *bubble) {
		b.follow(1, 8)
		s := b.pool.Nodes()[0].Status()
		if s.State != health.Dead || !strings.Contains(s.Reason, "Engine API") {
			t.Errorf("it is %s: %s", s.State, s.Reason)
		}
		if b.pool.Primary() == b.pool.Nodes()[0] {
			t.Error("it is the primary")
		}
		if got := lacking.seen(); got[len(got)-1] != "F8" {
			t.Errorf("it got %v", got)
		}
		upgraded.Store(true)
		b.follow(9, 2)
		if s := b.pool.Nodes()[0].Status(); s.State != health.Alive {
			t.Errorf("then it is %s: %s", s.State, s.Reason)
		}
	})
}

// With all dead, a node that is back is asked by the next call, before a probe has found it.
func TestAllDeadAreTried(t *testing.T) {
	var stopped atomic.Bool
	nodes := []*fake{{refuse: stopped.Load}, {refuse: stopped.Load}}
	inBubble(t, nodes, func(t *testing.T, b *bubble) {
		b.follow(1, 2)
		stopped.Store(true)
		b.pool.Recheck(b.ctx)
		if status, _ := b.send(payloadCall(3)); status != "SYNCING" {
			t.Errorf("with all dead: %s", status)
		}
		stopped.Store(false)
		if status, _ := b.send(payloadCall(3)); status != "VALID" {
			t.Errorf("they are back: %s", status)
		}
	})
}

// In a batch, too, a forkchoiceUpdated comes after the newPayload before it has been answered.
func TestBatchIsOrdered(t *testing.T) {
	slow := &fake{delay: func(method string, n int) time.Duration {
		if strings.HasPrefix(method, "engine_newPayload") {
			return 100 * ms
		}
		return 0
	}}
	slow.status = func(method string, n int) string {
		if strings.HasPrefix(method, "engine_forkchoiceUpdated") && fmt.Sprint(slow.seen()) != "[P1 F1]" {
			return "SYNCING"
		}
		return "VALID"
	}
	inBubble(t, []*fake{slow, healthy(), healthy()}, func(t *testing.T, b *bubble) {
		begun := time.Now()
		got := string(b.answerBody(t.Context(), []byte("["+string(payloadCall(1))+","+string(forkchoiceCall(1))+"]")))
		if strings.Count(got, `"VALID"`) != 2 || time.Since(begun) != 100*ms {
			t.Errorf("%s after %v", got, time.Since(begun))
		}
	})
}

// A node that is no voter doesn't become a laggard, however late it is: nobody waits for it anyway.
func TestSyncingNodeDoesNotLag(t *testing.T) {
	resyncing := &fake{
		status: func(string, int) string { return "SYNCING" },
		answer: func(method string) (string, bool) { return `{"currentBlock":"0x1"}`, method == "eth_syncing" },
		delay: func(method string, _ int) time.Duration {
			if strings.HasPrefix(method, "engine_newPayload") {
				return 1500 * ms
			}
			return 0
		},
	}
	inBubble(t, []*fake{healthy(), healthy(), resyncing}, func(t *testing.T, b *bubble) {
		check(t, b.follow(1, 6), func(int) time.Duration { return good })
		if s := b.pool.Nodes()[2].Status(); s.Laggard || s.State != health.Syncing {
			t.Errorf("it is %s, laggard %t", s.State, s.Laggard)
		}
	})
}

// A client that executes beside its answers says VALID to a payload, and SYNCING to the forkchoiceUpdated on it: it lacks nothing.
func TestSyncingAfterValidIsNotBehind(t *testing.T) {
	lazy := &fake{status: func(method string, _ int) string {
		if strings.HasPrefix(method, "engine_forkchoiceUpdated") {
			return "SYNCING"
		}
		return "VALID"
	}}
	inBubble(t, []*fake{healthy(), healthy(), lazy}, func(t *testing.T, b *bubble) {
		b.follow(1, 4)
		if s := b.pool.Nodes()[2].Status(); s.State != health.Alive {
			t.Errorf("it is %s: %s", s.State, s.Reason)
		}
	})
}

// Who couldn't be reached has not been sent the payload: its VALID to it proves that it follows.
func TestRefusedPayloadIsStillNew(t *testing.T) {
	var stopped atomic.Bool
	restarted := &fake{refuse: stopped.Load}
	inBubble(t, []*fake{healthy(), healthy(), restarted}, func(t *testing.T, b *bubble) {
		b.follow(1, 3)
		n := b.pool.Nodes()[2]
		if !b.memory.Qualified(n.ID) {
			t.Fatal("it hasn't proved itself")
		}
		stopped.Store(true)
		b.send(payloadCall(4))
		stopped.Store(false)
		time.Sleep(3 * time.Second) // the bubble's clock: a probe finds it
		if b.memory.Qualified(n.ID) {
			t.Fatal("a refused connection is no break")
		}
		b.send(payloadCall(3))
		if b.memory.Qualified(n.ID) {
			t.Error("it has proved itself with what it had been sent before")
		}
		b.send(payloadCall(4))
		if !b.memory.Qualified(n.ID) {
			t.Error("it hasn't proved itself with what it had never been sent")
		}
	})
}
