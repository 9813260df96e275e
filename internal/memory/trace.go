package memory

import (
	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// What another process kept has the blocks of its time. Those that came while nobody watched are missing, and with them
// whether a new block is under an objection. So blocks are traced back to one of which that is known.

// Clean notes blocks of which another run knew that no objection of its records covers them, but for those that the
// records say are covered.
func (m *Memory) Clean(hashes []common.Hash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.clean == nil {
		m.clean = make(map[common.Hash]bool)
	}
	for _, hash := range hashes {
		m.clean[hash] = true
	}
}

// Untraced returns the oldest ancestor that is known of a block with this parent, where it isn't known which of the
// objections that were read cover it: the zero hash where that is known. A block whose parent isn't known is asked for
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
	}
	m.trace(b)
}

// hasGap reports whether an objection stands that was read: blocks between it and what comes may be missing.
func (m *Memory) hasGap() bool {
	if !m.gap {
		return false
	}
	for _, s := range m.nodes {
		for _, o := range s.objections {
			if o.read {
				return true
			}
		}
	}
	m.gap, m.clean = false, nil
	return false
}

// isTraced reports whether it is known which objections cover a block: from another process, by its parent, or because
// it is older than all that is objected to.
func (m *Memory) isTraced(hash common.Hash) bool {
	b := m.blocks[hash]
	if b == nil {
		return m.clean[hash]
	}
	if b.traced || m.clean[hash] || len(left(b.marks)) > 0 {
		return true
	}
	return b.timestamp > 0 && b.timestamp < m.oldestRead()
}

// oldestRead is the timestamp of the oldest block to which an objection stands that was read, in seconds; 0 where that
// of one isn't known.
func (m *Memory) oldestRead() (oldest uint64) {
	for _, s := range m.nodes {
		for _, o := range s.objections {
			if !o.read {
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

// suspect fills in the objections that may cover a block which isn't traced: until it is, it is judged as disputed.
func (m *Memory) suspect(seats []quorum.Seat) {
	for i := range seats {
		s := &seats[i]
		if s.Objects {
			continue
		}
		for _, o := range m.standing(s.Node).objections {
			if o.read && o.stands() {
				s.Objects, s.Read, s.Reason = true, true, o.reason
				s.Since, s.Config, s.Explained = o.began()
				break
			}
		}
	}
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
