package calls_test

import (
	"strings"
	"testing"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/fleet"
)

// A transaction that a node hangs with holds up a drain no longer than anything else.
func TestDrainWithATransaction(t *testing.T) {
	const method = "eth_sendRawTransaction"
	sent := func(string) (string, bool) { return `"0xhash"`, true }
	hangs := func(m string, _ int) time.Duration {
		if m == method {
			return bubble.Forever
		}
		return 0
	}
	bubble.In(t, []*bubble.Fake{{Answer: sent}, {Answer: sent, Delay: hangs}}, func(t *testing.T, b *bubble.Bubble) {
		b.Change(func(s *fleet.Settings) { s.ReadTimeout = 30 * time.Second })
		call := []byte(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":["0x02"]}`)
		if got := string(b.Post(t.Context(), call)); !strings.Contains(got, "0xhash") {
			t.Fatalf("got %s", got)
		}
		begun := time.Now()
		ctx, cancel := bubble.WithTimeout(12 * time.Second)
		defer cancel()
		b.Calls.Drain(ctx)
		if took := time.Since(begun); took > 12*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
