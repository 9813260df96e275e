package node

import (
	"context"
	"io"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/lane"
	"executionbackup/internal/tracing"
	"executionbackup/internal/wire"
)

// Call makes a call under the node's own token and returns its answer, or a *wire.Failure. A connection that breaks in
// mid-call is retried once on a fresh one: engine calls are idempotent. What the outcome says about the node's health
// is noted. Any other error says that the result is none which the method has; its bytes are in the answer all the
// same. Safe for concurrent use.
func (n *Node) Call(ctx context.Context, c *engine.Call) (engine.Answer, error) {
	a, _, err := n.CallRetried(ctx, c)
	return a, err
}

// CallRetried is Call, and reports whether the connection broke in mid-call: then the node may have had the call twice.
func (n *Node) CallRetried(ctx context.Context, c *engine.Call) (a engine.Answer, retried bool, err error) {
	ctx, span := tracing.Client(ctx, c.Method.Name, n.Name())
	defer func() { n.trace(span, a.Status, a.Err, err) }()
	reply, retried, err := n.do(ctx, c.Method.Family, request(c))
	if err != nil {
		return engine.Answer{}, retried, err
	}
	a, err = enginejson.ReadAnswer(c, reply)
	if a.Methods != nil {
		n.setMethods(a.Methods)
	}
	return a, retried, err
}

// Build is Call for getPayload, whose answer is large. The answer is read into the memory of *into; where that is too
// little, *into is the larger memory that was needed. The answer is good until that memory is used for something else.
func (n *Node) Build(ctx context.Context, c *engine.Call, into *[]byte) (a engine.Answer, err error) {
	ctx, span := tracing.Client(ctx, c.Method.Name, n.Name())
	defer func() { n.trace(span, engine.None, a.Err, err) }()
	built := enginejson.NewBuiltReader(c.Method)
	r := request(c)
	r.Into, r.Fields = into, built.Fields()
	reply, _, err := n.do(ctx, c.Method.Family, r)
	if err != nil {
		return engine.Answer{}, err
	}
	a, err = enginejson.ReadAnswer(c, reply)
	if err == nil && a.OK() {
		a.Built, err = built.Read(reply.Result)
	}
	return a, err
}

// Stream is Call, except that a large result is read by take while it comes in, to its end; it can be read with io.Copy
// without a further buffer. Then the answer is empty, an error means that take has only a part of the result, or failed
// itself, and nothing is tried again. With whole, take reads all that the node writes, around the result too.
func (n *Node) Stream(ctx context.Context, c *engine.Call, whole bool, take func(io.Reader) error) (
	a engine.Answer, err error) {
	ctx, span := tracing.Client(ctx, c.Method.Name, n.Name())
	defer func() { n.trace(span, engine.None, a.Err, err) }()
	r := request(c)
	r.Take, r.Whole = take, whole
	reply, _, err := n.do(ctx, c.Method.Family, r)
	if err != nil {
		return engine.Answer{}, err
	}
	return enginejson.ReadAnswer(c, reply)
}

// StreamList is Call for a list, except that the entries of a large one are handed to take while it comes in. Then the
// answer has the entries alone. follows says that an entry's bytes stand behind those of the one before, in the same
// memory. release, if not nil, lets the memory of the entries be used for something else.
func (n *Node) StreamList(ctx context.Context, c *engine.Call, take func(e *engine.Entry, follows bool)) (
	a engine.Answer, release func(), err error) {
	ctx, span := tracing.Client(ctx, c.Method.Name, n.Name())
	defer func() { n.trace(span, engine.None, a.Err, err) }()
	list, opened := enginejson.NewListReader(&c.List), false
	r := request(c)
	r.Take = func(result io.Reader) error {
		opened = true
		return list.Read(result, take)
	}
	reply, _, err := n.do(ctx, c.Method.Family, r)
	switch {
	case err != nil:
		return engine.Answer{}, nil, err
	case !opened:
		a, err = enginejson.ReadAnswer(c, reply)
		return a, nil, err
	}
	a, err = list.Answer(c)
	return a, list.Release, err
}

// request is a call in the bytes of the node's wire.
func request(c *engine.Call) wire.Request { return wire.Request{Body: c.Body, ID: c.ID} }

// Deliver makes a call in its turn and returns what the node answered, or an error where it wasn't called or a
// *wire.Failure came of it. The turn is over when Deliver returns. ctx ends the wait as well as the call.
func (n *Node) Deliver(ctx context.Context, t *lane.Turn) (engine.Answer, error) {
	defer t.Done()
	came := time.Now()
	err := t.Start(ctx)
	if tracing.IsOn(ctx) && time.Since(came) >= time.Millisecond {
		n.traceLane(ctx, came)
	}
	if err != nil {
		if err == lane.ErrOverflow {
			n.FellBehind() // it lacks a payload
		}
		return engine.Answer{}, err
	}
	c := t.Call().Call
	ctx, cancel := context.WithTimeout(ctx, n.Timeout(c.Method))
	defer cancel()
	a, err := n.Call(ctx, c)
	if _, failed := err.(*wire.Failure); err != nil && !failed {
		err = wire.MalformedAnswer(err)
	}
	return a, err
}

// traceLane tells how long a call has waited for its turn.
func (n *Node) traceLane(ctx context.Context, came time.Time) {
	span := tracing.Since(ctx, "wait for the lane", came)
	span.SetAttributes(tracing.Node.String(n.Name()))
	span.End()
}

// maxOwnAnswer bounds the answer to a question of our own, in bytes: a probe's, a block's header, a client's name.
const maxOwnAnswer = 1 << 20

// ask asks the node about itself, within a probe's time. The answer may have 1 MiB.
func (n *Node) ask(ctx context.Context, method, params string) (reply jsonrpc.Reply, err error) {
	ctx, span := tracing.Client(ctx, method, n.Name()) // where a call makes us ask
	defer func() { n.trace(span, engine.None, reply.Err, err) }()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	r := wire.Request{Body: jsonrpc.NewCall(method, []byte(params)), Limit: maxOwnAnswer}
	reply, _, err = n.do(ctx, engine.Other, r)
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

// trace tells what came of a call in its span, and ends that. A call that we gave up has not failed.
func (n *Node) trace(span trace.Span, status engine.Status, refused *engine.Error, err error) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(tracing.Node.String(n.Name()))
	if status != engine.None {
		span.SetAttributes(tracing.Status.String(status.String()))
	}
	failure, failed := err.(*wire.Failure)
	switch {
	case failed && failure.Kind == wire.Stopped:
		span.SetAttributes(tracing.Outcome.String(failure.Kind.String()))
	case failed:
		span.SetStatus(codes.Error, failure.Kind.String())
	case err != nil:
		span.SetStatus(codes.Error, wire.Malformed.String())
	case refused != nil:
		span.SetStatus(codes.Error, "JSON-RPC error "+strconv.Itoa(refused.Code))
	}
}

// Disconnect lets go of the connections that aren't in use, and of the others when their calls have ended.
func (n *Node) Disconnect() { n.client.Disconnect() }
