package proxy

import (
	"slices"
	"sync"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
)

// compareToHead notes that a node which says SYNCING is behind: to a payload of the head's chain that another voter calls
// VALID, or to a forkchoiceUpdated on the head that it hasn't called VALID.
//
// A SYNCING to a child of the head that nobody calls VALID is no such sign: whoever proposes a block with a wrong number,
// say, makes every client look for its parent in vain, and must not have set aside all but the one that hangs or comes back
// just then. But the node may lack something, and is fed.
func (pl *poll) compareToHead(i int) {
	s, v := &pl.seats[i], &pl.votes[i]
	if s.compared || v.Said != engine.Syncing || !pl.named || s.node.FollowedSince(pl.begun) {
		return
	}
	chain, memory := &pl.proxy.chain, pl.proxy.memory
	lacks, behind := false, false
	if pl.method.Family == engine.ForkchoiceUpdated {
		behind = chain.isHead(pl.block) && memory.Word(v.Node, pl.block) != engine.Valid
	} else if pl.content.state == genuine {
		lacks = chain.isHead(pl.payload.Parent)
		behind = pl.voted() && pl.onHeadsChain() || lacks && pl.alone()
	}
	if behind {
		s.compared = true
		s.node.FellBehind()
	}
	if behind || lacks {
		pl.proxy.catchUp.try(s.node)
	}
}

// onHeadsChain reports whether the payload is no side branch's: it is of the head's chain, or goes on with it. Before there
// is a head, every payload is.
func (pl *poll) onHeadsChain() bool {
	head, memory := pl.proxy.chain.headHash(), pl.proxy.memory
	return head == zeroHash || memory.Descends(pl.payload.Parent, head) || memory.Descends(head, pl.block)
}

// versions are the methods with which the CL sent its last payloads and forkchoices. Safe for concurrent use; the zero value
// is empty.
type versions struct {
	mu   sync.Mutex
	last map[engine.Family][]string
}

// maxVersions is how many of them count.
const maxVersions = 3

// use notes a call. It reports whether the last ones were all made with that method.
func (vs *versions) use(m engine.Method) (settled bool) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	last := vs.last[m.Family]
	if len(last) == maxVersions && !slices.ContainsFunc(last, func(name string) bool { return name != m.Name }) {
		return true
	}
	if vs.last == nil {
		vs.last = make(map[engine.Family][]string)
	}
	vs.last[m.Family] = appendBounded(last, m.Name, maxVersions)
	return false
}

// compareMethods notes that a node lacks a method to which another gives a status: that of the CL's last calls, or one that
// it says it has. A port without the Engine API can't follow, whatever it says of itself.
func (pl *poll) compareMethods(i int) {
	s := &pl.seats[i]
	if e := s.reply.Err; e == nil || e.Code != jsonrpc.CodeMethodNotFound || pl.alone() {
		return
	}
	given := slices.ContainsFunc(pl.seats, func(other seat) bool { return other.status.Status != engine.None })
	if given && (pl.usual || slices.Contains(s.node.Status().Info.Capabilities, pl.method.Name)) {
		s.node.Lacked(pl.method.Name)
	}
}
