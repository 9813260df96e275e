package fleet

import (
	"context"
	"slices"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/health"
	"executionbackup/internal/node"
)

// HedgeDelay is how long the primary usually has to answer alone before the others are asked, too.
const HedgeDelay = 50 * time.Millisecond

// Hedge is a call to which one node's answer may be enough, and to which every node may have something to add. It
// belongs to the goroutine that calls Run.
type Hedge struct {
	Fleet  *Fleet
	Method engine.Method
	Nodes  []*node.Node  // the primary first
	Delay  time.Duration // how long the primary has to answer alone; 0: no time
	// Call asks one node. It is called in goroutines of the fleet, for several nodes at a time.
	Call func(context.Context, *node.Node) (engine.Answer, error)
	// Gap is where Call tells early that its node's answer will not be enough. It has room for every node, or is nil.
	Gap chan struct{}

	Replies []Reply // one for each node; the Node of a reply that hasn't come is nil
	Asked   int     // so many of the nodes have been asked
}

// Run asks the first node, and the others after the delay or when its reply is not enough. enough judges the replies as
// they come, and may mark one as failed. Run returns when one is enough, when none is worth waiting for any more, or
// when the method's pace is used up; while no node has answered at all, it waits on for the first that does.
func (h *Hedge) Run(ctx context.Context, enough func(i int) bool) {
	// Calls that are not needed any more are given up. That is no timeout: it says nothing about their nodes.
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	pace, others := time.After(h.Method.Pace()), time.After(h.Delay)
	late := false
	changed := h.Fleet.Pool.Changed()
	arrivals := make(chan Reply, len(h.Nodes))
	h.Replies = make([]Reply, len(h.Nodes))
	h.ask(ctx, min(1, len(h.Nodes)), arrivals)
	for h.Asked < len(h.Nodes) || h.isWaiting() {
		select {
		case got := <-arrivals:
			i := slices.Index(h.Nodes, got.Node)
			h.Replies[i] = got
			if enough(i) || late && h.isAnswered() {
				return
			}
			h.ask(ctx, len(h.Nodes), arrivals)
		case <-others:
			h.ask(ctx, len(h.Nodes), arrivals)
		case <-h.Gap:
			h.ask(ctx, len(h.Nodes), arrivals)
		case <-changed:
			changed = h.Fleet.Pool.Changed()
		case <-pace:
			if late = true; h.isAnswered() {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// ask asks the first n nodes, as far as they haven't been asked.
func (h *Hedge) ask(ctx context.Context, n int, arrivals chan<- Reply) {
	for ; h.Asked < n; h.Asked++ {
		asked, begun := h.Nodes[h.Asked], time.Now()
		h.Fleet.Go(func() {
			a, err := h.Call(ctx, asked)
			arrivals <- Reply{asked, a, err, time.Since(begun)}
		})
	}
}

// isWaiting reports whether a reply is still waited for.
func (h *Hedge) isWaiting() bool {
	alive, result := false, false
	var missing []node.Status
	for i, n := range h.Nodes {
		s := n.Status()
		alive = alive || s.State == health.Alive
		if r := &h.Replies[i]; r.Node == nil {
			missing = append(missing, s)
		} else {
			result = result || r.OK()
		}
	}
	return slices.ContainsFunc(missing, func(s node.Status) bool { return s.Awaited(alive, result) })
}

// isAnswered reports whether a node has answered, be it with an error or with nothing.
func (h *Hedge) isAnswered() bool {
	return slices.ContainsFunc(h.Replies, func(r Reply) bool { return r.Node != nil && r.Failure == nil })
}

// Came returns the replies that have come, in the order of the nodes.
func (h *Hedge) Came() []Reply {
	return slices.DeleteFunc(slices.Clone(h.Replies), func(r Reply) bool { return r.Node == nil })
}
