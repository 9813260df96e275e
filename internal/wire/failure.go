package wire

import (
	"context"
	"errors"
	"net"

	"executionbackup/internal/engine"
)

// Kind says how a call failed.
type Kind uint8

// The kinds of failures.
const (
	Unreachable  Kind = iota // no connection, or one that broke twice
	Unauthorized             // 401 or 403: the node has another secret, say
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
	// Reached says that the node may have had the call before it failed, and Died that its connection broke then.
	Reached, Died bool
}

// Error returns the reason.
func (f *Failure) Error() string { return f.Reason }

// MalformedAnswer is the failure of a call whose answer can't be understood, or isn't one that its method has.
func MalformedAnswer(err error) *Failure {
	return &Failure{Kind: Malformed, Reason: "malformed answer: " + err.Error()}
}

// classify says what a transport's error means. broke says that a connection which had been made broke in mid-call.
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
	case errors.Is(err, errTooLarge), errors.Is(err, errNoRoom), errors.Is(err, errNotGzip):
		return &Failure{Kind: Malformed, Reason: rootCause(err)}, false
	}
	return &Failure{Kind: Unreachable, Reason: rootCause(err)}, true
}

// rootCause returns the innermost error's text: without the URL, which may carry credentials.
func rootCause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return engine.Excerpt(err.Error()) // some quote what the node wrote
		}
		err = inner
	}
}
