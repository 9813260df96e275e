package proxy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/bubble"
)

// In a batch, too, a forkchoiceUpdated comes after the newPayload before it has been answered.
func TestBatchIsOrdered(t *testing.T) {
	slow := &bubble.Fake{Delay: func(method string, n int) time.Duration {
		if strings.HasPrefix(method, "engine_newPayload") {
			return 100 * time.Millisecond
		}
		return 0
	}}
	slow.Status = func(method string, n int) string {
		if strings.HasPrefix(method, "engine_forkchoiceUpdated") && fmt.Sprint(slow.Seen()) != "[P1 F1]" {
			return "SYNCING"
		}
		return "VALID"
	}
	bubble.In(t, []*bubble.Fake{slow, bubble.Healthy(), bubble.Healthy()}, func(t *testing.T, b *bubble.Bubble) {
		begun := time.Now()
		batch := fmt.Appendf(nil, "[%s,%s]", bubble.PayloadCall(1), bubble.ForkchoiceCall(1))
		got := string(b.Post(t.Context(), batch))
		if strings.Count(got, `"VALID"`) != 2 || time.Since(begun) != 100*time.Millisecond {
			t.Errorf("%s after %v", got, time.Since(begun))
		}
	})
}
