package catchup_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"executionbackup/internal/bubble"
)

// sleeper is a geth that was killed at block 9, and is back at block 3, with all in between on its disk. It calls VALID
// what it knows, and executes it once it has had a forkchoiceUpdated on its latest block.
type sleeper struct {
	*bubble.Fake
	at     atomic.Int64 // its latest block
	has    atomic.Int64 // the last one that it has executed
	synced atomic.Bool  // it has had that forkchoiceUpdated
	stays  bool         // it never executes anything
	id     string       // of the payload that it builds, where it isn't ""
	number string       // what it says is the number of block 9
	latest string       // … of its latest block; "" for the right one
}

func newSleeper(at int64) *sleeper {
	s := &sleeper{Fake: new(bubble.Fake), number: "0x9"}
	s.at.Store(at)
	s.has.Store(at)
	s.Arrived = func(call string, number int) (done func(), refused bool) {
		n := int64(number)
		switch {
		case call[0] == 'P' && n == s.has.Load()+1:
			s.has.Store(n)
		case call[0] == 'F' && n == s.at.Load():
			s.synced.Store(true)
		case call[0] == 'F' && s.synced.Load() && !s.stays && n <= max(9, s.has.Load()):
			s.at.Store(n)
			s.has.Store(max(n, s.has.Load()))
		}
		return func() {}, false
	}
	s.Status = func(method string, n int) string {
		if int64(n) > max(9, s.has.Load()) {
			return "SYNCING"
		}
		return "VALID"
	}
	s.Answer = func(method string) (string, bool) {
		switch {
		case method == "eth_getBlockByNumber":
			return fmt.Sprintf(`{"hash":%q,"number":%q}`, bubble.Hash(int(s.at.Load())).Hex(),
				cmp.Or(s.latest, fmt.Sprintf("0x%x", s.at.Load()))), true
		case method == "eth_getBlockByHash":
			return fmt.Sprintf(`{"hash":%q,"parentHash":%q,"number":%q,"timestamp":"0x50"}`, bubble.Hash(9).Hex(),
				bubble.Hash(8).Hex(), s.number), true
		case s.id != "" && strings.HasPrefix(method, "engine_forkchoiceUpdated"):
			return fmt.Sprintf(`{"payloadStatus":{"status":"VALID","latestValidHash":%q,"validationError":null},`+
				`"payloadId":%q}`, bubble.Hash(9).Hex(), s.id), true
		}
		return "", false
	}
	return s
}

// saysAfter is a sleeper that says something else from so many forkchoiceUpdateds on block 9 on.
func saysAfter(calls int, status string) *sleeper {
	s := newSleeper(3)
	s.Status = func(_ string, n int) string {
		if n == 9 {
			calls--
		}
		if calls < 0 {
			return status
		}
		return "VALID"
	}
	return s
}

