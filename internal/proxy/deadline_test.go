package proxy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/enginetest"
)

// builder has a payload on block 1 for every build.
func builder(t *testing.T, delay func(method string, n int) time.Duration, change ...func(*enginetest.Payload)) (f *fake, forkchoice []byte) {
	t.Helper()
	head := enginetest.Payload{Version: 4}
	head.BlockHash, head.Number = hash(1), 1
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
	f = &fake{delay: delay, answer: func(method string) (string, bool) {
		switch {
		case strings.HasPrefix(method, "engine_forkchoiceUpdated"):
			return fmt.Sprintf(`{"payloadStatus":{"status":"VALID","latestValidHash":%q,"validationError":null},"payloadId":"0x01"}`, hash(1).Hex()), true
		case strings.HasPrefix(method, "engine_getPayload"):
			return built.Envelope(4, "0x1"), true
		}
		return "", false
	}}
	return f, []byte(strings.Replace(string(forkchoiceCall(1)), ",null]", ","+string(raw)+"]", 1))
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
	for _, c := range []struct {
		name       string
		delay      [2]func(string, int) time.Duration
		buildGrace time.Duration
		took       time.Duration
		shown      int // voters that the payload was shown to
		none       bool
	}{
		{"all at once", [2]func(string, int) time.Duration{nil, nil}, 300 * ms, 0, 1, false},
		{"one hangs", [2]func(string, int) time.Duration{nil, slow("engine_getPayload", forever)}, 300 * ms, 300 * ms, 1, false},
		{"a late one counts", [2]func(string, int) time.Duration{nil, slow("engine_getPayload", 299*ms)}, 300 * ms, 299 * ms, 1, false},
		{"voters are slow", [2]func(string, int) time.Duration{slow("engine_newPayload", forever), slow("engine_newPayload", forever)}, 300 * ms, 200 * ms, 1, false},
		{"one hangs, and is slow as a voter", [2]func(string, int) time.Duration{nil, slow("engine_getPayload engine_newPayload", 5*time.Second)}, 300 * ms, 500 * ms, 1, false},
		{"no time for a cross-check", [2]func(string, int) time.Duration{nil, slow("engine_getPayload", forever)}, 800 * ms, 800 * ms, 0, false},
		{"the grace is longer than the limit", [2]func(string, int) time.Duration{nil, slow("engine_getPayload", forever)}, time.Minute, 900 * ms, 0, false},
		{"the first is late, and one hangs", [2]func(string, int) time.Duration{slow("engine_getPayload", 700*ms), slow("engine_getPayload", forever)}, 300 * ms, 900 * ms, 0, false},
		{"both take longer than some CLs wait", [2]func(string, int) time.Duration{slow("engine_getPayload", 1200*ms), slow("engine_getPayload", 1200*ms)}, 300 * ms, 1200 * ms, 1, false},
		{"one takes longer, and one hangs", [2]func(string, int) time.Duration{slow("engine_getPayload engine_newPayload", 1200*ms), slow("engine_getPayload engine_newPayload", forever)}, 300 * ms, 1700 * ms, 1, false},
		{"one takes longer, and the grace is longer than the limit", [2]func(string, int) time.Duration{slow("engine_getPayload", 1200*ms), slow("engine_getPayload", forever)}, time.Minute, 2100 * ms, 0, false},
		{"one takes as long as a node may", [2]func(string, int) time.Duration{slow("engine_getPayload", 7499*ms), slow("engine_getPayload", forever)}, 300 * ms, 7500 * ms, 1, false},
		{"both hang", [2]func(string, int) time.Duration{slow("engine_getPayload", forever), slow("engine_getPayload", forever)}, 300 * ms, 7500 * ms, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			first, forkchoice := builder(t, c.delay[0])
			second, _ := builder(t, c.delay[1])
			inBubble(t, []*fake{first, second}, func(t *testing.T, b *bubble) {
				settings := *b.settings.Load()
				settings.BuildGrace, settings.CrossCheck = c.buildGrace, 200*ms
				b.settings.Store(&settings)
				b.answerBody(t.Context(), forkchoice)
				begun := time.Now()
				answer := string(b.answerBody(t.Context(), []byte(`{"jsonrpc":"2.0","id":1,"method":"engine_getPayloadV4","params":["0x01"]}`)))
				if took := time.Since(begun); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if strings.Contains(answer, `"error"`) != c.none {
					t.Errorf("got %s", answer)
				}
				shown := 0
				for _, call := range append(first.seen(), second.seen()...) {
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

// The hash of a payload is only checked when it would be proposed. One that turns out to be wrong has not begun the grace,
// and one for a wrong fee recipient is proposed only when nothing else can come any more.
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
		{"a good one comes after one for a wrong recipient", []string{"hash", "recipient", "good"}, 600 * ms, `"gasUsed":"0x0"`, 600 * ms},
		{"none comes after one for a wrong recipient", []string{"hash", "recipient", "good"}, forever, wrongRecipient, 900 * ms},
		{"one for a wrong recipient is better than one that is objected to", []string{"objected", "recipient", "good"}, forever, wrongRecipient, 300 * ms},
		{"a good one comes later than some CLs wait", []string{"hash", "good"}, 3 * time.Second, `"gasUsed":"0x0"`, 3 * time.Second},
		{"what is objected to is waited beyond while there is time", []string{"objected", "good"}, 600 * ms, `"gasUsed":"0x0"`, 600 * ms},
		{"what is objected to is better than none", []string{"objected", "good"}, forever, `"gasUsed":"0x0"`, 900 * ms},
		{"the time is up", []string{"hash recipient", "recipient", "good"}, forever, wrongRecipient, 900 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			var fakes []*fake
			var forkchoice []byte
			objected := false
			for i, kind := range c.kinds {
				by := time.Duration(0)
				if i == len(c.kinds)-1 {
					by = c.last
				}
				var f *fake
				f, forkchoice = builder(t, late(by), func(p *enginetest.Payload) {
					if strings.Contains(kind, "recipient") {
						p.FeeRecipient = common.HexToAddress(wrongRecipient)
					}
					if kind == "objected" {
						p.ExtraData, objected = []byte(kind), true
					}
				})
				if right := f.answer; strings.Contains(kind, "hash") {
					f.answer = func(method string) (string, bool) {
						result, ok := right(method)
						return strings.Replace(result, `"gasUsed":"0x0"`, wrongHash, 1), ok
					}
				}
				fakes = append(fakes, f)
			}
			if objected { // by the last, to whatever it is shown first
				last, shown := fakes[len(fakes)-1], false
				usual := last.answer
				last.answer = func(method string) (string, bool) {
					if strings.HasPrefix(method, "engine_newPayload") && !shown {
						shown = true
						return `{"status":"INVALID","latestValidHash":null,"validationError":"no"}`, true
					}
					return usual(method)
				}
			}
			inBubble(t, fakes, func(t *testing.T, b *bubble) {
				settings := *b.settings.Load()
				settings.BuildGrace, settings.CrossCheck = 300*ms, 200*ms
				b.settings.Store(&settings)
				b.answerBody(t.Context(), forkchoice)
				synctest.Wait() // who says VALID to it may object
				begun := time.Now()
				answer := string(b.answerBody(t.Context(), []byte(`{"jsonrpc":"2.0","id":1,"method":"engine_getPayloadV4","params":["0x01"]}`)))
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

// With one node nothing is cut short: CLs wait for longer than the specification's second.
func TestOneSlowBuilder(t *testing.T) {
	for _, method := range []string{"getPayloadV4", "getBlobsV1", "hasBlobs", "exchangeCapabilities", "getClientVersionV1", "getInclusionListV1"} {
		slow := &fake{delay: func(called string, _ int) time.Duration {
			if called == "engine_"+method {
				return 7 * time.Second
			}
			return 0
		}, answer: func(called string) (string, bool) { return `["it"]`, called == "engine_"+method }}
		inBubble(t, []*fake{slow}, func(t *testing.T, b *bubble) {
			if got, took := b.get(method, `["0x01"]`); got != `["it"]` || took != 7*time.Second {
				t.Errorf("%s: got %s after %v", method, got, took)
			}
		})
	}
}

// With several nodes, who they are is told after 900 ms at the latest: some CLs ask for it once and never again.
func TestIdentityIsNotWaitedForLonger(t *testing.T) {
	for _, method := range []string{"exchangeCapabilities", "getClientVersionV1"} {
		names := func(called string) (string, bool) { return `["engine_newPayloadV4"]`, called == "engine_"+method }
		hangs := func(called string, _ int) time.Duration {
			if called == "engine_"+method {
				return forever
			}
			return 0
		}
		inBubble(t, []*fake{{answer: names}, {delay: hangs}}, func(t *testing.T, b *bubble) {
			if got, took := b.get(method, `[[]]`); got != `["engine_newPayloadV4"]` || took != 900*ms {
				t.Errorf("%s: got %s after %v", method, got, took)
			}
		})
	}
}
