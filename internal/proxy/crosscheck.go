package proxy

import (
	"context"
	"slices"
	"time"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/engine"
	"executionbackup/internal/evidence"
	"executionbackup/internal/health"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
)

// minCrossCheck is how much time must be left for a cross-check: less would only delay the proposal.
const minCrossCheck = 150 * time.Millisecond

// sound returns the best candidate that stands, or nil. One for a wrong fee recipient is good enough only where nothing
// else is waited for, or after an objection: then the next best is taken.
func (pr *proposal) sound(ctx context.Context) *candidate {
	for _, c := range pr.candidates {
		later := c.wrongRecipient && pr.mayWait(ctx) && !slices.ContainsFunc(pr.candidates, (*candidate).doubted)
		if c.out == "" && !later && pr.stands(ctx, c) {
			return c
		}
	}
	return nil
}

// stands reports whether a candidate's content has its block hash, and no other voter calls it INVALID. Its hash, which takes
// longer than all else of ours, is only checked here, while the voters look at it. They see it out of their lanes: the block is not the
// CL's yet. Without time or another voter it goes out unseen, and unchecked where the method is newer than we are.
func (pr *proposal) stands(ctx context.Context, c *candidate) bool {
	method, params, err := c.newPayload(pr.method, pr.build.attributes)
	if err != nil {
		c.out = err.Error()
	}
	if err != nil || method == "" {
		return c.out == ""
	}
	wrong := make(chan string, 1)
	pr.proxy.stragglers.Go(func() { wrong <- pr.wrongHash(ctx, method, params) })
	var objector *node.Node
	var status engine.PayloadStatus
	if left := time.Until(pr.deadline); pr.settings.CrossCheck > 0 && left >= minCrossCheck {
		c.shown = evidence.Call{Method: method, Body: jsonrpc.NewCall(method, params)}
		objector, status = pr.show(ctx, c, min(pr.settings.CrossCheck, left))
	}
	if c.out = <-wrong; c.out != "" || objector == nil {
		return c.out == "" // an objection to a wrong hash is no dispute
	}
	c.out, c.objection = objector.Name()+" calls it INVALID: "+status.ValidationError, status.Raw
	pr.reportObjection(c, objector, status.ValidationError)
	return false
}

// minHashCheck is how much time a hash check has at least: where the nodes took all that there was, it comes on top.
const minHashCheck = 50 * time.Millisecond

// wrongHash returns why a payload's block hash isn't that of its content, or "". It gives up at the deadline.
func (pr *proposal) wrongHash(ctx context.Context, method string, params []byte) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(time.Until(pr.deadline), minHashCheck))
	defer cancel()
	if r := blockhash.Check(ctx, method, params); r.Outcome == blockhash.Invalid {
		return r.Reason
	}
	return ""
}

// show puts a candidate to the voters that didn't build it and returns the first that may object and does.
func (pr *proposal) show(ctx context.Context, c *candidate, budget time.Duration) (objector *node.Node, status engine.PayloadStatus) {
	p := pr.proxy
	voters, mayObject := pr.judges(c)
	if len(voters) == 0 {
		return nil, status
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
				return got.node, s
			}
		case <-timeout:
			return nil, status
		case <-ctx.Done():
			return nil, status
		}
	}
	return nil, status
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
