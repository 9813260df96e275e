package proposal

import (
	"context"
	"slices"
	"time"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/node"
	"executionbackup/internal/tracing"
)

// minCrossCheck is how much time must be left for a cross-check: less would only delay the proposal.
const minCrossCheck = 150 * time.Millisecond

// sound returns the best candidate that passes its cross-check, or nil. One for a wrong fee recipient is good enough
// only where no other is waited for, or after an objection: then the next best is taken.
func (p *proposal) sound(ctx context.Context) *candidate {
	for _, c := range p.candidates {
		later := c.wrongRecipient && p.mayWait(ctx) && !p.hasDoubted()
		if c.out != "" || later {
			continue
		}
		if p.crossCheck(ctx, c); c.out == "" {
			return c
		}
	}
	return nil
}

// hasDoubted reports whether a voter calls one of the candidates INVALID.
func (p *proposal) hasDoubted() bool {
	return slices.ContainsFunc(p.candidates, func(c *candidate) bool { return c.isDoubted })
}

// crossCheck puts a candidate out if its content hasn't its block hash, or another voter calls it INVALID. Its hash,
// which takes longer than all else of ours, is only checked here, while the voters look at it. They see it out of their
// lanes: the block is not the CL's yet. Without time or another voter it goes out unseen, and unchecked where the
// method is newer than we are.
func (p *proposal) crossCheck(ctx context.Context, c *candidate) {
	call, err := node.NewPayload(p.call.Method, c.Built, p.build.Attributes.BeaconRoot)
	if err != nil {
		c.out = err.Error()
	}
	if err != nil || call == nil {
		return
	}
	ctx, span := tracing.Child(ctx, "cross-check")
	defer func() { p.traceCheck(span, c) }()
	wrong := make(chan string, 1)
	p.fleet.Go(func() { wrong <- p.wrongHash(ctx, call) })
	h := new(hearing) // before nobody
	if left := time.Until(p.deadline); p.settings.CrossCheck > 0 && left >= minCrossCheck {
		c.shown = call
		h = p.show(ctx, c)
		h.listen(ctx, min(p.settings.CrossCheck, left))
	}
	if c.out = <-wrong; c.out != "" {
		return // an objection to a wrong hash is no dispute
	}
	for _, n := range h.judges { // so that their VALID to the CL's call proves nothing: they have the block already
		_, breaks := p.fleet.Memory.Standing(n.ID)
		p.fleet.Memory.Sent(n.ID, c.Payload.Hash, breaks)
	}
	if h.objector != nil {
		c.out, c.isDoubted = h.objector.Name()+" calls it INVALID: "+h.objection.ValidationError, true
		h.report(false)
	}
	p.fleet.Go(h.readOn)
}

// minHashCheck is how much time a hash check has at least: where the nodes took all that there was, it comes on top.
const minHashCheck = 50 * time.Millisecond

// wrongHash returns why a payload's block hash isn't that of its content, or "". It gives up at the deadline.
func (p *proposal) wrongHash(ctx context.Context, call *engine.Call) string {
	ctx, span := tracing.Child(ctx, "hash check")
	defer span.End()
	left := max(time.Until(p.deadline), minHashCheck)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), left)
	defer cancel()
	r := blockhash.Check(ctx, call.Method.Name, call.Params)
	if span.IsRecording() {
		span.SetAttributes(tracing.Outcome.String(r.Outcome.String()))
	}
	if r.Outcome == blockhash.Invalid {
		return r.Reason
	}
	return ""
}

// hearing is a candidate before the voters that didn't build it. It belongs to the proposal's goroutine until that goes
// on without it, and then to readOn.
type hearing struct {
	proposal  *proposal
	candidate *candidate
	judges    []*node.Node
	proved    bool               // one of the judges has proved itself: see memory.MayObject
	arrivals  <-chan fleet.Reply // one of each judge
	came      map[*node.Node]fleet.Reply
	fresh     map[*node.Node]uint64 // judges that had never been sent the payload, and how many breaks they had had

	objector  *node.Node           // the first judge that may object and does; nil as long as there is none
	objection engine.PayloadStatus // what it said
}

// show puts a candidate to the judges. The calls run on when the proposal ends: the judges may need the block later.
func (p *proposal) show(ctx context.Context, c *candidate) *hearing {
	h := &hearing{
		proposal: p, candidate: c, judges: p.judges(c),
		came: make(map[*node.Node]fleet.Reply), fresh: make(map[*node.Node]uint64),
	}
	for _, n := range h.judges {
		proved, breaks := p.fleet.Memory.Standing(n.ID)
		h.proved = h.proved || proved
		if !p.fleet.Memory.WasSent(n.ID, c.Payload.Hash, c.Payload.Timestamp) {
			h.fresh[n] = breaks
		}
	}
	h.arrivals = p.fleet.AskEach(tracing.Carry(p.fleet.Context(), ctx), h.judges, c.shown)
	return h
}

// judges are those that are shown a candidate. The node that alone answers in shadow mode gets what the CL sends, and
// nothing else.
func (p *proposal) judges(c *candidate) []*node.Node {
	return slices.DeleteFunc(p.fleet.Pool.Roll().Judges(c.Node), p.isShadow)
}

// mayObject reports whether a judge's INVALID counts: as for a vote.
func (h *hearing) mayObject(n *node.Node) bool {
	return h.proposal.fleet.Memory.MayObject(n.ID, h.proved)
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
func (h *hearing) hear(got fleet.Reply) {
	h.came[got.Node] = got
	breaks, fresh := h.fresh[got.Node]
	switch {
	case got.Failure != nil:
	case got.Status == engine.Valid && fresh:
		h.proposal.fleet.Memory.Prove(got.Node.ID, breaks) // the CL's call, later, can't: the payload isn't new then
	case got.Status == engine.Invalid && h.objector == nil && h.mayObject(got.Node):
		h.objector, h.objection = got.Node, got.PayloadStatus
	}
}

// readOn hears the judges for whom the proposal doesn't wait any more: for the history and the evidence. It runs in a
// goroutine of the fleet's, and ends when every judge has answered or failed.
func (h *hearing) readOn() {
	for len(h.came) < len(h.judges) {
		got, kept := <-h.arrivals, h.objector != nil
		switch h.hear(got); {
		case kept:
			h.keepLate(got.Node)
		case h.objector != nil:
			h.report(true)
		}
	}
}
