package proxy

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// An INVALID on the parent that comes while a call is under way counts in that call, too, when its VALID has no quorum.
func TestObjectionToTheParentInMidCall(t *testing.T) {
	objector := &fake{
		status: func(_ string, n int) string {
			if n == 4 {
				return "INVALID"
			}
			return "VALID"
		},
		delay: func(method string, n int) time.Duration {
			switch {
			case n == 4 && strings.HasPrefix(method, "engine_newPayload"):
				return 1300 * ms
			case n > 4:
				return forever
			}
			return 0
		},
	}
	inBubble(t, []*fake{healthy(), speaker(5, "VALID", forever), objector}, func(t *testing.T, b *bubble) {
		b.follow(1, 3)
		if status, _ := b.send(payloadCall(4)); status != "VALID" {
			t.Fatalf("block 4: %s", status)
		}
		b.send(forkchoiceCall(4))
		status, took := b.send(payloadCall(5))
		if b.memory.Objections(b.pool.Nodes()[2].ID) != 1 {
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
	dying := func() *fake { return &fake{reset: dies.Load} }
	inBubble(t, []*fake{speaker(3, "INVALID", 10*ms), speaker(3, "INVALID", 10*ms), dying(), dying()}, func(t *testing.T, b *bubble) {
		b.follow(1, 2)
		b.hashChecks <- struct{}{} // another payload is being checked
		dies.Store(true)
		time.AfterFunc(100*ms, func() { <-b.hashChecks })
		if status, took := b.send(payloadCall(3)); status != "SYNCING" {
			t.Errorf("%s after %v", status, took)
		}
	})
}

// A node that died once under a payload has died once.
func TestOneDeathIsCountedOnce(t *testing.T) {
	var dies atomic.Bool
	f := &fake{reset: dies.Load}
	inBubble(t, []*fake{speaker(3, "SYNCING", 0), speaker(3, "VALID", 20*ms), speaker(3, "VALID", 30*ms), f}, func(t *testing.T, b *bubble) {
		b.follow(1, 2)
		dies.Store(true)
		b.send(payloadCall(3))
		dies.Store(false)
		b.catchUp.mu.Lock()
		defer b.catchUp.mu.Unlock()
		if d := b.catchUp.nodes[b.pool.Nodes()[3].ID].deaths[hash(3)]; d == nil || d.n != 1 {
			t.Errorf("deaths: %+v", d)
		}
	})
}

// forgedCall is a call with another content under the hash of block n.
func forgedCall(n int) []byte {
	return bytes.Replace(payloadCall(n), []byte(`"blockNumber"`), []byte(`"forged":"0x1","blockNumber"`), 1)
}

// With one node, too, another content that can't be checked doesn't take the place of a payload that it called VALID.
func TestAloneKeepsNoForgedPayload(t *testing.T) {
	var forged atomic.Bool
	f := &fake{status: func(string, int) string {
		if forged.Load() {
			return "INVALID"
		}
		return "VALID"
	}}
	inBubble(t, []*fake{f}, func(t *testing.T, b *bubble) {
		b.follow(1, 3)
		forged.Store(true)
		b.send(forgedCall(3))
		synctest.Wait()
		if k, ok := b.catchUp.ring.get(hash(3)); !ok || bytes.Contains(k.body, []byte("forged")) {
			t.Errorf("kept: %s", k.body)
		}
	})
}

// What is said late to a content that is kept, and has been displaced since, is nobody's word.
func TestKeptContentThatIsDisplaced(t *testing.T) {
	// Nobody knows the first content under the hash of block 3, and the third node calls it INVALID when it is sent again,
	// late. Two know the second.
	var calls atomic.Int32
	knows := func() *fake {
		return &fake{contents: func(call []byte) string {
			if bytes.Contains(call, []byte("forged")) {
				return "SYNCING"
			}
			return "VALID"
		}}
	}
	late := &fake{
		status: func(_ string, n int) string {
			switch {
			case n < 3:
				return "VALID"
			case calls.Add(1) == 2:
				return "INVALID"
			}
			return "SYNCING"
		},
		delay: func(_ string, n int) time.Duration {
			if n == 3 && calls.Load() == 1 {
				return 1500 * ms
			}
			return 0
		},
	}
	inBubble(t, []*fake{knows(), knows(), late}, func(t *testing.T, b *bubble) {
		b.follow(1, 2)
		for _, c := range []struct {
			body []byte
			want string
		}{{forgedCall(3), "SYNCING"}, {forgedCall(3), "SYNCING"}, {payloadCall(3), "VALID"}} {
			if status, _ := b.send(c.body); status != c.want {
				t.Fatalf("%s: %s", c.body, status)
			}
		}
		time.Sleep(10 * time.Second)
		if b.memory.Objections(b.pool.Nodes()[2].ID) != 0 {
			t.Error("an INVALID to another content stands")
		}
	})
}

// What a node says when it has been removed is nobody's word: no objection could end.
func TestRemovedNodeObjectsToNothing(t *testing.T) {
	inBubble(t, []*fake{healthy(), healthy(), speaker(3, "INVALID", 1000*ms)}, func(t *testing.T, b *bubble) {
		b.follow(1, 2)
		b.send(payloadCall(3))
		removed := b.pool.Nodes()[2].ID
		if err := b.pool.Remove([]string{"n3"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if b.memory.Objections(removed) != 0 {
			t.Error("it objects")
		}
	})
}

// A lone node that hangs is given up, and then the check of its payload is waited for without a look at the clock.
func TestAloneWaitsForTheCheck(t *testing.T) {
	inBubble(t, []*fake{speaker(3, "VALID", forever)}, func(t *testing.T, b *bubble) {
		b.follow(1, 2)
		b.hashChecks <- struct{}{} // another payload is being checked
		time.AfterFunc(6*time.Second, func() { <-b.hashChecks })
		if status, took := b.send(payloadCall(3)); status != "SYNCING" || took != 6*time.Second {
			t.Errorf("%s after %v", status, took)
		}
	})
}

// Where a payload can't be checked and isn't kept, it is known again all the same: an objection to it stands when it is sent again.
func TestPayloadThatIsNotKeptIsKnownAgain(t *testing.T) {
	var forgets atomic.Bool
	late := &fake{
		status: func(method string, n int) string {
			switch {
			case forgets.Load():
				return "SYNCING"
			case n == 2 && strings.HasPrefix(method, "engine_newPayload"):
				return "INVALID"
			}
			return "VALID"
		},
		delay: func(method string, n int) time.Duration {
			if n == 2 && strings.HasPrefix(method, "engine_newPayload") {
				return 600 * ms
			}
			return 0
		},
	}
	inBubble(t, []*fake{{}, {}, late}, func(t *testing.T, b *bubble) {
		b.catchUp.ring.max = 0
		b.follow(1, 1)
		if status, _ := b.send(payloadCall(2)); status != "VALID" {
			t.Fatalf("newPayload: %s", status)
		}
		time.Sleep(time.Second) // the bubble's clock
		forgets.Store(true)
		if status, _ := b.send(payloadCall(2)); status != "SYNCING" {
			t.Errorf("sent again: %s", status)
		}
	})
}
