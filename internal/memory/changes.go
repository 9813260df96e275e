package memory

import (
	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// changes are what of a Memory's records has changed since they were taken last; nothing is noted where nobody takes
// them. Memory's lock guards it.
type changes struct {
	noted      bool // somebody takes them
	blocks     map[common.Hash]bool
	objections map[ofNode]bool
	trust      map[quorum.NodeID]bool
	ended      bool // an objection has ended
}

// NoteChanges begins to note what of the records changes. It is to be called before the first call.
func (m *Memory) NoteChanges() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes = changes{
		noted: true, blocks: make(map[common.Hash]bool), objections: make(map[ofNode]bool),
		trust: make(map[quorum.NodeID]bool),
	}
}

// Unsaved reports whether records have changed since Changes, and whether an objection has ended.
func (m *Memory) Unsaved() (changed, ended bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.changes.blocks)+len(m.changes.objections)+len(m.changes.trust) > 0, m.changes.ended
}

// Changes returns the records that have changed since it was called last, as they are now. A block that no objection
// covers any more has no marks, an objection that is forgotten no number, and a node that is removed is gone.
func (m *Memory) Changes() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	var s State
	for hash := range m.changes.blocks {
		s.Blocks = append(s.Blocks, m.blockRecord(hash))
	}
	for name := range m.changes.objections {
		s.Objections = append(s.Objections, m.objectionRecord(name))
	}
	for node := range m.changes.trust {
		s.Trust = append(s.Trust, m.trustRecord(node))
	}
	clear(m.changes.blocks)
	clear(m.changes.objections)
	clear(m.changes.trust)
	m.changes.ended = false
	return s
}

// objection notes that what a node objects to on a block has changed.
func (c *changes) objection(node quorum.NodeID, b *block) {
	if c.noted {
		c.objections[ofNode{node, b.hash}] = true
	}
}

// block notes that a block has changed, where an objection covers it.
func (c *changes) block(b *block) {
	if c.noted && len(b.marks) > 0 {
		c.blocks[b.hash] = true
	}
}

// marks notes that other objections cover a block than these.
func (c *changes) marks(b *block, old []*objection) {
	if !c.noted || len(old)+len(b.marks) == 0 {
		return
	}
	c.blocks[b.hash] = true
	if (len(left(old)) > 0) == (len(left(b.marks)) > 0) {
		return
	}
	for child := b.child; child != nil; child = child.sibling {
		c.block(child) // its parent is one that an objection covers, or is none any more
	}
}

// evicted notes that a block is forgotten.
func (c *changes) evicted(b *block) {
	c.block(b)
	for node, w := range b.words {
		if w.number > 0 {
			c.objection(node, b)
		}
	}
}

// standing notes that what a node's word is worth has changed.
func (c *changes) standing(node quorum.NodeID) {
	if c.noted {
		c.trust[node] = true
	}
}

// blockRecord is what is to be kept of a block. Memory's lock is held, here and below.
func (m *Memory) blockRecord(hash common.Hash) Block {
	r, b := Block{Hash: hash}, m.blocks[hash]
	if b == nil {
		return r
	}
	for _, o := range left(b.marks) {
		r.Marks = append(r.Marks, Mark{Node: o.node, Block: o.at.hash, Number: o.at.words[o.node].number})
	}
	if len(r.Marks) == 0 {
		return r
	}
	r.Timestamp, r.Proof, r.Digest = b.timestamp, b.proof, b.digest
	if b.parent != nil && len(left(b.parent.marks)) > 0 {
		r.Parent = b.parent.hash
	}
	return r
}

// objectionRecord is what is to be kept of a node's INVALID on a block. Of several, from before the block was forgotten
// and after it was heard of again, one that stands by itself counts before others.
func (m *Memory) objectionRecord(name ofNode) Objection {
	r := Objection{Node: name.node, Block: name.block, Ended: true}
	s := m.nodes[name.node]
	if s == nil {
		return r
	}
	note := func(b *block, w word, provisional, seconded bool) {
		if r.Number = max(r.Number, w.number); r.Ended || r.Provisional || r.Seconded {
			r.Ended, r.Reason, r.Provisional, r.Seconded = false, w.reason, provisional, seconded
		}
	}
	for _, o := range s.objections {
		if o.at.hash != name.block {
			continue
		}
		w := o.at.words[name.node]
		w.reason = o.reason
		note(o.at, w, o.provisional, o.seconded)
		r.Since, r.Config, r.Explained = o.began()
		r.Accepted, r.Died = union(r.Accepted, o.accepted), union(r.Died, o.died)
	}
	if b := m.blocks[name.block]; b != nil {
		w := b.words[name.node]
		if w.status == engine.Invalid && b.bears(name.node) != nil {
			note(b, w, w.provisional, w.seconded)
		}
		r.Number = max(r.Number, w.number)
	}
	return r
}

// trustRecord is what is to be kept of a node's standing.
func (m *Memory) trustRecord(node quorum.NodeID) Trust {
	s := m.standing(node)
	return Trust{Node: node, Qualified: s.qualified || s.trusted, Gone: s.gone}
}
