package verdict_test

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/bubble"
)

// An INVALID on the parent that comes while a call is under way counts in that call, too, when its VALID has no quorum.
func TestObjectionToTheParentInMidCall(t *testing.T) {
	objector := &bubble.Fake{
		Status: func(_ string, n int) string {
			if n == 4 {
				return "INVALID"
			}
			return "VALID"
		},
		Delay: func(method string, n int) time.Duration {
			switch {
			case n == 4 && strings.HasPrefix(method, "engine_newPayload"):
				return 1300 * ms
			case n > 4:
				return bubble.Forever
			}
			return 0
		},
	}
	nodes := fakes{bubble.Healthy(), bubble.Speaker(5, "VALID", bubble.Forever), objector}
	bubble.In(t, nodes, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 3)
		if status, _ := b.Send(bubble.PayloadCall(4)); status != "VALID" {
			t.Fatalf("block 4: %s", status)
		}
		b.Send(bubble.ForkchoiceCall(4))
		status, took := b.Send(bubble.PayloadCall(5))
		if b.Fleet.Memory.Objections(b.Fleet.Pool.Nodes()[2].ID) != 1 {
			t.Fatal("no objection stands")
		}
		if status != "SYNCING" {
			t.Errorf("block 5: %s after %v, though an INVALID stands on its parent", status, took)
		}
	})
}

// Whoever died under a payload is heard before it is called INVALID, also while the payload is still being checked.
func TestDeathsCountWhileThePayloadIsChecked(t *testing.T) {
	var dies atomic.Bool
	dying := func() *bubble.Fake { return &bubble.Fake{Reset: dies.Load} }
	nodes := fakes{bubble.Speaker(3, "INVALID", 10*ms), bubble.Speaker(3, "INVALID", 10*ms), dying(), dying()}
	onBench(t, nodes, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 2)
		b.Bench.Checks() <- struct{}{} // another payload is being checked
		dies.Store(true)
		time.AfterFunc(100*ms, func() { <-b.Bench.Checks() })
		if status, took := b.Send(bubble.PayloadCall(3)); status != "SYNCING" {
			t.Errorf("%s after %v", status, took)
		}
	})
}

// What was objected to before a break stays, also where the payload is still being checked when the node breaks. An
// INVALID that comes after the break doesn't count.
func TestBreakWhileThePayloadIsChecked(t *testing.T) {
	for _, test := range []struct {
		name     string
		breaksAt time.Duration // from the call; the objector answers after 10 ms, the others after 20 ms
		want     []string      // of block 3, and of block 4
	}{
		{"after the answer", 30 * ms, []string{"SYNCING", "SYNCING"}},
		{"before the answer", 5 * ms, []string{"VALID", "VALID"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			objector := bubble.Speaker(3, "INVALID", 10*ms)
			objector.Status = func(_ string, n int) string {
				switch {
				case n < 3:
					return "VALID"
				case n == 3:
					return "INVALID"
				}
				return "SYNCING"
			}
			onBench(t, fakes{bubble.Healthy(), bubble.Healthy(), objector}, func(t *testing.T, b *bubble.Bubble) {
				b.Follow(1, 2)
				for range cap(b.Bench.Checks()) { // other payloads are being checked
					b.Bench.Checks() <- struct{}{}
				}
				time.AfterFunc(test.breaksAt, b.Fleet.Pool.Nodes()[2].Broke)
				time.AfterFunc(100*ms, func() { <-b.Bench.Checks() })
				for i, want := range test.want {
					if status, took := b.Send(bubble.PayloadCall(3 + i)); status != want {
						t.Errorf("block %d: %s after %v, want %s", 3+i, status, took, want)
					}
					time.Sleep(time.Second) // the bubble's clock
				}
			})
		})
	}
}

// What is said in doubt after our start counts in no call that begins when others have proved themselves, also where
// it comes under that call.
func TestLateDoubtHasLapsed(t *testing.T) {
	doubter := &bubble.Fake{
		Status: func(string, int) string { return "INVALID" },
		Delay: func(_ string, n int) time.Duration {
			switch n {
			case 1:
				return 1300 * ms
			case 2:
				return bubble.Forever
			}
			return 0
		},
	}
	nodes := fakes{bubble.Healthy(), bubble.Speaker(2, "VALID", 600*ms), doubter}
	bubble.In(t, nodes, func(t *testing.T, b *bubble.Bubble) {
		for n := 1; n <= 2; n++ {
			next := time.Now().Add(time.Second)
			if status, took := b.Send(bubble.PayloadCall(n)); status != "VALID" {
				t.Errorf("block %d: %s after %v", n, status, took)
			}
			time.Sleep(time.Until(next)) // the bubble's clock
		}
	})
}

// With one node, too, another content that can't be checked doesn't take the place of a payload that it called VALID.
func TestAloneKeepsNoForgedPayload(t *testing.T) {
	var forged atomic.Bool
	f := &bubble.Fake{Status: func(string, int) string {
		if forged.Load() {
			return "INVALID"
		}
		return "VALID"
	}}
	onBench(t, fakes{f}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 3)
		forged.Store(true)
		b.Send(bubble.ForgedCall(3))
		synctest.Wait()
		if k := b.CatchUp.Of(bubble.Hash(3)); k == nil || bytes.Contains(k.Body, []byte("forged")) {
			t.Errorf("kept: %+v", k)
		}
	})
}

