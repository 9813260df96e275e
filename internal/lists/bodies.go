package lists

import (
	"context"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/node"
	"executionbackup/internal/outlet"
)

// GetPayloadBodies answers with the primary's bodies, and fills what it lacks from the payloads that we keep, and from
// the other nodes: these have pruned other blocks, and know other ones. gone says that the answer has gone to out.
func (m *Merger) GetPayloadBodies(ctx context.Context, c *engine.Call, out *outlet.Outlet) (
	a engine.Answer, gone bool) {
	l := m.newListing(c, out)
	if c.Method.Version == 1 || c.Method.Version == 2 { // bodies of other versions may have what we don't know
		l.own = m.ownBodies(&c.List)
	}
	l.gather(ctx)
	return l.answer()
}

// ownBodies returns what we have of the list that is asked for: by hash, or by number on the head's chain.
func (m *Merger) ownBodies(asked *engine.List) func(i int) (engine.Entry, bool) {
	if asked.Hashes != nil {
		return func(i int) (engine.Entry, bool) { return m.ownBody(asked.Hashes[i], asked.Kind) }
	}
	numbers := sync.OnceValue(m.numbers)
	return func(i int) (engine.Entry, bool) { return m.ownBody(numbers()[asked.First+uint64(i)], asked.Kind) }
}

// numbers are the hashes of the kept payloads on the head's chain by their numbers: as far as it is kept from the head
// down.
func (m *Merger) numbers() map[uint64]common.Hash {
	numbers := make(map[uint64]common.Hash)
	for at := m.fleet.Controller.Chain.Head(); ; {
		p := m.payloads.Of(at)
		if p == nil {
			return numbers
		}
		number := p.Payload.Number
		if _, twice := numbers[number]; twice { // a CL that claims a circle of parents doesn't hold us
			return numbers
		}
		numbers[number], at = at, p.Payload.Parent
	}
}

// ownBody is the body of a payload that we keep; all that its block has is in it.
func (m *Merger) ownBody(block common.Hash, kind engine.ListKind) (e engine.Entry, have bool) {
	p := m.payloads.Of(block)
	if p == nil {
		return e, false
	}
	e, have = node.BodyOf(p.Call)
	if kind == engine.Bodies { // it has no block access lists
		e.Parts[2] = nil
	}
	e.From = noNode
	return e, have
}
