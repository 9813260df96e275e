package fleet

import (
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// Times are how long a verdict may wait, as an operator sets it.
type Times struct {
	// Grace is --grace. Negative: 500 ms, and on slots shorter than 12 s in proportion.
	Grace     time.Duration
	LateGrace time.Duration // --late-grace
	AttestBy  time.Duration // --attest-by; 0: a quarter of the slot
	Slot      time.Duration // --slot; 0: as long as a slot takes on the nodes' chain
}

const (
	usualSlot  = 12 * time.Second
	usualGrace = 500 * time.Millisecond
)

// slots are how long a slot takes on chains that differ from Ethereum, by eth_chainId: Gnosis and Chiado.
var slots = map[string]time.Duration{"0x64": 5 * time.Second, "0x27d8": 5 * time.Second}

// envelope is the first version of newPayload whose execution nobody attests to before the next slot, since the payload
// comes in an envelope behind its block (Gloas).
const envelope = 5

// Clock returns how long the verdict on a call waits; when in the slot the call came is for the caller to say. chainID
// is the nodes' eth_chainId, "" where that isn't known.
func (t Times) Clock(m engine.Method, chainID string) quorum.Clock {
	c := quorum.Clock{Grace: t.Grace, LateGrace: t.LateGrace, AttestBy: t.AttestBy, Slot: t.Slot}
	if c.Slot == 0 {
		c.Slot = usualSlot
		if own, known := slots[chainID]; known {
			c.Slot = own
		}
	}
	if c.Grace < 0 {
		c.Grace = usualGrace * min(c.Slot, usualSlot) / usualSlot
	}
	switch {
	case m.Family == engine.NewPayload && m.Version >= envelope:
		c.AttestBy = c.Slot * 3 / 5
	case c.AttestBy == 0:
		c.AttestBy = c.Slot / 4
	}
	return c
}

// Clock is Times.Clock with the times that are in force, on the nodes' chain.
func (f *Fleet) Clock(m engine.Method) quorum.Clock {
	chainID := ""
	if home := f.Pool.Home(); len(home) == 1 {
		chainID = home[0].ID
	}
	return f.Settings().Times.Clock(m, chainID)
}

// Slot is how long a slot takes on the nodes' chain.
func (f *Fleet) Slot() time.Duration { return f.Clock(engine.Method{}).Slot }
