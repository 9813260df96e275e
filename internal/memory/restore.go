package memory

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
)

// Restore takes in what another process kept, or has kept meanwhile: of each objection what stands by its number. It is
// to be called with nodes that are configured. The objections that it brings make disputes, and no INVALID: for that
// only what nodes say in this run is counted. A node that had proved itself may object until its next break, and is one
// of the two that INVALID needs only when it has proved itself again; where there is such a node, others may not
// object, though nobody has proved itself in this run yet.
//
// A node's two objections to one block, from before the block was forgotten and after it was heard of again, become
// one. An objection that stood beside another node's may be lost where that node's is; that of the other stays.
func (m *Memory) Restore(s State) {
	m.mu.Lock()
	defer m.release()
	s.sort()
	r := restoring{
		m: m, begun: make(map[Mark]bool), roots: make(map[Mark][]*block), forgotten: make(map[common.Hash]*block),
	}
	for i := range s.Objections {
		r.weigh(&s.Objections[i])
	}
	r.blocks(s.Blocks)
	for _, o := range r.ended {
		m.endRead(o)
	}
	r.objections()
	for _, t := range s.Trust {
		if standing := m.standing(t.Node); standing.breaks == 0 {
			standing.trusted = t.Qualified
		}
		m.knowsTrust = m.knowsTrust || t.Qualified
	}
	m.gap = m.gap || len(r.records) > 0
}

// restoring takes records in. It belongs to Restore, which holds the memory's lock.
type restoring struct {
	m         *Memory
	ended     []*Objection
	records   []*Objection           // those that begin
	begun     map[Mark]bool          // likewise
	roots     map[Mark][]*block      // from which on an objection covers the descendants
	forgotten map[common.Hash]*block // that only objections know
}

func (o *Objection) mark() Mark { return Mark{o.Node, o.Block, o.Number} }

// weigh finds out what a record changes.
func (r *restoring) weigh(o *Objection) {
	o.Number = max(1, o.Number)
	known := r.m.objectionRecord(ofNode{o.Node, o.Block})
	switch {
	case o.Number < known.Number || o.Number == known.Number && (known.Ended || !o.Ended):
	case o.Ended:
		r.ended = append(r.ended, o)
	case known.Number > 0 && !known.Ended:
		r.m.renumber(o)
	default:
		r.records, r.begun[o.mark()] = append(r.records, o), true
	}
}

// renumber gives a node's INVALID that stands a greater number.
func (m *Memory) renumber(o *Objection) {
	at := []*block{m.blocks[o.Block]}
	for _, own := range m.standing(o.Node).objections {
		at = append(at, own.at)
	}
	for _, b := range at {
		if b == nil || b.hash != o.Block || b.words[o.Node].status != engine.Invalid {
			continue
		}
		w := b.words[o.Node]
		w.number, w.after = o.Number, m.last
		m.say(b, o.Node, w)
	}
}

// endRead ends a node's INVALID to a block, as another process says.
func (m *Memory) endRead(o *Objection) {
	b := m.block(o.Block)
	for _, own := range slices.Clone(m.standing(o.Node).objections) {
		if own.at.hash == o.Block {
			m.end(own)
			m.takeBack(own.at, o.Node)
		}
	}
	said := b.words[o.Node]
	w := word{seq: said.seq, died: said.died, number: o.Number}
	if said.status == engine.Valid {
		w.status = engine.Valid
	}
	m.say(b, o.Node, w)
	m.renew(b, o.Node)
}

// blocks takes in the blocks that objections cover which stand: as many as there is room for, the youngest.
func (r *restoring) blocks(records []Block) {
	covered := make(map[common.Hash][]Mark)
	for _, b := range records {
		if marks := slices.DeleteFunc(slices.Clone(b.Marks), r.isOver); len(marks) > 0 {
			covered[b.Hash] = marks
		}
	}
	records = slices.DeleteFunc(slices.Clone(records), func(b Block) bool { return covered[b.Hash] == nil })
	records = records[max(0, len(records)-r.m.max):]
	for _, known := range records {
		b := r.m.block(known.Hash)
		if b.proof == Unproven {
			b.proof, b.digest = min(known.Proof, Proven), known.Digest
		}
		if b.timestamp == 0 {
			b.timestamp = known.Timestamp
		}
		b.traced = true
	}
	for _, known := range records {
		b, parent := r.m.blocks[known.Hash], r.m.blocks[known.Parent]
		if b.parent == nil && parent != nil && parent != b {
			r.m.adopt(b, parent)
		}
		for _, mark := range covered[known.Hash] {
			if parent == nil || !slices.Contains(covered[known.Parent], mark) {
				r.roots[mark] = append(r.roots[mark], b)
			}
		}
	}
}

