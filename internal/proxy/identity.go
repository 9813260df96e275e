package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
)

// getClientVersion answers with every reachable node's entries in one flat array, in configuration order
// (identification.md binds multiplexers to this). Nodes that don't know the method are left out.
func (p *Proxy) getClientVersion(ctx context.Context, r *jsonrpc.Request, m engine.Method) jsonrpc.Reply {
	if len(p.pool.Nodes()) == 1 {
		return p.forward(ctx, r, m, nil)
	}
	ctx, cancel := context.WithTimeout(ctx, m.Pace())
	defer cancel()
	replies := p.askAll(ctx, p.reachable(), m, r.Raw)
	all := []byte{'['}
	for _, got := range replies {
		if got.err != nil || got.Err != nil {
			continue
		}
		entries, err := jsonrpc.Elements(got.Result)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if len(all) > 1 {
				all = append(all, ',')
			}
			all = append(all, e...)
		}
	}
	if len(all) == 1 {
		return withoutResult(replies)
	}
	return jsonrpc.Reply{Result: append(all, ']')}
}

// exchangeCapabilities answers with all methods that any node has shown to have in this run. Some CLs ask once and
// never again: a method must not be missing because a node was slow or down just then.
func (p *Proxy) exchangeCapabilities(ctx context.Context, r *jsonrpc.Request, m engine.Method) jsonrpc.Reply {
	if len(p.pool.Nodes()) == 1 {
		return p.forward(ctx, r, m, nil)
	}
	ctx, cancel := context.WithTimeout(ctx, m.Pace())
	defer cancel()
	p.said.keep(r.Params)
	replies := p.askAll(ctx, p.reachable(), m, r.Raw)
	for _, got := range replies {
		if got.err == nil {
			noteCapabilities(got.node, got.Reply)
		}
	}
	union := p.capabilities()
	if len(union) == 0 {
		return withoutResult(replies)
	}
	p.reportLacking(union)
	result, err := json.Marshal(union)
	if err != nil {
		return unavailable(err.Error())
	}
	return jsonrpc.Reply{Result: result}
}

// maxCapabilities bounds a list, in bytes: there are some thirty methods. A node's longer one would be kept, and compared
// with all others.
const maxCapabilities = 16 << 10

// noteCapabilities keeps what a node listed.
func noteCapabilities(n *node.Node, reply jsonrpc.Reply) {
	var methods []string
	if reply.Err == nil && len(reply.Result) <= maxCapabilities && json.Unmarshal(reply.Result, &methods) == nil {
		n.SetCapabilities(methods)
	}
}

// said is what the CL said last in exchangeCapabilities. Clients configure themselves by it (geth has blob cells or not),
// so it is said again, in its words, to a node that wasn't there to hear it or has forgotten it.
type said struct {
	mu      sync.Mutex
	params  []byte // nil: nothing yet
	closed  bool   // it is not said again any more
	running sync.WaitGroup
}

func (s *said) keep(params []byte) {
	if len(params) > maxCapabilities {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.params = bytes.Clone(params)
}

// again says it to a node that can be reached again, beside the live calls.
func (s *said) again(p *Proxy, n *node.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.params == nil || len(p.pool.Nodes()) == 1 {
		return
	}
	call := jsonrpc.NewCall("engine_exchangeCapabilities", s.params)
	s.running.Go(func() {
		reply, err := p.call(p.ctx, n, engine.ParseMethod("engine_exchangeCapabilities"), call)
		if err == nil {
			noteCapabilities(n, reply)
		}
	})
}

// close waits for the calls under way.
func (s *said) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
}

// capabilities is the union of what the nodes listed, in their order.
func (p *Proxy) capabilities() []string {
	var union []string
	versioned := make(map[string]bool) // names that have versions
	for _, n := range p.pool.Nodes() {
		for _, method := range n.Status().Info.Capabilities {
			m := engine.ParseMethod(method)
			if m.Namespace() != "engine" || m.Family == engine.ExchangeCapabilities || slices.Contains(union, method) {
				continue
			}
			if m.Version > 0 {
				versioned[method[:strings.LastIndexByte(method, 'V')]] = true
			}
			union = append(union, method)
		}
	}
	// Some clients list names without their version: those are no methods.
	return slices.DeleteFunc(union, func(method string) bool { return versioned[method] })
}

// reportLacking warns of nodes that lack what others have: after a fork they would be of no use.
func (p *Proxy) reportLacking(union []string) {
	for _, n := range p.pool.Nodes() {
		if lacks := lacking(n.Status().Info.Capabilities, union); len(lacks) > 0 {
			p.log.Warn("node lacks methods that others have", "node", n.Name(), "methods", strings.Join(lacks, " "))
		}
	}
}

// lacking returns the methods of the union that a node doesn't have; none where it hasn't said which it has.
func lacking(has, union []string) []string {
	if len(has) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(union), func(method string) bool { return slices.Contains(has, method) })
}

// reachable returns the nodes that can be asked, those that the operator has set aside too.
func (p *Proxy) reachable() []*node.Node {
	var nodes []*node.Node
	for _, n := range p.pool.Nodes() {
		if s := n.Status(); s.Reachable() {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// withoutResult is the answer where no node gave a result: an error that one gave, if any.
func withoutResult(replies []reply) jsonrpc.Reply {
	why := "no node can be reached"
	for _, got := range replies {
		if got.err == nil && got.Err != nil {
			return got.Reply
		}
		if got.err != nil {
			why = got.node.Name() + ": " + got.err.Error()
		}
	}
	return unavailable(why)
}
