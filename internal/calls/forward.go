package calls

import (
	"context"
	"io"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/node"
	"executionbackup/internal/outlet"
)

// forward asks one node: the primary, and where it can't be reached the next. A JSON-RPC error is an answer, and so is
// whatever result: nothing is judged of it. A large result goes to out while it comes in; when a part of it has gone,
// it is too late for another node.
func (r *Router) forward(ctx context.Context, c *engine.Call, out *outlet.Outlet) (a engine.Answer, gone bool) {
	why := "no node can be reached"
	for _, n := range r.fleet.Pool.Serving() {
		answer, err := r.pass(ctx, n, c, out, false)
		if err == nil || answer.Raw != nil {
			return answer, out.HasBegun()
		}
		if out.HasBegun() {
			r.breakOff(n, c, out, err)
		}
		why = n.Name() + ": " + err.Error()
		if ctx.Err() != nil {
			break
		}
	}
	return engine.Unavailable(why), false
}

// breakOff ends an answer of which a part has gone, and the rest can't come. It doesn't return.
func (r *Router) breakOff(n *node.Node, c *engine.Call, out *outlet.Outlet, why error) {
	r.fleet.Log.Warn("an answer broke off", "node", n.Name(), "method", c.Method.Name, "reason", why)
	out.Abort()
}

// pass makes a call, and lets a large result through to out, or all that the node writes (whole). Once that has begun,
// the node's time is for each piece.
func (r *Router) pass(ctx context.Context, n *node.Node, c *engine.Call, out *outlet.Outlet, whole bool) (
	engine.Answer, error) {
	switch {
	case c.Method.Family == engine.GetPayload: // of the only node
		return r.proposals.Pass(ctx, n, c)
	case out == nil:
		return r.fleet.Ask(ctx, n, c)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timeout := r.fleet.Timeout(n, c.Method)
	patience := time.AfterFunc(timeout, func() { cancel(context.DeadlineExceeded) })
	defer patience.Stop()
	a, err := n.Stream(ctx, c, whole, func(result io.Reader) error {
		patience.Stop() // the caller may take its time
		if whole {
			out.BeginWhole()
		} else {
			out.Begin()
		}
		_, err := io.Copy(writerFunc(func(b []byte) (int, error) {
			patience.Stop()
			defer patience.Reset(timeout)
			return out.Write(b)
		}), result)
		return err
	})
	if err == nil && out.HasBegun() && !whole {
		out.End()
	}
	return a, err
}

// writerFunc is an io.Writer.
type writerFunc func([]byte) (int, error)

// Write implements io.Writer.
func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
