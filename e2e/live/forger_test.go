//go:build e2e

package live

import (
	"context"
	"encoding/json"
	"time"

	"executionbackup/internal/enginetest"
)

// forgedRoot is the state root of a forged payload.
const forgedRoot = "0xf0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0"

// forger is a second beacon node, whose payloads have the hashes of Prysm's and another content.
type forger struct {
	sent, invalid int
	others        []string // answers other than INVALID
}

// forge sends forged payloads until it is undone. What Prysm's payloads are is seen at the proxy before a node.
func forge(r *run, v *victim) func() {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	f := new(forger)
	go func() {
		defer close(done)
		f.work(ctx, r, v.proxy)
	}()
	return func() {
		cancel()
		<-done
		r.note("%d forged payloads, %d of them called INVALID", f.sent, f.invalid)
		if f.sent < 4 || len(f.others) > 0 {
			r.fail("of %d forged payloads %d were called INVALID; the others: %q", f.sent, f.invalid, f.others)
		}
	}
}

// work forges each payload at once, while it is being judged, and again when it is the head and the next one is built.
func (f *forger) work(ctx context.Context, r *run, proxy *enginetest.Node) {
	seen := len(proxy.CallsOf("engine_newPayload"))
	var last enginetest.Call
	var again <-chan time.Time
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
			f.send(ctx, r, last)
		case <-tick.C:
		}
		calls := proxy.CallsOf("engine_newPayload")
		for _, call := range calls[seen:] {
			if f.send(ctx, r, call) {
				last, again = call, time.After(r.slot/2)
			}
		}
		seen = len(calls)
	}
}

// send sends a payload with another content. It reports false, and sends nothing, where that has been done before.
func (f *forger) send(ctx context.Context, r *run, call enginetest.Call) bool {
	var params []any
	if json.Unmarshal(call.Params, &params) != nil || len(params) == 0 {
		return false
	}
	payload, ok := params[0].(map[string]any)
	if !ok || payload["stateRoot"] == forgedRoot {
		return false
	}
	payload["stateRoot"] = forgedRoot
	raw, err := r.sender.call(ctx, call.Method, params...)
	var answer struct{ Status string }
	switch {
	case ctx.Err() != nil:
		return true
	case err != nil:
		f.others = append(f.others, err.Error())
	case json.Unmarshal(raw, &answer) == nil && answer.Status == "INVALID":
		f.invalid++
	default:
		f.others = append(f.others, string(raw))
	}
	f.sent++
	return true
}