// A node that has the head, but not its state, calls it VALID and builds nothing. Nobody has kept the payloads. It is
// made to execute what it has, and nobody else is touched.
func TestOnDisk(t *testing.T) {
	builds, stays, moves, wakes := newSleeper(3), newSleeper(3), newSleeper(3), newSleeper(3)
	builds.id, stays.stays = "0x1", true
	moves.Delay = func(method string, _ int) time.Duration {
		if method == "eth_getBlockByHash" { // it moves once it has been found behind
			time.AfterFunc(50*time.Millisecond, func() { moves.at.Store(10) })
			return 100 * time.Millisecond
		}
		return 0
	}
	wakes.Delay = func(method string, _ int) time.Duration {
		wakes.synced.Store(wakes.synced.Load() || method == "eth_getBlockByHash")
		return 0
	}
	giant, genesis, beside, branch := newSleeper(3), newSleeper(3), newSleeper(3), newSleeper(900)
	giant.number, genesis.latest, beside.latest, branch.latest = "0xffffffffffffffff", "0x0", "0x9", "0x8"
	late := newSleeper(8)
	late.Delay = func(method string, _ int) time.Duration {
		if strings.HasPrefix(method, "engine_forkchoiceUpdated") {
			late.at.Store(8)
			time.AfterFunc(200*time.Millisecond, func() { late.at.Store(9) })
		}
		return 0
	}
	nearer := newSleeper(3)
	calls := 0
	nearer.Delay = func(method string, _ int) time.Duration {
		if strings.HasPrefix(method, "engine_forkchoiceUpdated") {
			if calls++; calls == 3 {
				nearer.at.Store(5)
			}
		}
		return 0
	}
	for _, c := range []struct {
		name string
		node *sleeper
		call []byte
		want string
		fed  float64 // times that it was brought up to the head
	}{
		{"behind", newSleeper(3), bubble.BuildCall(9), "[F9 F9 F3 F9]", 1},
		{"behind, and nothing is asked for", newSleeper(3), bubble.ForkchoiceCall(9), "[F9]", 0},
		{"behind, and builds", builds, bubble.BuildCall(9), "[F9]", 0},
		{"behind, and executes it by itself", wakes, bubble.BuildCall(9), "[F9 F9]", 0},
		{"behind, and stays there", stays, bubble.BuildCall(9), "[F9 F9 F3 F9]", 0},
		{"behind, and gets nearer", nearer, bubble.BuildCall(9), "[F9 F9]", 0},
		{"behind, on a branch that the CL may go to", branch, bubble.BuildCall(9), "[F9]", 0},
		{"behind, and syncs", saysAfter(2, "SYNCING"), bubble.BuildCall(9), "[F9 F9]", 0},
		{"behind, and then beyond", moves, bubble.BuildCall(9), "[F9]", 0},
		{"behind, and objects", saysAfter(1, "INVALID"), bubble.BuildCall(9), "[F9]", 0},
		{"behind, and objects when it executes it", saysAfter(3, "INVALID"), bubble.BuildCall(9), "[F9 F9 F3 F9]", 0},
		{"at the head, and tells it late", late, bubble.BuildCall(9), "[F9]", 0},
		{"behind by too much", giant, bubble.BuildCall(9), "[F9]", 0},
		{"at genesis", genesis, bubble.BuildCall(9), "[F9]", 0},
		{"beside the head", beside, bubble.BuildCall(9), "[F9]", 0},
		{"at the head", newSleeper(9), bubble.BuildCall(9), "[F9]", 0},
		{"beyond the head, from where the CL goes back", newSleeper(10), bubble.BuildCall(9), "[F9]", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.In(t, []*bubble.Fake{c.node.Fake}, func(t *testing.T, b *bubble.Bubble) {
				b.Send(bubble.PayloadCall(900))
				b.Send(bubble.ForkchoiceCall(9))
				c.node.Forget()
				b.Send(c.call)
				time.Sleep(2 * time.Second)
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
	bubble.In(t, []*bubble.Fake{{}, {}, s.Fake}, func(t *testing.T, b *bubble.Bubble) {
		b.Send(bubble.BuildCall(9))
		b.Send(bubble.PayloadCall(10))
		b.Send(bubble.ForkchoiceCall(10))
		time.Sleep(3 * time.Second)
		if got, want := fmt.Sprint(s.Seen()), "[F9 P10 F10 F9 F3 F9 P10 F10]"; got != want {
			t.Errorf("it got %s, want %s", got, want)
		}
		s.Forget()
		s.at.Store(3) // it was killed again, and nobody has seen it
		s.has.Store(3)
		s.synced.Store(false)
		b.Follow(11, 1)
		time.Sleep(3 * time.Second)
		if got, want := fmt.Sprint(s.Seen()), "F9 F3 F9 P10 F10"; !strings.Contains(got, want) {
			t.Errorf("then it got %s, want %s in it", got, want)
		}
	})
}

// Nobody asks for a payload, and all nodes lack the same: they execute what they have before the first payload that is
// kept, and are fed that and the next.
func TestOnDiskBeforeWhatIsKept(t *testing.T) {
	nodes := []*sleeper{newSleeper(3), newSleeper(5)}
	for _, s := range nodes {
		s.Delay = func(method string, _ int) time.Duration {
			if method == "eth_getBlockByNumber" { // so that the forkchoiceUpdated comes first
				return 100 * time.Millisecond
			}
			return 0
		}
	}
	bubble.In(t, []*bubble.Fake{nodes[0].Fake, nodes[1].Fake}, func(t *testing.T, b *bubble.Bubble) {
		b.Send(bubble.ForkchoiceCall(9))
		b.Follow(10, 1)
		for i, want := range []string{"[F9 P10 F10 F9 F3 F9 P10]", "[F9 P10 F10 F9 F5 F9 P10]"} {
			if got := fmt.Sprint(nodes[i].Seen()); got != want {
				t.Errorf("node %d got %s, want %s", i, got, want)
			}
		}
		if s := b.Follow(11, 1)[0]; s.NewPayload != "VALID" || s.Forkchoice != "VALID" {
			t.Errorf("then the CL hears %+v", s)
		}
	})
}

// A node that has what is kept is not asked to follow it once more: it doesn't build, and tells late where it is.
func TestOnDiskIsNotWhatIsKept(t *testing.T) {
	late := new(bubble.Fake)
	var at atomic.Int64
	late.Arrived = func(_ string, number int) (done func(), refused bool) {
		time.AfterFunc(1500*time.Millisecond, func() { at.Store(int64(number)) })
		return func() {}, false
	}
	late.Answer = func(method string) (string, bool) {
		return bubble.Latest(int(at.Load())), method == "eth_getBlockByNumber"
	}
	bubble.In(t, []*bubble.Fake{late}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 2)
		b.Send(bubble.PayloadCall(3))
		b.Send(bubble.BuildCall(3))
		time.Sleep(3 * time.Second)
		if got, want := fmt.Sprint(late.Seen()), "[P1 F1 P2 F2 P3 F3]"; got != want {
			t.Errorf("it got %s, want %s", got, want)
		}
	})
}

// A node that doesn't build is looked at once in a second, however often it is asked to.
func TestOnDiskIsLookedForOnce(t *testing.T) {
	s := newSleeper(10)
	var looks atomic.Int64
	s.Delay = func(method string, _ int) time.Duration {
		if method == "eth_getBlockByHash" {
			looks.Add(1)
		}
		return 0
	}
	bubble.In(t, []*bubble.Fake{s.Fake}, func(t *testing.T, b *bubble.Bubble) {
		for want := range int64(3) {
			if got := looks.Load(); got != want {
				t.Errorf("it was looked at %d times, want %d", got, want)
			}
			for range 10 {
				b.Send(bubble.BuildCall(9))
			}
			time.Sleep(2 * time.Second)
		}
	})
}

// A node that doesn't execute what it has syncs by itself, and is left alone as long as it gets nearer.
func TestOnDiskLeftAlone(t *testing.T) {
	stays := newSleeper(3)
	stays.stays = true
	slow := newSleeper(3)
	slow.Delay = func(method string, _ int) time.Duration {
		if len(slow.Seen()) == 2 && strings.HasPrefix(method, "engine_forkchoiceUpdated") {
			return time.Hour
		}
		return 0
	}
	for name, c := range map[string]struct {
		node        *sleeper
		once, again string // what it gets at first, and when it has stood still for half a minute
	}{
		"stays": {stays, "F9 F3 F9", "F9 F8 F9"},
		"syncs": {saysAfter(1, "SYNCING"), "F9", "F9"},
		"slow":  {slow, "F9", "F9 F8 F9"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.In(t, []*bubble.Fake{c.node.Fake}, func(t *testing.T, b *bubble.Bubble) {
				for range 8 {
					b.Send(bubble.BuildCall(9))
					time.Sleep(20 * time.Second)
					if c.node.at.Load() < 8 {
						c.node.at.Add(1)
					}
				}
				want := "[F9 " + c.once + " F9 F9 F9 F9 F9 F9 F9 " + c.again + "]"
				if got := fmt.Sprint(c.node.Seen()); got != want {
					t.Errorf("it got %s, want %s", got, want)
				}
			})
		})
	}
}

// brittle is a sleeper that dies when it executes what it has, and is back after a second.
type brittle struct {
	*sleeper
	atOnce bool         // it executes it without having been sent back, where the call is none of the CL's
	down   atomic.Int64 // until when, in nanoseconds of the clock
	deaths atomic.Int64
}

func (c *brittle) RoundTrip(r *http.Request) (*http.Response, error) {
	if time.Now().UnixNano() < c.down.Load() {
		return nil, bubble.ErrRefused
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer, err := c.sleeper.RoundTrip(r)
	ours := bytes.Contains(body, []byte("engine_forkchoiceUpdated")) && !bytes.Contains(body, []byte("timestamp"))
	if err == nil && (c.at.Load() == 9 || c.atOnce && ours) {
		c.at.Store(3)
		c.has.Store(3)
		c.synced.Store(false)
		c.down.Store(time.Now().Add(time.Second).UnixNano())
		c.deaths.Add(1)
		return nil, bubble.ErrReset
	}
	return answer, err
}

// A node that dies twice of what it has on its disk isn't made to execute it a third time.
func TestOnDiskIsDeadly(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		t.Run(fmt.Sprintf("at once: %t", atOnce), func(t *testing.T) {
			node := &brittle{sleeper: newSleeper(3), atOnce: atOnce}
			bubble.In(t, []*brittle{node}, func(t *testing.T, b *bubble.Bubble) {
				for range 40 {
					b.Post(t.Context(), bubble.BuildCall(9))
					time.Sleep(5 * time.Second)
				}
				if got := node.deaths.Load(); got != 2 {
					t.Errorf("it died %d times, want 2: %v", got, node.Seen())
				}
			})
		})
	}
}
