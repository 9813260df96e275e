package proxy

import (
	"context"
	"runtime"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/engine"
)

// hashCheck judges a payload by itself, beside the wait for the nodes' votes: no node is asked. Only SYNCING needs it, so
// it begins when that gets likely, and is given up when a VALID comes.
type hashCheck struct {
	done   chan struct{}
	cancel context.CancelFunc
	result blockhash.Result
}

// newHashChecks returns a place for each check that may run at once: half of the processors, so that votes don't wait.
func newHashChecks() chan struct{} { return make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)) }

// expectSyncing begins the check, or gives it up, after a vote has come.
func (pl *poll) expectSyncing() {
	switch {
	case pl.method.Family != engine.NewPayload || pl.decided:
	case pl.anyValid():
		pl.giveUpCheck()
	case pl.check == nil && !pl.alone() && pl.anyVote():
		pl.beginCheck()
	}
}

func (pl *poll) beginCheck() {
	ctx, cancel := context.WithCancel(pl.proxy.ctx)
	c := &hashCheck{done: make(chan struct{}), cancel: cancel}
	pl.check = c
	pl.proxy.stragglers.Go(func() {
		defer close(c.done)
		select {
		case pl.proxy.hashChecks <- struct{}{}:
			defer func() { <-pl.proxy.hashChecks }()
			c.result = blockhash.Check(ctx, pl.method.Name, pl.request.Params)
		case <-ctx.Done():
			c.result = blockhash.Result{Reason: ctx.Err().Error()}
		}
	})
}

// giveUpCheck ends a check that nobody needs any more.
func (pl *poll) giveUpCheck() {
	if pl.check != nil {
		pl.check.cancel()
		pl.check = nil
	}
}

// checkHash returns what the check came to.
func (pl *poll) checkHash() blockhash.Result {
	if pl.check == nil {
		pl.beginCheck()
	}
	<-pl.check.done
	r := pl.check.result
	pl.proxy.metrics.checked(r)
	switch r.Outcome {
	case blockhash.Invalid:
		pl.proxy.log.Error("payload is invalid by itself", "block_hash", pl.block, "number", pl.payload.Number, "reason", r.Reason)
	case blockhash.Skipped:
		pl.proxy.log.Warn("block hash not checked", "block_hash", pl.block, "reason", r.Reason)
	}
	return r
}

// anyVote reports whether a node has said something that may become part of a SYNCING.
func (pl *poll) anyVote() bool {
	for i := range pl.seats {
		if pl.seats[i].vote != engine.None {
			return true
		}
	}
	return false
}
