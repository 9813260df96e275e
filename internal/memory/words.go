package memory

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// word is what a node said of a block.
type word struct {
	status      engine.Status // its last definite one, by the order of sending; None where it has said nothing definite
	reason      string        // the validationError that came with an INVALID
	seq         uint64        // of the call that it answered
	executed    uint64        // of the last call in which the block's payload was new to it, where its word is VALID
	died        bool          // its connection broke while it had the block before it
	unheard     uint64        // of a call to which it said INVALID when it might not object
	provisional bool          // an INVALID that stands as long as nobody has proved itself: see Lapse
	seconded    bool          // an INVALID that stands only beside that of another node
	read        bool          // an INVALID from records, which the node has not said in this run
	after       uint64        // of the last call that had been answered VALID when it was read
	config      string        // the node's fork configuration when it said INVALID; "" where that wasn't known
	// number counts the node's INVALIDs to the block: each that begins has one more, and it stays when that one ends.
	number uint64
}

// weak reports whether the INVALID stands only for now, or beside another's.
func (w word) weak() bool { return w.provisional || w.seconded }

func (w word) weight() weight { return weigh(w.weak(), w.read) }

// weight orders a node's INVALIDs: one that says more begins an objection of its own under one that says less.
type weight int

const (
	slight weight = iota // it stands only for now, or beside another's
	kept                 // it is read from records: it makes a dispute, and isn't counted for INVALID
	full                 // it was said in this run, by a node that may object
)

func weigh(weak, read bool) weight {
	switch {
	case weak:
		return slight
	case read:
		return kept
	}
	return full
}

// Note is what a node said to a call on a block.
type Note struct {
	Node   quorum.NodeID
	Block  common.Hash
	Status engine.Status
	Reason string // the validationError of an INVALID
	Config string // the node's fork configuration when it said INVALID; "" where that isn't known
	Seq    uint64 // counts the calls in the order of their sending
	// Voter says that the node's status is a vote, MayObject that its INVALID is one, and Proved that it had proved
	// itself: an INVALID of one that hadn't lapses when another does (see Lapse). All are as they were when the call
	// began.
	Voter, MayObject, Proved bool
	// Fresh says that the call was a newPayload that the node had never been sent before.
	Fresh bool
	// Lapses is Memory.Lapses as the call began: what was said in doubt to a call from before a Lapse lapses with it,
	// also where it is noted only after it.
	Lapses uint64
	// Breaks is the count of the node's breaks when the call was sent: a break since then leaves it unproved, and a
	// removal makes its answer nobody's word.
	Breaks uint64
	// Broke says that the node had a break between that and its answer: so its INVALID is one of after the break. What
	// it said before a break stays, also where that is noted only after it.
	Broke bool
}

// Keep remembers what a node said. It reports whether the objections of any node have changed.
func (m *Memory) Keep(n Note) (changed bool) {
	m.mu.Lock()
	defer m.release()
	switch {
	case m.standing(n.Node).stale(n.Breaks) || n.Breaks < m.standing(n.Node).silenced:
		return false
	case n.Status == engine.Valid:
		return m.keepValid(&n)
	case n.Status == engine.Invalid:
		return m.keepInvalid(&n)
	}
	return false
}

// keepValid remembers a VALID. It ends the node's objection that began with the very block; to a payload that is new to
// the node, it ends those to ancestors, too.
func (m *Memory) keepValid(n *Note) (changed bool) {
	b, s := m.block(n.Block), m.standing(n.Node)
	if n.Fresh && n.Breaks == s.breaks {
		m.qualify(n.Node, s)
	}
	m.last = max(m.last, n.Seq)
	if n.Fresh && n.Seq > s.followed.seq {
		s.followed.block, s.followed.seq = n.Block, n.Seq
	}
	if w := b.words[n.Node]; w.seq <= n.Seq {
		said := word{status: engine.Valid, seq: n.Seq, executed: w.executed, died: w.died}
		if n.Fresh { // any other VALID shows only that it knows the block
			said.executed = n.Seq
		}
		if w.unheard > n.Seq {
			said.unheard, said.reason = w.unheard, w.reason
		}
		m.say(b, n.Node, said)
		if o := b.bears(n.Node); o != nil && o.at == b {
			m.end(o)
			m.renew(b, n.Node)
			changed = true
		}
	}
	// To a payload that is new to it, a node can only say VALID after it has executed what it objected to.
	return n.Fresh && m.recant(b, n.Node, func(w word) bool { return w.seq <= n.Seq }) || changed
}

