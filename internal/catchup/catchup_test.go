package catchup_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/config"
	"executionbackup/internal/health"
)

// A node returns between a newPayload that it wasn't there for and the forkchoiceUpdated on it. What it is fed must
// reach beyond the head: there is no second attempt for a while, and without the payload it can only say SYNCING.
func TestCatchUpReachesBeyondTheHead(t *testing.T) {
	for _, c := range []struct {
		name   string
		missed int // blocks of the head's chain, before the payload
		want   string
	}{
		{"behind the head", 1, "[P1 F1 P2 F2 P3 F3 F3 P4 F4 P5 F5 P6 F6]"},
		{"at the head", 0, "[P1 F1 P2 F2 P3 F3 F3 P4 F4 P5 F5]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var away atomic.Bool
			short := &bubble.Fake{Refuse: away.Load, Answer: func(method string) (string, bool) {
				return bubble.Latest(3), method == "eth_getBlockByNumber"
			}}
			short.Status = func(method string, n int) string {
				needs := n // to make it the head
				if strings.HasPrefix(method, "engine_newPayload") {
					needs = n - 1
				}
				if needs > 0 && !slices.Contains(short.Seen(), fmt.Sprint("P", needs)) {
					return "SYNCING"
				}
				return "VALID"
			}
			bubble.In(t, []*bubble.Fake{{}, {}, short}, func(t *testing.T, b *bubble.Bubble) {
				b.Follow(1, 3)
				away.Store(true)
				b.Follow(4, c.missed)
				next := 4 + c.missed
				b.Send(bubble.PayloadCall(next))
				away.Store(false)
				time.Sleep(3 * time.Second) // the next probe finds it
				b.Send(bubble.ForkchoiceCall(next))
				time.Sleep(time.Second) // one that waits is dropped for the next, which would come at the same time
				b.Follow(next+1, 1)

				if got := fmt.Sprint(short.Seen()); got != c.want {
					t.Errorf("it got %s, want %s", got, c.want)
				}
				if got := b.Fleet.Pool.Nodes()[2].Status().State; got != health.Alive {
					t.Errorf("it is %s, want alive", got)
				}
			})
		})
	}
}

// A payload that is under way when a node returns is not sent to it, and comes to the head while it is being fed: it is
// fed that, too.
func TestCatchUpFeedsWhatCameMeanwhile(t *testing.T) {
	slow := func() *bubble.Fake {
		return &bubble.Fake{Delay: func(method string, n int) time.Duration {
			if n == 5 && strings.HasPrefix(method, "engine_newPayload") {
				return 300 * time.Millisecond
			}
			return 0
		}}
	}
	short := shortAt(3, "0x3")
	var away atomic.Bool
	short.Refuse = away.Load
	short.Delay = func(method string, n int) time.Duration {
		if n == 4 && strings.HasPrefix(method, "engine_newPayload") {
			return 500 * time.Millisecond
		}
		return 0
	}
	bubble.In(t, []*bubble.Fake{slow(), slow(), short}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 3)
		away.Store(true)
		b.Follow(4, 1)
		time.AfterFunc(100*time.Millisecond, func() {
			away.Store(false)
			b.Fleet.Pool.Recheck(b.Fleet.Context())
		})
		b.Follow(5, 2)
		if got, want := fmt.Sprint(short.Seen()), "[P1 F1 P2 F2 P3 F3 F3 P4 F4 F4 P5 F5 F5 P6 F6]"; got != want {
			t.Errorf("it got %s, want %s", got, want)
		}
		if got := b.Fleet.Pool.Nodes()[2].Status().State; got != health.Alive {
			t.Errorf("it is %s, want alive", got)
		}
	})
}

