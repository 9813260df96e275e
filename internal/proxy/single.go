package proxy

import (
	"context"
	"io"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/health"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
)

// forward asks one node: the primary, and where it can't be reached the next. A JSON-RPC error is an answer. A large
// result goes to out while it comes in; when a part of it has gone, it is too late for another node.
func (p *Proxy) forward(ctx context.Context, r *jsonrpc.Request, m engine.Method, out *outlet) jsonrpc.Reply {
	why := "no node can be reached"
	for _, n := range p.serving() {
		reply, err := p.pass(ctx, n, m, r.Raw, out)
		if err == nil {
			return reply
		}
		if out != nil && out.begun {
			p.log.Warn("an answer broke off", "node", n.Name(), "method", m.Name, "reason", err)
			out.abort()
		}
		why = n.Name() + ": " + err.Error()
		if ctx.Err() != nil {
			break
		}
	}
	return unavailable(why)
}

// pass makes a call, and lets a large result through to out. Once that has begun, the node's time is for each piece.
func (p *Proxy) pass(ctx context.Context, n *node.Node, m engine.Method, body []byte, out *outlet) (jsonrpc.Reply, error) {
	if out == nil {
		return p.call(ctx, n, m, body)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timeout := p.timeout(n, m)
	patience := time.AfterFunc(timeout, func() { cancel(context.DeadlineExceeded) })
	defer patience.Stop()
	reply, err := n.Stream(ctx, m.Family, body, func(result io.Reader) error {
		patience.Stop() // the caller may take its time
		out.begin()
		_, err := io.Copy(writerFunc(func(b []byte) (int, error) {
			patience.Stop()
			defer patience.Reset(timeout)
			return out.Write(b)
		}), result)
		return err
	})
	if err == nil && out.begun {
		out.end()
	}
	return reply, err
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// serving returns the nodes that may answer for all, best first: the primary, then the alive ones, then the rest. Where
// there is none, those that are dead may have come back just now; those of another chain are no help.
func (p *Proxy) serving() []*node.Node {
	var alive, rest, dead []*node.Node
	primary := p.pool.Primary()
	for _, n := range p.pool.Nodes() {
		s := n.Status()
		switch {
		case n == primary || !s.MayVote() || s.WrongChain:
		case !s.Reachable():
			dead = append(dead, n)
		case s.State == health.Alive:
			alive = append(alive, n)
		default:
			rest = append(rest, n)
		}
	}
	var nodes []*node.Node
	if primary != nil {
		nodes = append(nodes, primary)
	}
	if nodes = append(append(nodes, alive...), rest...); len(nodes) == 0 {
		return dead
	}
	return nodes
}

// timeout bounds a call, or the wait for the next piece of its answer. CLs wait long for logs, and nobody else waits with
// them; an engine call has the time that its node has.
func (p *Proxy) timeout(n *node.Node, m engine.Method) time.Duration {
	if own := p.settings.Load().ReadTimeout; own > 0 && !m.Family.Engine() {
		return own
	}
	return n.Timeout(m)
}

// call makes a call outside the lanes, within the time that the node and the method have.
func (p *Proxy) call(ctx context.Context, n *node.Node, m engine.Method, body []byte) (jsonrpc.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout(n, m))
	defer cancel()
	return n.Call(ctx, m.Family, body)
}

// reply is what came of a call on one of several nodes.
type reply struct {
	node *node.Node
	jsonrpc.Reply
	err  error
	took time.Duration
}

// ask puts a call to several nodes side by side; body gives each its own bytes. The channel brings one reply for each.
// The calls end with ctx.
func (p *Proxy) ask(ctx context.Context, nodes []*node.Node, m engine.Method, body func(*node.Node) []byte) <-chan reply {
	replies := make(chan reply, len(nodes))
	begun := time.Now()
	for _, n := range nodes {
		p.stragglers.Go(func() {
			r, err := p.call(ctx, n, m, body(n))
			replies <- reply{n, r, err, time.Since(begun)}
		})
	}
	return replies
}

// askAll is ask for the same bytes, and waits for every reply. They come in the order of nodes.
func (p *Proxy) askAll(ctx context.Context, nodes []*node.Node, m engine.Method, body []byte) []reply {
	replies := p.ask(ctx, nodes, m, func(*node.Node) []byte { return body })
	byNode := make(map[*node.Node]reply, len(nodes))
	for range nodes {
		r := <-replies
		byNode[r.node] = r
	}
	ordered := make([]reply, len(nodes))
	for i, n := range nodes {
		ordered[i] = byNode[n]
	}
	return ordered
}
