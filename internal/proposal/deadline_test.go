package proposal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/bubble"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/fleet"
)

const (
	ms      = time.Millisecond
	forever = bubble.Forever
)

const getPayload = `{"jsonrpc":"2.0","id":1,"method":"engine_getPayloadV4","params":["0x01"]}`

// builder has a payload on block 1 for every build.
func builder(t *testing.T, delay func(method string, n int) time.Duration, change ...func(*enginetest.Payload)) (
	f *bubble.Fake, forkchoice []byte) {
	t.Helper()
	head := enginetest.Payload{Version: 4}
	head.BlockHash, head.Number = bubble.Hash(1), 1
	attributes := head.Attributes()
	built := head.Child(func(p *enginetest.Payload) {
		p.FeeRecipient = attributes.SuggestedFeeRecipient
		for _, do := range change {
			do(p)
		}
	})
	raw, err := json.Marshal(attributes)
	if err != nil {
		t.Fatal(err)
	}
	f = &bubble.Fake{Delay: delay, Answer: func(method string) (string, bool) {
		switch {
		case strings.HasPrefix(method, "engine_forkchoiceUpdated"):
			const valid = `{"payloadStatus":{"status":"VALID","latestValidHash":%q,` +
				`"validationError":null},"payloadId":"0x01"}`
			return fmt.Sprintf(valid, bubble.Hash(1).Hex()), true
		case strings.HasPrefix(method, "engine_getPayload"):
			return built.Envelope(4, "0x1"), true
		}
		return "", false
	}}
	return f, []byte(strings.Replace(string(bubble.ForkchoiceCall(1)), ",null]", ","+string(raw)+"]", 1))
}

// A proposal takes the build grace at most after the first good payload, the cross-check at most after that, and 900 ms
// in all. While there is no payload, the first is waited for to its node's timeout, and has the same time from then on.
func TestProposalDeadlines(t *testing.T) {
	slow := func(families string, by time.Duration) func(string, int) time.Duration {
		return func(method string, _ int) time.Duration {
			for _, family := range strings.Fields(families) {
				if strings.HasPrefix(method, family) {
					return by
				}
			}
			return 0
		}
	}
	type delays [2]func(method string, n int) time.Duration
	for _, c := range []struct {
		name       string
		delay      delays
		buildGrace time.Duration
		took       time.Duration
		shown      int // voters that the payload was shown to
		none       bool
	}{
		{"all at once", delays{nil, nil}, 300 * ms, 0, 1, false},
		{"one hangs", delays{nil, slow("engine_getPayload", forever)}, 300 * ms, 300 * ms, 1, false},
		{"a late one counts", delays{nil, slow("engine_getPayload", 299*ms)}, 300 * ms, 299 * ms, 1, false},
		{"voters are slow",
			delays{slow("engine_newPayload", forever), slow("engine_newPayload", forever)},
			300 * ms, 200 * ms, 1, false},
		{"one hangs, and is slow as a voter",
			delays{nil, slow("engine_getPayload engine_newPayload", 5*time.Second)}, 300 * ms, 500 * ms, 1, false},
		{"no time for a cross-check", delays{nil, slow("engine_getPayload", forever)}, 800 * ms, 800 * ms, 0, false},
		{"the grace is longer than the limit",
			delays{nil, slow("engine_getPayload", forever)}, time.Minute, 900 * ms, 0, false},
		{"the first is late, and one hangs",
			delays{slow("engine_getPayload", 700*ms), slow("engine_getPayload", forever)},
			300 * ms, 900 * ms, 0, false},
		{"both take longer than some CLs wait",
			delays{slow("engine_getPayload", 1200*ms), slow("engine_getPayload", 1200*ms)},
			300 * ms, 1200 * ms, 1, false},
		{"one takes longer, and one hangs",
			delays{slow("engine_getPayload engine_newPayload", 1200*ms),
				slow("engine_getPayload engine_newPayload", forever)},
			300 * ms, 1700 * ms, 1, false},
		{"one takes longer, and the grace is longer than the limit",
			delays{slow("engine_getPayload", 1200*ms), slow("engine_getPayload", forever)},
			time.Minute, 2100 * ms, 0, false},
		{"one takes as long as a node may",
			delays{slow("engine_getPayload", 7499*ms), slow("engine_getPayload", forever)},
			300 * ms, 7500 * ms, 1, false},
		{"both hang",
			delays{slow("engine_getPayload", forever), slow("engine_getPayload", forever)},
			300 * ms, 7500 * ms, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			first, forkchoice := builder(t, c.delay[0])
			second, _ := builder(t, c.delay[1])
			bubble.In(t, []*bubble.Fake{first, second}, func(t *testing.T, b *bubble.Bubble) {
				b.Change(func(s *fleet.Settings) { s.BuildGrace, s.CrossCheck = c.buildGrace, 200*ms })
				b.Post(t.Context(), forkchoice)
				begun := time.Now()
				answer := string(b.Post(t.Context(), []byte(getPayload)))
				if took := time.Since(begun); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if strings.Contains(answer, `"error"`) != c.none {
					t.Errorf("got %s", answer)
				}
				shown := 0
				for _, call := range append(first.Seen(), second.Seen()...) {
					if call[0] == 'P' {
						shown++
					}
				}
				if shown != c.shown {
					t.Errorf("shown to %d voters, want %d", shown, c.shown)
				}
			})
		})
	}
}

