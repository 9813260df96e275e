//go:build e2e

package e2e

import (
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// Another timeout comes with SIGHUP while a proposal is fetched from nodes that take longer than that: the call goes on
// with the one that it began with, the next ones go by the new one, and no slot is lost.
func TestReloadInMidProposal(t *testing.T) {
	t.Parallel()
	genesis := genesisNow()
	clients := startClients(t, genesis, 3)
	proxies := map[int]*enginetest.Node{}
	for i, c := range clients {
		proxies[i] = c.proxy()
	}
	h := newHouse(t, genesis, specs(t, clients, proxies))
	const short, long = 300 * time.Millisecond, 600 * time.Millisecond
	var undo []func()
	for _, p := range proxies {
		undo = append(undo, p.Script(enginetest.Rule{Method: "engine_getPayload", Delay: long}))
	}
	asked := len(proxies[0].CallsOf("engine_getPayload"))
	var while bool // the proposal was being fetched, from the beginning of the reload to its end
	h.slotWith(func() {
		apptest.Until(t, "the payload is asked for", func() bool {
			return len(proxies[0].CallsOf("engine_getPayload")) > asked
		})
		h.reload("timeout: " + short.String())
		while = proxies[0].CallsOf("engine_getPayload")[asked].Ended == 0
	})
	h.wantAll()
	if !while {
		t.Error("the payload was there before the reload was over")
	}
	for _, u := range undo {
		u()
	}
	// What hangs is waited for to the new timeout, where nobody has answered.
	for _, p := range proxies {
		defer p.Script(enginetest.Rule{Method: "engine_newPayload", Times: 1, Hang: true})()
	}
	begun := time.Now()
	status, err := h.producer.Head.NewPayload(t.Context(), h.Call)
	took := time.Since(begun)
	if err != nil || status.Status != "SYNCING" || took < short || took > 5*time.Second {
		t.Errorf("newPayload of nodes that hang: %+v, %v after %v, want SYNCING after %v", status, err, took, short)
	}
	h.reload("timeout: 7500ms")
	h.slots(2)
	h.wantAll()
}
