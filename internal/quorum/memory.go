package quorum

import (
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
)

// NodeID names a node: its URL as shown, without userinfo, options and a slash at the end. It outlives our process, and the
// node's removal: whoever is added again under the same URL is the same node.
type NodeID string

// Memory holds each node's last definite word (VALID or INVALID) on each block, so that a client which forgets its
// objection, says SYNCING to children of the block, or dies doesn't end a dispute after one block. It also knows who has
// proved itself: see Standing.
//
// What it is told of a block must be about that block: a hash that a payload merely claims is nobody's word.
//
// It is bounded in blocks, oldest out. Safe for concurrent use.
type Memory struct {
	mu     sync.Mutex
	max    int
	blocks map[common.Hash]*block
	order  []common.Hash // by age; the oldest at [head]
	head   int
	nodes  map[NodeID]*standing
	doubts bool // somebody may have objected provisionally
}

// block is what is known of one block. Its marks are never changed in place: children share those of their parent.
type block struct {
	hash           common.Hash
	parent         *block // nil where it isn't known, or forgotten
	child, sibling *block // the children that are known are a list
	words          map[NodeID]word
	sent           map[NodeID]uint64 // who has been sent its payload, and how many breaks it had had then
	marks          []*objection      // those that cover it, its own and its ancestors'; one of each node
	proof          Proof             // how well it is known which content has this hash
	digest         Digest            // of that content, where it isn't proven
}

// Proof says why a content stands for a block hash.
type Proof uint8

const (
	Unproven Proof = iota // none stands
	First                 // nothing could be checked, and it came first
	Voted                 // nothing could be checked, and it was the first that a voter called VALID
	Proven                // it hashes to it, or a quorum of nodes, all of which check that, says so
)

// Digest tells contents apart.
type Digest [32]byte

// word is what a node said of a block.
type word struct {
	status  engine.Status // its last definite one, by the order of sending; None where it has said nothing definite
	reason  string        // the validationError that came with an INVALID
	seq     uint64        // of the call that it answered
	died    bool          // its connection broke while it had the block before it
	unheard uint64        // of a call to which it said INVALID when it might not object
	// Its INVALID stands as long as nobody has proved itself (see Lapse), or beside that of another.
	provisional, seconded bool
}

func (w word) weak() bool { return w.provisional || w.seconded }

// standing is what a node's word is worth.
type standing struct {
	breaks     uint64
	qualified  bool
	doubtful   bool         // it may have said INVALID unheard or provisionally
	objections []*objection // that aren't over
	gone       bool         // it is no longer configured
	admitted   uint64       // how many breaks it had had when it was added again: what is older is of its former life
}

// stale reports whether what came of a call is nobody's word: the node has been removed since the call was sent, when it
// had had so many breaks, whether or not it has been added again.
func (s *standing) stale(breaks uint64) bool { return s.gone || breaks < s.admitted }

// DefaultBlocks is how many blocks a Memory holds by default: a day's.
const DefaultBlocks = 8192

// maxReason is how much of a validationError is remembered, in bytes.
const maxReason = 1024

// NewMemory returns a memory of up to so many blocks, two at least: one and its parent.
func NewMemory(blocks int) *Memory {
	return &Memory{max: max(2, blocks), blocks: make(map[common.Hash]*block), nodes: make(map[NodeID]*standing)}
}

