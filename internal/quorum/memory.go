package quorum

import (
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
)

// NodeID names a node for as long as it is configured. It is never used again.
type NodeID uint64

// Memory holds each node's last definite word (VALID or INVALID) on each block, so that a client which forgets its
// objection, says SYNCING to children of the block, or dies doesn't end a dispute after one block. It also knows whose
// objections count at all: see Qualified.
//
// It is bounded in blocks, oldest out. Safe for concurrent use.
type Memory struct {
	mu     sync.Mutex
	max    int
	blocks map[common.Hash]*block
	order  []common.Hash // by age; the oldest at [head]
	head   int
	nodes  map[NodeID]*standing
}

type block struct {
	parent common.Hash
	words  map[NodeID]word
	sent   map[NodeID]uint64 // the node's count of breaks when it was first sent this payload
}

type word struct {
	status engine.Status // Valid or Invalid
	reason string        // the validationError that came with an INVALID
}

// standing is what a node's word is worth.
type standing struct {
	breaks     uint64
	qualified  bool
	objections int // how many blocks it stands by an INVALID on; none: there is nothing to look for
}

// DefaultBlocks is how many blocks a Memory holds by default: a day's.
const DefaultBlocks = 8192

// maxReason is how much of a validationError is remembered, in bytes.
const maxReason = 1024

// NewMemory returns a memory of up to max blocks.
func NewMemory(max int) *Memory {
	return &Memory{max: max, blocks: make(map[common.Hash]*block), nodes: make(map[NodeID]*standing)}
}

// Learn notes a payload and its parent.
func (m *Memory) Learn(hash, parent common.Hash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.block(hash).parent = parent
}

// Sent notes that a node is sent the payload of a block, for Qualified.
func (m *Memory) Sent(node NodeID, hash common.Hash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.block(hash)
	if _, before := b.sent[node]; !before {
		if b.sent == nil {
			b.sent = make(map[NodeID]uint64)
		}
		b.sent[node] = m.standing(node).breaks
	}
}

// Broke notes a break in what we know of a node: a call or probe that failed, a connection that broke. Restarted
// clients call valid heads INVALID, so its new objections don't count until it has proved itself.
func (m *Memory) Broke(node NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.standing(node)
	s.breaks++
	s.qualified = false
}

// Qualified reports whether a node's new INVALIDs are votes: since our start and its last break it has answered VALID
// to a payload that it had never been sent before.
func (m *Memory) Qualified(node NodeID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.standing(node).qualified
}

// RecordPayload keeps what a node answered to the newPayload of a block; mayObject says whether its INVALID counts.
// It returns the status that is the node's vote.
func (m *Memory) RecordPayload(node NodeID, hash common.Hash, status engine.Status, reason string, mayObject bool) engine.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	if status == engine.Valid {
		s := m.standing(node)
		if first, sent := m.block(hash).sent[node]; sent && first == s.breaks {
			s.qualified = true
		}
	}
	return m.record(node, hash, status, reason, mayObject)
}

// Record is RecordPayload for an answer to forkchoiceUpdated.
func (m *Memory) Record(node NodeID, hash common.Hash, status engine.Status, reason string, mayObject bool) engine.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record(node, hash, status, reason, mayObject)
}

func (m *Memory) record(node NodeID, hash common.Hash, status engine.Status, reason string, mayObject bool) engine.Status {
	switch {
	case status == engine.Valid:
		m.setWord(node, hash, word{status: engine.Valid})
	case status == engine.Invalid && mayObject:
		m.setWord(node, hash, word{status: engine.Invalid, reason: reason[:min(len(reason), maxReason)]})
	}
	if m.objection(node, hash) != nil {
		return engine.Invalid
	}
	b := m.blocks[hash]
	switch {
	case status == engine.Invalid && !mayObject:
		return engine.None
	case (status == engine.Syncing || status == engine.Accepted) && b != nil && b.words[node].status == engine.Valid:
		return engine.Valid
	}
	return status
}

// Objection reports whether a node stands by an INVALID on the block or on one of its ancestors, and the reason that
// it gave.
func (m *Memory) Objection(node NodeID, hash common.Hash) (reason string, stands bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.objection(node, hash); w != nil {
		return w.reason, true
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

// Objections returns how many blocks a node stands by an INVALID on.
func (m *Memory) Objections(node NodeID) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.standing(node).objections
}

// Clear takes back all objections of a node (POST /clear_objections).
func (m *Memory) Clear(node NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.blocks {
		if b.words[node].status == engine.Invalid {
			delete(b.words, node)
		}
	}
	m.standing(node).objections = 0
}

// Forget drops all that is known of a node that is no longer configured.
func (m *Memory) Forget(node NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.blocks {
		delete(b.words, node)
		delete(b.sent, node)
	}
	delete(m.nodes, node)
}

func (m *Memory) standing(node NodeID) *standing {
	s := m.nodes[node]
	if s == nil {
		s = new(standing)
		m.nodes[node] = s
	}
	return s
}

func (m *Memory) setWord(node NodeID, hash common.Hash, w word) {
	b := m.block(hash)
	if b.words == nil {
		b.words = make(map[NodeID]word)
	}
	s := m.standing(node)
	if b.words[node].status == engine.Invalid {
		s.objections--
	}
	if w.status == engine.Invalid {
		s.objections++
	}
	b.words[node] = w
}

// objection returns a node's INVALID on the block or its nearest objected ancestor, or nil.
func (m *Memory) objection(node NodeID, hash common.Hash) *word {
	if m.standing(node).objections == 0 {
		return nil
	}
	// No chain is longer than the memory; a CL that claims a circle of parents doesn't hold us.
	for range len(m.blocks) {
		b := m.blocks[hash]
		if b == nil {
			return nil
		}
		if w := b.words[node]; w.status == engine.Invalid {
			return &w
		}
		hash = b.parent
	}
	return nil
}

func (m *Memory) block(hash common.Hash) *block {
	if b := m.blocks[hash]; b != nil {
		return b
	}
	if len(m.blocks) >= m.max {
		m.evict()
	}
	b := new(block)
	m.blocks[hash] = b
	m.order = append(m.order, hash)
	return b
}

// evict drops the oldest block. Objections to it go on to its children, or a dispute would end when its beginning is
// forgotten.
func (m *Memory) evict() {
	hash := m.order[m.head]
	if m.head++; m.head > m.max {
		m.order = append([]common.Hash(nil), m.order[m.head:]...)
		m.head = 0
	}
	old := m.blocks[hash]
	delete(m.blocks, hash)
	for node, w := range old.words {
		if w.status != engine.Invalid {
			continue
		}
		m.standing(node).objections--
		for child, b := range m.blocks {
			if b.parent == hash {
				m.setWord(node, child, w)
			}
		}
	}
}
