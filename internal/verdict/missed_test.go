package verdict_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/enginetest"
)

// The clocks of two nodes are ahead by 20 s: they tell the fork as their present one before it is activated. Before
// the activation nobody has missed it.
func TestNobodyIsShutOutBeforeTheActivation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fork := epoch.Add(time.Minute + 15*time.Second)
		after := enginetest.Fork{At: fork, ID: "0x00000002"}
		ahead := func() string {
			if time.Until(fork) <= 20*time.Second {
				return enginetest.Forks(after)
			}
			return enginetest.Forks(genesis, after)
		}
		old := bubble.Speaker(99, "VALID", 0)
		b := bubble.New(t, fakes{
			client(bubble.Healthy(), "GE", ahead), client(bubble.Healthy(), "NM", ahead),
			client(old, "BU", always(enginetest.Forks(genesis))),
		}, bubble.Options{ExcludeMissed: true})
		b.Run(func() {
			for time.Until(fork) > time.Second {
				if s := b.Fleet.Pool.Nodes()[2].Status(); s.WrongChain {
					t.Errorf("%v before the activation: %s", time.Until(fork), s.Reason)
					return
				}
				time.Sleep(500 * ms) // the bubble's clock
			}
		})
	})
}

// Nodes that the operator has drained must not shut out the only voter: like on chains.
func TestDrainedNodesDontShutOutTheLastVoter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fork := epoch.Add(time.Minute)
		knows := always(enginetest.Forks(genesis, enginetest.Fork{At: fork, ID: "0x00000002"}))
		b := bubble.New(t, fakes{
			client(bubble.Healthy(), "GE", always(enginetest.Forks(genesis))),
			client(bubble.Healthy(), "NM", knows), client(bubble.Healthy(), "BU", knows),
		}, bubble.Options{ExcludeMissed: true})
		b.Run(func() {
			time.Sleep(3 * time.Second) // the bubble's clock
			b.Send(bubble.PayloadAt(1, epoch))
			if err := b.Fleet.Pool.Drain([]string{"n2", "n3"}, true); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Until(fork))
			got, _ := b.Send(bubble.PayloadAt(2, fork))
			if s := b.Fleet.Pool.Nodes()[0].Status(); s.WrongChain || got != "VALID" {
				t.Errorf("the only node that votes: %v (%s); the CL heard %s", s.State, s.Reason, got)
			}
		})
	})
}

// A node that is shut out and not repaired gives an error to eth_config once, or none at all for an hour: it has told
// no other forks, and is not let in.
func TestShutOutNodeIsntLetInByAnError(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		t.Run(fmt.Sprint("hangs ", hangs), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fork := epoch.Add(time.Minute)
				knows := always(enginetest.Forks(genesis, enginetest.Fork{At: fork, ID: "0x00000002"}))
				var troubled atomic.Bool
				old := bubble.Healthy()
				old.Status = func(string, int) string {
					if time.Now().Before(fork) {
						return "VALID"
					}
					return "INVALID"
				}
				client(old, "BU", always(enginetest.Forks(genesis)))
				mute(old, func() bool { return hangs && troubled.Load() })
				old.Fail = func(method string) string {
					if method == "eth_config" && !hangs && troubled.Load() {
						return `{"code":-32000,"message":"busy"}`
					}
					return ""
				}
				b := bubble.New(t, fakes{
					client(bubble.Healthy(), "GE", knows), client(bubble.Healthy(), "NM", knows), old,
				}, bubble.Options{ExcludeMissed: true})
				b.Run(func() {
					b.Send(bubble.PayloadAt(1, epoch))
					b.Send(bubble.PayloadAt(2, epoch.Add(12*time.Second)))
					time.Sleep(time.Until(fork)) // the bubble's clock
					if got, _ := b.Send(bubble.PayloadAt(3, fork)); got != "VALID" {
						t.Errorf("the first block of the fork: got %s", got)
					}
					time.Sleep(time.Minute)
					if s := b.Fleet.Pool.Nodes()[2].Status(); !s.WrongChain {
						t.Fatal("it isn't shut out")
					}
					troubled.Store(true)
					if hangs {
						time.Sleep(70 * time.Minute)
					} else {
						time.Sleep(5 * time.Second)
					}
					if s := b.Fleet.Pool.Nodes()[2].Status(); !s.WrongChain {
						t.Errorf("hangs %v: it is let in (%v)", hangs, s.State)
					}
					if got, _ := b.Send(bubble.PayloadAt(4, time.Now())); got != "VALID" {
						t.Errorf("hangs %v: it halts us: got %s", hangs, got)
					}
				})
			})
		})
	}
}

