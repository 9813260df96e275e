package proxy

import (
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// builds are the payloads that nodes build for the CL: each node under an id of its own, the CL under one of these.
// The last ones are kept, so that getPayload can be repeated.
type builds struct {
	mu   sync.Mutex
	last []*build // oldest first
}

// build is what one forkchoiceUpdated with payload attributes started.
type build struct {
	id         string // what the CL was told
	head       common.Hash
	attributes *engine.Attributes
	ids        map[quorum.NodeID]string // also of nodes that have been removed: one added again may still build them
	winner     quorum.NodeID            // whose payload was proposed; "" where none was
}

// maxBuilds is how many builds are kept: a validator needs one or two, a CL that asks for one in each slot some more.
const maxBuilds = 128

// startBuild remembers what the CL's payload id stands for on each node.
func (pl *poll) startBuild(id string) {
	attributes := pl.forkchoice.Attributes
	if attributes == nil { // an id that was not asked for
		attributes = new(engine.Attributes)
	}
	b := &build{id: id, head: pl.block, attributes: attributes, ids: make(map[quorum.NodeID]string)}
	for i := range pl.seats {
		if s := &pl.seats[i]; s.payloadID != "" && pl.votes[i].MayVote {
			b.ids[s.node.ID] = s.payloadID
		}
	}
	pl.build = b
	pl.proxy.metrics.builds.Inc()
	pl.proxy.builds.put(b)
}

// put keeps a build. An id that is given again belongs to the newest build: nodes repeat theirs, some after a restart
// for something else.
func (bs *builds) put(b *build) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	kept := bs.last[:0:0]
	for _, old := range bs.last {
		if old.id == b.id {
			b.inherit(old)
			continue
		}
		for node, id := range b.ids {
			if old.ids[node] == id {
				delete(old.ids, node)
			}
		}
		kept = append(kept, old)
	}
	if kept = append(kept, b); len(kept) > maxBuilds {
		kept = kept[len(kept)-maxBuilds:]
	}
	bs.last = kept
}

// inherit takes over what nodes gave for the same build when it was asked for before, and not again in time.
func (b *build) inherit(old *build) {
	if old.head != b.head || old.attributes.Digest != b.attributes.Digest {
		return
	}
	b.winner = old.winner
	for node, id := range old.ids {
		if b.ids[node] == "" {
			b.ids[node] = id
		}
	}
}

// won notes whose payload is proposed for the build that the CL knows as id.
func (bs *builds) won(id string, node quorum.NodeID) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	for _, b := range bs.last {
		if b.id == id {
			b.winner = node
		}
	}
}

// add notes the id of a node that came after the CL had its answer.
func (bs *builds) add(b *build, node quorum.NodeID, id string) {
	if b == nil {
		return
	}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b.ids[node] = id
}

// find returns a copy of the nodes' own ids for the build that the CL knows as id, and whether we know it.
func (bs *builds) find(id string) (b build, known bool) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	for _, b := range bs.last {
		if b.id != id {
			continue
		}
		found := *b
		found.ids = make(map[quorum.NodeID]string, len(b.ids))
		for node, id := range b.ids {
			found.ids[node] = id
		}
		return found, true
	}
	return build{}, false
}
