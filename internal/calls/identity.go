package calls

import (
	"context"
	"strings"

	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/node"
	"executionbackup/internal/session"
)

// getClientVersion answers with every reachable node's entries in one flat array, in configuration order
// (identification.md binds multiplexers to this). Nodes that don't know the method are left out.
func (r *Router) getClientVersion(ctx context.Context, c *engine.Call) engine.Answer {
	ctx, cancel := context.WithTimeout(ctx, c.Method.Pace())
	defer cancel()
	replies := r.fleet.AskAll(ctx, r.fleet.Pool.Roll().Reachable(), c)
	var all []engine.Entry
	for i := range replies {
		all = append(all, replies[i].Entries...)
	}
	if len(all) == 0 {
		return fleet.WithoutResult(replies)
	}
	return engine.Answer{Entries: all}
}

// exchangeCapabilities answers with all methods that any node has shown to have in this run. Some CLs ask once and
// never again: a method must not be missing because a node was slow or down just then.
func (r *Router) exchangeCapabilities(ctx context.Context, s *session.Session, c *engine.Call) engine.Answer {
	ctx, cancel := context.WithTimeout(ctx, c.Method.Pace())
	defer cancel()
	s.Capabilities.Say(c.Params)
	replies := r.fleet.AskAll(ctx, r.fleet.Pool.Roll().Reachable(), c)
	union := r.fleet.Methods()
	if len(union) == 0 {
		return fleet.WithoutResult(replies)
	}
	r.reportLacking(union)
	return engine.Answer{Methods: union}
}

// sayCapabilities tells a node that can be reached again what the CL can do, beside the live calls.
func (r *Router) sayCapabilities(n *node.Node) {
	params := r.fleet.Controller.Capabilities.Said()
	if _, alone := r.fleet.Mode(); n == alone { // it gets what the CL sends
		return
	}
	if params == nil || r.fleet.Alone() || r.fleet.Passive() {
		return
	}
	r.fleet.Background(func(ctx context.Context) { r.fleet.Ask(ctx, n, node.ExchangeCapabilities(params)) })
}

// reportLacking warns of nodes that lack methods which others have: after a fork they may be of no use.
func (r *Router) reportLacking(union []string) {
	for _, n := range r.fleet.Pool.Nodes() {
		info := n.Status().Info
		if lacks := info.Lacking(union); len(lacks) > 0 {
			r.fleet.Log.Warn("node lacks methods that others have",
				"node", n.Name(), "methods", strings.Join(lacks, ", "))
		}
	}
}
