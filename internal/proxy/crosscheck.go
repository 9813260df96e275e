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
	h := new(hearing)
	if left := time.Until(pr.deadline); pr.settings.CrossCheck > 0 && left >= minCrossCheck {
		c.shown = evidence.Call{Method: method, Body: jsonrpc.NewCall(method, params)}
		h = pr.show(ctx, c)
		h.listen(ctx, min(pr.settings.CrossCheck, left))
	}
	if c.out = <-wrong; c.out != "" {
		return false // an objection to a wrong hash is no dispute
	}
	for _, n := range h.judges { // a restarted client calls VALID what it has on disk
		_, breaks := pr.proxy.memory.Standing(n.ID)
		pr.proxy.memory.Sent(n.ID, c.payload.Hash, breaks)
	}
	if h.objector != nil {
		c.out, c.objection = h.objector.Name()+" calls it INVALID: "+h.objection.ValidationError, h.objection.Raw
		h.report(false)
	}
	pr.proxy.stragglers.Go(h.readOn)
	return c.out == ""
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

// hearing is a candidate before the voters that didn't build it.
type hearing struct {
	proposal  *proposal
	candidate *candidate
	judges    []*node.Node
	mayObject func(*node.Node) bool
	arrivals  <-chan reply // one of each
	came      map[*node.Node]reply
	fresh     map[*node.Node]uint64 // those who had never been sent the payload, and their breaks until then

	objector  *node.Node // the first that may object and does; nil as long as there is none
	objection engine.PayloadStatus
}

// show puts a candidate to the judges. They keep the block: giving up on the answer is no reason to make them drop the call.
func (pr *proposal) show(ctx context.Context, c *candidate) *hearing {
	h := &hearing{proposal: pr, candidate: c, came: make(map[*node.Node]reply), fresh: make(map[*node.Node]uint64)}
	h.judges, h.mayObject = pr.judges(c)
	for _, n := range h.judges {
		if !pr.proxy.memory.WasSent(n.ID, c.payload.Hash) {
			_, h.fresh[n] = pr.proxy.memory.Standing(n.ID)
		}
	}
	m := engine.ParseMethod(c.shown.Method)
	h.arrivals = pr.proxy.ask(context.WithoutCancel(ctx), h.judges, m, func(*node.Node) []byte { return c.shown.Body })
	return h
}

// listen hears the judges until one objects, all have spoken, or the time is up.
func (h *hearing) listen(ctx context.Context, budget time.Duration) {
	timeout := time.After(budget)
	for len(h.came) < len(h.judges) && h.objector == nil {
		select {
		case got := <-h.arrivals:
			h.hear(got)
		case <-timeout:
			return
		case <-ctx.Done():
			return
		}
	}
}

// hear takes in what a judge says.
func (h *hearing) hear(got reply) {
	h.came[got.node] = got
	s, err := got.status()
	if breaks, fresh := h.fresh[got.node]; fresh && err == nil && s.Status == engine.Valid {
		h.proposal.proxy.memory.Prove(got.node.ID, breaks) // it won't be new to it when the CL sends it
	}
	if err == nil && s.Status == engine.Invalid && h.objector == nil && h.mayObject(got.node) {
		h.objector, h.objection = got.node, s
	}
}

// readOn hears the rest, when the proposal doesn't wait for it any more: for the evidence.
func (h *hearing) readOn() {
	for len(h.came) < len(h.judges) {
		got, kept := <-h.arrivals, h.objector != nil
		switch h.hear(got); {
		case kept:
			h.keepLate(got.node)
		case h.objector != nil:
			h.report(true)
		}
	}
}

// status is the payload status in a reply; an error says why there is none.
func (r *reply) status() (s engine.PayloadStatus, err error) {
	switch {
	case r.err != nil:
		return s, r.err
	case r.Err != nil:
		return s, r.Err
	}
	return engine.ParsePayloadStatus(r.Result)
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
