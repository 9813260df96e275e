package memory

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// What another process kept has the blocks of its time. Those that came while nobody watched, or to another process,
// are missing, and with them whether a new block is under an objection. So blocks are traced back to one of which that
// is known.

// maxClean is how many blocks are remembered of which another run knew that no objection covers them.
const maxClean = 2 * DefaultBlocks

// Clean notes blocks of which another run knew that no objection of its records covers them, but for those that the
// records say are covered.
func (m *Memory) Clean(hashes []common.Hash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.clean == nil || len(m.clean) > maxClean {
		m.clean = make(map[common.Hash]bool)
	}
	for _, hash := range hashes {
		m.clean[hash] = true
	}
}

// MayMiss notes that blocks may come to another process while we run: then a parent that isn't known matters to every
// objection, and not only to those that were read. It is to be called before the first call.
func (m *Memory) MayMiss() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.misses = true
}

// Untraced returns the oldest ancestor that is known of a block with this parent, where it isn't known which
// objections cover it: the zero hash where that is known. A block whose parent isn't known is asked for
// with a zero parent, and may be the answer.
func (m *Memory) Untraced(hash, parent common.Hash) (missing common.Hash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.hasGap() {
		return common.Hash{}
	}
	if b := m.blocks[hash]; b != nil && b.parent != nil || parent == (common.Hash{}) {
		parent = hash
	}
	for range m.max {
		b := m.blocks[parent]
		switch {
		case m.isTraced(parent):
			return common.Hash{}
		case b == nil || b.parent == nil:
			return parent
		}
		parent = b.parent.hash
	}
	return parent
}

// Trace notes an ancestor's header, as a node tells it.
func (m *Memory) Trace(p engine.Payload) {
	m.mu.Lock()
	defer m.release()
	b := m.block(p.Hash)
	if b.timestamp == 0 {
		b.timestamp = p.Timestamp
	}
	if b.parent == nil && p.Parent != p.Hash {
		m.adopt(b, m.block(p.Parent))
		for _, o := range left(b.marks) {
			m.outgrow(b, o)
		}
	}
	m.trace(b)
}

// hasGap reports whether an objection stands from which blocks may be missing to what comes.
func (m *Memory) hasGap() bool {
	if !m.gap && !m.misses {
		return false
	}
	for _, s := range m.nodes {
		if slices.ContainsFunc(s.objections, m.isApart) {
			return true
		}
	}
	if m.gap = false; !m.misses {
		m.clean = nil
	}
	return false
}

// isApart reports whether blocks may be missing between an objection and what comes.
func (m *Memory) isApart(o *objection) bool { return o.read || m.misses }

// isTraced reports whether it is known which objections cover a block: from another process, by its parent, or because
// it is older than all that is objected to.
func (m *Memory) isTraced(hash common.Hash) bool {
	b := m.blocks[hash]
	if b == nil {
		return m.clean[hash]
	}
	if b.traced || m.clean[hash] { // that one covers it doesn't say that no other does
		return true
	}
	return b.timestamp > 0 && b.timestamp < m.oldestApart()
}

// oldestApart is the timestamp of the oldest block to which an objection stands from which blocks may be missing, in
// seconds; 0 where that of one isn't known.
func (m *Memory) oldestApart() (oldest uint64) {
	for _, s := range m.nodes {
		for _, o := range s.objections {
			if !m.isApart(o) {
				continue
			}
			since, _, _ := o.began()
			if since == 0 {
				return 0
			}
			if oldest == 0 || since < oldest {
				oldest = since
			}
		}
	}
	return oldest
}

// trace notes of a block that it is traced, if it is, and of its descendants then.
func (m *Memory) trace(b *block) {
	switch {
	case !m.hasGap():
		b.traced = true
		return
	case !m.isTraced(b.hash) && (b.parent == nil || !m.isTraced(b.parent.hash)):
		return
	}
	b.walk(func(b *block) (deeper bool) {
		if deeper = !b.traced; deeper {
			b.traced = true
		}
		return deeper
	})
}

// suspect fills in the objections that may cover a block which isn't traced: until it is, it is judged as disputed. A
// node that has executed it, or an ancestor, objects to none of those: either they aren't under it, or that ended it.
func (m *Memory) suspect(hash common.Hash, seats []quorum.Seat) {
	for i := range seats {
		s := &seats[i]
		if s.Objects {
			continue
		}
		executed := m.executed(hash, s.Node)
		for _, o := range m.standing(s.Node).objections {
			if m.isApart(o) && o.stands() && executed <= o.last {
				s.Objects, s.Read, s.Reason = true, true, o.reason
				s.Since, s.Config, s.Explained = o.began()
				break
			}
		}
	}
}

// executed returns the last call to which a node has answered by executing a block or an ancestor of it: its Note.Seq,
// or 0 where there is none.
func (m *Memory) executed(hash common.Hash, node quorum.NodeID) (seq uint64) {
	b := m.blocks[hash]
	for range maxWalk {
		if b == nil {
			break
		}
		seq = max(seq, b.words[node].executed)
		b = b.parent
	}
	return seq
}

// Saw notes that nodes are sent a payload with this timestamp, in seconds.
func (m *Memory) Saw(timestamp uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.newest = max(m.newest, timestamp)
}

// Newest returns the greatest timestamp that Saw was told of, in seconds, here or in another process.
func (m *Memory) Newest() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(m.newest, m.before)
}

// SawBefore notes what Newest was in another process. Payloads that aren't newer count as sent to every node: it may
// know them from that time, and its VALID proves nothing.
func (m *Memory) SawBefore(timestamp uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before = max(m.before, timestamp)
}
