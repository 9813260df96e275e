package verdict_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"executionbackup/internal/bubble"
	"executionbackup/internal/verdict"
)

// span is when something began and ended, on a counter that all share.
type span struct{ begun, ended int64 }

// sent is a call of the CL.
type sent struct {
	forkchoice bool
	number     int
	pause      time.Duration // before it is sent
	alongside  bool          // the CL doesn't wait for its answer
	patience   time.Duration // the CL hangs up after this; 0: never
	span
}

func (s *sent) String() string {
	kind := "P"
	if s.forkchoice {
		kind = "F"
	}
	return fmt.Sprint(kind, s.number)
}

// recorder is a fake that notes, on the same counter, when calls came and when they were done.
type recorder struct {
	bubble.Fake
	mu    sync.Mutex
	spans map[string]span
}

// Whatever the nodes do and however the CL overlaps its calls: on each node no call overtakes an earlier one that the
// CL had an answer to, and forkchoiceUpdated calls come in the CL's order.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		delays := rapid.SampledFrom([]time.Duration{0, 0, ms, 100 * ms, grace, 3 * time.Second, bubble.Forever})
		calls := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) *sent {
			return &sent{
				forkchoice: rapid.Bool().Draw(rt, "forkchoice"),
				pause:      rapid.SampledFrom([]time.Duration{0, ms, time.Second, 2 * time.Second}).Draw(rt, "pause"),
				alongside:  rapid.IntRange(0, 3).Draw(rt, "alongside") == 0,
				patience:   rapid.SampledFrom([]time.Duration{0, 0, 0, 200 * ms}).Draw(rt, "patience"),
			}
		}), 1, 12).Draw(rt, "calls")
		for i, c := range calls {
			c.number = i + 1
		}
		var clock atomic.Int64
		recorders := make([]*recorder, rapid.IntRange(1, 4).Draw(rt, "nodes"))
		inShadow := rapid.Bool().Draw(rt, "shadow")
		for i := range recorders {
			r := &recorder{spans: make(map[string]span)}
			times := rapid.SliceOfN(delays, len(calls)+1, len(calls)+1).Draw(rt, "delays")
			refuses := rapid.SliceOfN(rapid.IntRange(0, 9), len(calls)+1, len(calls)+1).Draw(rt, "refuses")
			r.Delay = func(method string, n int) time.Duration { return times[n] }
			r.Arrived = func(call string, n int) (done func(), refused bool) {
				begun := clock.Add(1)
				return func() {
					r.mu.Lock()
					defer r.mu.Unlock()
					r.spans[call] = span{begun, clock.Add(1)}
				}, refuses[n] == 0
			}
			recorders[i] = r
		}
		runSchedule(t, recorders, calls, &clock, inShadow)
		for i, r := range recorders {
			if broken := r.violation(calls); broken != "" {
				rt.Fatalf("node %d: %s", i+1, broken)
			}
		}
	})
}

// runSchedule plays the CL's calls against the nodes and lets everything end. In shadow mode the first node answers.
func runSchedule(t *testing.T, recorders []*recorder, calls []*sent, clock *atomic.Int64, inShadow bool) {
	nodes := make(fakes, len(recorders))
	for i, r := range recorders {
		nodes[i] = &r.Fake
	}
	onBench(t, nodes, func(t *testing.T, b *bubble.Bubble) {
		var alongside sync.WaitGroup
		var mode verdict.Mode
		if inShadow {
			mode.Alone = b.Fleet.Pool.Nodes()[0]
		}
		for _, c := range calls {
			time.Sleep(c.pause) // the bubble's clock
			ask := func(body []byte) func() {
				ctx, hangUp := b.Fleet.Context(), func() {}
				if c.patience > 0 {
					ctx, hangUp = bubble.WithTimeout(c.patience)
				}
				c.begun = clock.Add(1)
				wait := b.Bench.Judge(ctx, b.Fleet.Controller, bubble.Call(t, body), mode)
				return func() {
					defer hangUp()
					wait()
					c.ended = clock.Add(1)
				}
			}
			body := bubble.PayloadCall(c.number)
			if c.forkchoice {
				body = bubble.ForkchoiceCall(c.number)
			}
			wait := ask(body)
			if c.alongside {
				alongside.Go(wait)
			} else {
				wait()
			}
		}
		alongside.Wait()
	})
}

// violation returns what a node saw in another order than the CL's.
func (r *recorder) violation(calls []*sent) string {
	for i, a := range calls {
		for _, b := range calls[i+1:] {
			onA, gotA := r.spans[a.String()]
			onB, gotB := r.spans[b.String()]
			if !gotA || !gotB {
				continue // dropped, refused, or superseded
			}
			switch {
			case a.ended < b.begun && onA.ended > onB.begun:
				return fmt.Sprintf("%v came before %v was done, which the CL had an answer to", b, a)
			case a.forkchoice && b.forkchoice && onA.ended > onB.begun:
				return fmt.Sprintf("forkchoiceUpdated %v came before %v was done", b, a)
			}
		}
	}
	return ""
}
