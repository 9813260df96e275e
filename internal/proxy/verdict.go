package proxy

import (
	"context"
	"log/slog"
	"time"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/lane"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
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

// fanOut sends the call to every node that gets it, in its turn on each.
func (pl *poll) fanOut() {
	p := pl.proxy
	if pl.method.Family == engine.NewPayload {
		pl.record = newRecord(pl)
		p.history.add(pl.record)
		pl.claim()
	} else {
		pl.content.awaited = p.contents.running(pl.block, nil)
	}
	pl.usual = p.versions.use(pl.method)
	nodes, seats := make([]*node.Node, 0, len(pl.seats)), make([]int, 0, len(pl.seats))
	for i := range pl.seats {
		if pl.seats[i].sent {
			nodes, seats = append(nodes, pl.seats[i].node), append(seats, i)
		}
	}
	for i, turn := range pl.join(nodes) {
		p.stragglers.Go(func() {
			reply, err := nodes[i].Deliver(p.ctx, turn)
			pl.arrivals <- arrival{seats[i], reply, err}
		})
	}
}

// join takes the call's place in the lanes of the nodes, in the same order as among all calls.
func (pl *poll) join(nodes []*node.Node) []*lane.Turn {
	p := pl.proxy
	p.joining.Lock()
	defer p.joining.Unlock()
	p.calls++
	pl.seq = p.calls
	if pl.method.Family == engine.ForkchoiceUpdated {
		if p.behind != nil {
			close(p.behind)
		}
		p.behind = make(chan struct{})
		pl.superseded = p.behind
	}
	return p.pool.Join(nodes, pl.call)
}

// gather collects what the nodes say, answers the CL as soon as that is decided, and goes on until all have ended.
func (pl *poll) gather() {
	changed := pl.proxy.pool.Changed()
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		pl.consider()
		if pl.decided && pl.pending == 0 && pl.content.check == nil {
			pl.end()
			return
		}
		if due := pl.due(); due.IsZero() {
			alarm.Stop()
		} else {
			alarm.Reset(time.Until(due))
		}
		var superseded <-chan struct{}
		if !pl.decided && !pl.isSuperseded() {
			superseded = pl.superseded
		}
		select {
		case a := <-pl.arrivals:
			pl.arrived(a)
		case <-changed:
			changed = pl.proxy.pool.Changed()
		case <-pl.content.checked():
			pl.takeCheck()
		case <-pl.content.others():
			if !pl.content.awaits() {
				pl.reconvene()
			}
		case <-superseded:
		case <-alarm.C:
		}
		if !pl.counted && !pl.first.IsZero() && time.Since(pl.first) >= pl.settings.Grace {
			pl.countLate()
		}
	}
}

// isSuperseded reports whether another forkchoiceUpdated waits behind this one.
func (pl *poll) isSuperseded() bool {
	select {
	case <-pl.superseded:
		return true
	default:
		return false
	}
}

// consider answers the CL if it is time to.
func (pl *poll) consider() {
	if pl.decided {
		return
	}
	pl.refresh()
	if pl.alone() {
		pl.pass()
		return
	}
	look := pl.quorum.Look(time.Since(pl.begun), pl.votes, pl.isSuperseded())
	if pl.consent(look.Quorum) { // what the nodes said before counts from here on
		pl.refresh()
		look = pl.quorum.Look(time.Since(pl.begun), pl.votes, pl.isSuperseded())
	}
	if pl.next = look.Next; look.Done { // what is still needed then is a check
		pl.next = 0
	}
	if pl.content.awaits() {
		return
	}
	if v, due := pl.judgement(look); due {
		pl.decide(v)
	}
}

// pass answers the CL with what the only node says. Where that says nothing the payload is checked by us, at least.
func (pl *poll) pass() {
	s, v := &pl.seats[0], &pl.votes[0]
	switch {
	case !v.Ended && !v.Dead && time.Since(pl.begun) < v.Due:
		pl.next = v.Due
	case v.Ended && s.failure == nil:
		pl.consent(v.Said == engine.Valid)
		pl.decide(verdict{passed: true})
	default:
		pl.next = 0 // what is still needed then is a check
		if verdict, due := pl.judgement(quorum.Look{Done: true}); due {
			pl.decide(verdict)
		}
	}
}

