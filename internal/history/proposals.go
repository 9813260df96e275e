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
	Node   string      `json:"node"`  // whose payload the CL got; "" where it got none
	Value  Wei         `json:"value"` // of that payload
	// Shadow says that it was in shadow mode: Node is whose the CL would have got, and Did whose it got, "" for none.
	Shadow bool    `json:"shadow,omitempty"`
	Did    string  `json:"did,omitempty"`
	Gain   Wei     `json:"gain"`   // how much more that is than the primary's own is worth
	Offers []Offer `json:"offers"` // not nil

	Outcome string `json:"-"` // as executionbackup_proposals_total counts it; "" where it doesn't
}

// Offer is what one node had for a proposal.
type Offer struct {
	Node         string `json:"node"`
	Value        Wei    `json:"value"` // "" also where the node has no payload
	GasUsed      uint64 `json:"gas_used"`
	Transactions int    `json:"transactions"`
	Blobs        int    `json:"blobs"`
	Took         Micros `json:"took"`  // until the node had answered or failed
	Taken        bool   `json:"taken"` // the CL got it
	Fate         string `json:"fate"`  // in words: taken, or why not
}

// Proposals holds the last proposals, to be shown. Safe for concurrent use. The zero value is empty.
type Proposals struct {
	mu   sync.Mutex // guards what follows
	last uint64     // ID that was given
	list []Proposal // oldest first; their Offers never change
}

// maxProposals is how many proposals are kept.
const maxProposals = 32

// List returns the last proposals, oldest first. Their Offers are not to be changed.
func (p *Proposals) List() []Proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Proposal{}, p.list...) // not nil: in JSON it is a list
}

// Add keeps a proposal under an ID of its own. Its Offers are not to be changed any more.
func (p *Proposals) Add(one Proposal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	one.ID = p.last
	p.list = appendBounded(p.list, one, maxProposals)
}
