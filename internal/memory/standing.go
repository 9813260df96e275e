package memory

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// standing is what a node's word is worth. Memory's lock guards it.
type standing struct {
	breaks     uint64       // how many it has had: see Broke
	qualified  bool         // it has proved itself since our start and its last break
	trusted    bool         // it had proved itself in another run, and has had no break since
	distrusted bool         // another process has seen a break of it, and it hasn't proved itself since
	doubtful   bool         // it may have said INVALID unheard or provisionally
	objections []*objection // that aren't over
	followed   execution    // the last one
	gone       bool         // it is no longer configured
	admitted   uint64       // how many breaks it had had when it was added again; a call with fewer was sent before
	silenced   uint64       // likewise, when it lost its vote
}

// execution is a VALID to a payload that was new to the node: it ends what the node objected to below that before the
// call, also what is noted only later.
type execution struct {
	block common.Hash
	seq   uint64 // of the call
}

// stale reports whether what came of a call is nobody's word: the node has been removed since the call was sent,
// whether or not it has been added again. breaks are those that it had had when the call was sent.
func (s *standing) stale(breaks uint64) bool { return s.gone || breaks < s.admitted }

// Sent notes that a node has been sent the payload of a block, in a call before which it had had so many breaks.
func (m *Memory) Sent(node quorum.NodeID, hash common.Hash, breaks uint64) {
	m.mu.Lock()
	defer m.release()
	s := m.standing(node)
	if s.stale(breaks) {
		return
	}
	b := m.block(hash)
	if b.sent == nil {
		b.sent = make(map[quorum.NodeID]uint64)
	}
	b.sent[node] = s.breaks
}

// NotSent takes Sent back: the node was not reached.
func (m *Memory) NotSent(node quorum.NodeID, hash common.Hash, breaks uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.blocks[hash]; b != nil && !m.standing(node).stale(breaks) {
		delete(b.sent, node)
	}
}

// WasSent reports whether a node has been sent the payload of a block with this timestamp, or may have been before our
// restart.
func (m *Memory) WasSent(node quorum.NodeID, hash common.Hash, timestamp uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.before > 0 && timestamp <= m.before {
		return true
	}
	b := m.blocks[hash]
	if b == nil {
		return false
	}
	_, sent := b.sent[node]
	return sent
}

// SentSince reports whether a node has been sent the payload of a block since its last break: before that it may have
// lost it.
func (m *Memory) SentSince(node quorum.NodeID, hash common.Hash) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.blocks[hash]
	if b == nil {
		return false
	}
	breaks, sent := b.sent[node]
	return sent && breaks == m.standing(node).breaks
}

// Died notes that a node's connection broke while it had a call on the block before it. Before the call it had had so
// many breaks.
func (m *Memory) Died(node quorum.NodeID, hash common.Hash, breaks uint64) {
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
func (m *Memory) Broke(node quorum.NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.standing(node)
	if s.breaks++; s.qualified || s.trusted {
		m.changes.standing(node)
	}
	s.qualified, s.trusted = false, false
}

// Distrust takes its proof from a node that had a break which another process has seen.
func (m *Memory) Distrust(node quorum.NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.standing(node)
	if s.distrusted = true; s.qualified || s.trusted {
		s.breaks++
		s.qualified, s.trusted = false, false
		m.changes.standing(node)
	}
}

// Standing reports whether a node has proved itself, and counts its breaks. It has proved itself if since our start and
// its last break it has answered VALID to a payload that it had never been sent before.
func (m *Memory) Standing(node quorum.NodeID) (proved bool, breaks uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.standing(node)
	return s.qualified, s.breaks
}

// Prove notes that a node answered VALID to a payload that it had never been sent before, when it had had so many
// breaks.
func (m *Memory) Prove(node quorum.NodeID, breaks uint64) {
	m.mu.Lock()
	defer m.release()
	if s := m.standing(node); s.breaks == breaks && !s.gone {
		m.qualify(node, s)
	}
}

// Qualified is Standing without the breaks.
func (m *Memory) Qualified(node quorum.NodeID) bool {
	proved, _ := m.Standing(node)
	return proved
}

// MayObject reports whether a voter's new INVALIDs are votes by themselves. proved says whether any voter has proved
// itself.
func (m *Memory) MayObject(node quorum.NodeID, proved bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.standing(node)
	return s.qualified || s.trusted || !proved && !s.distrusted && !m.trustsAny()
}

// trustsAny reports whether a node is trusted from another run.
func (m *Memory) trustsAny() bool {
	for _, s := range m.nodes {
		if s.trusted {
			return true
		}
	}
	return false
}

// qualify notes that a node has proved itself: what it objected to in doubt stands, and what it said unheard before is
// void.
func (m *Memory) qualify(node quorum.NodeID, s *standing) {
	if !s.qualified && !s.trusted {
		m.changes.standing(node)
	}
	s.qualified, s.distrusted = true, false
	if !s.doubtful {
		return
	}
	s.doubtful = false
	for _, o := range s.objections {
		o.provisional = false
		m.changes.objection(node, o.at)
	}
	for _, b := range m.blocks {
		if w, ok := b.words[node]; ok {
			w.provisional, w.unheard = false, 0
			m.say(b, node, w)
		}
	}
}

// Lapse ends the objections that nodes made when nobody had proved itself, of those that haven't proved themselves
// since. It is for the moment when another node has.
func (m *Memory) Lapse() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lapses++
	if !m.doubts {
		return
	}
	m.doubts = false
	for node, s := range m.nodes {
		if !s.doubtful { // or it has proved itself since: see qualify
			continue
		}
		for _, b := range m.blocks {
			if w := b.words[node]; w.provisional {
				m.lapse(b, node)
			} else if w.status == engine.Invalid { // it may have stood only under an objection that ends
				m.changes.objection(node, b)
			}
		}
		for _, o := range slices.Clone(s.objections) {
			if o.provisional {
				m.end(o)
			}
		}
	}
}

// Lapses counts the calls of Lapse.
func (m *Memory) Lapses() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lapses
}

// Forget drops all that is known of a node that is no longer configured. What it still says to calls under way is not
// remembered, because nobody could take it back; nor is it when the node has been added again: see Admit.
func (m *Memory) Forget(node quorum.NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endAll(node)
	for _, b := range m.blocks {
		if b.words[node].number > 0 {
			m.changes.objection(node, b)
		}
		delete(b.words, node)
		delete(b.sent, node)
	}
	m.changes.standing(node)
	for _, s := range m.nodes {
		for _, o := range s.objections {
			m.changes.objection(o.node, o.at)
			o.forget(node)
		}
	}
	m.nodes[node] = &standing{breaks: m.standing(node).breaks, gone: true}
}

// Admit lets the words of a node count again that was forgotten; nothing is known of it. It is for every node that is
// added. Being added again is a break: by that a call that was sent before is told from later ones.
func (m *Memory) Admit(node quorum.NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.standing(node); s.gone {
		*s = standing{breaks: s.breaks + 1, admitted: s.breaks + 1}
		m.changes.standing(node)
	}
}

// standing returns a node's standing; a new one where nothing is known of it.
func (m *Memory) standing(node quorum.NodeID) *standing {
	s := m.nodes[node]
	if s == nil {
		s = new(standing)
		m.nodes[node] = s
		m.changes.standing(node)
	}
	return s
}
