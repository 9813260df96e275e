package session

import (
	"cmp"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/fifo"
)

// Chain is what we told the CL about its chain: the head, and the blocks that we answered VALID. Bounded, oldest out.
// Safe for concurrent use; the zero value is empty.
type Chain struct {
	mu              sync.Mutex // guards what follows
	head, finalized common.Hash
	seq             uint64                        // of the call that the head is from
	before          common.Hash                   // the head in another process, whose number may not be known
	refused         bool                          // we answered the last forkchoiceUpdated with an error: see Refuse
	valid           fifo.Map[common.Hash, uint64] // the numbers of the blocks that we answered VALID
}

// maxValid is how many blocks a chain remembers: three epochs and a long time without finality.
const maxValid = 8192

// AnsweredValid notes that we called a payload VALID.
func (c *Chain) AnsweredValid(hash common.Hash, number uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.valid.Put(hash, number)
	c.valid.Trim(maxValid)
}

// SetHead notes that we answered VALID to a forkchoiceUpdated, the seq-th call that was sent to the nodes.
func (c *Chain) SetHead(head, finalized common.Hash, seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if seq < c.seq {
		return // two calls were decided at once, the later one first
	}
	c.seq = seq
	c.head, c.refused = head, false
	if finalized != (common.Hash{}) {
		c.finalized = finalized
	}
}

// Refuse notes that we answered a forkchoiceUpdated with an error. The nodes may have moved all the same: clients look
// at safe and finalized when they have the new head.
func (c *Chain) Refuse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = true
}

// ToFollow returns the head that nodes should have, or the zero hash where that isn't known: before the first head, and
// after a forkchoiceUpdated that we answered with an error.
func (c *Chain) ToFollow() common.Hash {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused {
		return common.Hash{}
	}
	return c.head
}

// Head returns the head, or the zero hash where there is none yet.
func (c *Chain) Head() common.Hash {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head
}

// IsHead reports whether hash is the block of the last forkchoiceUpdated that we answered VALID.
func (c *Chain) IsHead(hash common.Hash) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return hash != common.Hash{} && hash == c.head
}

// MayBeLatestValid reports whether the CL may be sent back to a block: one that we called VALID, and not older than
// the finalized one. A restarted client has named genesis.
func (c *Chain) MayBeLatestValid(hash common.Hash) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if (hash == c.head || hash == c.before) && hash != (common.Hash{}) {
		return true // it may be known from forkchoiceUpdated alone: we have been restarted
	}
	number, known := c.valid.Get(hash)
	return known && number >= c.finalNumber()
}

// finalNumber is the number of the finalized block, 0 where it isn't known. c.mu is held.
func (c *Chain) finalNumber() uint64 {
	number, _ := c.valid.Get(c.finalized)
	return number
}

// Block is one that we answered VALID.
type Block struct {
	Hash   common.Hash
	Number uint64
}

// ChainState is what of a Chain outlives a process.
type ChainState struct {
	Head, Finalized common.Hash
	Valid           []Block // that aren't older than the finalized one
}

// State returns what is to be kept.
func (c *Chain) State() ChainState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := ChainState{Head: c.head, Finalized: c.finalized}
	if s.Head == (common.Hash{}) {
		s.Head = c.before
	}
	for hash, number := range c.valid.All() {
		if number >= c.finalNumber() {
			s.Valid = append(s.Valid, Block{hash, number})
		}
	}
	return s
}

// Restore takes in what was kept by another process. The head is no head of ours: the CL says it anew, and nodes aren't
// to follow an old one.
func (c *Chain) Restore(s ChainState) {
	oldestFirst := slices.SortedFunc(slices.Values(s.Valid), func(a, b Block) int {
		return cmp.Compare(a.Number, b.Number)
	})
	for _, b := range oldestFirst {
		c.AnsweredValid(b.Hash, b.Number)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.Head != (common.Hash{}) {
		c.before = s.Head
	}
	if c.finalized == (common.Hash{}) {
		c.finalized = s.Finalized
	}
}

// Drop forgets what Restore took in: it was of another chain.
func (c *Chain) Drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before = common.Hash{}
	if c.head == (common.Hash{}) {
		c.finalized, c.valid = common.Hash{}, fifo.Map[common.Hash, uint64]{}
	}
}
