package claim

import (
	"context"
	"runtime"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/engine"
)

// Checks bound how many payloads are checked at once: half of the processors, so that votes don't wait.
type Checks chan struct{}

// NewChecks returns a place for each check that may run at once.
func NewChecks() Checks { return make(Checks, max(1, runtime.GOMAXPROCS(0)/2)) }

// Check judges a payload by itself. Its result is there once Done is closed.
type Check struct {
	Done   chan struct{}
	Cancel context.CancelFunc // nobody needs the result any more
	Result blockhash.Result
}

// Begin returns a check of a newPayload, and what does it: the caller runs that beside the wait, and owns it. It ends
// with ctx at the latest.
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