// What is said late to a content that is kept, and has been displaced since, is nobody's word.
func TestKeptContentThatIsDisplaced(t *testing.T) {
	// Nobody knows the first content under the hash of block 3, and the third node calls it INVALID when it is sent
	// again, late. Two know the second.
	var calls atomic.Int32
	knows := func() *bubble.Fake {
		return &bubble.Fake{Contents: func(call []byte) string {
			if bytes.Contains(call, []byte("forged")) {
				return "SYNCING"
			}
			return "VALID"
		}}
	}
	late := &bubble.Fake{
		Status: func(_ string, n int) string {
			switch {
			case n < 3:
				return "VALID"
			case calls.Add(1) == 2:
				return "INVALID"
			}
			return "SYNCING"
		},
		Delay: func(_ string, n int) time.Duration {
			if n == 3 && calls.Load() == 1 {
				return 1500 * ms
			}
			return 0
		},
	}
	bubble.In(t, fakes{knows(), knows(), late}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 2)
		for _, c := range []struct {
			body []byte
			want string
		}{{bubble.ForgedCall(3), "SYNCING"}, {bubble.ForgedCall(3), "SYNCING"}, {bubble.PayloadCall(3), "VALID"}} {
			if status, _ := b.Send(c.body); status != c.want {
				t.Fatalf("%s: %s", c.body, status)
			}
		}
		time.Sleep(10 * time.Second)
		if b.Fleet.Memory.Objections(b.Fleet.Pool.Nodes()[2].ID) != 0 {
			t.Error("an INVALID to another content stands")
		}
	})
}

// What a node says when it has been removed is nobody's word: no objection could end.
func TestRemovedNodeObjectsToNothing(t *testing.T) {
	nodes := fakes{bubble.Healthy(), bubble.Healthy(), bubble.Speaker(3, "INVALID", 1000*ms)}
	bubble.In(t, nodes, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 2)
		b.Send(bubble.PayloadCall(3))
		removed := b.Fleet.Pool.Nodes()[2].ID
		if err := b.Fleet.Pool.Remove([]string{"n3"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if b.Fleet.Memory.Objections(removed) != 0 {
			t.Error("it objects")
		}
	})
}

// A lone node that hangs is given up, and then the check of its payload is waited for without a look at the clock.
func TestAloneWaitsForTheCheck(t *testing.T) {
	onBench(t, fakes{bubble.Speaker(3, "VALID", bubble.Forever)}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 2)
		b.Bench.Checks() <- struct{}{} // another payload is being checked
		time.AfterFunc(6*time.Second, func() { <-b.Bench.Checks() })
		if status, took := b.Send(bubble.PayloadCall(3)); status != "SYNCING" || took != 6*time.Second {
			t.Errorf("%s after %v", status, took)
		}
	})
}

// Where a payload can't be checked and isn't kept, it is known again all the same: an objection to it stands when it is
// sent again.
func TestPayloadThatIsNotKeptIsKnownAgain(t *testing.T) {
	var forgets atomic.Bool
	late := &bubble.Fake{
		Status: func(method string, n int) string {
			switch {
			case forgets.Load():
				return "SYNCING"
			case n == 2 && strings.HasPrefix(method, "engine_newPayload"):
				return "INVALID"
			}
			return "VALID"
		},
		Delay: func(method string, n int) time.Duration {
			if n == 2 && strings.HasPrefix(method, "engine_newPayload") {
				return 600 * ms
			}
			return 0
		},
	}
	bubble.OnBench(t, fakes{{}, {}, late}, 0, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 1)
		if status, _ := b.Send(bubble.PayloadCall(2)); status != "VALID" {
			t.Fatalf("newPayload: %s", status)
		}
		time.Sleep(time.Second) // the bubble's clock
		forgets.Store(true)
		if status, _ := b.Send(bubble.PayloadCall(2)); status != "SYNCING" {
			t.Errorf("sent again: %s", status)
		}
	})
}

// What a check shows of the nodes counts in the call that waited for it, whatever else happens at that moment: who
// turns out to lack a block votes on it no more.
func TestWhoVotesAfterACheck(t *testing.T) {
	lacks := func() *bubble.Fake { return bubble.Speaker(3, "SYNCING", 0) }
	for range 20 { // in one of two orders
		onBench(t, fakes{bubble.Healthy(), lacks(), lacks()}, func(t *testing.T, b *bubble.Bubble) {
			b.Follow(1, 2)
			b.Bench.Checks() <- struct{}{} // another payload is being checked
			time.AfterFunc(time.Second, func() { <-b.Bench.Checks() })
			if status, _ := b.Send(bubble.PayloadCall(3)); status != "SYNCING" {
				t.Fatalf("newPayload: %s", status)
			}
			if status, took := b.Send(bubble.ForkchoiceCall(3)); status != "VALID" {
				t.Errorf("forkchoiceUpdated: %s after %v", status, took)
			}
		})
	}
}
