package fleet

import (
	"context"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/node"
)

// Timeout bounds a call on a node, or the wait for the next piece of its answer. An engine call has the time that the
// node has. Other calls have a time of their own, where one is set: a CL waits long for logs, and nothing else waits
// with it.
func (f *Fleet) Timeout(n *node.Node, m engine.Method) time.Duration {
	if own := f.Settings().ReadTimeout; own > 0 && !m.Family.Engine() {
		return own
	}
	return n.Timeout(m)
}

// Ask makes a call outside the lanes, within the time that the node and the method have.
func (f *Fleet) Ask(ctx context.Context, n *node.Node, c *engine.Call) (engine.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, f.Timeout(n, c.Method))
	defer cancel()
	return n.Call(ctx, c)
}

// Status is Ask for a newPayload or a forkchoiceUpdated, and returns the status. An error is the one that the node
// answered with, or says why there is no answer.
func (f *Fleet) Status(ctx context.Context, n *node.Node, c *engine.Call) (engine.Status, error) {
	a, err := f.Ask(ctx, n, c)
	if err == nil && a.Err != nil {
		err = a.Err
	}
	return a.Status, err
}

// Reply is what came of a call on one of several nodes.
type Reply struct {
	Node *node.Node
	engine.Answer
	Failure error // why there is no answer, or none that the method has; nil where there is one
	Took    time.Duration
}

// OK reports whether the node gave a result.
func (r *Reply) OK() bool { return r.Failure == nil && r.Err == nil }

// Reason says in words why a node gave no result.
func (r *Reply) Reason() string {
	if r.Failure != nil {
		return r.Failure.Error()
	}
	return r.Err.Error()
}

// AskEach puts a call to several nodes side by side, each in a straggler of its own (see Go). The channel brings one
// reply for each node, and has room for all. The calls end with ctx.
func (f *Fleet) AskEach(ctx context.Context, nodes []*node.Node, c *engine.Call) <-chan Reply {
	replies := make(chan Reply, len(nodes))
	begun := time.Now()
	for _, n := range nodes {
		f.Go(func() {
			a, err := f.Ask(ctx, n, c)
			replies <- Reply{n, a, err, time.Since(begun)}
		})
	}
	return replies
}

// AskAll is AskEach, and waits for every reply. They come in the order of nodes.
func (f *Fleet) AskAll(ctx context.Context, nodes []*node.Node, c *engine.Call) []Reply {
	replies := f.AskEach(ctx, nodes, c)
	byNode := make(map[*node.Node]Reply, len(nodes))
	for range nodes {
		r := <-replies
		byNode[r.Node] = r
	}
	ordered := make([]Reply, len(nodes))
	for i, n := range nodes {
		ordered[i] = byNode[n]
	}
	return ordered
}

// WithoutResult is the answer where no node gave a result: an error that one gave, if any.
func WithoutResult(replies []Reply) engine.Answer {
	why := "no node can be reached"
	for i := range replies {
		switch r := &replies[i]; {
		case r.Failure != nil:
			why = r.Node.Name() + ": " + r.Failure.Error()
		case r.Err != nil:
			return r.Answer
		}
	}
	return engine.Unavailable(why)
}
