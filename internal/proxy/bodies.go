package proxy

import (
	"context"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
)

// getPayloadBodies answers with the primary's bodies, and fills what it lacks from the others: they may have pruned, or
// know, other blocks.
func (p *Proxy) getPayloadBodies(ctx context.Context, r *jsonrpc.Request, m engine.Method, out *outlet) jsonrpc.Reply {
	s, ok := bodyShape(r, m)
	if !ok || len(p.pool.Nodes()) == 1 {
		return p.forward(ctx, r, m, out) // the params are the node's to judge
	}
	l := p.newListing(r, m, s, out)
	l.gather(ctx)
	return l.reply()
}

// bodyShape says what list a call asks for: hashes, or a range (shanghai.md#engine_getpayloadbodiesbyrangev1), of which
// a node leaves out what is beyond its latest block.
func bodyShape(r *jsonrpc.Request, m engine.Method) (s shape, ok bool) {
	s = shape{free: m.Version > 2, read: readBody(m.Version != 1), join: joinBodies}
	if jsonrpc.IsArray(r.Arg(0)) {
		hashes, err := jsonrpc.Elements(r.Arg(0))
		s.size = uint64(len(hashes))
		return s, err == nil
	}
	_, start := engine.ParseQuantity(r.Arg(0))
	s.size, ok = engine.ParseQuantity(r.Arg(1))
	s.short = true
	return s, start && ok
}
