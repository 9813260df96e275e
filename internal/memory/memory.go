// Package memory remembers what nodes said of blocks, and which of them have proved that they follow the chain. No I/O,
// no clock.
//
//	words.go       what a node said of a block, and what that comes to later
//	objection.go   an INVALID, which covers the block's descendants
//	standing.go    who has proved itself, and may object
//	bounds.go      what is forgotten
//	records.go     what outlives a process
package memory

import (
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// Memory holds each node's last definite word (VALID or INVALID) on each block, so that a client which forgets its
// objection, says SYNCING to children of the block, or dies doesn't end a dispute after one block. It also knows who
// has proved itself: see Standing.
//
// What it is told of a block must be about that block: a hash that a payload merely claims is nobody's word.
//
// It is bounded in blocks, oldest out. Safe for concurrent use.
type Memory struct {
	max int // blocks

	mu     sync.Mutex // guards what follows, and all that hangs on it: blocks, words, objections, standings
	blocks map[common.Hash]*block
	order  []common.Hash // of the blocks by age, behind what was evicted
	oldest int           // where in order the oldest is
	nodes  map[quorum.NodeID]*standing
	last   uint64 // the greatest Note.Seq of a VALID
	doubts bool   // somebody may have objected provisionally
	lapses uint64 // how often Lapse has been called
	// knowsTrust says that records told of a node which had proved itself in another run: then what a node says after a
	// break in mid-call is no vote, though nobody has proved itself in this one.
	knowsTrust bool
	// changes are what of the records has changed.
	changes changes
	// What was read without the blocks that lead there: see Untraced.
	gap    bool
	misses bool                 // blocks may come to another process at any time
	clean  map[common.Hash]bool // blocks that no objection covers, as far as another run knew
	// newest is the greatest timestamp of a payload that a node was sent, in seconds, and before that of another run.
	newest, before uint64
}

// block is what is known of one block. Its marks are never changed in place: children share those of their parent.
// Memory's lock guards it.
type block struct {
	hash           common.Hash
	timestamp      uint64 // of its payload, in seconds; 0 where that isn't known
	parent         *block // nil where it isn't known, or forgotten
	child, sibling *block // the children that are known are a list
	words          map[quorum.NodeID]word
	sent           map[quorum.NodeID]uint64 // who has been sent its payload, and how many breaks that node had had then
	marks          []*objection             // the objections that cover it, from itself or ancestors; one of each node
	proof          Proof                    // how well it is known which content has this hash
	digest         Digest                   // of that content, where it isn't proven
	traced         bool                     // it is known which objections cover it: see Untraced
}

// Proof says why a content stands for a block hash.
type Proof uint8

const (
	Unproven Proof = iota // no content stands for the hash
	First                 // nothing could be checked, and the content came first
	Voted                 // nothing could be checked, and the content was the first that a voter called VALID
	Proven                // the content has that hash: we have checked it, or a quorum of nodes says so by its VALID
)

// Digest is the SHA-256 of a content: it tells one from another.
type Digest [32]byte

// New returns a memory of up to so many blocks, two at least: a block and its parent.
func New(blocks int) *Memory {
	return &Memory{max: max(2, blocks), blocks: make(map[common.Hash]*block), nodes: make(map[quorum.NodeID]*standing)}
}

// Learn notes what parent and timestamp a block has, if the payload that says so may stand for the hash: with a better
// proof it displaces another content, and all that was said of that. The block inherits the objections that cover its
// parent. digest is called only where the content isn't proven. stands reports whether the content stands now.
func (m *Memory) Learn(p engine.Payload, proof Proof, digest func() Digest) (stands bool) {
	m.mu.Lock()
	defer m.release()
	b := m.block(p.Hash)
	switch {
	case b.proof == Proven && proof < Proven:
		return b.digest != Digest{} && b.digest == digest() // this content stood for the hash before that was proven
	case b.proof == First || b.proof == Voted || b.proof == Unproven && proof < Proven:
		d := digest()
		if b.proof != Unproven && b.digest != d {
			if proof <= b.proof {
				return false
			}
			m.reset(b)
		}
		b.digest = d
	}
	b.proof, b.timestamp = max(b.proof, proof), p.Timestamp
	if b.parent == nil && p.Parent != p.Hash {
		m.adopt(b, m.block(p.Parent))
	}
	m.changes.block(b)
	m.trace(b)
	return true
}

// adopt makes b a child of p.
func (m *Memory) adopt(b, p *block) {
	b.parent = p
	b.sibling, p.child = p.child, b
	marks := left(p.marks)
	if len(b.marks) == 0 && len(b.words) == 0 && b.child == nil {
		m.mark(b, marks)
		return
	}
	for _, o := range marks {
		m.cover(b, o)
	}
}

// Identify notes what content stands for a hash that a quorum has proven, where we could not check it: so that the
// content is known again when it comes once more.
func (m *Memory) Identify(hash common.Hash, digest Digest) {
	m.mu.Lock()
	defer m.release()
	if b := m.blocks[hash]; b != nil && b.proof == Proven {
		b.digest = digest
		m.changes.block(b)
	}
}

// Timestamp returns that of a block's payload, in seconds; 0 where it isn't known.
func (m *Memory) Timestamp(hash common.Hash) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.blocks[hash]; b != nil {
		return b.timestamp
	}
	return 0
}

// Known reports whether a content stands for a block hash.
func (m *Memory) Known(hash common.Hash) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.blocks[hash]
	return b != nil && b.proof != Unproven
}

// Descends reports whether a block is another's descendant, or is that block itself, as far as we have been told of the
// blocks between them.
func (m *Memory) Descends(hash, ancestor common.Hash) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.descends(hash, ancestor)
}

func (m *Memory) descends(hash, ancestor common.Hash) bool {
	if hash == ancestor {
		return true
	}
	b := m.blocks[hash]
	for range maxWalk {
		if b == nil || b.parent == nil {
			return false
		}
		if b = b.parent; b.hash == ancestor {
			return true
		}
	}
	return false
}

// maxWalk is how far a block's ancestors are followed.
const maxWalk = 256

// reset forgets all that was said of a block: it was about another content, with another parent.
func (m *Memory) reset(b *block) {
	marks := b.marks
	for _, o := range marks {
		if o.at == b {
			m.end(o)
		}
	}
	b.unlink()
	for node := range b.words {
		m.say(b, node, word{}) // but the numbers
	}
	b.sent, b.proof, b.traced = nil, Unproven, false
	b.walk(func(b *block) (deeper bool) {
		kept := without(b.marks, func(o *objection) bool { return slices.Contains(marks, o) })
		if len(kept) == len(b.marks) {
			return false
		}
		m.mark(b, kept)
		return true
	})
	for _, o := range marks {
		m.renew(b, o.node)
	}
}

// walk visits a block and the descendants of it that are known: those of each block only where visit says so.
func (b *block) walk(visit func(*block) (deeper bool)) {
	for todo := []*block{b}; len(todo) > 0; {
		b := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !visit(b) {
			continue
		}
		for c := b.child; c != nil; c = c.sibling {
			todo = append(todo, c)
		}
	}
}

// block returns what is known of a block; a new one where nothing is. Whoever calls it ends with release.
func (m *Memory) block(hash common.Hash) *block {
	b := m.blocks[hash]
	if b == nil {
		b = &block{hash: hash}
		m.blocks[hash] = b
		m.order = append(m.order, hash)
	}
	return b
}
