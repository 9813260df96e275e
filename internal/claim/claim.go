// Package claim knows which payloads are under way whose content isn't known to be the block's whose hash they claim,
// and checks them beside the wait for the nodes.
package claim

import (
	"bytes"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
)

// Claim is a newPayload under way: whoever proposes a block can claim the hash of another.
type Claim struct {
	Call *engine.Call

	settled chan struct{} // closed when it is known what the content is; nil until a check begins. Guarded by Claims.mu
}

// Claims are those under way. Safe for concurrent use. The zero value is empty.
type Claims struct {
	mu   sync.Mutex // guards what follows
	open []*Claim
}

// Enter adds a claim, and tells what other claims there are to the same block: with the same content, with another.
func (c *Claims) Enter(own *Claim) (same, another bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.open {
		if other.Call.Block == own.Call.Block {
			equal := bytes.Equal(other.Call.Params, own.Call.Params)
			same, another = same || equal, another || !equal
		}
	}
	c.open = append(c.open, own)
	return same, another
}

// BeginCheck notes that a claim is being checked: from then on others can wait for it.
func (c *Claims) BeginCheck(own *Claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	own.settled = make(chan struct{})
}

// Leave removes a claim: what is known of it has been remembered, or nothing will be.
func (c *Claims) Leave(own *Claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.open, own)
	if i < 0 {
		return
	}
	c.open = slices.Delete(c.open, i, i+1)
	if own.settled != nil {
		close(own.settled)
	}
}

// Checking returns what is closed when the checks of a block's claims are over, of all but one's own.
func (c *Claims) Checking(block common.Hash, own *Claim) (checks []<-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.open {
		if other != own && other.Call.Block == block && other.settled != nil {
			checks = append(checks, other.settled)
		}
	}
	return checks
}