// Learn notes that a block has this parent, if the content that says so may stand for the hash: a better proof displaces
// another content with all that was said of it. The block inherits the objections that cover its parent.
func (m *Memory) Learn(hash, parent common.Hash, proof Proof, digest func() Digest) (stands bool) {
	m.mu.Lock()
	defer m.release()
	b := m.block(hash)
	switch {
	case b.proof == Proven && proof < Proven:
		return b.digest != Digest{} && b.digest == digest() // it stood without a proof before
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
	b.proof = max(b.proof, proof)
	if b.parent == nil && parent != hash {
		m.adopt(b, m.block(parent))
	}
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

// Identify notes what content stands for a hash that a quorum has proven, where that could not be checked: it is to be known
// again when it comes once more.
func (m *Memory) Identify(hash common.Hash, digest Digest) {
	m.mu.Lock()
	defer m.release()
	if b := m.blocks[hash]; b != nil && b.proof == Proven {
		b.digest = digest
	}
}

// Known reports whether a content stands for a block hash.
func (m *Memory) Known(hash common.Hash) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.blocks[hash]
	return b != nil && b.proof != Unproven
}

// reset forgets all that was said of a block: it was about another content, with another parent.
func (m *Memory) reset(b *block) {
	marks := b.marks
	for _, o := range marks {
		if o.at == b {
			m.end(o)
		}
	}
	b.unlink()
	b.words, b.sent, b.proof = nil, nil, Unproven
	for todo := []*block{b}; len(todo) > 0; {
		b := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		kept := without(b.marks, func(o *objection) bool { return slices.Contains(marks, o) })
		if len(kept) == len(b.marks) {
			continue
		}
		m.mark(b, kept)
		for c := b.child; c != nil; c = c.sibling {
			todo = append(todo, c)
		}
	}
	for _, o := range marks {
		m.renew(b, o.node)
	}
}

// Sent notes that a node has been sent the payload of a block, in a call before which it had had so many breaks.
func (m *Memory) Sent(node NodeID, hash common.Hash, breaks uint64) {
	m.mu.Lock()
	defer m.release()
	s := m.standing(node)
	if s.stale(breaks) {
		return
	}
	b := m.block(hash)
	if b.sent == nil {
		b.sent = make(map[NodeID]uint64)
	}
	b.sent[node] = s.breaks
}

// NotSent takes Sent back: the node was not reached.
func (m *Memory) NotSent(node NodeID, hash common.Hash, breaks uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.blocks[hash]; b != nil && !m.standing(node).stale(breaks) {
		delete(b.sent, node)
	}
}

// WasSent reports whether a node has been sent the payload of a block.
func (m *Memory) WasSent(node NodeID, hash common.Hash) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.blocks[hash]
	if b == nil {
		return false
	}
	_, sent := b.sent[node]
	return sent
}

// SentSince reports whether a node has been sent the payload of a block since its last break: before that it may have lost it.
func (m *Memory) SentSince(node NodeID, hash common.Hash) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.blocks[hash]
	if b == nil {
		return false
	}
	breaks, sent := b.sent[node]
	return sent && breaks == m.standing(node).breaks
}

// Died notes that a node's connection broke while it had a call on the block before it. Before the call it had had so many
// breaks.
func (m *Memory) Died(node NodeID, hash common.Hash, breaks uint64) {
	m.mu.Lock()
	defer m.release()
	if m.standing(node).stale(breaks) {
		return
	}
	b := m.block(hash)
	w := b.words[node]
	w.died = true
	m.say(b, node, w)
}

// Broke notes a break in what we know of a node: a connection that was refused or broke, another client. Restarted
// clients call valid heads INVALID, so its new objections don't count until it has proved itself.
func (m *Memory) Broke(node NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.standing(node)
	s.breaks++
	s.qualified = false
}

// Standing reports whether a node has proved itself, and counts its breaks: since our start and its last break it has
// answered VALID to a payload that it had never been sent before.
func (m *Memory) Standing(node NodeID) (proved bool, breaks uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.standing(node)
	return s.qualified, s.breaks
}

// Prove notes that a node answered VALID to a payload that it had never been sent before, when it had had so many breaks.
func (m *Memory) Prove(node NodeID, breaks uint64) {
	m.mu.Lock()
	defer m.release()
	if s := m.standing(node); s.breaks == breaks && !s.gone {
		m.qualify(node, s)
	}
}

// Qualified is Standing without the breaks.
func (m *Memory) Qualified(node NodeID) bool {
	proved, _ := m.Standing(node)
	return proved
}

