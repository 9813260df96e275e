package verdict

import (
	"sync"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/quorum"
)

// trust is how far behind the slot's clock ours may be: payloads don't come before their time.
const trust = time.Second

// maxTimestamp is more than any clock says, and what time can still count with.
const maxTimestamp = 1 << 40

// clock is the slot's clock for a call that came at a time. A payload's timestamp is the beginning of its slot; a
// forkchoiceUpdated goes by that of its head, where we saw the payload.
func (b *Bench) clock(c *engine.Call, came time.Time) quorum.Clock {
	clock := b.fleet.Clock(c.Method)
	timestamp := c.Payload.Timestamp
	if c.Method.Family == engine.ForkchoiceUpdated {
		timestamp = b.fleet.Memory.Timestamp(c.Block)
	}
	if timestamp == 0 || timestamp > maxTimestamp {
		return clock
	}
	clock.Asked = came.Sub(time.Unix(int64(timestamp), 0))
	clock.Known = clock.Asked >= -trust
	return clock
}

// ahead finds out that our clock is behind: then payloads come from the future, one after the other. Safe for
// concurrent use; the zero value has seen none.
type ahead struct {
	mu  sync.Mutex
	row int // payloads in a row that came from the future
}

// aheadRow is how many payloads in a row it takes: one alone may be a wrong one.
const aheadRow = 5

// note takes in when in its slot a payload came, and whether that can be. It returns by how much our clock is off as
// far as payloads show, and whether that has just turned out, or is over.
func (a *ahead) note(c *quorum.Clock) (off time.Duration, changed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.Known {
		changed, a.row = a.row >= aheadRow, 0
		return 0, changed
	}
	if a.row++; a.row < aheadRow {
		return 0, false
	}
	return c.Asked, a.row == aheadRow
}

// noteClock notes when in its slot a payload came.
func (b *Bench) noteClock(c *quorum.Clock) {
	if c.Asked == 0 && !c.Known { // it has no timestamp
		return
	}
	off, changed := b.ahead.note(c)
	b.metrics.offset.Set(off.Seconds())
	switch {
	case changed && off < 0:
		b.fleet.Log.Warn("payloads come from the future: is this machine's clock right? Until it is, verdicts wait as "+
			"if the slot were young", "behind", -off)
	case changed:
		b.fleet.Log.Info("payloads no longer come from the future")
	}
	if c.Known && !c.Old() {
		b.metrics.asked.Observe(max(0, c.Asked).Seconds())
	}
}

// minRoomWait is a grace that lets a node of usual speed keep up, where that of a short slot would not.
const minRoomWait = 500 * time.Millisecond

// awaitRoom waits, where the CL is syncing, until a payload finds room in the lane of each voter that keeps up, but for
// no longer than a grace: nobody attests to it, and answers that hurry on would leave the slowest node behind. A
// forkchoiceUpdated doesn't wait: another that came later might take its place before it.
func awaitRoom(f *fleet.Fleet, c *engine.Call, clock *quorum.Clock) {
	if clock.Old() && !f.Alone() && c.Method.Family == engine.NewPayload {
		f.Pool.AwaitRoom(len(c.Body), max(clock.Grace, minRoomWait))
	}
}
