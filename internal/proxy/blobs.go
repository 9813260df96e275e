package proxy

import (
	"context"
	"math/bits"

	"github.com/ethereum/go-ethereum/common/hexutil"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
)

// getBlobs answers getBlobs and hasBlobs with what the primary has, and where it lacks something with what the others
// have: blob pools differ.
func (p *Proxy) getBlobs(ctx context.Context, r *jsonrpc.Request, m engine.Method, out *outlet) jsonrpc.Reply {
	s, ok := blobShape(r, m)
	if !ok || len(p.pool.Nodes()) == 1 {
		return p.forward(ctx, r, m, out) // the params are the node's to judge
	}
	l := p.newListing(r, m, s, out)
	if allOrNothing(m) {
		l.call = p.wholeOrParts(l, r)
	}
	l.gather(ctx)
	incomplete := allOrNothing(m) && l.merged != nil && !l.whole
	if incomplete {
		l.merged = nil
	}
	if m.Family == engine.GetBlobs {
		p.metrics.answeredBlobs(l)
	}
	reply := l.reply()
	if incomplete {
		return jsonrpc.Reply{Result: null}
	}
	return reply
}

// allOrNothing: osaka.md#engine_getblobsv2. All other versions have null for what is missing.
func allOrNothing(m engine.Method) bool { return m.Family == engine.GetBlobs && m.Version == 2 }

// blobShape says what list a call asks for. ok is false where it has no array of hashes, or no cells to choose.
func blobShape(r *jsonrpc.Request, m engine.Method) (s shape, ok bool) {
	hashes, err := jsonrpc.Elements(r.Arg(0))
	s = shape{size: uint64(len(hashes)), read: readBlob, join: takeNext}
	switch {
	case err != nil:
		return s, false
	case m.Family == engine.HasBlobs:
		s.read = readBool
	case m.Version == 4:
		cells, ok := countCells(r.Arg(1))
		s.read, s.join = readCells(cells), joinCells
		return s, ok
	case m.Version == 0 || m.Version > 4:
		s.read, s.free = readAny, true
	}
	return s, true
}

// countCells counts the ones in a bit array in hex.
func countCells(raw []byte) (n int, ok bool) {
	text, ok := jsonrpc.String(raw)
	if !ok {
		return 0, false
	}
	set, err := hexutil.Decode(text)
	for _, b := range set {
		n += bits.OnesCount8(b)
	}
	return n, err == nil
}

// wholeOrParts returns the call of getBlobsV2 to a node: where that has not all blobs, it says with V3 which it has.
// The other nodes needn't wait for that.
func (p *Proxy) wholeOrParts(l *listing, r *jsonrpc.Request) func(context.Context, *node.Node) (jsonrpc.Reply, error) {
	whole := l.call
	parts := p.caller(l.method, jsonrpc.NewCall("engine_getBlobsV3", r.Params))
	if l.shape.size < 2 || len(l.nodes) < 2 {
		return whole
	}
	l.gap = make(chan struct{}, len(l.nodes))
	return func(ctx context.Context, n *node.Node) (jsonrpc.Reply, error) {
		all, err := whole(ctx, n)
		if err != nil || all.Err != nil || !jsonrpc.IsNull(all.Result) {
			return all, err
		}
		l.gap <- struct{}{}
		some, err := parts(ctx, n)
		if err != nil || some.Err != nil {
			return all, nil // it doesn't know V3, say
		}
		return some, nil
	}
}
