package proxy

import (
	"context"
	"log/slog"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
)

// judge puts a newPayload or forkchoiceUpdated to all nodes. It has its place in their lanes when judge returns; wait
// returns the answer for the CL. What the nodes say after that is still read: they need the call, and an objection
// may come late.
func (p *Proxy) judge(ctx context.Context, r *jsonrpc.Request, m engine.Method) (wait func() jsonrpc.Reply) {
	pl, err := p.newPoll(r, m)
	if err != nil {
		return reject(jsonrpc.CodeInvalidRequest, err.Error())
	}
	pl.fanOut()
	p.stragglers.Go(pl.gather)
	return func() jsonrpc.Reply {
		defer p.pool.Answered(pl.nodes, pl.call)
		select {
		case reply := <-pl.answer:
			return reply
		case <-ctx.Done():
			return unavailable("the caller has gone")
		}
	}
}

// fanOut sends the call to every node that can be reached, in its turn on each.
func (pl *poll) fanOut() {
	p := pl.proxy
	if pl.method.Family == engine.NewPayload {
		pl.record = newRecord(pl)
		if pl.named {
			p.catchUp.ring.put(pl.payload, pl.method, pl.call.Body)
		}
		if pl.named && !pl.alone() {
			p.memory.Learn(pl.block, pl.payload.Parent)
			for i := range pl.seats {
				if pl.seats[i].sent {
					p.memory.Sent(pl.seats[i].node.ID, pl.block)
				}
			}
		}
		p.history.add(pl.record)
	}
	var nodes []*node.Node
	var seats []int
	for i := range pl.seats {
		if pl.seats[i].sent {
			nodes, seats = append(nodes, pl.seats[i].node), append(seats, i)
		}
	}
	for i, turn := range p.pool.Join(nodes, pl.call) {
		p.stragglers.Go(func() {
			reply, err := nodes[i].Deliver(p.ctx, turn)
			pl.arrivals <- arrival{seats[i], reply, err}
		})
	}
}

// gather collects what the nodes say, answers the CL as soon as that is decided, and goes on until all have ended.
func (pl *poll) gather() {
	changed := pl.proxy.pool.Changed()
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		pl.consider()
		if pl.pending == 0 {
			pl.tally()
			pl.proxy.metrics.ended(pl.method.Family, time.Since(pl.begun))
			return
		}
		if next := pl.next(); next.IsZero() {
			alarm.Stop()
		} else {
			alarm.Reset(time.Until(next))
		}
		select {
		case a := <-pl.arrivals:
			pl.arrived(a)
		case <-changed:
			changed = pl.proxy.pool.Changed()
			pl.reconsider()
		case <-alarm.C:
		}
		if !pl.counted && !pl.first.IsZero() && time.Since(pl.first) >= pl.settings.Grace {
			pl.countLate()
		}
	}
}

// soleGraces is how many graces one VALID of two asked waits for the other: it is no quorum, but a hung node must not
// cost more.
const soleGraces = 3

// consider answers the CL if it is time to:
//
//   - no vote is missing that could change the result;
//   - VALID has a quorum, and the others have had their grace to object;
//   - of two that were asked one says VALID, and the other has had three.
func (pl *poll) consider() {
	if pl.decided {
		return
	}
	pl.reconsider()
	rules, ballots := pl.settings.Rules, pl.count()
	if !pl.waiting() {
		pl.decide()
		return
	}
	if pl.alone() {
		return
	}
	now, grace := time.Now(), pl.settings.Grace
	since(&pl.quorumAt, rules.HasQuorum(ballots), now)
	since(&pl.validAt, rules.Decide(ballots).Status == engine.Valid && rules.Asked(ballots) == 2, now)
	switch {
	case !pl.quorumAt.IsZero() && now.Sub(pl.quorumAt) >= grace,
		!pl.validAt.IsZero() && now.Sub(pl.validAt) >= soleGraces*grace,
		rules.Settled(ballots, func(i int) bool { return pl.seats[i].open }):
		pl.decide()
	}
}

