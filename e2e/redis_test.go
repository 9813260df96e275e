//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	"executionbackup/internal/apptest"
)

// The Redis of a pair hangs (SIGSTOP) and goes on, ends (SIGTERM) and is started again, empty. Meanwhile the consensus
// client goes to the other instance, and back when both know of each other again. No slot is lost.
func TestRedisStopsInMidRun(t *testing.T) {
	t.Parallel()
	genesis, redis := genesisNow(), apptest.StartRedis(t)
	clients := startClients(t, genesis, 3)
	h := newHouse(t, genesis, specs(t, clients, nil), "state_url: "+redis.URL)
	pair := []*house{h, h.twin()}
	first, second := apptest.NewClient(t, pair[0].URL, nil), apptest.NewClient(t, pair[1].URL, nil)
	together := func(degraded float64) {
		t.Helper()
		apptest.Try(t, apptest.Patience, func() error {
			for i, c := range []apptest.Client{first, second} {
				got := c.Metric(t, "executionbackup_shared_state_degraded")
				peers := c.Metric(t, "executionbackup_shared_state_peers")
				if got != degraded || degraded == 0 && peers != 1 {
					return fmt.Errorf("instance %d: degraded %v, want %v, and %v others", i+1, got, degraded, peers)
				}
			}
			return nil
		})
	}
	together(0)
	for _, fault := range []struct{ away, back func() }{
		{redis.Stop, redis.Continue},
		{redis.Terminate, redis.Start},
	} {
		fault.away()
		h.slots(2)
		together(1)
		h.CL.URL = second.URL
		h.slots(2)
		fault.back()
		together(0)
		h.slots(1)
		h.CL.URL = first.URL
		h.slots(2)
		h.wantAll()
	}
	for i, instance := range pair {
		if lines := instance.process.Log.Lines("level=ERROR"); len(lines) > 0 {
			t.Errorf("instance %d: %q", i+1, lines)
		}
	}
}
