package proxy

import (
	"context"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/health"
	"executionbackup/internal/node"
)

// minCrossCheck is how much time must be left for a cross-check: less would only delay the proposal.
const minCrossCheck = 150 * time.Millisecond

// sound returns the best candidate whose content has its block hash and that no other voter calls INVALID; nil where there
// is none. The voters see it out of their lanes: the block is not the CL's yet. Without time or another voter it goes out unseen.
func (pr *proposal) sound(ctx context.Context) *candidate {
	for _, c := range pr.candidates {
		if c.out != "" {
			continue
		}
		if c.out = c.check(ctx, pr.method, pr.build.attributes); c.out != "" {
			continue
		}
		left := time.Until(pr.deadline)
		if pr.settings.CrossCheck == 0 || left < minCrossCheck {
			return c
		}
		objector, reason := pr.show(ctx, c, min(pr.settings.CrossCheck, left))
		if objector == nil {
			return c
		}
		c.out = objector.Name() + " calls it INVALID: " + reason
		pr.reportObjection(c, objector, reason)
	}
	return nil
}

// show puts a candidate to the voters that didn't build it and returns the first that may object and does.
func (pr *proposal) show(ctx context.Context, c *candidate, budget time.Duration) (objector *node.Node, reason string) {
	p := pr.proxy
	voters, mayObject := pr.judges(c)
	if len(voters) == 0 {
		return nil, ""
	}
	m := engine.ParseMethod(c.shown.Method)
	for _, n := range voters { // a restarted client calls VALID what it has on disk
		p.memory.Sent(n.ID, c.payload.Hash)
	}
	// The nodes keep the block: giving up on the answer is no reason to make them drop the call.
	replies := p.ask(context.WithoutCancel(ctx), voters, m, func(*node.Node) []byte { return c.shown.Body })
	timeout := time.After(budget)
	for range voters {
		select {
		case got := <-replies:
			if got.err != nil || got.Err != nil || !mayObject(got.node) {
				continue
			}
			if s, err := engine.ParsePayloadStatus(got.Result); err == nil && s.Status == engine.Invalid {
				c.objection = got.Result
				return got.node, s.ValidationError
			}
		case <-timeout:
			return nil, ""
		case <-ctx.Done():
			return nil, ""
		}
	}
	return nil, ""
}

// judges returns the voters that didn't build the candidate, and whose INVALID counts: as for a vote.
func (pr *proposal) judges(c *candidate) (voters []*node.Node, mayObject func(*node.Node) bool) {
	memory := pr.proxy.memory
	anyQualified := false
	for _, n := range pr.proxy.pool.Nodes() {
		s := n.Status()
		if n == c.node || !s.MayVote() || s.State != health.Alive || s.Laggard {
			continue
		}
		voters = append(voters, n)
		anyQualified = anyQualified || memory.Qualified(n.ID)
	}
	return voters, func(n *node.Node) bool { return !anyQualified || memory.Qualified(n.ID) }
}
