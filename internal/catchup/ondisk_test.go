package catchup_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"executionbackup/internal/bubble"
)

// buildCall is a forkchoiceUpdated on block n that asks for a payload.
func buildCall(n int) []byte {
	return bytes.Replace(bubble.ForkchoiceCall(n), []byte("},null]"), []byte(`},{"timestamp":"0x64"}]`), 1)
}

// sleeper is a geth that was killed at block 9, and is back at block 3, with all in between on its disk. It calls VALID
// what it knows, and executes it once it has had a forkchoiceUpdated on its latest block.
type sleeper struct {
	*bubble.Fake
	at    atomic.Int64 // its latest block
	stays bool         // it never executes anything
	id    string       // of the payload that it builds, where it isn't ""
}

func newSleeper(at int64) *sleeper {
	s := &sleeper{Fake: new(bubble.Fake)}
	s.at.Store(at)
	synced := false
	s.Arrived = func(call string, number int) (done func(), refused bool) {
		if call == fmt.Sprint("F", s.at.Load()) {
			synced = true
		} else if synced && call[0] == 'F' && !s.stays {
			s.at.Store(int64(number))
		}
		return func() {}, false
	}
	s.Answer = func(method string) (string, bool) {
		switch {
		case method == "eth_getBlockByNumber":
			return fmt.Sprintf(`{"hash":%q,"number":"0x%x"}`, bubble.Hash(int(s.at.Load())).Hex(), s.at.Load()), true
		case method == "eth_getBlockByHash":
			return fmt.Sprintf(`{"hash":%q,"parentHash":%q,"number":"0x9","timestamp":"0x50"}`, bubble.Hash(9).Hex(),
				bubble.Hash(8).Hex()), true
		case s.id != "" && strings.HasPrefix(method, "engine_forkchoiceUpdated"):
			return fmt.Sprintf(`{"payloadStatus":{"status":"VALID","latestValidHash":%q,"validationError":null},`+
				`"payloadId":%q}`, bubble.Hash(9).Hex(), s.id), true
		}
		return "", false
	}
	return s
}

// A node that has the head, but not its state, calls it VALID and builds nothing. Nobody has kept the payloads. It is
// made to execute what it has, and nobody else is touched.
func TestOnDisk(t *testing.T) {
	builds, stays, syncs, moves := newSleeper(3), newSleeper(3), newSleeper(3), newSleeper(3)
	builds.id, stays.stays = "0x1", true
	followed := false
	syncs.Status = func(string, int) string {
		if followed {
			return "SYNCING"
		}
		followed = true
		return "VALID"
	}
	moves.Delay = func(method string, _ int) time.Duration {
		if method == "eth_getBlockByHash" { // it moves once it has been found behind
			time.AfterFunc(50*time.Millisecond, func() { moves.at.Store(10) })
			return 100 * time.Millisecond
		}
		return 0
	}
	for _, c := range []struct {
		name string
		node *sleeper
		call []byte
		want string
		says string
		fed  float64 // times that it was brought up to the head
	}{
		{"behind", newSleeper(3), buildCall(9), "[F9 F3 F9]", "VALID", 1},
		{"behind, and nothing is asked for", newSleeper(3), bubble.ForkchoiceCall(9), "[F9]", "VALID", 0},
		{"behind, and builds", builds, buildCall(9), "[F9]", "VALID", 0},
		{"behind, and stays there", stays, buildCall(9), "[F9 F3 F9]", "VALID", 0},
		{"behind, and syncs", syncs, buildCall(9), "[F9]", "SYNCING", 0},
		{"behind, and then beyond by itself", moves, buildCall(9), "[F9]", "VALID", 0},
		{"at the head", newSleeper(9), buildCall(9), "[F9]", "VALID", 0},
		{"beyond the head, from where the CL goes back", newSleeper(10), buildCall(9), "[F9]", "VALID", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.In(t, []*bubble.Fake{c.node.Fake}, func(t *testing.T, b *bubble.Bubble) {
				b.Send(bubble.ForkchoiceCall(9))
				c.node.Forget()
				if got, _ := b.Send(c.call); got != c.says {
					t.Fatalf("the CL hears %s, want %s", got, c.says)
				}
				time.Sleep(time.Second)
				if got := fmt.Sprint(c.node.Seen()); got != c.want {
					t.Errorf("it got %s, want %s", got, c.want)
				}
				c.node.Forget()
				for range 4 { // another attempt would be half a minute after the first
					b.Send(bubble.ForkchoiceCall(9))
					b.Send(c.call)
					time.Sleep(5 * time.Second)
				}
				if got := c.node.Seen(); len(got) != 8 || slices.Contains(got, "F3") {
					t.Errorf("then it got %v", got)
				}
				if got := b.Counted("executionbackup_replays_total", "outcome", "success"); got != c.fed {
					t.Errorf("it was brought up to the head %v times, want %v", got, c.fed)
				}
			})
		})
	}
}

// While a node is found to have the head on its disk, the chain goes on: it executes what it has, and is fed the rest.
func TestOnDiskWhileTheChainGoesOn(t *testing.T) {
	s := newSleeper(3)
	s.Delay = func(method string, _ int) time.Duration {
		if method == "eth_getBlockByHash" {
			return 500 * time.Millisecond
		}
		return 0
	}
	s.Status = func(method string, n int) string {
		if at := s.at.Load(); n > 9 && at < 9 { // it has block 9 without its state
			return "SYNCING"
		}
		return "VALID"
	}
	bubble.In(t, []*bubble.Fake{{}, {}, s.Fake}, func(t *testing.T, b *bubble.Bubble) {
		b.Send(buildCall(9))
		b.Send(bubble.PayloadCall(10))
		b.Send(bubble.ForkchoiceCall(10))
		time.Sleep(time.Second)
		if got, want := fmt.Sprint(s.Seen()), "[F9 P10 F10 F3 F9 P10 F10]"; got != want {
			t.Errorf("it got %s, want %s", got, want)
		}
	})
}

// A node that doesn't execute what it has syncs by itself, and is left alone as long as it gets nearer.
func TestOnDiskLeftAlone(t *testing.T) {
	s := newSleeper(3)
	s.stays = true
	bubble.In(t, []*bubble.Fake{s.Fake}, func(t *testing.T, b *bubble.Bubble) {
		for range 8 {
			b.Send(buildCall(9))
			time.Sleep(20 * time.Second)
			if s.at.Load() < 8 {
				s.at.Add(1)
			}
		}
		want := "[F9 F3 F9 F9 F9 F9 F9 F9 F9 F9 F8 F9]" // F8 is its own head, when it has stood still for half a minute
		if got := fmt.Sprint(s.Seen()); got != want {
			t.Errorf("it got %s, want %s", got, want)
		}
	})
}
