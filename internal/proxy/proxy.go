// Package proxy is the door that a consensus client talks to: JSON-RPC over HTTP and WebSocket. It decodes calls
// and encodes answers, one at a time or in a batch; who answers them is package calls' business. This is the path of a
// call:
//
//	front       is there room for it?
//	auth        which consensus client is it?
//	proxy       read the body once, find the calls in it        ServeHTTP, Answer
//	calls       who answers its family?
//	verdict     newPayload, forkchoiceUpdated: ask all nodes, gather, decide, compose
//	proposal    getPayload: the best payload of all nodes
//	lists       blobs, bodies, inclusion lists: put together from several nodes'
//	fleet       the nodes, and what all consensus clients share
//	node        one node: its lane, its token, its timeout
//	proxy       a node's own bytes, under the CL's id           reply
//
// Beside it, package quorum says when a call is to be answered, and what.
package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"executionbackup/internal/calls"
	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/outlet"
	"executionbackup/internal/rawjson"
	"executionbackup/internal/session"
	"executionbackup/internal/tracing"
)

// Proxy is the http.Handler that a consensus client talks to, behind authentication. Safe for concurrent use.
type Proxy struct {
	calls    *calls.Router
	session  *session.Session // of the consensus client that talks to it
	maxBody  int64            // of a request, in bytes
	inFlight prometheus.Gauge
}

// Options are what a Proxy is made of.
type Options struct {
	Calls   *calls.Router
	Session *session.Session      // of the consensus client that it is for
	MaxBody int64                 // of a request, in bytes
	Metrics prometheus.Registerer // with which the door's metrics are registered
}

// New returns a door to a router.
func New(o Options) *Proxy {
	return &Proxy{calls: o.Calls, session: o.Session, maxBody: o.MaxBody, inFlight: promauto.With(o.Metrics).NewGauge(
		prometheus.GaugeOpts{
			Name: "executionbackup_requests_in_flight",
			Help: "Requests of consensus clients that are being answered, over HTTP and WebSocket.",
		})}
}

// ServeHTTP answers the call or the batch in a request's body.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.inFlight.Inc()
	defer p.inFlight.Dec()
	body, err := p.read(w, r)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			http.Error(w, "request body too large", http.StatusRequestEntityTooLarge)
		}
		return // else the CL has gone
	}
	ctx := tracing.WithParent(r.Context(), r.Header)
	if !rawjson.IsArray(body) {
		p.answerOne(ctx, body, w)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Write(p.answerBatch(ctx, body))
}

// read reads the body of a request, into memory of its size where it says what that is.
func (p *Proxy) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > p.maxBody {
		return nil, &http.MaxBytesError{Limit: p.maxBody}
	}
	limited := http.MaxBytesReader(w, r.Body, p.maxBody)
	if r.ContentLength >= 0 {
		body := make([]byte, r.ContentLength)
		_, err := io.ReadFull(limited, body)
		return body, err
	}
	return io.ReadAll(limited)
}

// answerOne answers a call that is alone in its request.
func (p *Proxy) answerOne(ctx context.Context, body []byte, w http.ResponseWriter) {
	c := decode(apart(bytes.TrimSpace(body), body))
	if c.isNotification() {
		p.answer(ctx, &c, nil)
		return
	}
	out := outlet.New(w, &format, c.Call, c.id)
	if answer, gone := p.answer(ctx, &c, out); !gone {
		out.Send(&answer)
	}
}

// Answer answers the call or the batch in a message that came over WebSocket, in pieces; nil where the CL wants no
// answer. Nothing goes before the answer is whole: where a node breaks off, that is an error of its call, and not the
// end of a connection that some CLs open but once.
func (p *Proxy) Answer(ctx context.Context, message []byte) (pieces [][]byte) {
	p.inFlight.Inc()
	defer p.inFlight.Dec()
	if rawjson.IsArray(message) {
		if answers := p.answerBatch(ctx, message); answers != nil {
			return [][]byte{answers}
		}
		return nil
	}
	c := decode(apart(bytes.TrimSpace(message), message))
	answer, _ := p.answer(ctx, &c, nil)
	if c.isNotification() {
		return nil
	}
	return format.Whole(c.Call, c.id, &answer)
}

// Refuse says why a message isn't answered that begins with start: under its call's id, where that has come.
func (p *Proxy) Refuse(start []byte, why string) []byte {
	id := jsonrpc.CallID(start)
	if !json.Valid(id) || bytes.HasSuffix(start, id) { // which may be half of one
		id = nil
	}
	return jsonrpc.AppendReply(nil, id, jsonrpc.Reply{Err: &engine.Error{Code: engine.CodeServer, Message: why}})
}

