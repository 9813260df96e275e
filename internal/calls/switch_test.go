package calls_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/fleet"
)

// builder is a client that builds under an id of its own, and knows no other.
type builder struct {
	*bubble.Fake
	id, envelope string

	mu    sync.Mutex
	asked []string // the ids that it was asked for
}

// builders are clients that each build a payload on block 1; worth are their values. begin is a forkchoiceUpdated that
// starts the builds.
func builders(t *testing.T, worth ...string) (list []*builder, begin []byte) {
	t.Helper()
	head := enginetest.Payload{Version: 4}
	head.BlockHash, head.Number = bubble.Hash(1), 1
	attributes := head.Attributes()
	raw, err := json.Marshal(attributes)
	if err != nil {
		t.Fatal(err)
	}
	for i, wei := range worth {
		built := head.Child(func(p *enginetest.Payload) {
			p.FeeRecipient, p.GasUsed = attributes.SuggestedFeeRecipient, 0
		})
		list = append(list, &builder{
			Fake: &bubble.Fake{}, id: fmt.Sprintf("0x%016x", i+1), envelope: built.Envelope(4, wei),
		})
	}
	return list, []byte(strings.Replace(string(bubble.ForkchoiceCall(1)), ",null]", ","+string(raw)+"]", 1))
}

