package session

import (
	"maps"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// Builds are the payloads that nodes build for the CL: each node builds under an id of its own, and the CL knows one of
// these ids. The last builds are kept, so that getPayload can be repeated. Safe for concurrent use; the zero value is
// empty.
type Builds struct {
	mu   sync.Mutex // guards what follows, and all builds
	last []*Build   // one for each id, oldest first
}

// Build is what one forkchoiceUpdated with payload attributes started. Once it has been put into Builds, it is theirs.
type Build struct {
	ID         string    // what the CL was told
	Begun      time.Time // when it was asked for
	Head       common.Hash
	Attributes *engine.Attributes
	IDs        map[quorum.NodeID]string // each node's own
	Winner     quorum.NodeID            // whose payload was proposed; the zero NodeID where none was
}

// maxBuilds is how many builds are kept: a validator needs one or two, a CL that asks for one in each slot some more.
const maxBuilds = 128

// Put keeps a build. An id that is given again belongs to the newest build: nodes repeat their ids, and some do so
// after a restart for something else.
func (bs *Builds) Put(b *Build) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	kept := bs.last[:0:0]
	for _, old := range bs.last {
		if old.ID == b.ID {
			b.inherit(old)
			continue
		}
		for node, id := range b.IDs {
			if old.IDs[node] == id {
				delete(old.IDs, node)
			}
		}
		kept = append(kept, old)
	}
	if kept = append(kept, b); len(kept) > maxBuilds {
		kept = kept[len(kept)-maxBuilds:]
	}
	bs.last = kept
}

// inherit takes over the ids that nodes gave when the same build was asked for before, where they gave none in time
// now, and whose payload was proposed. bs.mu is held.
func (b *Build) inherit(old *Build) {
	if old.Head != b.Head || old.Attributes.Digest != b.Attributes.Digest {
		return
	}
	b.Winner = old.Winner
	for node, id := range old.IDs {
		if b.IDs[node] == "" {
			b.IDs[node] = id
		}
	}
}

// Won notes whose payload is proposed for the build that the CL knows as id.
func (bs *Builds) Won(id string, node quorum.NodeID) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	for _, b := range bs.last {
		if b.ID == id {
			b.Winner = node
		}
	}
}

// Add notes a node's id for a build that came after the CL had its answer. It does nothing where b is nil.
func (bs *Builds) Add(b *Build, node quorum.NodeID, id string) {
	if b == nil {
		return
	}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b.IDs[node] = id
}

// Find returns a copy of the nodes' own ids for the build that the CL knows as id, and whether we know it.
func (bs *Builds) Find(id string) (b Build, known bool) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	for _, b := range bs.last {
		if b.ID != id {
			continue
		}
		found := *b
		found.IDs = maps.Clone(b.IDs)
		return found, true
	}
	return Build{}, false
}

// All returns copies of the builds, oldest first: what is to be kept over a restart.
func (bs *Builds) All() []Build {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	all := make([]Build, len(bs.last))
	for i, b := range bs.last {
		all[i] = *b
		all[i].IDs = maps.Clone(b.IDs)
	}
	return all
}

// Restore takes in what All returned in another process. An id that is known here stays what it is; where it is the
// same build, nodes' ids that came to the other process are added, and whose payload was proposed there.
func (bs *Builds) Restore(all []Build) {
	for i := range all {
		if !bs.complete(&all[i]) {
			bs.Put(&all[i])
		}
	}
}

// complete adds what another process knows of a build. It reports whether its id is known here.
func (bs *Builds) complete(other *Build) (known bool) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	for _, b := range bs.last {
		if b.ID != other.ID {
			continue
		}
		winner := b.Winner
		if b.inherit(other); winner != "" {
			b.Winner = winner
		}
		return true
	}
	return false
}

// Drop forgets all builds.
func (bs *Builds) Drop() {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	bs.last = nil
}