// apart copies a call that is less than half of its body: calls are kept, and large bodies must not be kept for their
// sake.
func apart(call, body []byte) []byte {
	if len(call) < len(body)/2 {
		return bytes.Clone(call)
	}
	return call
}

// answer answers a call; see calls.Router.Answer.
func (p *Proxy) answer(ctx context.Context, c *call, out *outlet.Outlet) (answer engine.Answer, gone bool) {
	if c.refusal != nil {
		return engine.Answer{Err: c.refusal}, false
	}
	return p.calls.Answer(ctx, p.session, c.Call, out)
}

// call is one call of the CL's, as it stands in a request.
type call struct {
	*engine.Call
	id      []byte        // under which its answer goes out; nil where the CL wants none
	refusal *engine.Error // why it isn't made; nil where it is
}

// isNotification reports whether the CL wants no answer.
func (c *call) isNotification() bool { return c.id == nil }

// decode reads a call. One that can't be read, or could be read in two ways, is refused.
func decode(raw []byte) call {
	var r jsonrpc.Request
	if err := jsonrpc.ParseRequest(raw, &r); err != nil {
		code := engine.CodeInvalidRequest
		if errors.Is(err, rawjson.ErrSyntax) {
			code = engine.CodeParse
		}
		c := call{Call: new(engine.Call), id: r.ID, refusal: &engine.Error{Code: code, Message: err.Error()}}
		if c.id == nil {
			c.id = []byte("null")
		}
		return c
	}
	id := r.ID
	if rawjson.IsNull(id) {
		// A node would not answer a call without id, and some don't answer one whose id is null.
		r.Raw, r.ID = jsonrpc.NewCall(string(r.Method), r.Params), nil
	}
	c, err := enginejson.ReadCall(&r)
	if err != nil {
		return call{Call: c, id: id, refusal: &engine.Error{Code: engine.CodeInvalidRequest, Message: err.Error()}}
	}
	if isSubscription(c.Method.Name) {
		why := "the method " + c.Method.Name + " does not exist/is not available: there are no subscriptions"
		return call{Call: c, id: id, refusal: &engine.Error{Code: engine.CodeMethodNotFound, Message: why}}
	}
	return call{Call: c, id: id}
}

// isSubscription reports whether a method would have a node tell more than its answer, or less. Towards nodes we have
// no connection that it could do so over.
func isSubscription(method string) bool {
	return strings.HasSuffix(method, "_subscribe") || strings.HasSuffix(method, "_unsubscribe")
}

// contentType is that of every answer.
const contentType = "application/json"

// large is the size from which on a result isn't copied, in bytes.
const large = 64 << 10

// format is how answers go that are alone in their request.
var format = outlet.Format{
	ContentType: contentType,
	Around:      around,
	Whole: func(c *engine.Call, id []byte, a *engine.Answer) [][]byte {
		if isVerbatim(c, id, a) {
			return [][]byte{a.Whole}
		}
		r := reply(c, a)
		if len(r.Result) < large {
			return [][]byte{jsonrpc.AppendReply(nil, id, r)}
		}
		head, tail := around(id)
		return [][]byte{head, r.Result, tail}
	},
	OpenList: []byte{'['}, Comma: []byte{','}, CloseList: []byte{']'},
	Entry: func(kind engine.ListKind, e *engine.Entry) [][]byte { return enginejson.AppendEntry(nil, kind, e) },
}

// isVerbatim reports whether the CL gets all that a node wrote, which stands under the id that the node was called
// with.
func isVerbatim(c *engine.Call, id []byte, a *engine.Answer) bool {
	return a.Verbatim && a.Whole != nil && bytes.Equal(id, c.ID)
}

// around returns what stands before a result, and behind it.
func around(id []byte) (head, tail []byte) {
	empty := jsonrpc.AppendReply(nil, id, jsonrpc.Reply{})
	last := len(empty) - 1
	return empty[:last], empty[last:]
}

// reply is an answer to a call in JSON-RPC.
func reply(c *engine.Call, a *engine.Answer) jsonrpc.Reply {
	if a.Err != nil {
		return jsonrpc.Reply{Err: a.Err}
	}
	return jsonrpc.Reply{Result: enginejson.Result(c, a)}
}
