package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
)

// candidate is a payload that a node built.
type candidate struct {
	reply
	payload engine.Payload
	value   *big.Int // blockValue in wei; nil where the method has none (V1)
}

// getPayload asks every node for what it built, under its own id, and answers with the most valuable payload. An id
// that we don't know may be from before our restart: then every node is asked for that very id.
func (p *Proxy) getPayload(ctx context.Context, r *jsonrpc.Request, m engine.Method) jsonrpc.Reply {
	if len(p.pool.Nodes()) == 1 {
		return p.forward(ctx, r, m)
	}
	id, ok := jsonrpc.String(r.Arg(0))
	b, known := p.builds.find(id)
	if !ok || !known {
		return p.getUnknownPayload(ctx, r, m)
	}
	var builders []*node.Node
	for _, n := range p.pool.Nodes() {
		s := n.Status()
		if b.ids[n.ID] != "" && s.MayVote() && s.Reachable() {
			builders = append(builders, n)
		}
	}
	candidates, errors := p.gatherPayloads(ctx, builders, m, func(n *node.Node) []byte {
		return jsonrpc.NewCall(m.Name, []byte(`["`+b.ids[n.ID]+`"]`))
	})
	best := p.mostValuable(candidates)
	if best == nil {
		return p.noPayload(errors)
	}
	p.reportPayload(m, best, candidates)
	return best.Reply
}

// getUnknownPayload asks every node for the CL's id as it is. Among builds on the present head the newest is meant.
func (p *Proxy) getUnknownPayload(ctx context.Context, r *jsonrpc.Request, m engine.Method) jsonrpc.Reply {
	candidates, errors := p.gatherPayloads(ctx, p.serving(), m, func(*node.Node) []byte { return r.Raw })
	var best *candidate
	for i := range candidates {
		c := &candidates[i]
		onHead, bestOnHead := p.chain.isHead(c.payload.Parent), best != nil && p.chain.isHead(best.payload.Parent)
		if best == nil || onHead && !bestOnHead || onHead == bestOnHead && c.payload.Timestamp > best.payload.Timestamp {
			best = c
		}
	}
	if best == nil {
		return p.noPayload(errors)
	}
	p.reportPayload(m, best, candidates)
	return best.Reply
}

// gatherPayloads collects what the nodes built: after the first good one the others get the build grace.
func (p *Proxy) gatherPayloads(ctx context.Context, nodes []*node.Node, m engine.Method, body func(*node.Node) []byte) (candidates []candidate, errors []reply) {
	ctx, cancel := context.WithTimeout(ctx, m.Limit())
	defer cancel()
	replies := p.ask(ctx, nodes, m, body)
	var grace <-chan time.Time
	for range nodes {
		select {
		case got := <-replies:
			c, err := readCandidate(m, got)
			if err != nil {
				errors = append(errors, got)
				continue
			}
			candidates = append(candidates, c)
			if grace == nil {
				grace = time.After(p.settings.Load().BuildGrace)
			}
		case <-grace:
			return candidates, errors
		case <-ctx.Done():
			return candidates, errors
		}
	}
	return candidates, errors
}

var payloadEnvelope = []string{"executionPayload", "blockValue"}
var payloadFields = []string{"blockHash", "parentHash", "blockNumber", "timestamp"}

// readCandidate reads what is judged of a built payload.
func readCandidate(m engine.Method, got reply) (c candidate, err error) {
	switch {
	case got.err != nil:
		return c, got.err
	case got.Err != nil:
		return c, got.Err
	}
	c.reply = got
	raw := got.Result
	if m.Version != 1 {
		var envelope [2][]byte
		if err := jsonrpc.Members(got.Result, payloadEnvelope, envelope[:]); err != nil {
			return c, fmt.Errorf("payload: %w", err)
		}
		raw = envelope[0]
		value := new(hexutil.Big)
		if err := value.UnmarshalJSON(envelope[1]); err != nil {
			return c, fmt.Errorf("block value: %w", err)
		}
		c.value = value.ToInt()
	}
	var fields [4][]byte
	if err := jsonrpc.Members(raw, payloadFields, fields[:]); err != nil {
		return c, fmt.Errorf("payload: %w", err)
	}
	var hash, parent bool
	c.payload.Hash, hash = engine.ParseHash(fields[0])
	c.payload.Parent, parent = engine.ParseHash(fields[1])
	c.payload.Number, _ = engine.ParseQuantity(fields[2])
	c.payload.Timestamp, _ = engine.ParseQuantity(fields[3])
	if !hash || !parent || c.payload.Hash == (common.Hash{}) {
		return c, fmt.Errorf("payload has no block hash or no parent hash")
	}
	return c, nil
}

// mostValuable returns the candidate with the highest block value; the primary's wins a tie, and where there are no
// values.
func (p *Proxy) mostValuable(candidates []candidate) *candidate {
	primary := p.pool.Primary()
	var best *candidate
	for i := range candidates {
		c := &candidates[i]
		switch {
		case best == nil:
			best = c
		case c.value == nil || best.value == nil:
			if c.node == primary {
				best = c
			}
		default:
			if d := c.value.Cmp(best.value); d > 0 || d == 0 && c.node == primary {
				best = c
			}
		}
	}
	return best
}

// noPayload is the answer where no node had one: the primary's error, else the first.
func (p *Proxy) noPayload(errors []reply) jsonrpc.Reply {
	primary := p.pool.Primary()
	var first *reply
	why := "no node that builds can be reached"
	for i := range errors {
		e := &errors[i]
		if e.err != nil {
			why = e.node.Name() + ": " + e.err.Error()
			continue
		}
		if first == nil || e.node == primary {
			first = e
		}
	}
	if first != nil && first.Err != nil {
		return first.Reply
	}
	return unavailable(why)
}

// reportPayload tells who offered what.
func (p *Proxy) reportPayload(m engine.Method, best *candidate, candidates []candidate) {
	attrs := []any{"method", m.Name, "node", best.node.Name(), "block_hash", best.payload.Hash, "number", best.payload.Number}
	for _, c := range candidates {
		if c.value != nil {
			attrs = append(attrs, slog.String(c.node.Name(), c.value.String()+" wei in "+c.took.Round(time.Millisecond).String()))
		}
	}
	p.log.Info("payload for a proposal", attrs...)
}
