package memory

import (
	"cmp"
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// State is what of a Memory outlives a process: the objections, and which nodes had proved themselves. It has no VALIDs
// and no INVALIDs that were no votes: nodes say these again.
type State struct {
	Blocks     []Block     // that objections cover, oldest first
	Objections []Objection // by block and node
	Trust      []Trust     // of each node, by its ID
}

// Block is a block that an objection covers.
type Block struct {
	Hash   common.Hash
	Parent common.Hash // zero where no objection covers the parent, or it is unknown
	Proof  Proof
	Digest Digest // of the content that stands for the hash; zero where it is proven
}

// Objection is a node's INVALID on a block.
type Objection struct {
	Node                  quorum.NodeID
	Block                 common.Hash // the memory may have forgotten it: then State.Blocks lacks it
	Reason                string
	Provisional, Seconded bool
	// What it began with: see quorum.Past.
	Since     uint64
	Config    string
	Explained bool
	// Roots are the blocks from which on the objection covers the descendants: the block itself, or where that is
	// forgotten the oldest descendants that are left. There are none where another INVALID of the node covers the
	// block: then this one is kept for when the other ends.
	Roots []common.Hash
	// Accepted are the nodes that called a block VALID which the objection covers, Died those that died under one.
	Accepted, Died []quorum.NodeID
}

// Trust says whether a node has proved itself since its last break.
type Trust struct {
	Node      quorum.NodeID
	Qualified bool
}

// Records returns what is to be kept. It is no larger than the memory, and the same for the same memory.
func (m *Memory) Records() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := recorder{seen: make(map[*block]bool), known: make(map[ofNode]*Objection)}
	for _, hash := range m.order[m.oldest:] {
		if b := m.blocks[hash]; len(left(b.marks)) > 0 {
			r.block(b)
		}
	}
	for _, o := range r.known {
		slices.Sort(o.Accepted)
		slices.Sort(o.Died)
		r.state.Objections = append(r.state.Objections, *o)
	}
	slices.SortFunc(r.state.Objections, func(a, b Objection) int {
		return cmp.Or(a.Block.Cmp(b.Block), cmp.Compare(a.Node, b.Node))
	})
	for _, node := range slices.Sorted(maps.Keys(m.nodes)) {
		if s := m.nodes[node]; !s.gone {
			r.state.Trust = append(r.state.Trust, Trust{Node: node, Qualified: s.qualified || s.trusted})
		}
	}
	return r.state
}

// recorder writes down what a memory holds. It belongs to Records, which holds the memory's lock.
type recorder struct {
	state State
	known map[ofNode]*Objection
	seen  map[*block]bool // blocks whose words have been written down
}

// ofNode names an objection. A block that was forgotten, and was heard of again, has two *block and is one here.
type ofNode struct {
	node  quorum.NodeID
	block common.Hash
}

// block writes down a block that is covered, and who objects to it or to what it builds on.
func (r *recorder) block(b *block) {
	one := Block{Hash: b.hash, Proof: b.proof, Digest: b.digest}
	if b.parent != nil && len(left(b.parent.marks)) > 0 {
		one.Parent = b.parent.hash
	}
	r.state.Blocks = append(r.state.Blocks, one)
	for _, o := range left(b.marks) {
		r.words(o.at)
		known := r.objection(o.at, o.node, o.reason, o.provisional, o.seconded)
		known.Since, known.Config, known.Explained = o.began()
		known.Accepted, known.Died = union(known.Accepted, o.accepted), union(known.Died, o.died)
		if b.parent == nil || !slices.Contains(b.parent.marks, o) {
			known.Roots = append(known.Roots, b.hash)
		}
	}
	r.words(b)
}

// words writes down the INVALIDs to a block that stand. Those to a forgotten block may have ended since.
func (r *recorder) words(b *block) {
	if r.seen[b] {
		return
	}
	r.seen[b] = true
	for node, w := range b.words {
		if w.status == engine.Invalid && b.bears(node) != nil {
			r.objection(b, node, w.reason, w.provisional, w.seconded)
		}
	}
}

