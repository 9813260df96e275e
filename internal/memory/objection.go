package memory

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// objection is a node's INVALID on a block, which binds the block's descendants too. Every block that it covers has a
// mark of it, so that nobody has to walk over ancestors, and all marks end with the objection. On one line of descent a
// node has one objection: its INVALID on a block that is covered already is a word, and becomes an objection only when
// the other one ends alone. Memory's lock guards it.
type objection struct {
	node   quorum.NodeID
	at     *block // where it begins; kept here also when the memory has forgotten the block
	reason string
	ended  bool
	// provisional: nobody had proved itself, so that anybody might object. See Memory.Lapse.
	provisional bool
	// seconded: it stands only beside that of another node which may object, on the very block.
	seconded bool
	// read: it comes from records.
	read bool
	// first is the objection of the node that this one goes on with, and says more than; nil where it began by itself.
	first *objection
	// What the first one began with: see Past. since is 0 where the block itself tells.
	since     uint64
	config    string
	explained bool
	// last is the last call to which its node said INVALID to its block or to one that it covers, or after which such a
	// word was read: that INVALID becomes an objection when this one ends.
	last uint64
	// covers counts the blocks that have a mark of it. With the last one it ends.
	covers int
	// The nodes that called a block VALID which it covers, and those that died under one.
	accepted, died []quorum.NodeID
}

func (o *objection) over() bool { return o.ended }

// root is the objection with which it began.
func (o *objection) root() *objection {
	if o.first != nil {
		return o.first
	}
	return o
}

// began returns what it began with: see quorum.Past.
func (o *objection) began() (since uint64, config string, explained bool) {
	root := o.root()
	if since = root.since; since == 0 {
		since = root.at.timestamp
	}
	return since, root.config, root.explained
}

// Explain notes that different fork configurations explain what nodes object to on a block, or on one under it: they
// go on to, also when these are equal again. The block isn't valid for that.
func (m *Memory) Explain(hash common.Hash, nodes []quorum.NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.blocks[hash]
	if b == nil {
		return
	}
	for _, o := range b.marks {
		if root := o.root(); slices.Contains(nodes, o.node) && !root.explained {
			root.explained = true
			m.changes.objection(o.node, o.at)
		}
	}
}

// stands reports whether it counts: it isn't over, and the objection beside which alone it would count stands, too.
func (o *objection) stands() bool { return !o.ended && (!o.seconded || o.at.lead(o.node)) }

// weak reports whether it stands only for now, or beside another's.
func (o *objection) weak() bool { return o.provisional || o.seconded }

func (o *objection) weight() weight { return weigh(o.weak(), o.read) }

// left returns the marks that aren't over: the same slice where none is.
func left(marks []*objection) []*objection {
	if !slices.ContainsFunc(marks, (*objection).over) {
		return marks
	}
	return without(marks, (*objection).over)
}

// without returns the marks that aren't to be dropped, in a slice of their own; nil where there is none.
func without(marks []*objection, drop func(*objection) bool) []*objection {
	if kept := slices.DeleteFunc(slices.Clone(marks), drop); len(kept) > 0 {
		return kept
	}
	return nil
}

// objection returns a node's objection that covers the block, or nil.
func (b *block) objection(node quorum.NodeID) *objection {
	for _, o := range b.marks {
		if o.node == node && o.stands() {
			return o
		}
	}
	return nil
}

// bears returns a node's objection that covers the block and isn't over, also where it doesn't stand because the other
// one beside which it would has ended; or nil.
func (b *block) bears(node quorum.NodeID) *objection {
	for _, o := range b.marks {
		if o.node == node && !o.ended {
			return o
		}
	}
	return nil
}

// lead reports whether another node that may object by itself says INVALID to the very block.
func (b *block) lead(node quorum.NodeID) bool {
	return slices.ContainsFunc(b.marks, func(o *objection) bool {
		w := b.words[o.node]
		return o.node != node && !o.weak() && o.stands() && w.status == engine.Invalid && !w.weak()
	})
}

// object makes a node's INVALID on a block an objection, unless one as good covers the block. It reports whether it
// did.
func (m *Memory) object(b *block, node quorum.NodeID) bool {
	w := b.words[node]
	if known := b.objection(node); known != nil && w.weight() <= known.weight() {
		return false
	}
	o := objectionOf(node, b)
	if known := b.objection(node); known != nil {
		o.first = known.root()
	}
	s := m.standing(node)
	s.objections = append(s.objections, o)
	m.changes.objection(node, b)
	m.cover(b, o)
	return true
}

// objectionOf is what a node's INVALID on a block is as an objection.
func objectionOf(node quorum.NodeID, at *block) *objection {
	w := at.words[node]
	return &objection{
		node: node, at: at, reason: w.reason, provisional: w.provisional, seconded: w.seconded, read: w.read,
		config: w.config, last: max(w.seq, w.after),
	}
}