// Two forks within half a minute, and another in ten days that all know of. No node has missed any: the one that was
// asked before them, and has no time for eth_config since, mustn't be shut out for its old reading.
func TestTwoForksWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := []enginetest.Fork{genesis, {At: epoch.Add(70 * time.Second), ID: "0x00000002"},
			{At: epoch.Add(100 * time.Second), ID: "0x00000003"}, {At: epoch.Add(240 * time.Hour), ID: "0x00000004"}}
		all := func() string {
			now := 0
			for now+1 < len(known) && !time.Now().Before(known[now+1].At) {
				now++
			}
			return enginetest.Forks(known[now], known[now+1:]...)
		}
		down := func() bool { return time.Since(epoch) < 50*time.Second }
		ge, nm := bubble.Healthy(), bubble.Healthy()
		ge.Refuse, nm.Refuse = down, down
		bu := bubble.Healthy()
		mute(bu, func() bool { return time.Since(epoch) > 90*time.Second })
		b := bubble.New(t, fakes{client(ge, "GE", all), client(nm, "NM", all), client(bu, "BU", all)},
			bubble.Options{ExcludeMissed: true})
		b.Run(func() {
			out := 0
			for time.Since(epoch) < 3*time.Minute {
				time.Sleep(time.Second) // the bubble's clock
				if s := b.Fleet.Pool.Nodes()[2].Status(); s.WrongChain {
					if out++; out == 1 {
						t.Errorf("%v after the start: %s", time.Since(epoch), s.Reason)
					}
				}
			}
			if out > 0 {
				t.Errorf("it was out for %d s", out)
			}
		})
	})
}

// onDead does something with the first line that says that a node is dead, as if the log took that long.
type onDead struct{ do *atomic.Pointer[func()] }

func (onDead) Enabled(context.Context, slog.Level) bool { return true }
func (l onDead) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l onDead) WithGroup(string) slog.Handler          { return l }
func (l onDead) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "node is dead") {
		if do := l.do.Swap(nil); do != nil {
			(*do)()
		}
	}
	return nil
}

// The first payload of a fork comes (from another CL, or again) while it is being judged who missed that, because the
// first call or a probe has begun to. It goes to none of these nodes either.
func TestPayloadWhileForksAreJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fork := epoch.Add(time.Minute)
		knows := always(enginetest.Forks(genesis, enginetest.Fork{At: fork, ID: "0x00000002"}))
		lacks := always(enginetest.Forks(genesis))
		good := func() *bubble.Fake { return bubble.Speaker(99, "VALID", 0) }
		bad := func() *bubble.Fake { return bubble.Speaker(6, "INVALID", 0) }
		var do atomic.Pointer[func()]
		b := bubble.New(t, fakes{
			client(good(), "GE", knows), client(good(), "NM", knows), client(good(), "RH", knows),
			client(bad(), "BU", lacks), client(bad(), "EG", lacks),
		}, bubble.Options{ExcludeMissed: true, Log: slog.New(onDead{&do})})
		b.Run(func() {
			for n := 1; n <= 5; n++ {
				at := epoch.Add(time.Duration(n-1) * 12 * time.Second)
				time.Sleep(time.Until(at)) // the bubble's clock
				b.Send(bubble.PayloadAt(n, at))
			}
			time.Sleep(time.Until(fork.Add(-ms)))
			during := ""
			var beside sync.WaitGroup
			do.Store(new(func() {
				beside.Go(func() { during, _ = b.Send(bubble.PayloadAt(6, fork)) })
				for range 1000 {
					runtime.Gosched()
				}
			}))
			first, _ := b.Send(bubble.PayloadAt(6, fork))
			beside.Wait()
			if first != "VALID" || during != "VALID" {
				t.Errorf("the first call heard %s, the one beside it %q", first, during)
			}
		})
	})
}