// isOver reports whether no objection stands that a mark names.
func (r *restoring) isOver(mark Mark) bool {
	if r.begun[mark] {
		return false
	}
	known := r.m.objectionRecord(ofNode{mark.Node, mark.Block})
	return known.Ended || known.Number != mark.Number
}

// at returns the block on which an objection is. One that is forgotten is made for that, and stays forgotten.
func (r *restoring) at(o *Objection) *block {
	b := r.m.blocks[o.Block]
	if b == nil {
		b = r.forgotten[o.Block]
	}
	switch {
	case b != nil:
	case len(r.roots[o.mark()]) == 0: // nothing is known of what it covers, but that
		b = r.m.block(o.Block)
		b.traced = true
	default:
		b = &block{hash: o.Block, timestamp: o.Since}
		r.forgotten[o.Block] = b
	}
	return b
}

// objections makes the objections, and the words that they began with.
func (r *restoring) objections() {
	m := r.m
	for _, o := range r.records {
		b := r.at(o)
		m.say(b, o.Node, word{
			status: engine.Invalid, reason: o.Reason[:min(len(o.Reason), maxReason)], provisional: o.Provisional,
			seconded: o.Seconded, read: true, number: o.Number, seq: b.words[o.Node].seq, died: b.words[o.Node].died,
			config: o.Config, after: m.last,
		})
		if s := m.standing(o.Node); o.Provisional {
			s.doubtful, m.doubts = true, true
		}
	}
	for _, o := range r.records {
		r.objection(o)
	}
	for _, o := range r.records {
		if b, roots := r.forgotten[o.Block], r.roots[o.mark()]; b != nil && len(roots) > 0 {
			b.marks = roots[0].marks // so that it stands beside the objections of others, as before
		}
	}
	for _, o := range r.records { // that nothing is known to be covered by, or whose blocks had been forgotten
		b := m.blocks[o.Block]
		if b == nil {
			continue
		}
		if known := b.bears(o.Node); known == nil || known.weight() < b.words[o.Node].weight() {
			m.object(b, o.Node)
		}
	}
	for mark, roots := range r.roots { // of objections that stood before, and cover blocks that were not known
		for _, o := range slices.Clone(m.standing(mark.Node).objections) { // some may end
			if o.at.hash == mark.Block && !r.begun[mark] {
				r.cover(o, roots)
			}
		}
	}
}

// objection makes one objection, which covers what is left of the blocks that it covered.
func (r *restoring) objection(record *Objection) {
	roots := r.roots[record.mark()]
	if len(roots) == 0 {
		return
	}
	o := objectionOf(record.Node, r.at(record))
	o.accepted, o.died = slices.Clone(record.Accepted), slices.Clone(record.Died)
	o.since, o.config, o.explained = record.Since, record.Config, record.Explained
	s := r.m.standing(record.Node)
	s.objections = append(s.objections, o)
	if r.cover(o, roots); o.covers == 0 {
		r.m.end(o)
	}
}

// cover gives the blocks from which on an objection covers the descendants a mark of it.
func (r *restoring) cover(o *objection, roots []*block) {
	for _, b := range roots {
		if !slices.Contains(b.marks, o) {
			r.m.cover(b, o)
		}
	}
}

// Drop forgets what was read, and who had proved itself in another run: it was of another chain. What nodes have said
// in this run stays.
func (m *Memory) Drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.blocks {
		for node, w := range b.words {
			if w.read {
				m.takeBack(b, node)
			}
		}
	}
	for node, s := range m.nodes {
		for _, o := range slices.Clone(s.objections) {
			if o.read {
				m.end(o)
			}
		}
		s.trusted = false
		m.changes.standing(node)
	}
	m.knowsTrust, m.gap, m.clean, m.before = false, false, nil, 0
}
