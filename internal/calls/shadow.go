package calls

import (
	"context"
	"slices"

	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/node"
	"executionbackup/internal/outlet"
	"executionbackup/internal/session"
	"executionbackup/internal/tracing"
)

// ofOne answers a call that is no verdict in mode Shadow or Off: with what one node answers, byte for byte. Beside it,
// and without anybody waiting for that, the other nodes get what makes a difference to them.
func (r *Router) ofOne(ctx context.Context, s *session.Session, c *engine.Call, mode config.Mode, n *node.Node,
	out *outlet.Outlet) (answer engine.Answer, gone bool) {
	ask := r.fleet.Ask
	switch f := c.Method.Family; {
	case f == engine.ExchangeCapabilities:
		s.Capabilities.Say(c.Params)
		r.tellOthers(ctx, n, c) // also in mode Off: they are to know when they are asked again
	case f == engine.SendRawTransaction && mode == config.Shadow:
		r.tellOthers(ctx, n, c)
	case f == engine.GetPayload && mode == config.Shadow:
		ask = func(ctx context.Context, n *node.Node, c *engine.Call) (engine.Answer, error) {
			return r.proposals.Shadow(ctx, s, n, c)
		}
	case f == engine.GetPayload:
		ask = r.proposals.Pass
	case !f.Engine():
		ask = func(ctx context.Context, n *node.Node, c *engine.Call) (engine.Answer, error) {
			return r.pass(ctx, n, c, out, out != nil && out.IsForWhole())
		}
	}
	answer, err := ask(ctx, n, c)
	switch {
	case out.HasBegun() && err != nil:
		r.breakOff(n, c, out, err)
	case out.HasBegun():
		return answer, true
	case err != nil && answer.Whole == nil:
		return engine.Unavailable(n.Name() + ": " + err.Error()), false
	}
	answer.Verbatim = true
	return answer, false
}

// tellOthers makes a call to all nodes but one.
func (r *Router) tellOthers(ctx context.Context, but *node.Node, c *engine.Call) {
	others := slices.DeleteFunc(r.fleet.Pool.Roll().Reachable(), func(n *node.Node) bool { return n == but })
	r.fleet.AskEach(tracing.Carry(r.fleet.Context(), ctx), others, c)
}