// objection writes down an INVALID. Of several of a node to one block, one that stands by itself counts before others.
func (r *recorder) objection(at *block, node quorum.NodeID, reason string, provisional, seconded bool) *Objection {
	name := ofNode{node, at.hash}
	known := r.known[name]
	if known == nil {
		known = &Objection{Node: node, Block: at.hash, Provisional: true}
		r.known[name] = known
	}
	if known.Provisional || known.Seconded {
		known.Reason, known.Provisional, known.Seconded = reason, provisional, seconded
	}
	return known
}

// union adds to nodes those that aren't among them.
func union(nodes, more []quorum.NodeID) []quorum.NodeID {
	for _, node := range more {
		if !slices.Contains(nodes, node) {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// Restore takes in what another process kept. It is to be called before the first call, and with nodes that are
// configured. The objections that it brings make disputes, and no INVALID: for that only what nodes say in this run is
// counted. A node that had proved itself may object until its next break, and is one of the two that INVALID needs only
// when it has proved itself again; where there are records of that, other nodes may not object, though nobody has
// proved itself in this run yet.
//
// A node's two objections to one block, from before the block was forgotten and after it was heard of again, become
// one. An objection that stood beside another node's may be lost where that node's is; that of the other stays.
func (m *Memory) Restore(s State) {
	m.mu.Lock()
	defer m.release()
	blocks := s.Blocks[max(0, len(s.Blocks)-m.max):]
	for _, r := range blocks {
		b := m.block(r.Hash)
		b.proof, b.digest = min(r.Proof, Proven), r.Digest
	}
	for _, r := range blocks {
		b, parent := m.blocks[r.Hash], m.blocks[r.Parent]
		if b.parent == nil && parent != nil && parent != b {
			m.adopt(b, parent)
		}
	}
	m.restoreObjections(s.Objections)
	for _, t := range s.Trust {
		m.standing(t.Node).trusted = t.Qualified
		m.knowsTrust = true
	}
}

// restoreObjections makes the objections of records, and the words that they began with. Blocks that were forgotten are
// made for that, and stay forgotten: only objections know them.
func (m *Memory) restoreObjections(records []Objection) {
	forgotten := make(map[common.Hash]*block)
	at := func(hash common.Hash) *block {
		b := m.blocks[hash]
		if b == nil {
			b = forgotten[hash]
		}
		if b == nil {
			b = &block{hash: hash}
			forgotten[hash] = b
		}
		return b
	}
	for _, r := range records {
		reason := r.Reason[:min(len(r.Reason), maxReason)]
		w := word{status: engine.Invalid, reason: reason, provisional: r.Provisional, seconded: r.Seconded, read: true}
		m.say(at(r.Block), r.Node, w)
		if s := m.standing(r.Node); r.Provisional {
			s.doubtful, m.doubts = true, true
		}
	}
	for _, r := range records {
		m.restoreObjection(&r, at(r.Block))
	}
	for _, r := range records {
		if b := forgotten[r.Block]; b != nil && len(r.Roots) > 0 && m.blocks[r.Roots[0]] != nil {
			b.marks = m.blocks[r.Roots[0]].marks // so that it stands beside the objections of others, as before
		}
	}
	for _, r := range records { // of blocks that had been forgotten, and were heard of again
		b := m.blocks[r.Block]
		if b == nil || len(r.Roots) == 0 {
			continue
		}
		if known := b.bears(r.Node); known == nil || known.weight() < b.words[r.Node].weight() {
			m.object(b, r.Node)
		}
	}
}

// restoreObjection makes one objection, which covers what is left of the blocks that it covered.
func (m *Memory) restoreObjection(r *Objection, at *block) {
	if len(r.Roots) == 0 {
		return
	}
	o := objectionOf(r.Node, at)
	o.accepted, o.died = slices.Clone(r.Accepted), slices.Clone(r.Died)
	o.since, o.config, o.explained = r.Since, r.Config, r.Explained
	s := m.standing(r.Node)
	s.objections = append(s.objections, o)
	for _, root := range r.Roots {
		if b := m.blocks[root]; b != nil {
			m.cover(b, o)
		}
	}
	if o.covers == 0 {
		m.end(o)
	}
}