// keepInvalid remembers an INVALID: as an objection, or where the node may not object as a word that nobody heard.
func (m *Memory) keepInvalid(n *Note) (changed bool) {
	b, s := m.block(n.Block), m.standing(n.Node)
	w := b.words[n.Node]
	reason := n.Reason[:min(len(n.Reason), maxReason)]
	if (n.Proved || m.knowsTrust) && n.Broke { // a break counts at once
		n.MayObject, n.Proved = false, false
	}
	switch {
	case w.seq > n.Seq || !n.Voter && !n.MayObject:
		return false
	case s.followed.seq > n.Seq && m.descends(s.followed.block, n.Block):
		return false // that ended it before it was noted
	case !n.MayObject && w.status != engine.Invalid && !b.lead(n.Node):
		w.unheard, w.reason, s.doubtful = max(w.unheard, n.Seq), reason, true
		m.say(b, n.Node, w)
		return false
	}
	said := word{
		status: engine.Invalid, reason: reason, seq: n.Seq, died: w.died, seconded: !n.MayObject, config: n.Config,
		after: w.after,
	}
	said.provisional = n.MayObject && !n.Proved && !s.qualified && !s.trusted
	if w.status == engine.Invalid && said.weak() { // the node stands by an INVALID already, which is no weaker
		said.provisional, said.seconded, said.read = w.provisional, w.seconded, w.read
	}
	m.say(b, n.Node, said)
	if said.provisional && n.Lapses != m.lapses {
		m.lapse(b, n.Node)
		return false
	}
	if said.provisional {
		s.doubtful, m.doubts = true, true
	}
	changed = m.object(b, n.Node)
	return m.second(b) || changed
}

// say notes a node's word on a block. An INVALID that begins has the next number, where it brings none.
func (m *Memory) say(b *block, node quorum.NodeID, w word) {
	if b.words == nil {
		b.words = make(map[quorum.NodeID]word)
	}
	was := b.words[node]
	if w.number == 0 {
		w.number = was.number
		if w.status == engine.Invalid && was.status != engine.Invalid {
			w.number = m.nextNumber(b, node)
		}
	}
	b.words[node] = w
	if w.status == engine.Invalid || was.status == engine.Invalid {
		m.changes.objection(node, b)
	}
	for _, o := range b.marks {
		m.heed(o, node, w)
	}
}

// nextNumber is that of a node's INVALID to a block which begins now: the objection to that block goes on where the
// memory had forgotten the block and has heard of it again.
func (m *Memory) nextNumber(b *block, node quorum.NodeID) uint64 {
	for _, o := range m.standing(node).objections {
		if o.at != b && o.at.hash == b.hash {
			return o.at.words[node].number
		}
	}
	return b.words[node].number + 1
}

// takeBack takes back an INVALID. That the node has spoken since then stays known.
func (m *Memory) takeBack(b *block, node quorum.NodeID) {
	w := b.words[node]
	m.say(b, node, word{seq: w.seq, died: w.died})
}

// lapse takes back an INVALID as if it had never been said.
func (m *Memory) lapse(b *block, node quorum.NodeID) {
	m.takeBack(b, node)
	w := b.words[node]
	w.number--
	b.words[node] = w
}

