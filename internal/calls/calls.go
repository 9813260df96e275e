// Package calls knows for each family of methods who answers it. It stands below the doors, which only decode and
// encode.
package calls

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/catchup"
	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/lists"
	"executionbackup/internal/node"
	"executionbackup/internal/outlet"
	"executionbackup/internal/proposal"
	"executionbackup/internal/session"
	"executionbackup/internal/verdict"
)

// Exchange answers the calls of consensus clients. Safe for concurrent use.
type Exchange struct {
	fleet   *fleet.Fleet
	verdict *verdict.Bench
	propose *proposal.House
	lists   *lists.Desk
}

// Options are what an Exchange is made of.
type Options struct {
	Fleet       *fleet.Fleet
	ReplayBytes int64                 // of the payloads that are kept for nodes which come back; 0 keeps none
	Metrics     prometheus.Registerer // with which all metrics of calls are registered
}

// New returns what answers calls with the nodes of a fleet. It hears of the pool's events from then on.
func New(o Options) *Exchange {
	f := o.Fleet
	c := catchup.New(f, o.ReplayBytes, o.Metrics)
	x := &Exchange{
		fleet: f, verdict: verdict.New(f, c, o.Metrics), propose: proposal.New(f, o.Metrics),
		lists: lists.New(f, c.Payloads, o.Metrics),
	}
	f.Pool.Tell(node.Events{
		Returned: func(n *node.Node) {
			x.sayCapabilities(n)
			c.Returned(n)
		},
		Removed: func(n *node.Node) {
			x.propose.Forget(n.Name())
			c.Forget(n)
		},
		Renamed: x.propose.Forget,
	})
	return x
}

// Answer answers a call of a CL's. out, if not nil, may take a part of the answer before Answer returns, or all: gone
// says that it has taken all.
func (x *Exchange) Answer(ctx context.Context, s *session.Session, c *engine.Call, out *outlet.Outlet) (
	a engine.Answer, gone bool) {
	if !x.isAllowed(c.Method.Namespace()) {
		return engine.Failed(engine.CodeMethodNotFound, "the method "+c.Method.Name+" does not exist/is not available"), false
	}
	switch c.Method.Family {
	case engine.NewPayload, engine.ForkchoiceUpdated:
		return x.verdict.Judge(s, c)(ctx), false
	case engine.SendRawTransaction:
		return x.sendRawTransaction(ctx, c), false
	}
	if x.fleet.Alone() {
		return x.forward(ctx, c, out) // one node passes through
	}
	switch c.Method.Family {
	case engine.GetPayload:
		return x.propose.GetPayload(ctx, s, c, out)
	case engine.GetPayloadBodies:
		return x.list(ctx, c, out, x.lists.GetPayloadBodies)
	case engine.GetBlobs, engine.HasBlobs:
		return x.list(ctx, c, out, x.lists.GetBlobs)
	case engine.GetInclusionList:
		return x.lists.GetInclusionList(ctx, c), false
	case engine.ExchangeCapabilities:
		return x.exchangeCapabilities(ctx, s, c), false
	case engine.GetClientVersion:
		return x.getClientVersion(ctx, c), false
	}
	return x.forward(ctx, c, out)
}

// list answers a call for a list. Parameters that can't be read are the node's to judge.
func (x *Exchange) list(ctx context.Context, c *engine.Call, out *outlet.Outlet,
	answer func(context.Context, *engine.Call, *outlet.Outlet) (engine.Answer, bool)) (engine.Answer, bool) {
	if c.List.Kind == engine.NoList {
		return x.forward(ctx, c, out)
	}
	return answer(ctx, c, out)
}

// isAllowed reports whether methods of a namespace may be called.
func (x *Exchange) isAllowed(namespace string) bool {
	switch namespace {
	case "engine", "eth", "net", "web3":
		return true
	}
	for _, n := range x.fleet.Settings().AllowNamespaces {
		if n == namespace {
			return true
		}
	}
	return false
}

// Drain waits until the calls that outlived their request have ended, and gives them up when ctx ends. No call may come
// in any more.
func (x *Exchange) Drain(ctx context.Context) { x.fleet.Drain(ctx) }