// due is when something is to be done though nothing comes; zero for never.
func (pl *poll) due() (at time.Time) {
	if !pl.counted && !pl.first.IsZero() {
		at = pl.first.Add(pl.settings.Grace)
	}
	if !pl.decided && pl.next > 0 {
		if next := pl.begun.Add(pl.next); at.IsZero() || next.Before(at) {
			at = next
		}
	}
	return at
}

// decide answers the CL.
func (pl *poll) decide(v verdict) {
	pl.decided = true
	p := pl.proxy
	reply, status := pl.compose(v)
	pl.verdict = status
	pl.took = time.Since(pl.begun)
	pl.beginCheck() // unless it is known by now what the content is
	if status == engine.Valid && pl.named {
		if pl.method.Family == engine.NewPayload {
			pl.answeredValid()
		} else {
			p.chain.setHead(pl.block, pl.forkchoice.Finalized, pl.seq)
			p.catchUp.ring.follow(pl.block, pl.method.Name, pl.request.Arg(0))
			p.pool.Lead(pl.block)
		}
	}
	if status == engine.None && pl.method.Family == engine.ForkchoiceUpdated {
		p.chain.refuse()
	}
	if v.Dispute && pl.record == nil {
		pl.record = newRecord(pl)
	}
	if pl.record != nil { // before the CL has it, so that whoever asks then sees it
		p.history.decide(pl.record, outcome(status), pl.took, v.Dispute)
	}
	pl.followUp() // so does whoever is found to be behind
	pl.answer <- reply
	p.metrics.decided(pl.method.Family, status, pl.took)
	if p.log.Enabled(p.ctx, slog.LevelDebug) {
		p.log.Debug("verdict", "method", pl.method.Name, "block_hash", pl.block, "status", outcome(status), "duration", pl.took)
	}
	if v.Dispute {
		pl.reportDispute()
	}
	pl.keep(reply, v.Dispute)
}

// answeredValid notes that we called the payload VALID, as soon as it is known to be the block's.
func (pl *poll) answeredValid() {
	if pl.verdict == engine.Valid && pl.content.state == genuine {
		pl.proxy.chain.answeredValid(pl.block, pl.payload.Number)
	}
}

// followUp draws conclusions from what has come, once the CL has its answer and it is known what the call was about.
func (pl *poll) followUp() {
	if !pl.decided || pl.hasContent() && pl.content.state == unchecked {
		return
	}
	for i := range pl.seats {
		s := &pl.seats[i]
		if !pl.votes[i].Ended || s.told {
			continue
		}
		s.told = true
		if s.late {
			pl.tellLate(i)
		}
		pl.compareMethods(i)
	}
	for i := range pl.seats {
		pl.compareToHead(i)
	}
}

// tellLate deals with what came after the CL had its answer.
func (pl *poll) tellLate(i int) {
	s, v := &pl.seats[i], &pl.votes[i]
	if pl.method.Family == engine.ForkchoiceUpdated && s.payloadID != "" && v.MayVote {
		pl.proxy.builds.add(pl.build, s.node.ID, s.payloadID)
	}
	objects := pl.vote(i) == engine.Invalid && v.Said == engine.Invalid && pl.verdict != engine.Invalid && !pl.alone() &&
		pl.content.state != forged
	if objects {
		pl.reportLate(s)
	}
	pl.keepLate(i, objects)
}

// end tells what is known when nothing more will come.
func (pl *poll) end() {
	if pl.content.state == genuine && !pl.alone() && !blockhash.Known(pl.method.Name) {
		pl.proxy.memory.Identify(pl.block, pl.content.digest()) // nobody waits for it any more
	}
	pl.release()
	pl.count()
	pl.tally()
	pl.proxy.metrics.ended(pl.method.Family, time.Since(pl.begun))
}

// tally counts for each node whether its vote was what the CL heard. A vote against which nothing definite was said
// is neither won nor lost.
func (pl *poll) tally() {
	if pl.alone() {
		return
	}
	definite := pl.verdict == engine.Valid || pl.verdict == engine.Invalid
	for i := range pl.seats {
		if vote := pl.vote(i); vote != engine.None && (definite || vote == pl.verdict) {
			pl.seats[i].node.Voted(vote == pl.verdict)
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