// Lapse ends what nodes objected to when nobody had proved itself, and haven't proved themselves since. It is for the
// moment when another has.
func (m *Memory) Lapse() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.doubts {
		return
	}
	m.doubts = false
	for node, s := range m.nodes {
		if !s.doubtful { // or it has proved itself since: see qualify
			continue
		}
		for _, b := range m.blocks {
			if b.words[node].provisional {
				b.takeBack(node)
			}
		}
		for _, o := range slices.Clone(s.objections) {
			if o.provisional {
				m.end(o)
			}
		}
	}
}

// Note is what a node said to a call on a block.
type Note struct {
	Node   NodeID
	Block  common.Hash
	Status engine.Status
	Reason string // the validationError of an INVALID
	Seq    uint64 // counts the calls in the order of their sending
	// Voter says that its status is a vote, MayObject that its INVALID is one, and Proved that this may well be more than
	// one of a node that nobody could contradict: see Lapse. All are as they were when the call began.
	Voter, MayObject, Proved bool
	// Fresh says that the call was a newPayload that the node had never been sent before.
	Fresh bool
	// Breaks is the count of the node's breaks when the call was sent: a break since then leaves it unproved, and a removal
	// makes its answer nobody's word.
	Breaks uint64
}

// Keep remembers what a node said. It reports whether what anybody objects to has changed.
func (m *Memory) Keep(n Note) (changed bool) {
	m.mu.Lock()
	defer m.release()
	switch {
	case m.standing(n.Node).stale(n.Breaks):
		return false
	case n.Status == engine.Valid:
		return m.keepValid(&n)
	case n.Status == engine.Invalid:
		return m.keepInvalid(&n)
	}
	return false
}

func (m *Memory) keepValid(n *Note) (changed bool) {
	b, s := m.block(n.Block), m.standing(n.Node)
	if n.Fresh && n.Breaks == s.breaks {
		m.qualify(n.Node, s)
	}
	if w := b.words[n.Node]; w.seq <= n.Seq {
		said := word{status: engine.Valid, seq: n.Seq, died: w.died}
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
	// To a payload that is new to it, it can only say so after executing that on top of what it objected to.
	return n.Fresh && m.recant(b, n.Node, n.Seq) || changed
}

func (m *Memory) keepInvalid(n *Note) (changed bool) {
	b, s := m.block(n.Block), m.standing(n.Node)
	w := b.words[n.Node]
	reason := n.Reason[:min(len(n.Reason), maxReason)]
	if n.Proved && n.Breaks != s.breaks { // a break counts at once
		n.MayObject, n.Proved = false, false
	}
	switch {
	case w.seq > n.Seq || !n.Voter && !n.MayObject:
		return false
	case !n.MayObject && w.status != engine.Invalid && !b.lead(n.Node):
		w.unheard, w.reason, s.doubtful = max(w.unheard, n.Seq), reason, true
		m.say(b, n.Node, w)
		return false
	}
	said := word{status: engine.Invalid, reason: reason, seq: n.Seq, died: w.died, seconded: !n.MayObject}
	if n.MayObject && !n.Proved && !s.qualified {
		said.provisional, s.doubtful, m.doubts = true, true, true
	}
	if w.status == engine.Invalid && said.weak() { // it stands by that already, and by no less
		said.provisional, said.seconded = w.provisional, w.seconded
	}
	m.say(b, n.Node, said)
	changed = m.object(b, n.Node)
	return m.second(b) || changed
}

// Word is what a node's past words come to in a call on a block.
type Word struct {
	// Objects says that an INVALID of the node stands on the block, or on one of its ancestors.
	Objects bool
	Reason  string // that it gave then
	Own     bool   // that began with the block itself, and ends with a VALID on it
	Direct  bool   // it has said INVALID to the block itself, and stands by that
	// Valid says that a VALID of it stands on the block itself.
	Valid bool
	// Accepts says that a VALID of it stands on the block, or on one to which an objection stands that covers the block, and
	// that it doesn't object itself; Died that it died under one of these. Either way it is heard before the block is called
	// INVALID.
	Accepts, Died bool
}

// Recall fills in what the words of the seats' nodes come to on a block.
func (m *Memory) Recall(hash common.Hash, seats []Seat) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range seats {
		seats[i].Word = Word{}
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
		}
	}
	for i := range seats {
		if !seats[i].Objects || !seats[i].MayVote {
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
	p := m.blocks[parent]
	return p != nil && slices.ContainsFunc(p.marks, (*objection).stands)
}

// Objection reports whether a node stands by an INVALID on the block or on one of its ancestors, and the reason that
// it gave.
func (m *Memory) Objection(node NodeID, hash common.Hash) (reason string, stands bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.blocks[hash]; b != nil {
		if o := b.objection(node); o != nil {
			return o.reason, true
		}
	}
	return "", false
}

// Word returns a node's last definite word on a block itself, or engine.None.
func (m *Memory) Word(node NodeID, hash common.Hash) engine.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.blocks[hash]; b != nil {
		return b.words[node].status
	}
	return engine.None
}

