package claim

import (
	"context"
	"runtime"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/engine"
)

// Checks bound how many payloads are checked at once. Each check that runs takes a place in the channel.
type Checks chan struct{}

// NewChecks returns checks of which half as many may run at once as there are processors, so that votes don't wait.
func NewChecks() Checks { return make(Checks, max(1, runtime.GOMAXPROCS(0)/2)) }

// Check is the check of a payload by itself.
type Check struct {
	Done   chan struct{}      // closed when the check is over
	Cancel context.CancelFunc // ends the check: its result is no longer needed
	Result blockhash.Result   // not to be read before Done is closed
}

// Begin returns a check of a newPayload, and run, which does it. The caller calls run, in a goroutine that it owns. The
// check ends with ctx at the latest, and is Skipped then.
func (c Checks) Begin(ctx context.Context, call *engine.Call) (check *Check, run func()) {
	ctx, cancel := context.WithCancel(ctx)
	check = &Check{Done: make(chan struct{}), Cancel: cancel}
	return check, func() {
		defer cancel()
		defer close(check.Done)
		select {
		case c <- struct{}{}:
			defer func() { <-c }()
			check.Result = blockhash.Check(ctx, call.Method.Name, call.Params)
		case <-ctx.Done():
			check.Result = blockhash.Result{Reason: ctx.Err().Error()}
		}
	}
}
