package proposal

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/evidence"
	"executionbackup/internal/fleet"
	"executionbackup/internal/node"
	"executionbackup/internal/session"
	"executionbackup/internal/tracing"
)

// shadow is the node that alone answers the CL, and what it does answer.
type shadow struct {
	node *node.Node
	done chan struct{} // closed when it has answered or failed; from then on answer and err don't change

	answer engine.Answer
	err    error
}

// IsOfAnother reports whether a getPayload asks for what was begun in mode Active, under another node's id: the node
// that alone answers by now doesn't know that id, and no proposal is lost to a switch.
func (pr *Proposer) IsOfAnother(s *session.Session, n *node.Node, c *engine.Call) bool {
	if c.Method.Family != engine.GetPayload {
		return false
	}
	b, known := s.Builds.Find(c.PayloadID)
	if !known || pr.fleet.IsOver(&b) || b.IDs[n.ID] == c.PayloadID {
		return false
	}
	return slices.Contains(slices.Collect(maps.Values(b.IDs)), c.PayloadID)
}

// Shadow asks one node, whose answer is the CL's. Beside it, and without anybody waiting for that, it finds out what we
// would have proposed. As with fleet.Ask, an answer with an error has bytes that can be passed on, or none.
func (pr *Proposer) Shadow(ctx context.Context, s *session.Session, n *node.Node, c *engine.Call) (
	engine.Answer, error) {
	p := pr.begin(c)
	p.shadow = &shadow{node: n, done: make(chan struct{})}
	beside := tracing.Carry(pr.fleet.Context(), ctx)
	pr.fleet.Go(func() { p.follow(beside, s) })
	defer close(p.shadow.done)
	ctx, cancel := context.WithTimeout(ctx, pr.fleet.Timeout(n, c.Method))
	defer cancel()
	p.shadow.answer, p.shadow.err = n.Build(ctx, c, new([]byte))
	if own := p.shadow.built(); own != nil {
		p.traceChoice(ctx, &candidate{Reply: fleet.Reply{Node: n}, Built: own})
	}
	return p.shadow.answer, p.shadow.err
}

// follow finds out what we would have proposed, and compares it with what the CL got.
func (p *proposal) follow(ctx context.Context, s *session.Session) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	best := p.find(ctx, s)
	<-p.shadow.done
	p.reportShadow(best)
	p.release()
}

// offer asks a node for what it built. In shadow mode the node that alone answers isn't asked again: some clients stop
// building when they are asked.
func (p *proposal) offer(ctx context.Context, n *node.Node, c *engine.Call, memory *[]byte) (engine.Answer, error) {
	if !p.isShadow(n) {
		return n.Build(ctx, c, memory)
	}
	select {
	case <-p.shadow.done:
		return p.shadow.answer, p.shadow.err
	case <-ctx.Done():
		return engine.Answer{}, ctx.Err()
	}
}

// isShadow reports whether a node alone answers, in shadow mode.
func (p *proposal) isShadow(n *node.Node) bool { return p.shadow != nil && n == p.shadow.node }

// reportShadow tells what would have been proposed in shadow mode: a line in the log, the history, the metrics, and the
// evidence where that differs.
func (p *proposal) reportShadow(best *candidate) {
	did, own := "no_payload", p.shadow.built()
	if own != nil {
		did = "payload"
	}
	would := "no_payload"
	switch {
	case best == nil:
	case own != nil && isBetter(best.Built, own):
		would = "better_payload"
	default:
		would = "payload"
	}
	if same := p.asGood(best); same != nil {
		best = same
	}
	shown := p.forHistory(best)
	if shown.Shadow = true; own != nil {
		shown.Did = p.shadow.node.Name()
	}
	p.fleet.Proposals.Add(shown)
	p.countOffers(best)
	p.fleet.CountShadow(would, did)
	attrs := []any{"mode", config.Shadow, "method", p.call.Method.Name, "proposed", p.shadow.node.Name()}
	if best != nil {
		attrs = append(attrs, "would", best.Node.Name(), "number", best.Payload.Number, "block_hash", best.Payload.Hash)
	}
	p.fleet.Log.Info("shadow: payload for a proposal", append(attrs, "offers", p.forLog(best))...)
	if would != did && best != nil {
		p.keepShadow(best, own)
	}
}

// asGood returns the payload that the CL got where it is worth as much as the best: then there is no other to speak of.
func (p *proposal) asGood(best *candidate) *candidate {
	for _, c := range p.candidates {
		if best != nil && p.isShadow(c.Node) && c.out == "" && c.Value != nil && best.Value != nil &&
			c.Value.Cmp(best.Value) == 0 {
			return c
		}
	}
	return nil
}

// built is what the CL got; nil where it got no payload that can be read.
func (s *shadow) built() *engine.Built {
	if s.err != nil || s.answer.Err != nil {
		return nil
	}
	return s.answer.Built
}

// isBetter reports whether a payload is worth at least one percent more than another.
func isBetter(payload, than *engine.Built) bool {
	if payload.Value == nil || than.Value == nil || payload.Value.Cmp(than.Value) <= 0 {
		return false
	}
	more := new(big.Int).Mul(payload.Value, big.NewInt(100))
	return more.Cmp(new(big.Int).Mul(than.Value, big.NewInt(101))) >= 0
}

// keepShadow hands a proposal to the evidence that would have been a better one.
func (p *proposal) keepShadow(best *candidate, own *engine.Built) {
	e := &evidence.Event{Case: evidence.Case{
		Kind: evidence.Shadow, Parent: best.Payload.Parent, Builder: best.Node.Name(),
		Settings: p.settings.ForEvidence(p.fleet.Clock(p.call.Method).Grace),
	}}
	e.Time, e.Method, e.Number, e.Block = p.begun, p.call.Method.Name, best.Payload.Number, best.Payload.Hash
	e.Why = "the consensus client got no payload from " + p.shadow.node.Name()
	if own != nil {
		e.Why = fmt.Sprintf("%s's payload is worth %s, that of %s, which the consensus client got, %s",
			best.Node.Name(), ethText(best.Value), p.shadow.node.Name(), ethText(own.Value))
	}
	e.Calls = []evidence.Call{{Method: p.call.Method.Name, Body: p.call.Body}}
	if best.shown != nil {
		e.Calls = append(e.Calls, evidence.Call{Method: best.shown.Method.Name, Body: best.shown.Body})
	}
	for _, c := range p.candidates {
		_, why := c.fate(best)
		e.Replies = append(e.Replies, evidence.Reply{
			Node: c.Node.Name(), Reason: why, Took: c.Took.Microseconds(), About: fleet.About(c.Node),
		})
	}
	p.fleet.Evidence.Add(e)
}
