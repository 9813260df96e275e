package catchup

import (
	"bytes"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/fifo"
)

// Payloads are the last payloads of the CL, each with the forkchoice that followed it: CLs never send a payload again,
// and a client that crashed comes back some blocks short. They are bounded in number and bytes, oldest out. Safe for
// concurrent use.
type Payloads struct {
	max int64 // bytes; 0 keeps nothing

	mu      sync.Mutex                      // guards what follows
	bytes   int64                           // of the calls that are kept
	byBlock fifo.Map[common.Hash, *Payload] // and the forkchoices in them
	method  string                          // of the last forkchoiceUpdated: for payloads that none followed
}

// Payload is a newPayload as the CL sent it. It doesn't change, but for the forkchoice, which Payloads sets.
type Payload struct {
	*engine.Call
	// Unchecked says that nobody could check its block hash when it came.
	Unchecked bool

	forkchoice followed // the zero value where the CL hasn't made it the head
}

// followed is the forkchoiceUpdated that made a payload the head.
type followed struct {
	method string
	state  []byte // raw; nil: one of our own
}

// maxPayloads is how many payloads are kept at most: about an hour's.
const maxPayloads = 256

// maxState bounds a forkchoice state, in bytes: three hashes, and room for what forks add. A larger one isn't kept.
const maxState = 4 << 10

func newPayloads(max int64) *Payloads {
	return &Payloads{max: max}
}

// Keep keeps a newPayload. It must be that of the block whose hash it has, and takes the place of another that was
// taken for that block's. unchecked says that nobody could check the hash.
func (p *Payloads) Keep(c *engine.Call, unchecked bool) {
	size := int64(len(c.Body))
	p.mu.Lock()
	defer p.mu.Unlock()
	other, known := p.byBlock.Get(c.Block)
	if known && bytes.Equal(other.Params, c.Params) || size > p.max {
		return
	}
	if known {
		p.bytes -= int64(len(other.Body))
		p.byBlock.Delete(func(block common.Hash, _ *Payload) bool { return block == c.Block })
	}
	p.byBlock.Put(c.Block, &Payload{Call: c, Unchecked: unchecked})
	p.bytes += size
	for p.byBlock.Len() > maxPayloads || p.bytes > p.max {
		_, oldest := p.byBlock.Pop()
		p.bytes -= int64(len(oldest.Body))
	}
}

// Same returns the kept payload that came with the very method and parameters of a call; nil where there is none.
func (p *Payloads) Same(c *engine.Call) *Payload {
	k := p.Of(c.Block) // its call doesn't change
	if k == nil || k.Method.Name != c.Method.Name || !bytes.Equal(k.Params, c.Params) {
		return nil
	}
	return k
}

// Of returns the payload of a block; nil where it isn't kept.
func (p *Payloads) Of(block common.Hash) *Payload {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, _ := p.byBlock.Get(block)
	return k
}

// Follow notes a forkchoiceUpdated, which follows the payload that it makes the head.
func (p *Payloads) Follow(c *engine.Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.method = c.Method.Name
	if k, known := p.byBlock.Get(c.Block); known && len(c.Forkchoice.State) <= maxState {
		k.forkchoice = followed{c.Method.Name, bytes.Clone(c.Forkchoice.State)}
	}
}

// step is one payload of the way to the head, and the forkchoiceUpdated that makes it the head.
type step struct {
	*engine.Call
	forkchoice followed
	beyond     bool // it builds on the head: the CL hasn't made it the head, and it need not be valid
	onDisk     bool // the node has it, and what is before it: only the forkchoiceUpdated is needed
}

// bridge returns the way from a block to the head and beyond: the payloads that come after that block, up to the
// head's, oldest first, and behind them those that build on the head. The way is empty where the block is the head and
// nothing newer came. base is the block that it begins behind: another one, where a payload of the way isn't kept.
func (p *Payloads) bridge(from, head common.Hash) (way []step, base common.Hash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := head
	for at != from && len(way) <= maxPayloads { // backwards, by the parents
		k, known := p.byBlock.Get(at)
		if !known {
			break
		}
		s := step{Call: k.Call, forkchoice: k.forkchoice}
		if s.forkchoice.method == "" {
			s.forkchoice = followed{method: p.method}
		}
		way = append(way, s)
		at = k.Payload.Parent
	}
	slices.Reverse(way)
	return append(way, p.onTop(head)...), at
}

// lastMethod is that of the last forkchoiceUpdated.
func (p *Payloads) lastMethod() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.method
}

// onTop returns the payloads that build on the head, parents first. p.mu is held.
func (p *Payloads) onTop(head common.Hash) (way []step) {
	on := map[common.Hash]bool{head: true}
	for block, k := range p.byBlock.All() {
		if on[k.Payload.Parent] {
			on[block] = true
			way = append(way, step{Call: k.Call, forkchoice: followed{method: p.method}, beyond: true})
		}
	}
	return way
}
