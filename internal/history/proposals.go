package history

import (
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Proposal is one getPayload: what the nodes offered for it, and what the CL got.
type Proposal struct {
	ID     uint64      `json:"id"` // counts up since our start
	Time   time.Time   `json:"time"`
	Method string      `json:"method"`
	Number uint64      `json:"number"`
	Block  common.Hash `json:"hash"`
	Node   string      `json:"node"`   // whose payload the CL got; "" where it got none
	Value  Wei         `json:"value"`  // of that payload
	Gain   Wei         `json:"gain"`   // what it is worth more than the primary's own
	Offers []Offer     `json:"offers"` // not nil
}

// Offer is what one node had for a proposal.
type Offer struct {
	Node         string `json:"node"`
	Value        Wei    `json:"value"` // "" where there is no payload, too
	GasUsed      uint64 `json:"gas_used"`
	Transactions int    `json:"transactions"`
	Blobs        int    `json:"blobs"`
	Took         Micros `json:"took"`
	Taken        bool   `json:"taken"`
	Fate         string `json:"fate"` // in words: taken, or why not
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
	return append([]Proposal{}, p.list...)
}

// Add keeps a proposal. What it points to is not changed any more.
func (p *Proposals) Add(one Proposal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	one.ID = p.last
	p.list = appendBounded(p.list, one, maxProposals)
}
