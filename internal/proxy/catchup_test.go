package proxy

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/health"
)

// A node returns between a newPayload that it wasn't there for and the forkchoiceUpdated on it. What it is fed must reach
// beyond the head: there is no second attempt for a while, and without the payload it can only say SYNCING.
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
			short := &fake{refuse: away.Load, answer: func(method string) (string, bool) {
				return fmt.Sprintf(`{"hash":%q,"number":"0x3"}`, hash(3).Hex()), method == "eth_getBlockByNumber"
			}}
			short.status = func(method string, n int) string {
				needs := n // to make it the head
				if strings.HasPrefix(method, "engine_newPayload") {
					needs = n - 1
				}
				if needs > 0 && !slices.Contains(short.seen(), fmt.Sprint("P", needs)) {
					return "SYNCING"
				}
				return "VALID"
			}
			inBubble(t, []*fake{{}, {}, short}, func(t *testing.T, b *bubble) {
				b.follow(1, 3)
				away.Store(true)
				b.follow(4, c.missed)
				next := 4 + c.missed
				b.send(payloadCall(next))
				away.Store(false)
				time.Sleep(3 * time.Second) // the next probe finds it
				b.send(forkchoiceCall(next))
				b.follow(next+1, 1)

				if got := fmt.Sprint(short.seen()); got != c.want {
					t.Errorf("it got %s, want %s", got, c.want)
				}
				if got := b.pool.Nodes()[2].Status().State; got != health.Alive {
					t.Errorf("it is %s, want alive", got)
				}
			})
		})
	}
}

// A node that is added, or comes back after its removal, is fed before the next payload comes: Erigon, asked about a payload
// whose parent it doesn't have, looks for it among its peers, and answers nothing else for a while.
func TestAddedNodeIsFed(t *testing.T) {
	short := &fake{answer: func(method string) (string, bool) {
		return fmt.Sprintf(`{"hash":%q,"number":"0x3"}`, hash(3).Hex()), method == "eth_getBlockByNumber"
	}}
	inBubble(t, []*fake{{}, {}, short}, func(t *testing.T, b *bubble) {
		b.follow(1, 3)
		if err := b.pool.Remove([]string{"n3"}); err != nil {
			t.Fatal(err)
		}
		b.follow(4, 2)
		if err := b.pool.Add([]config.Node{fakeSpec(t, 3)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		b.follow(6, 1)
		if got, want := fmt.Sprint(short.seen()), "[P1 F1 P2 F2 P3 F3 F3 P4 F4 P5 F5 P6 F6]"; got != want {
			t.Errorf("it got %s, want %s", got, want)
		}
	})
}

// shortAt is a fake at some block, that says SYNCING to what doesn't build on what it was given.
func shortAt(at int, number string) *fake {
	f := &fake{answer: func(method string) (string, bool) {
		return fmt.Sprintf(`{"hash":%q,"number":%q}`, hash(at).Hex(), number), method == "eth_getBlockByNumber"
	}}
	f.status = func(method string, n int) string {
		needs := n // to make it the head
		if strings.HasPrefix(method, "engine_newPayload") {
			needs = n - 1
		}
		if needs > at && !slices.Contains(f.seen(), fmt.Sprint("P", needs)) {
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
	fresh.refuse = away.Load
	inBubble(t, []*fake{{}, {}, fresh}, func(t *testing.T, b *bubble) {
		away.Store(true)
		b.follow(2, 4)
		away.Store(false)
		time.Sleep(3 * time.Second) // the next probe finds it
		b.follow(6, 1)
		if got, want := fmt.Sprint(fresh.seen()), "[F1 P2 F2 P3 F3 P4 F4 P5 F5 P6 F6]"; got != want {
			t.Errorf("it got %s, want %s", got, want)
		}
	})
}

// A node that restarts at the head may have lost what it had been sent on top of it.
func TestLostPayloadIsFedAgain(t *testing.T) {
	restarted := shortAt(3, "0x3")
	var away atomic.Bool
	restarted.refuse = away.Load
	inBubble(t, []*fake{{}, {}, restarted}, func(t *testing.T, b *bubble) {
		b.follow(1, 3)
		b.send(payloadCall(4))
		for _, want := range []string{"[P1 F1 P2 F2 P3 F3 P4]", "[P1 F1 P2 F2 P3 F3 P4 F3 P4]"} {
			if got := fmt.Sprint(restarted.seen()); got != want {
				t.Errorf("it got %s, want %s", got, want)
			}
			away.Store(true)
			b.pool.Recheck(b.ctx)
			away.Store(false)
			time.Sleep(3 * time.Second) // the next probe finds it
		}
	})
}

// A payload beyond the head may be invalid: whoever says so has caught up all the same.
func TestInvalidBeyondTheHeadIsNoFailure(t *testing.T) {
	short := shortAt(3, "0x3")
	status := short.status
	short.status = func(method string, n int) string {
		if n == 6 {
			return "INVALID"
		}
		return status(method, n)
	}
	var away atomic.Bool
	short.refuse = away.Load
	bad := func() *fake { return speaker(6, "INVALID", 0) }
	inBubble(t, []*fake{bad(), bad(), short}, func(t *testing.T, b *bubble) {
		b.follow(1, 3)
		away.Store(true)
		b.follow(4, 2)
		b.send(payloadCall(6)) // INVALID
		away.Store(false)
		time.Sleep(3 * time.Second) // the next probe finds it
		if s := b.pool.Nodes()[2].Status(); s.State != health.Alive || !slices.Contains(short.seen(), "F5") {
			t.Errorf("it is %s, and got %v", s.State, short.seen())
		}
		if got := counted(t, b.metrics.replays.WithLabelValues("failed")); got != 0 {
			t.Errorf("%v replays failed", got)
		}
	})
}

// A payload under which a node died twice isn't fed to it again for ten minutes.
func TestDeadlyPayloadIsNotFed(t *testing.T) {
	inBubble(t, []*fake{{}, {}}, func(t *testing.T, b *bubble) {
		n := b.pool.Nodes()[1]
		path := []kept{{Payload: engine.Payload{Hash: hash(7), Number: 7}}, {Payload: engine.Payload{Hash: hash(8), Number: 8}}}
		for died, want := range []bool{false, false, true} {
			if died > 0 {
				b.catchUp.died(n.ID, hash(8))
			}
			if got := b.catchUp.deadly(n, path) != nil; got != want {
				t.Errorf("after %d deaths: withheld %t", died, got)
			}
		}
		if b.catchUp.deadly(b.pool.Nodes()[0], path) != nil {
			t.Error("it is withheld from another node, too")
		}
		time.Sleep(10 * time.Minute) // the bubble's clock
		if err := b.catchUp.deadly(n, path); err != nil {
			t.Errorf("after ten minutes: %v", err)
		}
	})
}

// counted returns the value of a counter, as Prometheus would read it.
func counted(t *testing.T, c prometheus.Collector) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("%d metrics, %v", len(families), err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}
