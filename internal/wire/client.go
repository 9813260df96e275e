// Package wire makes JSON-RPC calls to one node, over connections that it keeps.
package wire

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"

	"executionbackup/internal/auth"
	"executionbackup/internal/budget"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/rawjson"
	"executionbackup/internal/tracing"
)

// Client makes calls to one node. Safe for concurrent use: what isn't atomic is set by New, and locks itself.
type Client struct {
	target     atomic.Pointer[target]
	lastHeader atomic.Pointer[http.Header] // of the last call
	via        http.RoundTripper
	tcp        *transport     // via, where that is over TCP; else nil
	answers    *budget.Budget // bytes of the answers that are being read
	broke      func()         // told of breaks (Options.Broke); never nil
}

// Options are what a Client needs.
type Options struct {
	URL    *url.URL       // of the node: http or https
	Secret auth.Secret    // with which the node's tokens are made
	CAs    *x509.CertPool // that vouch for an https node; nil = the system's
	// Transport makes one exchange; nil means over TCP. It must not follow a redirect, which would carry the node's
	// token to whom we don't know.
	Transport http.RoundTripper
	// Broke is told of breaks: connections that were refused, or ended by the node in mid-call or soon after a call. It
	// is called by whoever makes a call, before Do returns; nil means that nobody is told.
	Broke func()
}

// target is where calls go and what they show. Another one may take its place while calls are made.
type target struct {
	request *http.Request // as every call's, without context, header and body
	bearer  *auth.Minter
}

// New returns a client without connections.
func New(o Options) *Client {
	if o.Broke == nil {
		o.Broke = func() {}
	}
	c := &Client{via: o.Transport, answers: budget.New(maxAnswers), broke: o.Broke}
	if c.via == nil {
		c.tcp = &transport{broke: o.Broke}
		c.via = c.tcp
	}
	c.Use(o.URL, o.Secret, o.CAs)
	return c
}

// Use makes calls go to another URL, with tokens of another secret. Every request is sent as a whole under the old ones
// or the new ones. The connections stay: the URL has to lead to the same host. The authorities are for new ones.
func (c *Client) Use(to *url.URL, secret auth.Secret, cas *x509.CertPool) {
	if c.tcp != nil {
		c.tcp.trust(cas)
	}
	c.target.Store(&target{request: &http.Request{Method: http.MethodPost, URL: to}, bearer: auth.NewMinter(secret)})
}

// Request is one JSON-RPC request, and how its answer is to be taken in.
type Request struct {
	Body  []byte // must not change before Do returns
	ID    []byte // of the request; where it isn't given, it is looked for in Body
	Limit int64  // of the answer, in bytes; 0 means far above 128 blobs in hex (38 MB)

	// Into, where it isn't nil, has memory for the answer. Where that is too little, *Into is the larger memory that
	// was needed. The reply is good until that is used for something else.
	Into *[]byte
	// Fields are looked for in the result, in the one scan of the answer; not where Take reads it.
	Fields []rawjson.Field
	// Take, where it isn't nil, reads a large result while it comes in, to its end; it can be read with io.Copy without
	// a further buffer. Then the reply is empty, an error means that Take has only a part of the result, or failed
	// itself, and nothing is tried again.
	Take func(result io.Reader) error
	// Whole has Take read all that the node writes, around the result too.
	Whole bool
}

// maxAnswer bounds an answer where its request doesn't, in bytes.
const maxAnswer = 256 << 20

// Do makes a call and returns the node's answer, or why there is none. A connection that breaks in mid-call is retried
// once on a fresh one, as engine calls are idempotent: retried says that the node may have had the call twice.
func (c *Client) Do(ctx context.Context, r Request) (reply jsonrpc.Reply, retried bool, failure *Failure) {
	if rawjson.IsNull(r.ID) {
		r.ID = jsonrpc.CallID(r.Body)
	}
	if r.Limit == 0 {
		r.Limit = maxAnswer
	}
	a := &attempt{client: c, Request: r}
	reply, failure, broke := a.try(ctx)
	died := broke
	if broke {
		c.broke()
		c.Disconnect() // the other connections lead to what is gone, too
		if a.opened {
			failure.Kind = Broken
		} else {
			retried = true
			if reply, failure, broke = a.try(ctx); broke {
				failure.Reason = "connection broke twice: " + failure.Reason
			}
		}
	}
	if failure != nil {
		failure.Died = died
		failure.Reached = died || failure.Kind != Unreachable && failure.Kind != Unauthorized
		return jsonrpc.Reply{}, retried, failure
	}
	return reply, retried, nil
}

// attempt is a request on its way, for the first or the second time. It belongs to the goroutine that makes the call.
type attempt struct {
	client *Client
	Request
	opened bool // Take has been called
}

// try makes one attempt. broke says that a connection that had been made did not live to bring the answer.
func (a *attempt) try(ctx context.Context) (reply jsonrpc.Reply, failure *Failure, broke bool) {
	resp, err := a.client.post(ctx, a.Body)
	if err == nil {
		defer resp.Body.Close()
		reply, err = a.receive(resp)
	}
	if err == nil {
		return reply, nil, false
	}
	if refused, ok := err.(*Failure); ok {
		return reply, refused, false
	}
	if errors.Is(err, syscall.ECONNREFUSED) { // nobody is there
		a.client.broke()
		// Or a kept connection would show the same break once more, when the node has proved itself again.
		a.client.Disconnect()
	}
	failure, broke = classify(ctx, err)
	return reply, failure, broke
}

// post sends a request and returns the response, whose body is still to be read.
func (c *Client) post(ctx context.Context, body []byte) (*http.Response, error) {
	to := c.target.Load()
	req := to.request.WithContext(ctx)
	req.Header = c.header(to.bearer.Bearer(time.Now()))
	if parent := tracing.Parent(ctx); parent != "" {
		req.Header = req.Header.Clone() // the other calls have that one
		req.Header[tracing.Header] = []string{parent}
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.ContentLength = int64(len(body))
	return c.via.RoundTrip(req)
}

// header returns the header of a call with a token: that of the last call, where the token is the same. It is not to be
// changed.
func (c *Client) header(bearer string) http.Header {
	if h := c.lastHeader.Load(); h != nil && (*h)["Authorization"][0] == bearer {
		return *h
	}
	h := http.Header{"Content-Type": {"application/json"}, "Authorization": {bearer}, "User-Agent": {"executionbackup"}}
	c.lastHeader.Store(&h)
	return h
}

// Disconnect lets go of the connections that aren't in use, and of the others when their calls have ended.
func (c *Client) Disconnect() {
	if c.tcp != nil {
		c.tcp.closeIdle()
	}
}

// Close lets go of all connections as Disconnect does, and keeps none from now on. Calls can still be made.
func (c *Client) Close() {
	if c.tcp != nil {
		c.tcp.close()
	}
}
