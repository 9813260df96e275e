package memory

import "github.com/ethereum/go-ethereum/common"

// DefaultBlocks is how many blocks a Memory holds by default: a day's.
const DefaultBlocks = 8192

// maxReason is how much of a validationError is remembered, in bytes.
const maxReason = 1024

// release evicts the blocks that are too many, and unlocks: it ends every method that may have added one.
func (m *Memory) release() {
	for len(m.blocks) > m.max {
		m.evict()
	}
	m.mu.Unlock()
}

// evict drops the oldest block. The objections that cover its descendants go on covering them: a dispute doesn't end
// because its beginning is forgotten.
func (m *Memory) evict() {
	hash := m.order[m.oldest]
	if m.oldest++; m.oldest > m.max {
		m.order = append([]common.Hash(nil), m.order[m.oldest:]...)
		m.oldest = 0
	}
	old := m.blocks[hash]
	delete(m.blocks, hash)
	m.changes.evicted(old)
	m.unmark(old.marks)
	for c := old.child; c != nil; {
		next := c.sibling
		m.changes.block(c)
		c.parent, c.sibling = nil, nil
		c = next
	}
	old.child = nil
	old.unlink()
}

// unlink takes a block out of its parent's children.
func (b *block) unlink() {
	if b.parent == nil {
		return
	}
	for at := &b.parent.child; *at != nil; at = &(*at).sibling {
		if *at == b {
			*at = b.sibling
			break
		}
	}
	b.parent, b.sibling = nil, nil
}