// waiting finds the votes that are still open and reports whether there is one.
func (pl *poll) waiting() bool {
	any := false
	for i := range pl.seats {
		s := &pl.seats[i]
		// An objection from before stands whatever the node says now, unless it says VALID on that very block.
		fixed := pl.ballots[i].Vote != engine.None && pl.proxy.memory.Word(s.node.ID, pl.block) != engine.Invalid
		if s.open = pl.missing(i) && !fixed; s.open {
			pl.ballots[i].Vote = engine.None // nobody waits longer for an objection to be taken back than for one to be made
			any = true
		}
	}
	return any
}

// since keeps in t the time since when a condition holds; zero where it doesn't.
func since(t *time.Time, holds bool, now time.Time) {
	switch {
	case !holds:
		*t = time.Time{}
	case t.IsZero():
		*t = now
	}
}

// next is when something is due though nothing comes; zero for never.
func (pl *poll) next() (next time.Time) {
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	grace := pl.settings.Grace
	if !pl.counted && !pl.first.IsZero() {
		sooner(pl.first.Add(grace))
	}
	if !pl.decided {
		if !pl.quorumAt.IsZero() {
			sooner(pl.quorumAt.Add(grace))
		}
		if !pl.validAt.IsZero() {
			sooner(pl.validAt.Add(soleGraces * grace))
		}
		for i := range pl.seats {
			if pl.missing(i) {
				sooner(pl.begun.Add(pl.seats[i].node.Timeout(pl.method)))
			}
		}
	}
	return next
}

// decide answers the CL with what the votes in hand come to.
func (pl *poll) decide() {
	pl.decided = true
	p := pl.proxy
	reply, status, dispute := pl.compose()
	pl.giveUpCheck()
	pl.verdict = status
	pl.took = time.Since(pl.begun)
	if status == engine.Valid && pl.named {
		if pl.method.Family == engine.NewPayload {
			p.chain.answeredValid(pl.block, pl.payload.Number)
		} else {
			p.chain.setHead(pl.block, pl.forkchoice.Finalized)
			p.catchUp.ring.follow(pl.block, pl.method.Name, pl.request.Arg(0))
		}
	}
	if dispute && pl.record == nil {
		pl.record = newRecord(pl)
	}
	if pl.record != nil { // before the CL has it, so that whoever asks then sees it
		p.history.decide(pl.record, outcome(status), pl.took, dispute)
	}
	pl.answer <- reply
	p.metrics.decided(pl.method.Family, status, pl.took)
	if p.log.Enabled(p.ctx, slog.LevelDebug) {
		p.log.Debug("verdict", "method", pl.method.Name, "block_hash", pl.block, "status", outcome(status), "duration", pl.took)
	}
	if dispute {
		pl.reportDispute()
	}
	pl.keep(reply, dispute)
	for i := range pl.seats {
		pl.compareToHead(&pl.seats[i])
	}
}

// note records an arrival, and what a late one changes.
func (pl *poll) note(i int) {
	s := &pl.seats[i]
	if pl.record != nil {
		pl.proxy.history.vote(pl.record, i, pl.shown(i))
	}
	if !pl.decided {
		return
	}
	if pl.method.Family == engine.ForkchoiceUpdated && s.payloadID != "" && s.mayVote {
		pl.proxy.builds.add(pl.build, s.node.ID, s.payloadID)
	}
	pl.compareToHead(s)
	objects := s.vote == engine.Invalid && s.status.Status == engine.Invalid && pl.verdict != engine.Invalid && !pl.alone()
	if objects {
		pl.reportLate(s)
	}
	pl.keepLate(s, objects)
}

// tally counts for each node whether its vote was what the CL heard. A vote against which nothing definite was said
// is neither won nor lost.
func (pl *poll) tally() {
	if pl.alone() {
		return
	}
	definite := pl.verdict == engine.Valid || pl.verdict == engine.Invalid
	for i := range pl.seats {
		if s := &pl.seats[i]; s.vote != engine.None && (definite || s.vote == pl.verdict) {
			s.node.Voted(s.vote == pl.verdict)
		}
	}
}

// outcome names what the CL heard, for logs and metrics.
func outcome(s engine.Status) string {
	if s == engine.None {
		return "error"
	}
	return s.String()
}
