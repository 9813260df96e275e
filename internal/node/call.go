package node

import (
	"context"
	"io"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/lane"
	"executionbackup/internal/wire"
)

// Call sends one JSON-RPC request under the node's own token and returns its answer, or a *wire.Failure. A connection
// that breaks in mid-call is retried once on a fresh one: engine calls are idempotent. What the outcome says about the
// node's health is noted. The family is for the metrics. Safe for concurrent use; body must not change before Call
// returns.
func (n *Node) Call(ctx context.Context, f engine.Family, body []byte) (jsonrpc.Reply, error) {
	reply, _, err := n.do(ctx, f, wire.Request{Body: body})
	return reply, err
}

// CallRetried is Call, and reports whether the connection broke in mid-call: then the node may have had the call twice.
func (n *Node) CallRetried(ctx context.Context, f engine.Family, body []byte) (
	reply jsonrpc.Reply, retried bool, err error) {
	return n.do(ctx, f, wire.Request{Body: body})
}

// CallInto is Call for a large answer. The answer is read into the memory of *into; where that is too little, *into is
// the larger memory that was needed. The reply is good until that memory is used for something else. The fields are
// looked for in the result.
func (n *Node) CallInto(ctx context.Context, f engine.Family, body []byte, into *[]byte, fields ...jsonrpc.Field) (
	jsonrpc.Reply, error) {
	reply, _, err := n.do(ctx, f, wire.Request{Body: body, Into: into, Fields: fields})
	return reply, err
}

// Stream is Call, except that a large result is read by take while it comes in, to its end; it can be read with io.Copy
// without a further buffer. Then the reply is empty, an error means that take has only a part of the result, or failed
// itself, and nothing is tried again.
func (n *Node) Stream(ctx context.Context, f engine.Family, body []byte, take func(result io.Reader) error) (
	jsonrpc.Reply, error) {
	reply, _, err := n.do(ctx, f, wire.Request{Body: body, Take: take})
	return reply, err
}

// Deliver makes a call in its turn and returns what the node answered, or an error where it wasn't called or a
// *wire.Failure came of it. The turn is over when Deliver returns. ctx ends the wait as well as the call.
func (n *Node) Deliver(ctx context.Context, t *lane.Turn) (jsonrpc.Reply, error) {
	defer t.Done()
	if err := t.Start(ctx); err != nil {
		if err == lane.ErrOverflow {
			n.FellBehind() // it lacks a payload
		}
		return jsonrpc.Reply{}, err
	}
	c := t.Call()
	ctx, cancel := context.WithTimeout(ctx, n.Timeout(c.Method))
	defer cancel()
	reply, _, err := n.do(ctx, c.Method.Family, wire.Request{Body: c.Body, ID: c.ID})
	return reply, err
}

// Hold does something in a turn of its own (see Pool.Join with a nil call): no live call is made meanwhile.
func (n *Node) Hold(ctx context.Context, t *lane.Turn, do func() error) error {
	defer t.Done()
	if err := t.Start(ctx); err != nil {
		return err
	}
	return do()
}

// maxOwnAnswer bounds the answer to a question of our own, in bytes: a probe's, a block's header, a client's name.
const maxOwnAnswer = 1 << 20

// Ask makes a call of our own within a probe's time. Its answer may have 1 MiB.
func (n *Node) Ask(ctx context.Context, method, params string) (jsonrpc.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	r := wire.Request{Body: jsonrpc.NewCall(method, []byte(params)), Limit: maxOwnAnswer}
	reply, _, err := n.do(ctx, engine.Other, r)
	if f, failed := err.(*wire.Failure); failed {
		n.missed(f)
	}
	return reply, err
}

// do makes a call and notes what its outcome says about the node. The error is a *wire.Failure.
func (n *Node) do(ctx context.Context, f engine.Family, r wire.Request) (reply jsonrpc.Reply, retried bool, err error) {
	start := time.Now()
	reply, retried, failure := n.client.Do(ctx, r)
	n.observe(f, failure, time.Since(start))
	if failure != nil {
		err = failure
	}
	return reply, retried, err
}

// Disconnect lets go of the connections that aren't in use, and of the others when their calls have ended.
func (n *Node) Disconnect() { n.client.Disconnect() }