// maxWalk is how far a block's ancestors are followed.
const maxWalk = 256

// Descends reports whether a block is another's descendant, or that itself, as far as we have been told of the way
// between them.
func (m *Memory) Descends(hash, ancestor common.Hash) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
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

// Objections returns how many blocks a node stands by an INVALID on, without their descendants.
func (m *Memory) Objections(node NodeID) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.standing(node).objections {
		if o.stands() {
			n++
		}
	}
	return n
}

// Clear takes back all objections of a node (POST /clear_objections).
func (m *Memory) Clear(node NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.blocks {
		if w := b.words[node]; w.status == engine.Invalid {
			b.takeBack(node)
		} else if w.unheard > 0 {
			w.unheard = 0
			b.words[node] = w
		}
	}
	m.endAll(node)
}

// Forget drops all that is known of a node that is no longer configured. What it still says to calls under way is no
// word: nobody could take that back. That stays so when it is added again: see Admit.
func (m *Memory) Forget(node NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endAll(node)
	for _, b := range m.blocks {
		delete(b.words, node)
		delete(b.sent, node)
	}
	for _, s := range m.nodes {
		for _, o := range s.objections {
			o.forget(node)
		}
	}
	m.nodes[node] = &standing{breaks: m.standing(node).breaks, gone: true}
}

// Admit lets a node that has been forgotten say words again; nothing is known of it. It is for every node that is added. To
// be in the set anew is a break: so a call that was sent before has fewer of them to name.
func (m *Memory) Admit(node NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.standing(node); s.gone {
		*s = standing{breaks: s.breaks + 1, admitted: s.breaks + 1}
	}
}

func (m *Memory) standing(node NodeID) *standing {
	s := m.nodes[node]
	if s == nil {
		s = new(standing)
		m.nodes[node] = s
	}
	return s
}

// say notes a node's word on a block.
func (m *Memory) say(b *block, node NodeID, w word) {
	if b.words == nil {
		b.words = make(map[NodeID]word)
	}
	b.words[node] = w
	for _, o := range b.marks {
		o.heed(node, w)
	}
}

func (m *Memory) block(hash common.Hash) *block {
	b := m.blocks[hash]
	if b == nil {
		b = &block{hash: hash}
		m.blocks[hash] = b
		m.order = append(m.order, hash)
	}
	return b
}

// release lets the next one in, and what is too much go.
func (m *Memory) release() {
	for len(m.blocks) > m.max {
		m.evict()
	}
	m.mu.Unlock()
}

// evict drops the oldest block. What covers its descendants goes on to, or a dispute would end when its beginning is
// forgotten.
func (m *Memory) evict() {
	hash := m.order[m.head]
	if m.head++; m.head > m.max {
		m.order = append([]common.Hash(nil), m.order[m.head:]...)
		m.head = 0
	}
	old := m.blocks[hash]
	delete(m.blocks, hash)
	m.unmark(old.marks)
	for c := old.child; c != nil; {
		next := c.sibling
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
