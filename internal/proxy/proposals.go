package proxy

import (
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/jsonrpc"
)

// Proposal is one getPayload: what the nodes offered for it, and what the CL got.
type Proposal struct {
	ID     uint64 // counts up
	Time   time.Time
	Method string
	Node   string // whose payload the CL got; "" where it got none
	Block  common.Hash
	Number uint64
	Value  *big.Int // wei; nil where it isn't known
	Gain   *big.Int // wei more than the primary's own payload; nil where that isn't known
	Offers []Offer
}

// Offer is what one node had for a proposal.
type Offer struct {
	Node         string
	Value        *big.Int // wei; nil where there is no payload, or none with a value
	GasUsed      uint64
	Transactions int
	Blobs        int
	Took         time.Duration
	Taken        bool
	Fate         string // in words: taken, or why not
}

// Proposals holds the last proposals, to be shown. Safe for concurrent use. The zero value is empty.
type Proposals struct {
	mu   sync.Mutex
	last uint64
	list []Proposal // oldest first; what they hold never changes
}

// maxProposals is how many proposals are kept.
const maxProposals = 32

// List returns the last proposals, oldest first. What they point to is not to be changed.
func (p *Proposals) List() []Proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

func (p *Proposals) add(one Proposal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	one.ID = p.last
	p.list = appendBounded(p.list, one, maxProposals)
}

// shown is what became of a getPayload, for people.
func (pr *proposal) shown(best *candidate) Proposal {
	p := Proposal{Time: time.Now(), Method: pr.method.Name, Offers: []Offer{}}
	if best != nil {
		p.Node, p.Block, p.Number, p.Value = best.node.Name(), best.payload.Hash, best.payload.Number, best.value
		if best.value != nil {
			p.Gain = pr.gain(best)
		}
	}
	for _, c := range pr.candidates {
		_, why := c.fate(best)
		p.Offers = append(p.Offers, Offer{
			Node: c.node.Name(), Value: c.value, GasUsed: c.gasUsed, Transactions: c.transactions, Blobs: c.blobs,
			Took: c.took, Taken: c == best, Fate: jsonrpc.Excerpt(why),
		})
	}
	for _, f := range pr.failures {
		p.Offers = append(p.Offers, Offer{Node: f.node.Name(), Took: f.took, Fate: jsonrpc.Excerpt(f.reason())})
	}
	order := make(map[string]int)
	for i, n := range pr.proxy.pool.Nodes() {
		order[n.Name()] = i
	}
	slices.SortStableFunc(p.Offers, func(a, b Offer) int { return order[a.Node] - order[b.Node] })
	return p
}

// reason says in words why a node had nothing to offer.
func (r *reply) reason() string {
	if r.err == nil {
		return r.Err.Error()
	}
	return fmt.Sprint(r.err)
}

// record is that of a node that calls another's payload INVALID.
func (h *hearing) record() *Record {
	c := h.candidate
	return &Record{Time: time.Now(), Method: h.proposal.method.Name, Block: c.payload.Hash, Parent: c.payload.Parent, Number: c.payload.Number, Votes: []Vote{
		{Node: c.node.Name(), Status: "built it", Took: c.took},
		{Node: h.objector.Name(), Status: "INVALID", Vote: "INVALID", Reason: jsonrpc.Excerpt(h.objection.ValidationError)},
	}}
}
