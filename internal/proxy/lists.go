package proxy

import (
	"context"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
)

// listing is a call that is answered with a list, put together from those of several nodes.
type listing struct {
	hedge
	shape  shape
	lists  [][]entry // of each node; nil where it gave none
	merged []entry
	whole  bool   // nothing is missing
	relay  *relay // nil where the answer is collected
	// own returns what we have at a position ourselves, for gaps that the nodes leave; nil where there is no such thing.
	own func(i int) (e entry, have bool)
}

// newListing prepares a call of r to the nodes that serve.
func (p *Proxy) newListing(r *jsonrpc.Request, m engine.Method, s shape, out *outlet) *listing {
	l := &listing{shape: s}
	l.hedge = hedge{proxy: p, method: m, nodes: p.serving(), delay: hedgeDelay, call: p.caller(m, r.Raw)}
	l.lists = make([][]entry, len(l.nodes))
	if collect := l.call; out != nil {
		l.relay = &relay{out: out, shape: s}
		l.call = func(ctx context.Context, n *node.Node) (jsonrpc.Reply, error) {
			if n == l.nodes[0] {
				return l.relay.call(ctx, n, m, r.Raw)
			}
			return collect(ctx, n)
		}
	}
	return l
}

// gather collects the nodes' lists until they leave no gap between them.
func (l *listing) gather(ctx context.Context) {
	begun := time.Now()
	l.run(ctx, l.take)
	l.proxy.log.Debug("list", "method", l.method.Name, "asked", l.asked, "entries", len(l.merged), "whole", l.whole, "duration", time.Since(begun))
}

// take reads a reply, and reports whether the answer is complete with it. A malformed list counts as no answer.
func (l *listing) take(i int) bool {
	r := &l.replies[i]
	switch {
	case r.err != nil, r.Err != nil, jsonrpc.IsNull(r.Result):
		return false
	case l.shape.free && !jsonrpc.IsArray(r.Result):
		return true
	}
	var err error
	if l.lists[i], err = l.read(i); err != nil {
		l.lists[i], r.err = nil, err
		l.proxy.log.Debug("malformed list", "node", r.node.Name(), "method", l.method.Name, "error", err)
		return false
	}
	l.merged, l.whole = l.shape.merge(l.lists)
	if !l.whole && l.own != nil {
		l.merged, l.whole = l.shape.fill(l.merged, l.own)
	}
	return l.whole
}

// relayed reports whether a node's list came through the relay.
func (l *listing) relayed(i int) bool {
	return i == 0 && l.relay != nil && l.replies[i].node != nil && l.relay.listed
}

// read returns the entries of a reply. Those of a relayed list have been read while they came.
func (l *listing) read(i int) ([]entry, error) {
	if l.relayed(i) {
		return l.relay.list()
	}
	return l.shape.list(i, l.replies[i].Result)
}

// reply is the answer for the CL: one node's own where nothing had to be put together. It is empty where the answer has
// gone already.
func (l *listing) reply() jsonrpc.Reply {
	i, single := l.source()
	switch {
	case l.merged != nil && single && !l.relayed(i) && (l.relay == nil || l.relay.stop() == 0):
		return l.replies[i].Reply
	case l.relay != nil && l.relay.finish(l.merged):
		if l.relayed(0) && l.relay.out.err == nil { // else a node or a connection may not be done with them
			l.relay.release()
		}
		return jsonrpc.Reply{}
	case l.merged == nil:
		return l.withoutList()
	}
	return jsonrpc.Reply{Result: assemble(l.merged)}
}

// source returns the node whose list is the answer.
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

// withoutList is the answer where no node gave a list. That a request is too large weighs more than null, which a
// node says that cannot serve, and null more than any other error.
func (l *listing) withoutList() jsonrpc.Reply {
	came := l.came()
	for _, counts := range []func(r reply) bool{
		func(r reply) bool { return r.Err == nil && !jsonrpc.IsNull(r.Result) }, // an answer in a form of the future
		func(r reply) bool { return r.Err != nil && r.Err.Code == engine.CodeTooLargeRequest },
		func(r reply) bool { return r.Err == nil },
	} {
		for _, r := range came {
			if r.err == nil && counts(r) {
				return r.Reply
			}
		}
	}
	return withoutResult(came)
}
