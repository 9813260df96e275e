// Package proxy answers the consensus client. This is the path of a call:
//
//	ServeHTTP   read the body, find the calls in it
//	dispatch    route a call by its family
//	fan out     the same bytes to every node, each in its own lane       verdict.go
//	gather      votes, until they decide or the time is up               verdict.go
//	answer      a node's own bytes, under the CL's id                    answer.go
package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/evidence"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
)

// Settings are what an operator can change while we run.
type Settings struct {
	Rules           quorum.Rules
	Grace           time.Duration // how long a quorum waits for the others to object
	BuildGrace      time.Duration // how long the first built payload waits for a better one
	ReadTimeout     time.Duration // bounds the calls that are none of the Engine API; 0: the node's timeout does
	CrossCheck      time.Duration // how long voters may judge it before it is proposed; 0: they aren't asked
	AllowNamespaces []string      // besides engine, eth, net and web3
}

// Proxy is the http.Handler that a consensus client talks to, behind authentication. Safe for concurrent use.
type Proxy struct {
	pool      *node.Pool
	memory    *quorum.Memory
	settings  atomic.Pointer[Settings]
	maxBody   int64
	chain     chain
	builds    builds
	history   History
	proposals Proposals
	catchUp   *catchUp
	evidence  *evidence.Log
	contents  contents
	joining   sync.Mutex    // held while a call takes its place among all
	calls     uint64        // newPayloads and forkchoiceUpdateds so far
	behind    chan struct{} // closed when another forkchoiceUpdated takes its place behind the last one; nil before the first
	versions  versions
	said      said // by the CL, of what it can do
	// hashChecks has a place for each payload that may be checked at once.
	hashChecks chan struct{}
	metrics    *Metrics
	log        *slog.Logger

	ctx        context.Context // of calls that outlive their request
	cancel     context.CancelFunc
	stragglers sync.WaitGroup
}

// New returns a proxy before the nodes of pool. memory must be the pool's. maxBody bounds a request, replayBytes the
// payloads that are kept for nodes which come back, both in bytes.
func New(pool *node.Pool, memory *quorum.Memory, settings Settings, maxBody, replayBytes int64, metrics *Metrics, log *slog.Logger) *Proxy {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{pool: pool, memory: memory, maxBody: maxBody, metrics: metrics, log: log, hashChecks: newHashChecks(), ctx: ctx, cancel: cancel}
	p.settings.Store(&settings)
	p.catchUp = newCatchUp(p, replayBytes)
	pool.OnReturn(func(n *node.Node) {
		p.said.again(p, n)
		p.catchUp.returned(n)
	})
	pool.OnRemove(func(n *node.Node) {
		metrics.forget(n.Name())
		p.catchUp.forget(n)
	})
	pool.OnRename(metrics.forget)
	return p
}

// Reload changes the settings. Calls under way keep those that they began with.
func (p *Proxy) Reload(s Settings) { p.settings.Store(&s) }

// History is the record of the last verdicts.
func (p *Proxy) History() *History { return &p.history }

// Proposals is the record of the last proposals.
func (p *Proxy) Proposals() *Proposals { return &p.proposals }

// Drain waits until the calls that outlived their request have ended, and gives them up when ctx ends. No request
// may come in any more.
func (p *Proxy) Drain(ctx context.Context) {
	p.catchUp.close()
	stop := context.AfterFunc(ctx, p.cancel)
	defer stop()
	p.said.close()
	p.stragglers.Wait()
	p.cancel()
}

// maxBatch is how many calls a batch may hold, as in go-ethereum's Engine API.
const maxBatch = 2000

// batchWidth is how many calls of a batch wait for their answers at once: as many as a node's connections are kept.
const batchWidth = 64

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.metrics.inFlight.Inc()
	defer p.metrics.inFlight.Dec()
	body, err := p.read(w, r)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			http.Error(w, "request body too large", http.StatusRequestEntityTooLarge)
		}
		return // else the CL has gone
	}
	if !jsonrpc.IsArray(body) {
		p.answerCall(r.Context(), body, &outlet{w: w})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(p.answerBatch(r.Context(), body))
}

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

// answerCall answers one call.
func (p *Proxy) answerCall(ctx context.Context, body []byte, out *outlet) {
	c := p.dispatch(ctx, apart(bytes.TrimSpace(body), body), out)
	out.id = c.id
	reply := c.answer()
	if !out.begun {
		out.send(reply)
	}
}

// answerBatch returns the answer to a batch; nothing where the CL wants none.
func (p *Proxy) answerBatch(ctx context.Context, body []byte) []byte {
	entries, err := jsonrpc.Elements(body)
	switch {
	case err != nil:
		return jsonrpc.AppendReply(nil, nil, failure(jsonrpc.CodeParse, err.Error()))
	case len(entries) == 0:
		return jsonrpc.AppendReply(nil, nil, failure(jsonrpc.CodeInvalidRequest, "empty batch"))
	case len(entries) > maxBatch:
		return jsonrpc.AppendReply(nil, nil, failure(jsonrpc.CodeInvalidRequest, "batch too large"))
	}
	for i := range entries {
		entries[i] = apart(entries[i], body)
	}
	return p.answerEntries(ctx, entries)
}

