package proxy

import (
	"context"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
)

// getPayloadBodies answers with the primary's bodies, and fills what it lacks from the payloads that we keep, and from the
// others: they may have pruned, or know, other blocks.
func (p *Proxy) getPayloadBodies(ctx context.Context, r *jsonrpc.Request, m engine.Method, out *outlet) jsonrpc.Reply {
	s, ok := bodyShape(r, m)
	if !ok || len(p.pool.Nodes()) == 1 {
		return p.forward(ctx, r, m, out) // the params are the node's to judge
	}
	l := p.newListing(r, m, s, out)
	if m.Version == 1 || m.Version == 2 { // others may have what we don't know
		l.own = p.ownBodies(r, m)
	}
	l.gather(ctx)
	return l.reply()
}

// ownBodies returns what we have of the list that a call asks for: by hash, or by number on the head's chain.
func (p *Proxy) ownBodies(r *jsonrpc.Request, m engine.Method) func(i int) (entry, bool) {
	if hashes, err := jsonrpc.Elements(r.Arg(0)); err == nil {
		return func(i int) (entry, bool) {
			hash, _ := engine.ParseHash(hashes[i])
			return p.ownBody(hash, m)
		}
	}
	first, _ := engine.ParseQuantity(r.Arg(0))
	numbers := sync.OnceValue(p.keptNumbers)
	return func(i int) (entry, bool) { return p.ownBody(numbers()[first+uint64(i)], m) }
}

// keptNumbers are the hashes of the kept payloads on the head's chain by their numbers: as far as it is kept from the head down.
func (p *Proxy) keptNumbers() map[uint64]common.Hash {
	numbers := make(map[uint64]common.Hash)
	for at := p.chain.headHash(); ; {
		k, known := p.catchUp.ring.get(at)
		if _, twice := numbers[k.Number]; !known || twice { // a CL that claims a circle of parents doesn't hold us
			return numbers
		}
		numbers[k.Number], at = at, k.Parent
	}
}

// ownBody is the body of a payload that we keep; all that its block has is in it.
func (p *Proxy) ownBody(hash common.Hash, m engine.Method) (e entry, have bool) {
	k, have := p.catchUp.ring.get(hash)
	if !have {
		return e, false
	}
	var call jsonrpc.Request
	e.parts, e.from = make([][]byte, len(bodyMembers)), noNode
	if jsonrpc.ParseRequest(k.body, &call) != nil || call.ArgMembers(bodyMembers, e.parts) != nil || e.parts[0] == nil {
		return e, false
	}
	members := bodyMembers
	if m.Version == 1 { // it has no block access lists
		members, e.parts[2] = members[:2], nil
	}
	e.raw = []byte{'{'}
	for i, name := range members {
		if i > 0 {
			e.raw = append(e.raw, ',')
		}
		e.raw = append(append(e.raw, `"`+name+`":`...), orNull(e.parts[i])...)
	}
	e.raw = append(e.raw, '}')
	return e, true
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
