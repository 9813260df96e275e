//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"executionbackup/internal/enginetest"
)

// The consensus client's clock is two seconds ahead of ours, or behind it: its tokens are good, no slot is lost and no
// verdict is overdue, beside a node that is late as well. That payloads come from the future is said.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{2 * time.Second, -2 * time.Second} {
		t.Run(fmt.Sprintf("%v ahead", ahead), func(t *testing.T) {
			t.Parallel()
			genesis := genesisNow()
			clients := startClients(t, genesis, 3)
			late := clients[2].proxy()
			h := newHouse(t, genesis, specs(t, clients, map[int]*enginetest.Node{2: late}), "slot: 4s")
			h.slot, h.ahead = 4*time.Second, ahead
			late.Script(enginetest.Rule{Method: "engine_newPayload", Delay: 100 * time.Millisecond})
			h.slots(6)
			h.wantAll()
			if n := h.Metric(t, "executionbackup_overdue_verdicts_total"); n > 0 {
				t.Errorf("%v verdicts are overdue", n)
			}
			if n := h.Metric(t, "executionbackup_jwt_refused_total"); n > 0 {
				t.Errorf("%v tokens are refused", n)
			}
			offset := h.Metric(t, "executionbackup_clock_offset_seconds")
			said := len(h.process.Log.Lines("payloads come from the future"))
			if ahead > 0 && (offset > -1 || offset < -2.5 || said != 1) || ahead < 0 && (offset != 0 || said > 0) {
				t.Errorf("our clock is said to be off by %v s, in %d lines of the log", offset, said)
			}
			for _, n := range h.Nodes(t) {
				if n.State != "alive" {
					t.Errorf("%+v", n)
				}
			}
		})
	}
}