// A node that is added, or comes back after its removal, is fed before the next payload comes: Erigon, asked about a
// payload whose parent it doesn't have, looks for it among its peers, and answers nothing else for a while.
func TestAddedNodeIsFed(t *testing.T) {
	short := &bubble.Fake{Answer: func(method string) (string, bool) {
		return bubble.Latest(3), method == "eth_getBlockByNumber"
	}}
	bubble.In(t, []*bubble.Fake{{}, {}, short}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 3)
		if err := b.Fleet.Pool.Remove([]string{"n3"}); err != nil {
			t.Fatal(err)
		}
		b.Follow(4, 2)
		if err := b.Fleet.Pool.Add([]config.Node{bubble.Spec(t, 3)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		b.Follow(6, 1)
		if got, want := fmt.Sprint(short.Seen()), "[P1 F1 P2 F2 P3 F3 F3 P4 F4 P5 F5 P6 F6]"; got != want {
			t.Errorf("it got %s, want %s", got, want)
		}
	})
}

// shortAt is a fake at some block, that says SYNCING to what doesn't build on what it was given.
func shortAt(at int, number string) *bubble.Fake {
	f := &bubble.Fake{Answer: func(method string) (string, bool) {
		return fmt.Sprintf(`{"hash":%q,"number":%q}`, bubble.Hash(at).Hex(), number), method == "eth_getBlockByNumber"
	}}
	f.Status = func(method string, n int) string {
		needs := n // to make it the head
		if strings.HasPrefix(method, "engine_newPayload") {
			needs = n - 1
		}
		if needs > at && !slices.Contains(f.Seen(), fmt.Sprint("P", needs)) {
			return "SYNCING"
		}
		return "VALID"
	}
	return f
}

// A fresh client at genesis takes every block, where the kept payloads reach back to the first.
func TestNodeAtGenesisIsFed(t *testing.T) {
	fresh := shortAt(1, "0x0")
	var away atomic.Bool
	fresh.Refuse = away.Load
	bubble.In(t, []*bubble.Fake{{}, {}, fresh}, func(t *testing.T, b *bubble.Bubble) {
		away.Store(true)
		b.Follow(2, 4)
		away.Store(false)
		time.Sleep(3 * time.Second) // the next probe finds it
		b.Follow(6, 1)
		if got, want := fmt.Sprint(fresh.Seen()), "[F1 P2 F2 P3 F3 P4 F4 P5 F5 P6 F6]"; got != want {
			t.Errorf("it got %s, want %s", got, want)
		}
	})
}

// A node that syncs by itself is left alone as long as it gets nearer, though the kept payloads would bring it to the
// head: what it is fed makes it go back. When it has stood still for half a minute, it is fed.
func TestNodeThatSyncsByItselfIsNotFed(t *testing.T) {
	var away atomic.Bool
	var at atomic.Int64
	at.Store(1) // older than what is kept
	walker := &bubble.Fake{Refuse: away.Load, Answer: func(method string) (string, bool) {
		return bubble.Latest(int(at.Load())), method == "eth_getBlockByNumber"
	}}
	walker.Status = func(string, int) string { return "SYNCING" }
	bubble.In(t, []*bubble.Fake{{}, {}, walker}, func(t *testing.T, b *bubble.Bubble) {
		away.Store(true)
		b.Follow(11, 9)
		away.Store(false)
		time.Sleep(3 * time.Second) // the next probe finds it
		var want []string           // what the consensus client sends
		follow := func(block int) {
			b.Follow(block, 1)
			want = append(want, fmt.Sprint("P", block), fmt.Sprint("F", block))
			time.Sleep(10 * time.Second)
		}
		for block := 20; block < 26; block++ {
			follow(block)
			at.Store(int64(block - 9)) // 11 is the first that is kept
			if block == 23 {           // in the middle its connections break
				away.Store(true)
				b.Fleet.Pool.Recheck(b.Fleet.Context())
				away.Store(false)
				time.Sleep(3 * time.Second)
			}
		}
		follow(26)
		if got := walker.Seen(); !slices.Equal(got, want) {
			t.Errorf("while it gets nearer it got %v, want %v", got, want)
		}
		for block := 27; block < 31; block++ {
			follow(block)
		}
		if own := "F16"; !slices.Contains(walker.Seen(), own) {
			t.Errorf("it has stood still, and isn't fed: %v", walker.Seen())
		}
	})
}

