// Package calls knows for each family of methods who answers it. It stands below the doors, which only decode and
// encode.
package calls

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/catchup"
	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/lists"
	"executionbackup/internal/node"
	"executionbackup/internal/outlet"
	"executionbackup/internal/proposal"
	"executionbackup/internal/session"
	"executionbackup/internal/tracing"
	"executionbackup/internal/verdict"
)

// Router answers the calls of consensus clients. Safe for concurrent use.
type Router struct {
	fleet     *fleet.Fleet
	verdicts  *verdict.Bench
	proposals *proposal.Proposer
	lists     *lists.Merger
	tracer    *tracing.Tracer
}

// Options are what a Router is made of.
type Options struct {
	Fleet       *fleet.Fleet
	ReplayBytes int64                 // of the payloads that are kept for nodes which come back; 0 keeps none
	Metrics     prometheus.Registerer // with which all metrics of calls are registered
	Tracer      *tracing.Tracer       // of all calls; nil: none is traced
}

// New returns what answers calls with the nodes of a fleet. From then on it is told of the events of the fleet's pool,
// which must not have been started.
func New(o Options) *Router {
	f := o.Fleet
	c := catchup.New(f, o.ReplayBytes, o.Metrics)
	r := &Router{
		fleet: f, verdicts: verdict.New(f, c, o.Metrics), proposals: proposal.New(f, o.Metrics),
		lists: lists.New(f, c.Payloads, o.Metrics), tracer: o.Tracer,
	}
	f.OnMode(func() { r.rejoin() })
	f.Pool.Tell(node.Events{
		Returned: func(n *node.Node) {
			r.sayCapabilities(n)
			c.Returned(n)
		},
		Restarted: r.sayCapabilities,
		Removed: func(n *node.Node) {
			r.forget(n.Name())
			c.Forget(n)
		},
		Renamed: r.forget,
	})
	return r
}

// Answer answers a call of the CL whose session s is. out, if not nil, may take a part of the answer before Answer
// returns, or all of it: gone says that it has taken all. Where a part has gone and the rest can't come, the caller's
// connection breaks, and Answer doesn't return.
func (r *Router) Answer(ctx context.Context, s *session.Session, c *engine.Call, out *outlet.Outlet) (
	a engine.Answer, gone bool) {
	if !r.isAllowed(c.Method.Namespace()) {
		why := "the method " + c.Method.Name + " does not exist/is not available"
		return engine.Failed(engine.CodeMethodNotFound, why), false
	}
	ctx, span := r.tracer.Call(ctx, c.Method.Name)
	defer span.End()
	mode, alone := r.rejoin()
	switch c.Method.Family {
	case engine.NewPayload, engine.ForkchoiceUpdated:
		return r.verdicts.Judge(ctx, s, c, verdict.Mode{Alone: alone, Off: mode == config.Off})(), false
	}
	if mode != config.Active && !r.proposals.IsOfAnother(s, alone, c) {
		return r.ofOne(ctx, s, c, mode, alone, out)
	}
	if c.Method.Family == engine.SendRawTransaction {
		return r.sendRawTransaction(ctx, c), false
	}
	if r.fleet.Alone() {
		return r.forward(ctx, c, out) // one node passes through
	}
	switch c.Method.Family {
	case engine.GetPayload:
		return r.proposals.GetPayload(ctx, s, c, out)
	case engine.GetPayloadBodies:
		return r.list(ctx, c, out, r.lists.GetPayloadBodies)
	case engine.GetBlobs, engine.HasBlobs:
		return r.list(ctx, c, out, r.lists.GetBlobs)
	case engine.GetInclusionList:
		return r.lists.GetInclusionList(ctx, c), false
	case engine.ExchangeCapabilities:
		return r.exchangeCapabilities(ctx, s, c), false
	case engine.GetClientVersion:
		return r.getClientVersion(ctx, c), false
	}
	return r.forward(ctx, c, out)
}

// rejoin returns the mode of a call. Where that isn't Off any more, the nodes that missed something then are fed: as
// soon as the mode has been chosen, or for the sake of a call that was under way then, at the next one.
func (r *Router) rejoin() (config.Mode, *node.Node) {
	mode, alone := r.fleet.Mode()
	if mode != config.Off {
		r.verdicts.Rejoin()
	}
	return mode, alone
}

// forget drops the metrics of a name that is no node's any more.
func (r *Router) forget(name string) {
	r.proposals.Forget(name)
	r.verdicts.Forget(name)
}

// list answers a call for a list. Parameters that can't be read are the node's to judge.
func (r *Router) list(ctx context.Context, c *engine.Call, out *outlet.Outlet,
	answer func(context.Context, *engine.Call, *outlet.Outlet) (engine.Answer, bool)) (engine.Answer, bool) {
	if c.List.Kind == engine.NoList {
		return r.forward(ctx, c, out)
	}
	return answer(ctx, c, out)
}

// isAllowed reports whether methods of a namespace may be called.
func (r *Router) isAllowed(namespace string) bool {
	switch namespace {
	case "engine", "eth", "net", "web3":
		return true
	}
	return slices.Contains(r.fleet.Settings().AllowNamespaces, namespace)
}

// Drain waits until the calls that outlived their request have ended, and gives them up when ctx ends. No call may come
// in any more.
func (r *Router) Drain(ctx context.Context) { r.fleet.Drain(ctx) }
