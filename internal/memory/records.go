package memory

import (
	"cmp"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/quorum"
)

// State is what of a Memory outlives a process: the objections, and which nodes had proved themselves. It has no VALIDs
// and no INVALIDs that were no votes: nodes say these again.
type State struct {
	Blocks     []Block // that objections cover
	Objections []Objection
	Trust      []Trust // of each node
}

// Block is a block that objections cover.
type Block struct {
	Hash      common.Hash
	Parent    common.Hash // zero where no objection covers the parent, or it is unknown
	Timestamp uint64      // of its payload, in seconds; 0 where that isn't known
	Proof     Proof
	Digest    Digest // of the content that stands for the hash; zero where it is proven
	Marks     []Mark // of the objections that cover it; none where none does any more
}

// Mark names an objection.
type Mark struct {
	Node   quorum.NodeID
	Block  common.Hash // on which it is
	Number uint64
}

// Objection is a node's INVALID on a block. It covers the blocks that have a mark of it; there are none where another
// INVALID of the node covers the block: then this one is kept for when the other ends.
type Objection struct {
	Node  quorum.NodeID
	Block common.Hash // the memory may have forgotten it
	// Number is one more for each INVALID of the node to the block. The end of one has its number: of two records the
	// one with the greater number stands, in a tie the end. 0 where it is forgotten.
	Number                uint64
	Ended                 bool
	Reason                string
	Provisional, Seconded bool
	// What it began with: see quorum.Past.
	Since     uint64
	Config    string
	Explained bool
	// Accepted are the nodes that called a block VALID which the objection covers, Died those that died under one.
	Accepted, Died []quorum.NodeID
}

// Trust says whether a node has proved itself since its last break.
type Trust struct {
	Node      quorum.NodeID
	Qualified bool
	Gone      bool // the node has been removed
}

// Records returns what is to be kept. It is no larger than the memory, and the same for the same memory.
func (m *Memory) Records() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	var s State
	names := make(map[ofNode]bool)
	for _, hash := range m.order[m.oldest:] {
		if r := m.blockRecord(hash); len(r.Marks) > 0 {
			s.Blocks = append(s.Blocks, r)
		}
		for node := range m.blocks[hash].words {
			names[ofNode{node, hash}] = true
		}
	}
	for node, known := range m.nodes {
		for _, o := range known.objections {
			names[ofNode{node, o.at.hash}] = true
		}
		if r := m.trustRecord(node); !r.Gone {
			s.Trust = append(s.Trust, r)
		}
	}
	for name := range names {
		if r := m.objectionRecord(name); r.Number > 0 {
			s.Objections = append(s.Objections, r)
		}
	}
	s.sort()
	return s
}

// sort brings records into an order: blocks by age, as far as that is known.
func (s *State) sort() {
	slices.SortStableFunc(s.Blocks, func(a, b Block) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	slices.SortFunc(s.Objections, func(a, b Objection) int {
		return cmp.Or(a.Block.Cmp(b.Block), cmp.Compare(a.Node, b.Node))
	})
	slices.SortFunc(s.Trust, func(a, b Trust) int { return cmp.Compare(a.Node, b.Node) })
	for i := range s.Blocks {
		slices.SortFunc(s.Blocks[i].Marks, func(a, b Mark) int {
			return cmp.Or(a.Block.Cmp(b.Block), cmp.Compare(a.Node, b.Node))
		})
	}
	for i := range s.Objections {
		slices.Sort(s.Objections[i].Accepted)
		slices.Sort(s.Objections[i].Died)
	}
}

// ofNode names an objection. A block that was forgotten, and was heard of again, has two *block and is one here.
type ofNode struct {
	node  quorum.NodeID
	block common.Hash
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