// The hash of a payload is only checked when it would be proposed. One that turns out to be wrong has not begun the
// grace, and one for a wrong fee recipient is proposed only when nothing else can come any more.
func TestWrongHashBeginsNoGrace(t *testing.T) {
	const wrongHash, wrongRecipient = `"gasUsed":"0x1"`, "0x00000000000000000000000000000000000000ff"
	late := func(by time.Duration) func(string, int) time.Duration {
		return func(method string, _ int) time.Duration {
			if strings.HasPrefix(method, "engine_getPayload") {
				return by
			}
			return 0
		}
	}
	for _, c := range []struct {
		name  string
		kinds []string // of payload, by node: good, or what is wrong with it
		last  time.Duration
		want  string // what is in the answer
		took  time.Duration
	}{
		{"a good one comes late", []string{"hash", "good"}, 600 * ms, `"gasUsed":"0x0"`, 600 * ms},
		{"a good one comes after one for a wrong recipient",
			[]string{"hash", "recipient", "good"}, 600 * ms, `"gasUsed":"0x0"`, 600 * ms},
		{"none comes after one for a wrong recipient",
			[]string{"hash", "recipient", "good"}, forever, wrongRecipient, 900 * ms},
		{"one for a wrong recipient is better than one that is objected to",
			[]string{"objected", "recipient", "good"}, forever, wrongRecipient, 300 * ms},
		{"a good one comes later than some CLs wait",
			[]string{"hash", "good"}, 3 * time.Second, `"gasUsed":"0x0"`, 3 * time.Second},
		{"what is objected to is waited beyond while there is time",
			[]string{"objected", "good"}, 600 * ms, `"gasUsed":"0x0"`, 600 * ms},
		{"what is objected to is better than none", []string{"objected", "good"}, forever, `"gasUsed":"0x0"`, 900 * ms},
		{"the time is up", []string{"hash recipient", "recipient", "good"}, forever, wrongRecipient, 900 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			var fakes []*bubble.Fake
			var forkchoice []byte
			objected := false
			for i, kind := range c.kinds {
				by := time.Duration(0)
				if i == len(c.kinds)-1 {
					by = c.last
				}
				var f *bubble.Fake
				f, forkchoice = builder(t, late(by), func(p *enginetest.Payload) {
					if strings.Contains(kind, "recipient") {
						p.FeeRecipient = common.HexToAddress(wrongRecipient)
					}
					if kind == "objected" {
						p.ExtraData, objected = []byte(kind), true
					}
				})
				if right := f.Answer; strings.Contains(kind, "hash") {
					f.Answer = func(method string) (string, bool) {
						result, ok := right(method)
						return strings.Replace(result, `"gasUsed":"0x0"`, wrongHash, 1), ok
					}
				}
				fakes = append(fakes, f)
			}
			if objected { // by the last, to whatever it is shown first
				last, shown := fakes[len(fakes)-1], false
				usual := last.Answer
				last.Answer = func(method string) (string, bool) {
					if strings.HasPrefix(method, "engine_newPayload") && !shown {
						shown = true
						return `{"status":"INVALID","latestValidHash":null,"validationError":"no"}`, true
					}
					return usual(method)
				}
			}
			bubble.In(t, fakes, func(t *testing.T, b *bubble.Bubble) {
				b.Change(func(s *fleet.Settings) { s.BuildGrace, s.CrossCheck = 300*ms, 200*ms })
				b.Post(t.Context(), forkchoice)
				synctest.Wait() // who says VALID to it may object
				begun := time.Now()
				answer := string(b.Post(t.Context(), []byte(getPayload)))
				if took := time.Since(begun); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if strings.Contains(answer, wrongHash) || !strings.Contains(answer, c.want) {
					t.Errorf("got %s", answer)
				}
			})
		})
	}
}

// What a CL is offered that has hung up is promised to nobody: when it asks again, as after a switch, it gets the best.
func TestHungUpIsPromisedNothing(t *testing.T) {
	const poor, rich = `"blockValue":"0x1"`, `"blockValue":"0x3"`
	var asked atomic.Bool
	first, forkchoice := builder(t, nil)
	second, _ := builder(t, func(method string, _ int) time.Duration {
		if strings.HasPrefix(method, "engine_getPayload") && !asked.Swap(true) {
			return forever
		}
		return 0
	})
	usual := second.Answer
	second.Answer = func(method string) (string, bool) {
		result, ok := usual(method)
		return strings.Replace(result, poor, rich, 1), ok
	}
	bubble.In(t, []*bubble.Fake{first, second}, func(t *testing.T, b *bubble.Bubble) {
		b.Post(t.Context(), forkchoice)
		ctx, hangUp := context.WithCancel(t.Context())
		offered := make(chan []byte, 1)
		go func() { offered <- b.Post(ctx, []byte(getPayload)) }()
		synctest.Wait() // the first one's has come, and the second is waited for
		hangUp()
		if got := string(<-offered); !strings.Contains(got, poor) {
			t.Errorf("it was offered %s", got)
		}
		if got := string(b.Post(t.Context(), []byte(getPayload))); !strings.Contains(got, rich) {
			t.Errorf("it got %s", got)
		}
	})
}
