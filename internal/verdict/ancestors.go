package verdict

import (
	"context"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// After our restart an objection stands, and the blocks that came meanwhile are missing between it and the next one: it
// isn't known whether that is under it. So the nodes are asked for its ancestors. Until that is known the block is
// judged as disputed.

// maxTraced is how many ancestors are asked for at a time. The next call goes on from there.
const maxTraced = 64

// traces are the searches for ancestors that are under way. Safe for concurrent use; the zero value has none.
type traces struct {
	mu      sync.Mutex
	running map[common.Hash]chan struct{} // by the block from which they go back; closed when they are over
}

// trace begins to ask for the ancestors of the call's block, where that is needed, unless somebody asks already. The
// call waits for it.
func (pl *poll) trace() {
	if !pl.call.Named || pl.alone() {
		return
	}
	missing := pl.fleet.Memory.Untraced(pl.call.Block, pl.call.Payload.Parent)
	if missing == zeroHash {
		return
	}
	t := &pl.bench.traces
	t.mu.Lock()
	defer t.mu.Unlock()
	over, runs := t.running[missing]
	if !runs {
		over = make(chan struct{})
		if t.running == nil {
			t.running = make(map[common.Hash]chan struct{})
		}
		t.running[missing] = over
		within := 3 * pl.quorum.Clock.Grace
		pl.fleet.Go(func() {
			pl.bench.follow(missing, within)
			t.mu.Lock()
			defer t.mu.Unlock()
			delete(t.running, missing)
			close(over)
		})
	}
	pl.content.awaited = append(pl.content.awaited, over)
}

// follow asks the nodes for a block's header, and for those of its ancestors, until it is known which objections cover
// it.
func (b *Bench) follow(missing common.Hash, within time.Duration) {
	ctx, cancel := context.WithTimeout(b.fleet.Context(), within)
	defer cancel()
	words := b.fleet.Memory
	asked := 0
	for from := missing; missing != zeroHash && asked < maxTraced; asked++ {
		header, found := b.fleet.Header(ctx, missing)
		if !found {
			b.fleet.Log.Warn("can't tell whether a block is under an objection of an earlier run: judged as disputed",
				"block_hash", from, "missing", missing)
			return
		}
		words.Trace(header)
		missing = words.Untraced(missing, header.Parent)
	}
	b.fleet.Log.Debug("asked for ancestors, to know whether an objection of an earlier run covers them", "asked", asked)
}