// A node that restarts at the head may have lost what it had been sent on top of it.
func TestLostPayloadIsFedAgain(t *testing.T) {
	restarted := shortAt(3, "0x3")
	var away atomic.Bool
	restarted.Refuse = away.Load
	bubble.In(t, []*bubble.Fake{{}, {}, restarted}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 3)
		b.Send(bubble.PayloadCall(4))
		for _, want := range []string{"[P1 F1 P2 F2 P3 F3 P4]", "[P1 F1 P2 F2 P3 F3 P4 F3 P4]"} {
			if got := fmt.Sprint(restarted.Seen()); got != want {
				t.Errorf("it got %s, want %s", got, want)
			}
			away.Store(true)
			b.Fleet.Pool.Recheck(b.Fleet.Context())
			away.Store(false)
			time.Sleep(3 * time.Second) // the next probe finds it
		}
	})
}

// A payload beyond the head may be invalid: whoever says so has caught up all the same.
func TestInvalidBeyondTheHeadIsNoFailure(t *testing.T) {
	short := shortAt(3, "0x3")
	status := short.Status
	short.Status = func(method string, n int) string {
		if n == 6 {
			return "INVALID"
		}
		return status(method, n)
	}
	var away atomic.Bool
	short.Refuse = away.Load
	bad := func() *bubble.Fake { return bubble.Speaker(6, "INVALID", 0) }
	bubble.In(t, []*bubble.Fake{bad(), bad(), short}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 3)
		away.Store(true)
		b.Follow(4, 2)
		b.Send(bubble.PayloadCall(6)) // INVALID
		away.Store(false)
		time.Sleep(3 * time.Second) // the next probe finds it
		if s := b.Fleet.Pool.Nodes()[2].Status(); s.State != health.Alive || !slices.Contains(short.Seen(), "F5") {
			t.Errorf("it is %s, and got %v", s.State, short.Seen())
		}
		if got := b.Counted("executionbackup_replays_total", "outcome", "failed"); got != 0 {
			t.Errorf("%v replays failed", got)
		}
	})
}

// A node that comes back while it is being fed, before that fails, is fed again when it may be: by then it has to wait
// longer than when it came back.
func TestBackBeforeTheAttemptFails(t *testing.T) {
	short := shortAt(3, "0x3")
	var away, fails atomic.Bool // the next payload fails, after a second
	short.Refuse = away.Load
	short.Delay = func(method string, _ int) time.Duration {
		if strings.HasPrefix(method, "engine_newPayload") && fails.Load() {
			return time.Second
		}
		return 0
	}
	short.Fail = func(method string) string {
		if strings.HasPrefix(method, "engine_newPayload") && fails.Swap(false) {
			return `{"code":-32603,"message":"internal error"}`
		}
		return ""
	}
	bubble.In(t, []*bubble.Fake{{}, {}, short}, func(t *testing.T, b *bubble.Bubble) {
		toggle := func(to bool) {
			away.Store(to)
			b.Fleet.Pool.Recheck(b.Fleet.Context())
		}
		b.Follow(1, 3)
		toggle(true)
		b.Follow(4, 2)
		fails.Store(true)
		for range 2 { // the first attempt begins
			toggle(false)
			time.Sleep(300 * time.Millisecond)
			toggle(true)
		}
		toggle(false)
		time.Sleep(time.Minute)
		if got, want := fmt.Sprint(short.Seen()), "[P1 F1 P2 F2 P3 F3 F3 P4 F3 P4 F4 P5 F5]"; got != want {
			t.Errorf("it got %s, want %s", got, want)
		}
	})
}