// RoundTrip answers as the client would.
func (f *builder) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := readAll(r)
	if err != nil {
		return nil, err
	}
	var call struct {
		Method string
		Params []json.RawMessage
	}
	if err := json.Unmarshal(body, &call); err != nil {
		return nil, err
	}
	switch {
	case f.Refuse != nil && f.Refuse():
	case strings.HasPrefix(call.Method, "engine_getPayloadV"):
		var id string
		json.Unmarshal(call.Params[0], &id)
		f.mu.Lock()
		f.asked = append(f.asked, id)
		f.mu.Unlock()
		if id != f.id {
			const unknown = `{"jsonrpc":"2.0","id":1,"error":{"code":-38001,"message":"Unknown payload"}}`
			return bubble.Answer([]byte(unknown)), nil
		}
		return bubble.Answer([]byte(`{"jsonrpc":"2.0","id":1,"result":` + f.envelope + `}`)), nil
	case strings.HasPrefix(call.Method, "engine_forkchoiceUpdated") && string(call.Params[1]) != "null":
		return bubble.Answer(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"result":{"payloadStatus":{"status":"VALID",`+
			`"latestValidHash":%q,"validationError":null},"payloadId":%q}}`, bubble.Hash(1).Hex(), f.id)), nil
	}
	return f.Fake.RoundTrip(r)
}

// No proposal is lost to a switch: the CL knows one node's id, and asks under that whatever the mode is by then. Where
// that isn't the id of the node that alone answers by now, it gets the best payload of all.
func TestProposalOverASwitch(t *testing.T) {
	for _, from := range config.Modes() {
		for _, to := range config.Modes() {
			t.Run(fmt.Sprintf("%s to %s", from, to), func(t *testing.T) {
				fakes, begin := builders(t, "0x64", "0x65", "0x66")
				slow := func(string, int) time.Duration { return 50 * ms }
				fakes[0].Delay = slow // another is primary
				synctest.Test(t, func(t *testing.T) {
					b := bubble.New(t, fakes, bubble.Options{Settings: inMode(from)})
					b.Run(func() {
						var told struct{ Result struct{ PayloadID string } }
						if err := json.Unmarshal(b.Post(t.Context(), begin), &told); err != nil {
							t.Fatal(err)
						}
						time.Sleep(time.Second) // the bubble's clock
						if err := b.Fleet.SetMode(to); err != nil {
							t.Fatal(err)
						}
						call := strings.Replace(getPayloadCall, "0x01", told.Result.PayloadID, 1)
						want := fakes[2].envelope // the best
						if from == config.Off || from == config.Shadow && to != config.Active {
							want = fakes[0].envelope
						}
						if got := string(b.Post(t.Context(), []byte(call))); !strings.Contains(got, want) {
							t.Errorf("the CL asks for %s, and gets %s", told.Result.PayloadID, got)
						}
						time.Sleep(time.Second)
						if list := b.Fleet.Proposals.List(); len(list) != 1 {
							t.Errorf("the history has %d proposals, want 1", len(list))
						}
					})
				})
			})
		}
	}
}

// On return from mode off the CL goes on hearing VALID, however far behind the other nodes are.
func TestReturnFromOff(t *testing.T) {
	for _, missed := range []int{1, 40, 300} {
		t.Run(fmt.Sprint(missed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				models := threeHonest()
				b := bubble.New(t, models, bubble.Options{Settings: func(s *fleet.Settings) { s.ShadowNode = "n1" }})
				b.Run(func() {
					chain := enginetest.Chain(4, missed+13, nil)
					follow := func(blocks []enginetest.Payload) { followBlocks(t, b, blocks) }
					follow(chain[:3])
					if err := b.Fleet.SetMode(config.Off); err != nil {
						t.Fatal(err)
					}
					follow(chain[3 : 3+missed])
					if err := b.Fleet.SetMode(config.Active); err != nil {
						t.Fatal(err)
					}
					follow(chain[3+missed:])
					want := map[bool]int{true: 3, false: 1}[missed < 256]
					if got := b.Fleet.Pool.AliveVoters(); got != want {
						t.Errorf("%d voters are alive, want %d", got, want)
					}
				})
			})
		})
	}
}

// The lanes keep to their limits where the CL syncs in shadow mode, and other nodes hang.
func TestLanesInShadow(t *testing.T) {
	hung := func() *bubble.Fake { return bubble.Speaker(3, "VALID", bubble.Forever) }
	syncing := bubble.Speaker(3, "SYNCING", 0)
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, []*bubble.Fake{syncing, hung(), hung()}, bubble.Options{Settings: inMode(config.Shadow)})
		b.Run(func() {
			b.Follow(1, 2)
			syncFast(t, b, 3, 2003)
			for _, n := range b.Fleet.Pool.Nodes() {
				if s := n.Status(); s.LaneCalls > 512 {
					t.Errorf("%s: %d calls in its lane", n.Name(), s.LaneCalls)
				}
			}
		})
	})
}

// onChain is a client on a chain with this id.
func onChain(id string) *bubble.Fake {
	return &bubble.Fake{Answer: func(method string) (string, bool) {
		switch method {
		case "eth_chainId":
			return `"` + id + `"`, true
		case "eth_getBlockByNumber":
			return fmt.Sprintf(`{"number":"0x0","hash":%q}`, bubble.Hash(1000).Hex()), true
		}
		return "", false
	}}
}

// A node that alone answers is asked on whatever chain it is.
func TestAloneOnAnotherChain(t *testing.T) {
	for _, mode := range []config.Mode{config.Shadow, config.Off} {
		synctest.Test(t, func(t *testing.T) {
			fakes := []*bubble.Fake{onChain("0x1"), onChain("0x2"), onChain("0x2")}
			b := bubble.New(t, fakes, bubble.Options{Settings: inMode(mode)})
			b.Run(func() {
				for _, body := range [][]byte{bubble.PayloadCall(1), bubble.ForkchoiceCall(1)} {
					if got, _ := b.Send(body); got != "VALID" {
						t.Errorf("%s: the CL hears %s, want VALID", mode, got)
					}
				}
			})
		})
	}
}

// Where another node is let answer alone, it is fed what only the first one had: it can't say VALID before.
func TestAnotherAnswersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		models := threeHonest()
		b := bubble.New(t, models, bubble.Options{Settings: func(s *fleet.Settings) { s.ShadowNode = "n1" }})
		b.Run(func() {
			chain := enginetest.Chain(4, 30, nil)
			follow := func(blocks []enginetest.Payload) {
				for i, block := range blocks {
					for _, body := range [][]byte{newPayload(t, block), makeHead(t, block)} {
						if got, _ := b.Send(body); got != "VALID" && i > 0 {
							t.Errorf("block %d: the CL hears %s", block.Number, got)
						}
					}
					time.Sleep(2 * time.Second) // the bubble's clock
				}
			}
			follow(chain[:3])
			set := func(mode config.Mode) {
				if err := b.Fleet.SetMode(mode); err != nil {
					t.Fatal(err)
				}
			}
			set(config.Off)
			follow(chain[3:8])
			b.Change(func(s *fleet.Settings) { s.ShadowNode = "n2" })
			follow(chain[8:14])
			b.Change(func(s *fleet.Settings) { s.ShadowNode = "n3" })
			set(config.Shadow)
			follow(chain[14:20])
			set(config.Active)
			follow(chain[20:])
			for i, m := range models {
				if m.Head() != chain[29].BlockHash {
					t.Errorf("n%d is behind", i+1)
				}
			}
		})
	})
}

// A CL that syncs doesn't wait in shadow mode until there is room in the lanes of those that keep up.
func TestNoRoomInShadow(t *testing.T) {
	slow := func() *bubble.Fake { return bubble.Speaker(3, "VALID", 3*ms) }
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, []*bubble.Fake{{}, slow(), slow()}, bubble.Options{Settings: inMode(config.Shadow)})
		b.Run(func() {
			b.Follow(1, 2)
			syncFast(t, b, 3, 1003)
		})
	})
}

// syncFast sends old payloads, one a millisecond, for which the CL doesn't wait.
func syncFast(t *testing.T, b *bubble.Bubble, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if _, took := b.Send(bubble.PayloadAt(i, time.Now().Add(-time.Hour))); took > 0 {
			t.Errorf("block %d: the CL waits %v", i, took)
			break
		}
		time.Sleep(ms) // the bubble's clock
	}
}

// A node that alone answers, and hangs, keeps the CL waiting for no longer than its timeout.
func TestAloneHangs(t *testing.T) {
	hangs := &bubble.Fake{Delay: func(method string, _ int) time.Duration {
		return map[bool]time.Duration{true: bubble.Forever}[strings.HasPrefix(method, "engine_get")]
	}}
	for _, mode := range []config.Mode{config.Shadow, config.Off} {
		synctest.Test(t, func(t *testing.T) {
			b := bubble.New(t, []*bubble.Fake{hangs, {}, {}}, bubble.Options{Settings: inMode(mode)})
			b.Run(func() {
				for _, method := range []string{"getPayloadV4", "getBlobsV1"} {
					if got, took := b.Get(method, `["0x01"]`); took != 7500*ms {
						t.Errorf("%s: to %s the CL hears %s after %v", mode, method, got, took)
					}
				}
			})
		})
	}
}

// readAll returns the body of a request, which can be read again.
func readAll(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, err
}

// Once our verdict is there, a newer forkchoiceUpdated takes the place of one that waits, in shadow mode, too.
func TestSupersededInShadow(t *testing.T) {
	slow := bubble.Speaker(3, "VALID", 0)
	slow.Delay = func(method string, n int) time.Duration {
		return map[bool]time.Duration{true: 6 * time.Second}[n == 3 && strings.HasPrefix(method, "engine_newPayload")]
	}
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, []*bubble.Fake{{}, {}, slow}, bubble.Options{Settings: inMode(config.Shadow)})
		b.Run(func() {
			b.Follow(1, 2)
			slow.Forget()
			b.Send(bubble.PayloadCall(3))
			for _, head := range []int{3, 2, 3} {
				time.Sleep(time.Second) // the bubble's clock: our verdict is there
				b.Send(bubble.ForkchoiceCall(head))
			}
			time.Sleep(10 * time.Second)
			if got, want := fmt.Sprint(slow.Seen()), "[P3 F3]"; got != want {
				t.Errorf("the slow node gets %s, want %s", got, want)
			}
		})
	})
}

// Draining doesn't wait for long for what we would have said, and leaves nothing behind.
func TestDrainInShadow(t *testing.T) {
	fakes, begin := builders(t, "0x64", "0x65", "0x66")
	hangs := func(method string, _ int) time.Duration {
		return map[bool]time.Duration{true: bubble.Forever}[strings.HasPrefix(method, "engine_newPayload")]
	}
	fakes[1].Delay, fakes[2].Delay = hangs, hangs
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, fakes, bubble.Options{Settings: inMode(config.Shadow)})
		b.Run(func() {
			b.Change(func(s *fleet.Settings) { s.CrossCheck = 200 * ms })
			call := strings.Replace(getPayloadCall, "0x01", fakes[0].id, 1)
			for _, body := range [][]byte{begin, []byte(call), bubble.PayloadCall(2), bubble.ForkchoiceCall(2)} {
				begun := time.Now()
				if b.Post(t.Context(), body); time.Since(begun) > 0 {
					t.Errorf("the CL waits %v", time.Since(begun))
				}
				synctest.Wait() // our verdict is there, where nobody hangs
			}
			begun := time.Now()
			ctx, cancel := bubble.WithTimeout(time.Second)
			defer cancel()
			b.Calls.Drain(ctx)
			if took := time.Since(begun); took > time.Second {
				t.Errorf("draining took %v", took)
			}
		})
	})
}

// The CL hurries on in shadow mode, and the verdicts are those on calls that nobody hurries: all nodes get each of its
// forkchoiceUpdateds, and a second INVALID is waited for.
func TestHurryInShadow(t *testing.T) {
	for _, status := range []string{"VALID", "INVALID"} {
		slow := bubble.Speaker(3, status, 300*ms)
		fakes := []*bubble.Fake{bubble.Speaker(3, status, 0), slow, bubble.Speaker(3, status, 400*ms)}
		synctest.Test(t, func(t *testing.T) {
			b := bubble.New(t, fakes, bubble.Options{Settings: inMode(config.Shadow)})
			b.Run(func() {
				b.Follow(1, 2)
				slow.Forget()
				for _, head := range []int{3, 4, 3, 4} {
					if got, took := b.Send(bubble.ForkchoiceCall(head)); got != status || took > 0 {
						t.Errorf("the CL hears %s after %v", got, took)
					}
					time.Sleep(10 * ms) // the bubble's clock
				}
				time.Sleep(time.Minute)
				if got, want := fmt.Sprint(slow.Seen()), "[F3 F4 F3 F4]"; got != want {
					t.Errorf("%s: a slow node gets %s, want %s", status, got, want)
				}
				want := "VALID VALID: 8"
				if status == "INVALID" {
					want = "INVALID INVALID: 4, VALID VALID: 4"
				}
				if got := decisions(b); got != want {
					t.Errorf("counted %s, want %s", got, want)
				}
			})
		})
	}
}

// Beside what the CL sends the node that alone answers gets nothing that changes it, though it is behind.
func TestAloneIsNotFed(t *testing.T) {
	for _, mode := range []config.Mode{config.Shadow, config.Off} {
		alone := bubble.Speaker(4, "SYNCING", 0)
		alone.Answer = func(method string) (string, bool) {
			return fmt.Sprintf(`{"hash":%q,"number":"0x2"}`, bubble.Hash(2).Hex()), method == "eth_getBlockByNumber"
		}
		synctest.Test(t, func(t *testing.T) {
			b := bubble.New(t, []*bubble.Fake{alone, {}, {}}, bubble.Options{Settings: inMode(mode)})
			b.Run(func() {
				b.Follow(1, 6)
				time.Sleep(time.Minute) // the bubble's clock
				if got, want := fmt.Sprint(alone.Seen()), "[P1 F1 P2 F2 P3 F3 P4 F4 P5 F5 P6 F6]"; got != want {
					t.Errorf("%s: it gets %s, want %s", mode, got, want)
				}
			})
		})
	}
}

// Transactions go to all nodes in shadow mode, and what the CL can do is told to all in both modes.
func TestToldToOthers(t *testing.T) {
	for _, c := range []struct {
		mode   config.Mode
		method string
		others int64
	}{
		{config.Shadow, "eth_sendRawTransaction", 1}, {config.Off, "eth_sendRawTransaction", 0},
		{config.Shadow, "engine_exchangeCapabilities", 1}, {config.Off, "engine_exchangeCapabilities", 1},
		{config.Shadow, "engine_getBlobsV1", 0}, {config.Off, "engine_getBlobsV1", 0},
	} {
		var got [3]atomic.Int64
		var fakes []*bubble.Fake
		for i := range got {
			fakes = append(fakes, &bubble.Fake{Answer: func(method string) (string, bool) {
				if method != c.method {
					return "", false
				}
				got[i].Add(1)
				return "[]", true
			}})
		}
		synctest.Test(t, func(t *testing.T) {
			b := bubble.New(t, fakes, bubble.Options{Settings: inMode(c.mode)})
			b.Run(func() {
				synctest.Wait()
				before := [3]int64{got[0].Load(), got[1].Load(), got[2].Load()} // probes ask for capabilities, too
				b.Post(t.Context(), call(t, c.method, []string{"0x02"}))
				synctest.Wait()
				for i, want := range []int64{1, c.others, c.others} {
					if n := got[i].Load() - before[i]; n != want {
						t.Errorf("%s: n%d gets %s %d times, want %d", c.mode, i+1, c.method, n, want)
					}
				}
			})
		})
	}
}
