package proxy

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"executionbackup/internal/config"
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
