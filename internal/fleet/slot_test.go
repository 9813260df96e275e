package fleet

import (
	"testing"
	"time"

	"executionbackup/internal/engine"
)

// How long a slot takes, how long a verdict in it may wait, and until when.
func TestTimes(t *testing.T) {
	const ms = time.Millisecond
	ours := Times{Grace: -1, LateGrace: 50 * ms}
	const s = time.Second
	fifth := 500 * ms * 5 / 12
	unset := func(change func(*Times)) Times {
		times := ours
		change(&times)
		return times
	}
	for _, c := range []struct {
		name, chainID, method string
		times                 Times
		slot, grace, attestBy time.Duration
	}{
		{"Ethereum", "0x1", "newPayloadV4", ours, 12 * s, 500 * ms, 3 * s},
		{"unknown", "", "newPayloadV4", ours, 12 * s, 500 * ms, 3 * s},
		{"Gnosis", "0x64", "newPayloadV4", ours, 5 * s, fifth, 1250 * ms},
		{"Chiado", "0x27d8", "newPayloadV4", ours, 5 * s, fifth, 1250 * ms},
		{"an envelope", "0x1", "newPayloadV5", ours, 12 * s, 500 * ms, 7200 * ms},
		{"an envelope of a fork to come", "0x64", "newPayloadV7", ours, 5 * s, fifth, 3 * s},
		{"forkchoiceUpdated has none", "0x1", "forkchoiceUpdatedV5", ours, 12 * s, 500 * ms, 3 * s},
		{"--slot beats the chain", "0x64", "newPayloadV4", unset(func(t *Times) { t.Slot = 6 * s }), 6 * s, 250 * ms,
			1500 * ms},
		{"longer slots have no longer grace", "0x1", "newPayloadV4", unset(func(t *Times) { t.Slot = 60 * s }), 60 * s,
			500 * ms, 15 * s},
		{"--grace is taken at its word", "0x64", "newPayloadV4", unset(func(t *Times) { t.Grace = 400 * ms }), 5 * s,
			400 * ms, 1250 * ms},
		{"and so is 0", "0x1", "newPayloadV4", unset(func(t *Times) { t.Grace = 0 }), 12 * s, 0, 3 * s},
		{"--attest-by", "0x1", "newPayloadV4", unset(func(t *Times) { t.AttestBy = 2 * s }), 12 * s, 500 * ms, 2 * s},
		{"not of an envelope", "0x1", "newPayloadV5", unset(func(t *Times) { t.AttestBy = 2 * s }), 12 * s, 500 * ms,
			7200 * ms},
	} {
		got := c.times.Clock(engine.ParseMethod("engine_"+c.method), c.chainID)
		if got.Slot != c.slot || got.Grace != c.grace || got.AttestBy != c.attestBy || got.LateGrace != 50*ms {
			t.Errorf("%s: got %+v, want a slot of %v, a grace of %v, attestations at %v", c.name, got, c.slot, c.grace,
				c.attestBy)
		}
	}
}
