package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"executionbackup/internal/engine"
	"executionbackup/internal/wire"
)

// Track is what is shown of how a node has done. Nothing is decided by it.
type Track struct {
	Head      Head
	Won, Lost uint64 // votes that were what the CL heard, and that were not, since we know the node

	Recent      []time.Duration // that the last newPayloads took on the node, oldest first
	Median, P99 time.Duration   // of those of the last ten minutes; 0 where there was none
	LastErrorAt time.Time       // zero where there was none
}

// Head is the block that a node says is its latest; the zero Head where it hasn't said.
type Head struct {
	Number uint64
	Hash   common.Hash
}

// maxSamples is how many newPayloads are kept, trackWindow how old they may be to count in a Track's figures.
const (
	maxSamples  = 64
	trackWindow = 10 * time.Minute
)

type sample struct {
	at   time.Time
	took time.Duration
}

// Track returns how the node has done up to now.
func (n *Node) Track(now time.Time) Track {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := Track{Head: n.head, Won: n.won, Lost: n.lost, LastErrorAt: n.lastErrorAt, Recent: []time.Duration{}}
	var counted []time.Duration
	for _, s := range n.samples {
		t.Recent = append(t.Recent, s.took)
		if now.Sub(s.at) <= trackWindow {
			counted = append(counted, s.took)
		}
	}
	slices.Sort(counted)
	if len(counted) > 0 {
		t.Median, t.P99 = counted[len(counted)/2], counted[(len(counted)*99+99)/100-1]
	}
	return t
}

// Voted counts a vote of the node.
func (n *Node) Voted(won bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if won {
		n.won++
	} else {
		n.lost++
	}
}

// timed keeps how long a newPayload took, or how long it was waited for in vain.
func (n *Node) timed(f engine.Family, failure *wire.Failure, took time.Duration) {
	if f != engine.NewPayload || failure != nil && failure.Kind != wire.TimedOut {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.samples) == maxSamples {
		n.samples = slices.Delete(n.samples, 0, 1)
	}
	n.samples = append(n.samples, sample{time.Now(), took})
}

// Latest asks the node for its own head, within a probe's time. What the node leaves out is zero.
func (n *Node) Latest(ctx context.Context) (h Head, err error) {
	reply, err := n.ask(ctx, "eth_getBlockByNumber", `["latest",false]`)
	switch {
	case err != nil:
		return h, err
	case reply.Err != nil:
		return h, reply.Err
	}
	var block struct {
		Number hexutil.Uint64
		Hash   common.Hash
	}
	if err := json.Unmarshal(reply.Result, &block); err != nil {
		return h, fmt.Errorf("its latest block: %w", err)
	}
	return Head{uint64(block.Number), block.Hash}, nil
}

// askHead asks the node for its head. What it doesn't tell stays as it was known.
func (n *Node) askHead(ctx context.Context) error {
	head, err := n.Latest(ctx)
	if err != nil || head.Hash == (common.Hash{}) {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.head = head
	return nil
}