// apart copies a call that is less than half of its body: payloads are kept, and bodies must not be for their sake.
func apart(call, body []byte) []byte {
	if len(call) < len(body)/2 {
		return bytes.Clone(call)
	}
	return call
}

// answerEntries makes the calls of a batch side by side, but for those whose order means something: these wait for the
// answers to those before them, as an execution client makes them one after another.
func (p *Proxy) answerEntries(ctx context.Context, entries [][]byte) []byte {
	calls := make([]call, len(entries))
	replies := make([]jsonrpc.Reply, len(entries))
	var running sync.WaitGroup
	slots := make(chan struct{}, batchWidth)
	before := make(chan struct{}) // closed when the last ordered call has its answer
	close(before)
	for i, entry := range entries {
		c := p.dispatch(ctx, entry, nil)
		calls[i] = c
		after, done := before, make(chan struct{})
		if c.ordered {
			before = done
		}
		running.Go(func() {
			defer close(done)
			if c.ordered {
				<-after
			}
			slots <- struct{}{}
			defer func() { <-slots }()
			replies[i] = c.answer()
		})
	}
	running.Wait()
	answer := []byte{'['}
	for i, reply := range replies {
		if calls[i].id == nil {
			continue
		}
		if len(answer) > 1 {
			answer = append(answer, ',')
		}
		answer = jsonrpc.AppendReply(answer, calls[i].id, reply)
	}
	if len(answer) == 1 {
		return nil
	}
	return append(answer, ']')
}

// call is one call of the CL's, ready to be made.
type call struct {
	id      []byte // under which its reply goes out; nil for a call that wants none
	ordered bool   // it means something else before another call than after it
	answer  func() jsonrpc.Reply
}

// dispatch reads a call. out, if not nil, may take a part of the result before answer returns.
func (p *Proxy) dispatch(ctx context.Context, raw []byte, out *outlet) call {
	r := new(jsonrpc.Request)
	if err := jsonrpc.ParseRequest(raw, r); err != nil {
		code := jsonrpc.CodeInvalidRequest
		if errors.Is(err, jsonrpc.ErrSyntax) {
			code = jsonrpc.CodeParse
		}
		if r.ID == nil {
			r.ID = []byte("null")
		}
		return call{id: r.ID, answer: reject(code, err.Error())}
	}
	if jsonrpc.IsNull(r.ID) {
		// A node would not answer a call without id, and some don't answer one whose id is null.
		r.Raw = jsonrpc.NewCall(string(r.Method), r.Params)
	}
	if r.ID == nil {
		out = nil
	}
	m := engine.ParseMethod(string(r.Method))
	return call{id: r.ID, ordered: m.Ordered(), answer: p.route(ctx, r, m, out)}
}

// route returns what makes a call, by the rule of its family.
func (p *Proxy) route(ctx context.Context, r *jsonrpc.Request, m engine.Method, out *outlet) (answer func() jsonrpc.Reply) {
	if !p.allowed(m.Namespace()) {
		return reject(jsonrpc.CodeMethodNotFound, "the method "+m.Name+" does not exist/is not available")
	}
	switch m.Family {
	case engine.NewPayload, engine.ForkchoiceUpdated:
		return func() jsonrpc.Reply { return p.judge(ctx, r, m)() }
	case engine.GetPayload:
		return func() jsonrpc.Reply { return p.getPayload(ctx, r, m, out) }
	case engine.GetPayloadBodies:
		return func() jsonrpc.Reply { return p.getPayloadBodies(ctx, r, m, out) }
	case engine.GetBlobs, engine.HasBlobs:
		return func() jsonrpc.Reply { return p.getBlobs(ctx, r, m, out) }
	case engine.GetInclusionList:
		return func() jsonrpc.Reply { return p.getInclusionList(ctx, r, m) }
	case engine.ExchangeCapabilities:
		return func() jsonrpc.Reply { return p.exchangeCapabilities(ctx, r, m) }
	case engine.GetClientVersion:
		return func() jsonrpc.Reply { return p.getClientVersion(ctx, r, m) }
	case engine.SendRawTransaction:
		return func() jsonrpc.Reply { return p.sendRawTransaction(ctx, r, m) }
	}
	return func() jsonrpc.Reply { return p.forward(ctx, r, m, out) }
}

func (p *Proxy) allowed(namespace string) bool {
	switch namespace {
	case "engine", "eth", "net", "web3":
		return true
	}
	for _, n := range p.settings.Load().AllowNamespaces {
		if n == namespace {
			return true
		}
	}
	return false
}

func reject(code int, message string) func() jsonrpc.Reply {
	return func() jsonrpc.Reply { return failure(code, message) }
}

func failure(code int, message string) jsonrpc.Reply {
	return jsonrpc.Reply{Err: &jsonrpc.Error{Code: code, Message: message}}
}

// unavailable is the answer where no node can give one. why ends up in data.err, as common.md#errors has it.
func unavailable(why string) jsonrpc.Reply {
	data, _ := json.Marshal(map[string]string{"err": why}) // strings always can be
	return jsonrpc.Reply{Err: &jsonrpc.Error{Code: jsonrpc.CodeServer, Message: "no execution node is available", Data: data}}
}