// Recall fills in what the words of the seats' nodes come to on a block.
func (m *Memory) Recall(hash common.Hash, seats []quorum.Seat) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range seats {
		seats[i].Past = quorum.Past{}
	}
	if m.hasGap() && !m.isTraced(hash) {
		defer m.suspect(hash, seats)
	}
	b := m.blocks[hash]
	if b == nil || len(b.words) == 0 && len(b.marks) == 0 {
		return
	}
	for i := range seats {
		s := &seats[i]
		w := b.words[s.Node]
		s.Valid = w.status == engine.Valid
		s.Accepts, s.Died = s.Valid, w.died
		if o := b.objection(s.Node); o != nil {
			s.Objects, s.Reason, s.Own, s.Direct = true, o.reason, o.at == b, w.status == engine.Invalid
			s.Read = o.read
			s.Since, s.Config, s.Explained = o.began()
		}
	}
	for i := range seats {
		if s := &seats[i]; !s.Objects || !s.MayVote || s.Rests && s.Said != engine.Invalid {
			continue
		}
		o := b.objection(seats[i].Node)
		for j := range seats {
			s := &seats[j]
			s.Accepts = s.Accepts || !s.Objects && slices.Contains(o.accepted, s.Node)
			s.Died = s.Died || slices.Contains(o.died, s.Node)
		}
	}
}

// Matter reports whether words of the past could change a vote on a block with this parent.
func (m *Memory) Matter(hash, parent common.Hash) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.blocks[hash]; b != nil && (len(b.words) > 0 || slices.ContainsFunc(b.marks, (*objection).stands)) {
		return true
	}
	if m.hasGap() && !m.isTraced(hash) && !m.isTraced(parent) {
		return true
	}
	p := m.blocks[parent]
	return p != nil && slices.ContainsFunc(p.marks, (*objection).stands)
}

// Objects reports whether a node stands by an INVALID on the block or on one of its ancestors, and the reason that
// it gave.
func (m *Memory) Objects(node quorum.NodeID, hash common.Hash) (reason string, stands bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.blocks[hash]; b != nil {
		if o := b.objection(node); o != nil {
			return o.reason, true
		}
	}
	return "", false
}

// Root returns the block on which a node's objection began that covers a block.
func (m *Memory) Root(node quorum.NodeID, hash common.Hash) (root common.Hash, stands bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.blocks[hash]; b != nil {
		if o := b.objection(node); o != nil {
			return o.root().at.hash, true
		}
	}
	return common.Hash{}, false
}

// Word returns a node's last definite word on a block itself, or engine.None.
func (m *Memory) Word(node quorum.NodeID, hash common.Hash) engine.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.blocks[hash]; b != nil {
		return b.words[node].status
	}
	return engine.None
}

// Objections returns how many blocks a node stands by an INVALID on, without their descendants.
func (m *Memory) Objections(node quorum.NodeID) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.standing(node).objections {
		if o.stands() {
			n++
		}
	}
	return n
}

// Silence drops all objections of a node that may not vote any more. Unlike Clear it says nothing to another process,
// where the node may. What the node still says to calls under way is not remembered, also when it may vote again.
func (m *Memory) Silence(node quorum.NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endAll(node)
	s := m.standing(node)
	s.breaks++
	s.silenced = s.breaks
	for _, b := range m.blocks {
		w, known := b.words[node]
		if !known {
			continue
		}
		if w.number > 0 {
			m.changes.objection(node, b)
		}
		if w.status == engine.Invalid {
			w.status = engine.None
		}
		b.words[node] = word{status: w.status, seq: w.seq, died: w.died, executed: w.executed}
	}
}

// Clear takes back all objections of a node (POST /clear_objections).
func (m *Memory) Clear(node quorum.NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.blocks {
		if w := b.words[node]; w.status == engine.Invalid {
			m.takeBack(b, node)
		} else if w.unheard > 0 {
			w.unheard = 0
			b.words[node] = w
		}
	}
	m.endAll(node)
}