// cover gives a block and the descendants of it that are known a mark of an objection.
func (m *Memory) cover(b *block, o *objection) {
	b.walk(func(b *block) (deeper bool) {
		known := b.objection(o.node)
		if slices.Contains(b.marks, o) || known != nil && o.weight() < known.weight() {
			return false
		}
		m.mark(b, append(without(b.marks, func(p *objection) bool { return p.node == o.node || p.ended }), o))
		for node, w := range b.words {
			m.heed(o, node, w)
		}
		return true
	})
}

// mark gives a block these marks instead of its own.
func (m *Memory) mark(b *block, marks []*objection) {
	old := b.marks
	b.marks = marks
	for _, o := range marks {
		o.covers++
	}
	m.changes.marks(b, old)
	m.unmark(old)
}

// unmark takes marks off a block.
func (m *Memory) unmark(marks []*objection) {
	for _, o := range marks {
		if o.covers--; o.covers == 0 {
			m.end(o)
		}
	}
}

// heed notes who held a block valid that the objection covers, and that its node said INVALID.
func (m *Memory) heed(o *objection, node quorum.NodeID, w word) {
	if node == o.node && w.status == engine.Invalid {
		o.last = max(o.last, w.seq, w.after)
	}
	if w.status == engine.Valid && !slices.Contains(o.accepted, node) {
		o.accepted = append(o.accepted, node)
		m.changes.objection(o.node, o.at)
	}
	if w.died && !slices.Contains(o.died, node) {
		o.died = append(o.died, node)
		m.changes.objection(o.node, o.at)
	}
}

// forget takes a node out of those that held a block valid which the objection covers, or died under one.
func (o *objection) forget(node quorum.NodeID) {
	is := func(n quorum.NodeID) bool { return n == node }
	o.accepted, o.died = slices.DeleteFunc(o.accepted, is), slices.DeleteFunc(o.died, is)
}

// second makes the INVALIDs stand that nodes said to the block unheard, if a node that may object says INVALID to it,
// too. It reports whether there are new objections.
func (m *Memory) second(b *block) (changed bool) {
	for node, w := range b.words {
		if w.unheard > 0 && b.lead(node) {
			m.say(b, node, word{
				status: engine.Invalid, reason: w.reason, seq: w.unheard, seconded: true, died: w.died,
			})
			changed = m.object(b, node) || changed
		}
	}
	return changed
}

// end ends an objection, wherever it has left a mark.
func (m *Memory) end(o *objection) {
	if o.ended { // and its node may have been forgotten since
		return
	}
	o.ended = true
	m.changes.objection(o.node, o.at)
	m.changes.ended = true
	s := m.standing(o.node)
	s.objections = slices.DeleteFunc(s.objections, func(p *objection) bool { return p == o })
}

// endAll ends all objections of a node.
func (m *Memory) endAll(node quorum.NodeID) {
	for _, o := range slices.Clone(m.standing(node).objections) {
		m.end(o)
	}
}

// recant takes back the INVALIDs that a node said to a block and its ancestors before the call in which it has executed
// the block: isBefore tells which. It reports whether an objection ended with that.
func (m *Memory) recant(b *block, node quorum.NodeID, isBefore func(word) bool) (changed bool) {
	for range m.max {
		o := b.bears(node)
		if o == nil {
			return changed
		}
		ends := isBefore(o.at.words[node])
		if ends {
			m.end(o)
			m.takeBack(o.at, node)
		}
		for range m.max {
			if w := b.words[node]; w.status == engine.Invalid && isBefore(w) {
				m.takeBack(b, node)
			}
			if b == o.at || b.parent == nil {
				break
			}
			b = b.parent
		}
		if ends {
			m.renew(b, node)
			changed = true
		}
		if b = b.parent; b == nil {
			return changed
		}
	}
	return changed
}

// outgrow ends an objection that has come to cover a block, where its node has executed that one or a descendant of it
// since, when it wasn't known yet that they are under it.
func (m *Memory) outgrow(b *block, o *objection) {
	b.walk(func(b *block) (deeper bool) {
		seq := b.words[o.node].executed
		isBefore := func(w word) bool { return seq > max(w.seq, w.after) }
		if !o.ended && isBefore(o.at.words[o.node]) {
			m.recant(b, o.node, isBefore)
		}
		return !o.ended
	})
}

// renew puts a block and its descendants under what is left of a node's INVALIDs when one of its objections has ended
// alone: a weak objection to an ancestor, and its INVALIDs to the block or to descendants, which become objections.
func (m *Memory) renew(b *block, node quorum.NodeID) {
	if b.parent != nil {
		if o := b.parent.bears(node); o != nil {
			m.cover(b, o)
		}
	}
	seen := 0
	b.walk(func(b *block) (deeper bool) {
		if seen++; seen > m.max+1 {
			return false
		}
		w := b.words[node]
		if w.status == engine.Invalid {
			m.object(b, node)
		}
		return w.status != engine.Invalid || w.weight() != full // a full one covers what is under the block
	})
}
