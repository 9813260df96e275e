package calls_test

import (
	"testing"
	"time"

	"executionbackup/internal/bubble"
)

// With several nodes, who they are is told after 900 ms at the latest: some CLs ask for it once and never again.
func TestIdentityIsNotWaitedForLonger(t *testing.T) {
	for _, method := range []string{"exchangeCapabilities", "getClientVersionV1"} {
		names := func(called string) (string, bool) { return `["engine_newPayloadV4"]`, called == "engine_"+method }
		hangs := func(called string, _ int) time.Duration {
			if called == "engine_"+method {
				return bubble.Forever
			}
			return 0
		}
		bubble.In(t, []*bubble.Fake{{Answer: names}, {Delay: hangs}}, func(t *testing.T, b *bubble.Bubble) {
			if got, took := b.Get(method, `[[]]`); got != `["engine_newPayloadV4"]` || took != 900*ms {
				t.Errorf("%s: got %s after %v", method, got, took)
			}
		})
	}
}
