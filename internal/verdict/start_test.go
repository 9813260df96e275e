package verdict_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/bubble"
)

// At our start who answers the first probe at once doesn't decide alone: the others have their say, too, until they
// have been probed.
func TestNotProbedYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := bubble.Speaker(3, "INVALID", 0)
		slow.Delay = func(method string, _ int) time.Duration {
			if strings.HasPrefix(method, "eth_") {
				return 900 * time.Millisecond
			}
			return 0
		}
		b := bubble.New(t, []*bubble.Fake{{}, {}, slow}, bubble.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() { b.Fleet.Pool.Run(ctx) })
		synctest.Wait()
		if status, _ := b.Send(bubble.PayloadCall(3)); status != "SYNCING" {
			t.Errorf("got %s", status)
		}
		b.Calls.Drain(ctx)
		cancel()
		watching.Wait()
	})
}
