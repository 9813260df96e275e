// Package lists answers calls for lists, put together from those of several nodes: what one lacks another may have.
//
//	GetBlobs, GetPayloadBodies   what is asked for, and what we have ourselves   blobs.go, bodies.go
//	listing                      ask the primary, and the others for its gaps    lists.go
//	merge                        position by position                            merge.go
//	relay                        the first list goes on while it comes in        relay.go
//
// GetInclusionList, whose list is one node's own, is in inclusionlist.go.
package lists

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"executionbackup/internal/catchup"
	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/node"
	"executionbackup/internal/outlet"
	"executionbackup/internal/wire"
)

// Merger answers calls for lists. Safe for concurrent use.
type Merger struct {
	fleet    *fleet.Fleet
	payloads *catchup.Payloads // whose bodies we know
	metrics  *metrics
}

// New returns a merger for the lists of a fleet. Its metrics are registered with r.
func New(f *fleet.Fleet, p *catchup.Payloads, r prometheus.Registerer) *Merger {
	return &Merger{f, p, newMetrics(r)}
}

// listing is a call for a list. It belongs to the goroutine that answers the call, but for what the relay says is
// another's.
type listing struct {
	fleet.Hedge
	call   *engine.Call
	lists  [][]engine.Entry // that of each node; nil where it gave none
	merged []engine.Entry   // of all that have come; nil where none has
	whole  bool             // nothing is missing in merged
	relay  *relay           // nil where the answer is collected
	// own returns what we have at a position ourselves, for gaps that the nodes leave; nil where we have nothing.
	own func(i int) (e engine.Entry, have bool)
}

// newListing prepares a call to the nodes that have what is asked for. Its answer may go to out part by part, if that
// isn't nil.
func (m *Merger) newListing(c *engine.Call, out *outlet.Outlet) *listing {
	l := &listing{call: c}
	nodes := m.fleet.Pool.Suppliers()
	l.Hedge = fleet.Hedge{Fleet: m.fleet, Method: c.Method, Nodes: nodes, Delay: fleet.HedgeDelay}
	l.lists = make([][]engine.Entry, len(l.Nodes))
	if out != nil {
		l.relay = &relay{out: out, call: c}
	}
	l.Call = func(ctx context.Context, n *node.Node) (engine.Answer, error) { return l.ask(ctx, n) }
	return l
}

// ask asks a node. The list of the first node, whose entries have precedence, is passed on while it comes in.
func (l *listing) ask(ctx context.Context, n *node.Node) (engine.Answer, error) {
	if l.relay == nil || n != l.Nodes[0] {
		return l.Fleet.Ask(ctx, n, l.call)
	}
	return l.relay.ask(ctx, n)
}

// gather collects the nodes' lists until they leave no gap between them.
func (l *listing) gather(ctx context.Context) {
	begun := time.Now()
	l.Run(ctx, l.take)
	l.Fleet.Log.Debug("list", "method", l.Method.Name, "asked", l.Asked, "entries", len(l.merged), "whole", l.whole,
		"duration", time.Since(begun))
}

// take takes in a reply, and reports whether the answer is complete with it. A malformed list is no answer.
func (l *listing) take(i int) (enough bool) {
	r := &l.Replies[i]
	switch _, failed := r.Failure.(*wire.Failure); {
	case r.Failure != nil && !failed:
		l.Fleet.Log.Debug("malformed list", "node", r.Node.Name(), "method", l.Method.Name, "error", r.Failure)
		return false
	case !r.OK() || r.Null:
		return false
	case r.Entries == nil: // an answer in a form of the future
		return true
	}
	l.lists[i] = r.Entries
	l.merged, l.whole = merge(&l.call.List, l.lists)
	if !l.whole && l.own != nil {
		l.merged, l.whole = fill(&l.call.List, l.merged, l.own)
	}
	return l.whole
}

// isRelayed reports whether a node's list came through the relay.
func (l *listing) isRelayed(i int) bool {
	r := &l.Replies[i]
	return i == 0 && l.relay != nil && r.Node != nil && r.Entries != nil && r.Raw == nil
}

// answer returns the answer for the CL: one node's own where nothing had to be put together. Where the relay has sent a
// part, the rest goes to it, too: gone says that all has gone. Where a part has gone that must not look like an answer,
// the caller's connection breaks, and answer doesn't return.
func (l *listing) answer() (a engine.Answer, gone bool) {
	i, single := l.source()
	switch {
	case l.merged != nil && single && !l.isRelayed(i) && (l.relay == nil || l.relay.stop() == 0):
		return l.Replies[i].Answer, false
	case l.relay != nil && l.relay.finish(l.merged):
		if l.isRelayed(0) && l.relay.out.Err() == nil { // else a call or a connection may still read the entries
			l.relay.release()
		}
		return engine.Answer{}, true
	case l.merged == nil:
		return l.withoutList(), false
	}
	return engine.Answer{Entries: l.merged}, false
}

// source returns the index of the node whose list is the answer as a whole, if there is a single one.
func (l *listing) source() (i int, single bool) {
	from, single := source(l.merged)
	if !single {
		return 0, false
	}
	for i, list := range l.lists {
		if list != nil && len(list) == len(l.merged) && (i == from || from < 0) {
			return i, true
		}
	}
	return 0, false
}

// withoutList returns the answer where no node gave a list. That a request is too large weighs more than null, with
// which a node says that it can't serve, and null more than any other error.
func (l *listing) withoutList() engine.Answer {
	came := l.Came()
	for _, counts := range []func(r *fleet.Reply) bool{
		func(r *fleet.Reply) bool { return r.OK() && !r.Null }, // an answer in a form of the future
		func(r *fleet.Reply) bool { return r.Err != nil && r.Err.Code == engine.CodeTooLargeRequest },
		func(r *fleet.Reply) bool { return r.OK() },
	} {
		for i := range came {
			if r := &came[i]; r.Failure == nil && counts(r) {
				return r.Answer
			}
		}
	}
	return fleet.WithoutResult(came)
}

// metrics count what answers to getBlobs have.
type metrics struct {
	requests prometheus.Counter
	blobs    *prometheus.CounterVec
	merged   prometheus.Counter
}

// newMetrics registers them.
func newMetrics(r prometheus.Registerer) *metrics {
	return &metrics{
		requests: promauto.With(r).NewCounter(prometheus.CounterOpts{
			Namespace: fleet.Namespace, Name: "blob_requests_total",
			Help: "Calls for blobs (getBlobs) that were answered.",
		}),
		blobs: fleet.Outcomes(r, "blobs_total",
			"Blobs that a consensus client asked for, by outcome: found or missing.", "outcome", "found", "missing"),
		merged: promauto.With(r).NewCounter(prometheus.CounterOpts{
			Namespace: fleet.Namespace, Name: "blob_answers_merged_total",
			Help: "Answers with blobs that were put together from several nodes'.",
		}),
	}
}

// count counts what an answer to getBlobs has.
func (m *metrics) count(l *listing) {
	m.requests.Inc()
	found := 0
	for i := range l.merged {
		if !l.merged[i].Gap {
			found++
		}
	}
	m.blobs.WithLabelValues("found").Add(float64(found))
	m.blobs.WithLabelValues("missing").Add(float64(int(l.call.List.Size) - found))
	if _, single := l.source(); l.merged != nil && !single {
		m.merged.Inc()
	}
}
