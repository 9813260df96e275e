package node

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"

	"executionbackup/internal/config"
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
)

var kindNames = [...]string{"unreachable", "unauthorized", "timeout", "malformed", "stopped"}

// String returns the kind, fit for a metric's label.
func (k Kind) String() string { return kindNames[k] }

// Failure is a call that brought no JSON-RPC answer. It is neither a vote nor an error to pass on.
type Failure struct {
	Kind   Kind
	Reason string // in words, for logs and the REST API; never a secret
}

func (f *Failure) Error() string { return f.Reason }

// maxAnswer bounds a node's answer, in bytes: far above 128 blobs in hex (38 MB).
const maxAnswer = 256 << 20

// maxOwnAnswer bounds the answer to a question of our own: a probe's, a block's header, a client's name.
const maxOwnAnswer = 1 << 20

// maxBelieved is how much memory is made ready for an answer because a node says so, in bytes.
const maxBelieved = 4 << 20

// answerLimit bounds the answer to a call.
func answerLimit(ctx context.Context) int64 {
	if ctx.Value(ownKey{}) != nil {
		return maxOwnAnswer
	}
	return maxAnswer
}

// dialTimeout bounds the connection set-up of a live call; a probe has less.
const dialTimeout = 3 * time.Second

func newTransport(config.Node) http.RoundTripper {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
		MaxIdleConnsPerHost: 64, // a batch or a burst of eth_ calls must not end in fresh connections
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // some clients would spend the time of a verdict on gzip
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      64 << 10,

		MaxResponseHeaderBytes: 64 << 10,
	}
}

// stay follows no redirect: it would carry the node's token to whom we don't know.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Call sends one JSON-RPC request under the node's own token and returns its answer, or a *Failure. A connection that
// breaks in mid-call is retried once on a fresh one: engine calls are idempotent. What the outcome says about the
// node's health is noted. Safe for concurrent use; body must not change before Call returns.
func (n *Node) Call(ctx context.Context, body []byte) (jsonrpc.Reply, error) {
	start := time.Now()
	reply, failure, broke := n.try(ctx, body)
	if broke {
		n.Broke()
		n.client.CloseIdleConnections() // they lead to what is gone as well
		if reply, failure, broke = n.try(ctx, body); broke {
			failure.Reason = "connection broke twice: " + failure.Reason
		}
	}
	n.observe(ctx, failure, time.Since(start))
	if failure != nil {
		return jsonrpc.Reply{}, failure
	}
	return reply, nil
}

// try makes one attempt. broke says that a connection that had been made did not live to bring the answer.
func (n *Node) try(ctx context.Context, body []byte) (reply jsonrpc.Reply, failure *Failure, broke bool) {
	connected := false
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }})
	answer, status, err := n.post(traced, body)
	if err != nil {
		failure, broke = classify(ctx, err, connected)
		return jsonrpc.Reply{}, failure, broke
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		return jsonrpc.Reply{}, &Failure{Unauthorized, fmt.Sprintf("it refuses our token (HTTP %d): is the secret the node's own, and the clock right?", status)}, false
	}
	reply, err = jsonrpc.ParseReply(answer)
	if err != nil && status != http.StatusOK {
		return reply, &Failure{Malformed, fmt.Sprintf("HTTP %d instead of an answer", status)}, false
	}
	if err != nil {
		return reply, &Failure{Malformed, "malformed answer: " + err.Error()}, false
	}
	return reply, nil, false
}

func (n *Node) post(ctx context.Context, body []byte) ([]byte, int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.spec.URL.String(), bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", n.bearer.Bearer(time.Now()))
	req.Header.Set("User-Agent", "executionbackup")
	resp, err := n.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	answer, err := n.readAnswer(resp, answerLimit(ctx))
	return answer, resp.StatusCode, err
}

var errTooLarge = errors.New("answer is larger than allowed")

// readAnswer reads the whole answer. Its errors but errTooLarge, errTooMuch and errNotGzip are the connection's.
func (n *Node) readAnswer(resp *http.Response, limit int64) ([]byte, error) {
	body := &share{Reader: resp.Body, of: n.answers}
	defer body.release()
	answer, err := readBounded(body, resp.ContentLength, limit)
	if err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
		return answer, err
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(answer)) // some send it unasked
	if err != nil {
		return nil, errNotGzip
	}
	body.Reader = unzipped
	answer, err = readBounded(body, -1, limit)
	if err != nil && err != errTooLarge && err != errTooMuch {
		return nil, errNotGzip
	}
	return answer, err
}

// readBounded reads to the end, or to the limit. size is what the node says of it, or -1: it is believed as far as what
// comes bears it out.
func readBounded(r io.Reader, size, limit int64) ([]byte, error) {
	var b bytes.Buffer
	if size = min(size, limit, maxBelieved); size > 0 {
		b.Grow(int(size) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(io.LimitReader(r, limit+1)); err != nil {
		return nil, err
	}
	if int64(b.Len()) > limit {
		return nil, errTooLarge
	}
	return b.Bytes(), nil
}

var errNotGzip = errors.New("answer is not the gzip that it claims to be")

// classify says what a transport's error means. connected tells whether there was a connection at all.
func classify(ctx context.Context, err error, connected bool) (f *Failure, broke bool) {
	var dial *net.OpError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &Failure{Stopped, "given up"}, false
	case errors.As(err, &dial) && dial.Op == "dial":
		return &Failure{Unreachable, "no connection: " + rootCause(err)}, false
	case ctx.Err() != nil && !connected:
		return &Failure{Unreachable, "no connection in time"}, false
	case ctx.Err() != nil:
		return &Failure{TimedOut, "no answer in time"}, false
	case errors.Is(err, errTooLarge), errors.Is(err, errTooMuch), errors.Is(err, errNotGzip), strings.Contains(err.Error(), "malformed"), strings.Contains(err.Error(), "headers exceeded"):
		return &Failure{Malformed, rootCause(err)}, false
	case !connected: // TLS, name look-up
		return &Failure{Unreachable, "no connection: " + rootCause(err)}, false
	}
	return &Failure{Unreachable, rootCause(err)}, true
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
