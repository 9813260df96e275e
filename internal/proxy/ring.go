package proxy

import (
	"bytes"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
)

// ring keeps the last payloads of the CL, each with the forkchoice that followed it: CLs never send a payload again,
// and a client that crashed comes back some blocks short. Bounded in number and bytes, oldest out.
type ring struct {
	mu    sync.Mutex
	max   int64 // bytes; 0 keeps nothing
	bytes int64
	kept  map[common.Hash]*kept
	order []common.Hash // oldest first
	// The method of the last forkchoiceUpdated: for payloads that none followed.
	method string
}

// kept is a payload as the CL sent it.
type kept struct {
	engine.Payload
	method engine.Method
	body   []byte // the whole call
	params []byte // in it
	weak   bool   // it couldn't be checked when it came
	// The forkchoiceUpdated that made it the head, if one did.
	forkchoiceMethod string
	forkchoiceState  []byte // raw; nil on a bridge: the CL has not made it the head yet
}

// maxKept is how many payloads are kept at most: about an hour's.
const maxKept = 256

// maxState bounds a forkchoice state, in bytes: three hashes, and room for what forks add. A larger one isn't kept.
const maxState = 4 << 10

func newRing(max int64) *ring { return &ring{max: max, kept: make(map[common.Hash]*kept)} }

// put keeps a payload. It must be that of the block whose hash it has, and takes the place of another that was taken for it.
// weak says that this couldn't be checked.
func (r *ring) put(p engine.Payload, method engine.Method, body, params []byte, weak bool) {
	size := int64(len(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.kept[p.Hash]; k != nil && bytes.Equal(k.params, params) || size > r.max {
		return
	}
	r.drop(p.Hash)
	r.kept[p.Hash] = &kept{Payload: p, method: method, body: body, params: params, weak: weak}
	r.order = append(r.order, p.Hash)
	r.bytes += size
	for len(r.order) > maxKept || r.bytes > r.max {
		r.drop(r.order[0])
	}
}

// drop drops a payload, if it is kept. r.mu is held.
func (r *ring) drop(hash common.Hash) {
	k := r.kept[hash]
	if k == nil {
		return
	}
	r.bytes -= int64(len(k.body))
	delete(r.kept, hash)
	i := slices.Index(r.order, hash)
	r.order = slices.Delete(r.order, i, i+1)
}

// holds reports whether the payload of a block is kept that came with these very params, and whether it couldn't be
// checked.
func (r *ring) holds(hash common.Hash, method engine.Method, params []byte) (held, weak bool) {
	r.mu.Lock()
	k := r.kept[hash]
	r.mu.Unlock() // what is kept doesn't change
	if k == nil || k.method.Name != method.Name || !bytes.Equal(k.params, params) {
		return false, false
	}
	return true, k.weak
}

// get returns a kept payload.
func (r *ring) get(hash common.Hash) (kept, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.kept[hash]
	if k == nil {
		return kept{}, false
	}
	return *k, true
}

// follow notes the forkchoice that followed the payload which it makes the head.
func (r *ring) follow(head common.Hash, method string, state []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.method = method
	if k := r.kept[head]; k != nil && len(state) <= maxState {
		k.forkchoiceMethod, k.forkchoiceState = method, append([]byte(nil), state...)
	}
}

// bridge returns the payloads behind the block from, up to and with the head, oldest first, and after them those that build
// on the head. It is empty where from is the head and nothing newer came, and not ok where a payload of the way isn't kept.
func (r *ring) bridge(from, head common.Hash) (path []kept, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at := head; at != from; {
		k := r.kept[at]
		if k == nil || len(path) > maxKept {
			return nil, false
		}
		path = append(path, *k)
		at = k.Parent
	}
	for i, j := 0, len(path)-1; i < j; i, j = i+1, j-1 {
		path[i], path[j] = path[j], path[i]
	}
	for i := range path {
		if path[i].forkchoiceMethod == "" {
			path[i].forkchoiceMethod = r.method
			path[i].forkchoiceState = forkchoiceOn(path[i].Hash)
		}
	}
	return append(path, r.beyond(head)...), true
}

// beyond returns the payloads that build on the head, parents first. The caller holds r.mu.
func (r *ring) beyond(head common.Hash) (path []kept) {
	on := map[common.Hash]bool{head: true}
	for _, hash := range r.order {
		if k := r.kept[hash]; on[k.Parent] {
			on[hash] = true
			path = append(path, kept{Payload: k.Payload, method: k.method, body: k.body, forkchoiceMethod: r.method})
		}
	}
	return path
}

// forkchoiceOn is a forkchoice state of our own: safe and finalized are zero, which means that they aren't known.
func forkchoiceOn(head common.Hash) []byte {
	zero := common.Hash{}.Hex()
	return []byte(`{"headBlockHash":"` + head.Hex() + `","safeBlockHash":"` + zero + `","finalizedBlockHash":"` + zero + `"}`)
}
