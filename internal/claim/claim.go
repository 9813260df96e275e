// Package claim knows the payloads under way that claim to be a block and aren't known to be it, by their content, and
// checks them beside the wait for the nodes.
package claim

import (
	"bytes"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
)

// Claim is a newPayload under way, which claims a block hash: whoever proposes a block can claim the hash of another.
type Claim struct {
	Call *engine.Call // set before Enter, and not changed after it

	// settled is closed when it is known whether the content is the block's; nil until a check begins. Claims.mu guards
	// it.
	settled chan struct{}
}

// Claims are the claims under way. Safe for concurrent use. The zero value is empty.
type Claims struct {
	mu   sync.Mutex // guards what follows
	open []*Claim
}

// Enter adds a claim. It reports whether there are other claims to the same block: with the same content, and with
// another content.
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

// BeginCheck notes that a claim is being checked, at most once each: from then on others can wait for it (Checking).
func (c *Claims) BeginCheck(own *Claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	own.settled = make(chan struct{})
}

// Leave removes a claim, and ends the wait of others: what is known of its content has been remembered, or nothing will
// be. One that has left, or has never entered, is left alone.
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

// Checking returns a channel for each claim to a block that is being checked, except one's own (nil: there is none). It
// is closed when the claim has left.
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
