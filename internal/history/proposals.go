package history

import (
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
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
	mu   sync.Mutex // guards what follows
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

// Add keeps a proposal. What it points to is not changed any more.
func (p *Proposals) Add(one Proposal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	one.ID = p.last
	p.list = appendBounded(p.list, one, maxProposals)
}
