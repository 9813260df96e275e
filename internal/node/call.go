package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
)

// Kind says how a call failed.
type Kind uint8

const (
	Unreachable  Kind = iota // no connection, or one that broke twice
	Unauthorized             // 401 or 403: the node has another secret
	TimedOut                 // no answer in time
	Malformed                // an answer that isn't JSON-RPC, or too large
	Stopped                  // we gave the call up ourselves
	Broken                   // a connection that broke when a part of the answer had been passed on
)

var kindNames = [...]string{"unreachable", "unauthorized", "timeout", "malformed", "stopped", "broken"}

// String returns the kind, fit for a metric's label.
func (k Kind) String() string { return kindNames[k] }

// Failure is a call that brought no JSON-RPC answer. It is neither a vote nor an error to pass on.
type Failure struct {
	Kind   Kind
	Reason string // in words, for logs and the REST API; never a secret
	// Reached says that the node may have had the call before it, and Died that its connection broke then.
	Reached, Died bool
}

func (f *Failure) Error() string { return f.Reason }

// maxAnswer bounds a node's answer, in bytes: far above 128 blobs in hex (38 MB).
const maxAnswer = 256 << 20

// maxOwnAnswer bounds the answer to a question of our own: a probe's, a block's header, a client's name.
const maxOwnAnswer = 1 << 20

// answerLimit bounds the answer to a call.
func answerLimit(ctx context.Context) int64 {
	if isOwn(ctx) {
		return maxOwnAnswer
	}
	return maxAnswer
}

// Call sends one JSON-RPC request under the node's own token and returns its answer, or a *Failure. A connection that
// breaks in mid-call is retried once on a fresh one: engine calls are idempotent. What the outcome says about the
// node's health is noted. The family is for the metrics. Safe for concurrent use; body must not change before Call returns.
func (n *Node) Call(ctx context.Context, f engine.Family, body []byte) (jsonrpc.Reply, error) {
	return n.call(ctx, f, &attempt{node: n, body: body})
}

// CallRetried is Call, and reports whether the connection broke in mid-call: then the node may have had the call twice.
func (n *Node) CallRetried(ctx context.Context, f engine.Family, body []byte) (reply jsonrpc.Reply, retried bool, err error) {
	a := &attempt{node: n, body: body}
	reply, err = n.call(ctx, f, a)
	return reply, a.retried, err
}

// CallInto is Call for a large answer. It is read into the memory of into, or into more where that is too little, which
// is in into afterwards: the reply is good until that is used for something else. The fields are looked for in the result.
func (n *Node) CallInto(ctx context.Context, f engine.Family, body []byte, into *[]byte, fields ...jsonrpc.Field) (jsonrpc.Reply, error) {
	return n.call(ctx, f, &attempt{node: n, body: body, into: into, fields: fields})
}

// Stream is Call, except that a large result is read by take while it comes in, to its end; it can be read with io.Copy
// without a further buffer. Then the reply is empty, an error means that take has only a part of the result, or failed
// itself, and nothing is tried again.
func (n *Node) Stream(ctx context.Context, f engine.Family, body []byte, take func(result io.Reader) error) (jsonrpc.Reply, error) {
	return n.call(ctx, f, &attempt{node: n, body: body, take: take})
}

// call makes a call, in one attempt or two.
func (n *Node) call(ctx context.Context, f engine.Family, a *attempt) (jsonrpc.Reply, error) {
	start := time.Now()
	if jsonrpc.IsNull(a.id) {
		a.id = jsonrpc.CallID(a.body)
	}
	reply, failure, broke := a.try(ctx)
	died := broke
	if broke {
		n.Broke()
		n.Disconnect() // they lead to what is gone as well
		if a.opened {
			failure.Kind = Broken
		} else {
			a.retried = true
			if reply, failure, broke = a.try(ctx); broke {
				failure.Reason = "connection broke twice: " + failure.Reason
			}
		}
	}
	n.observe(f, isOwn(ctx), failure, time.Since(start))
	if failure != nil {
		failure.Died = died
		failure.Reached = died || failure.Kind != Unreachable && failure.Kind != Unauthorized
		return jsonrpc.Reply{}, failure
	}
	return reply, nil
}

// attempt is a call on its way.
type attempt struct {
	node   *Node
	body   []byte
	id     []byte  // under which the answer has to come
	into   *[]byte // nil where nobody has memory for the answer
	fields []jsonrpc.Field
	take   func(result io.Reader) error

	// What became of it.
	opened  bool // take has been called
	retried bool
}

// try makes one attempt. broke says that a connection that had been made did not live to bring the answer.
func (a *attempt) try(ctx context.Context) (reply jsonrpc.Reply, failure *Failure, broke bool) {
	resp, err := a.node.post(ctx, a.body)
	if err == nil {
		defer resp.Body.Close()
		reply, err = a.receive(resp, answerLimit(ctx))
	}
	if err == nil {
		return reply, nil, false
	}
	if refused, ok := err.(*Failure); ok {
		return reply, refused, false
	}
	if errors.Is(err, syscall.ECONNREFUSED) { // nobody is there
		a.node.Broke()
		a.node.Disconnect() // or what is kept would show the same break once more, when the node has proved itself again
	}
	failure, broke = classify(ctx, err)
	return reply, failure, broke
}

// post sends a request and returns the response, whose body is still to be read.
func (n *Node) post(ctx context.Context, body []byte) (*http.Response, error) {
	setup := n.setup.Load()
	req := setup.request.WithContext(ctx)
	req.Header = n.header(setup.bearer.Bearer(time.Now()))
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.ContentLength = int64(len(body))
	return n.transport.RoundTrip(req)
}

// header is that of a call with a token. It is not to be changed.
func (n *Node) header(bearer string) http.Header {
	if h := n.lastHeader.Load(); h != nil && (*h)["Authorization"][0] == bearer {
		return *h
	}
	h := http.Header{"Content-Type": {"application/json"}, "Authorization": {bearer}, "User-Agent": {"executionbackup"}}
	n.lastHeader.Store(&h)
	return h
}

// Disconnect lets go of the connections that aren't in use, and of the others when their calls have ended.
func (n *Node) Disconnect() {
	if t, ok := n.transport.(*transport); ok {
		t.closeIdle()
	}
}

// classify says what a transport's error means.
func classify(ctx context.Context, err error) (f *Failure, broke bool) {
	var network *net.OpError
	dialling := errors.As(err, &network) && network.Op == "dial"
	switch {
	case errors.Is(context.Cause(ctx), context.Canceled), errors.Is(err, errTaker):
		return &Failure{Kind: Stopped, Reason: "given up"}, false
	case dialling && ctx.Err() == nil:
		return &Failure{Kind: Unreachable, Reason: "no connection: " + rootCause(err)}, false
	case dialling:
		return &Failure{Kind: Unreachable, Reason: "no connection in time"}, false
	case ctx.Err() != nil:
		return &Failure{Kind: TimedOut, Reason: "no answer in time"}, false
	case errors.Is(err, errTooLarge), errors.Is(err, errTooMuch), errors.Is(err, errNotGzip):
		return &Failure{Kind: Malformed, Reason: rootCause(err)}, false
	}
	return &Failure{Kind: Unreachable, Reason: rootCause(err)}, true
}

// rootCause returns the innermost error's text: without the URL, which may carry credentials.
func rootCause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return jsonrpc.Excerpt(err.Error()) // some quote what the node wrote
		}
		err = inner
	}
}
