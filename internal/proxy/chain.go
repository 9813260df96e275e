package proxy

import (
	"sync"

	"github.com/ethereum/go-ethereum/common"
)

var zeroHash common.Hash

// chain is what we told the CL about its chain: the head, and the blocks that we answered VALID. Bounded, oldest out.
type chain struct {
	mu              sync.Mutex
	head, finalized common.Hash
	seq             uint64                 // of the call that the head is from
	refused         bool                   // the last forkchoiceUpdated was an error, and may have moved the nodes all the same
	valid           map[common.Hash]uint64 // block numbers
	order           []common.Hash
}

// maxValid is how many blocks a chain remembers: three epochs and a long time without finality.
const maxValid = 8192

// answeredValid notes that we called a payload VALID.
func (c *chain) answeredValid(hash common.Hash, number uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.valid == nil {
		c.valid = make(map[common.Hash]uint64)
	}
	if _, known := c.valid[hash]; !known {
		c.order = append(c.order, hash)
	}
	c.valid[hash] = number
	if len(c.order) > maxValid {
		delete(c.valid, c.order[0])
		c.order = c.order[1:]
	}
}

// setHead notes that we answered VALID to a forkchoiceUpdated, the seq-th call that was sent.
func (c *chain) setHead(head, finalized common.Hash, seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if seq < c.seq {
		return // two were decided at once, the later one first
	}
	c.seq = seq
	c.head, c.refused = head, false
	if finalized != (common.Hash{}) {
		c.finalized = finalized
	}
}

// refuse notes that we answered a forkchoiceUpdated with an error: clients look at safe and finalized after they have moved.
func (c *chain) refuse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = true
}

// toFollow returns the head that nodes should have, or the zero hash where that isn't known.
func (c *chain) toFollow() common.Hash {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused {
		return zeroHash
	}
	return c.head
}

// headHash returns the head, or the zero hash where there is none yet.
func (c *chain) headHash() common.Hash {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head
}

// isHead reports whether hash is the block of the last forkchoiceUpdated that we answered VALID.
func (c *chain) isHead(hash common.Hash) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return hash != common.Hash{} && hash == c.head
}

// mayBeLatestValid reports whether the CL may be sent back to a block: one that we called VALID, and not older than
// the finalized one. A restarted client has named genesis.
func (c *chain) mayBeLatestValid(hash common.Hash) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if hash == c.head && hash != (common.Hash{}) {
		return true // after our restart we know it from forkchoiceUpdated alone
	}
	number, known := c.valid[hash]
	return known && number >= c.valid[c.finalized]
}
