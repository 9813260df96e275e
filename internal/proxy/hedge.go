package proxy

import (
	"context"
	"slices"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/health"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
)

// hedgeDelay is how long the primary has to answer alone before the others are asked too.
const hedgeDelay = 50 * time.Millisecond

// hedge is a call to which one node's answer may be enough, and to which every node may have something to add.
type hedge struct {
	proxy  *Proxy
	method engine.Method
	nodes  []*node.Node // the primary first
	delay  time.Duration
	call   func(context.Context, *node.Node) (jsonrpc.Reply, error)
	gap    chan struct{} // where call tells early that its node's reply will not be enough; it has room for every node

	replies []reply // one for each node; its node is nil as long as it hasn't come
	asked   int     // so many of the nodes have been asked
}

// run asks the first node, and the others after the delay or when its reply is not enough. enough judges the replies
// as they come, and may mark one as failed. run returns when one is enough, when none is worth waiting for any more,
// or when the method's pace is used up; while no node has answered at all, it waits on for the first that does.
func (h *hedge) run(ctx context.Context, enough func(i int) bool) {
	// Calls that are not needed any more are given up. That is no timeout: it says nothing about their nodes.
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	pace, others := time.After(h.method.Pace()), time.After(h.delay)
	late := false
	changed := h.proxy.pool.Changed()
	arrivals := make(chan reply, len(h.nodes))
	h.replies = make([]reply, len(h.nodes))
	h.ask(ctx, min(1, len(h.nodes)), arrivals)
	for h.asked < len(h.nodes) || h.waiting() {
		select {
		case got := <-arrivals:
			i := slices.Index(h.nodes, got.node)
			h.replies[i] = got
			if enough(i) || late && h.answered() {
				return
			}
			h.ask(ctx, len(h.nodes), arrivals)
		case <-others:
			h.ask(ctx, len(h.nodes), arrivals)
		case <-h.gap:
			h.ask(ctx, len(h.nodes), arrivals)
		case <-changed:
			changed = h.proxy.pool.Changed()
		case <-pace:
			if late = true; h.answered() {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// caller is call for a method and its bytes.
func (p *Proxy) caller(m engine.Method, body []byte) func(context.Context, *node.Node) (jsonrpc.Reply, error) {
	return func(ctx context.Context, n *node.Node) (jsonrpc.Reply, error) { return p.call(ctx, n, m, body) }
}

// ask asks the first n nodes, as far as they haven't been asked.
func (h *hedge) ask(ctx context.Context, n int, arrivals chan<- reply) {
	for ; h.asked < n; h.asked++ {
		asked, begun := h.nodes[h.asked], time.Now()
		h.proxy.stragglers.Go(func() {
			r, err := h.call(ctx, asked)
			arrivals <- reply{asked, r, err, time.Since(begun)}
		})
	}
}

// waiting reports whether a reply is still waited for: from an alive node that doesn't lag, from any of these where
// none is alive, and from whoever can be reached as long as there is no result.
func (h *hedge) waiting() bool {
	alive, result := false, false
	var open []node.Status
	for i, n := range h.nodes {
		s := n.Status()
		alive = alive || s.State == health.Alive
		if r := h.replies[i]; r.node != nil {
			result = result || r.err == nil && r.Err == nil
		} else if s.Reachable() {
			open = append(open, s)
		}
	}
	return slices.ContainsFunc(open, func(s node.Status) bool {
		return !result || !s.Laggard && (s.State == health.Alive || !alive)
	})
}

// answered reports whether a node has answered, be it with an error or with nothing.
func (h *hedge) answered() bool {
	return slices.ContainsFunc(h.replies, func(r reply) bool { return r.node != nil && r.err == nil })
}

// came returns the replies that have come, the primary's first.
func (h *hedge) came() []reply {
	return slices.DeleteFunc(slices.Clone(h.replies), func(r reply) bool { return r.node == nil })
}
