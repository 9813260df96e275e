// Package verdict answers newPayload and forkchoiceUpdated: it asks all nodes, gathers what they say, decides, and
// composes the answer.
//
//	Judge     the call has its place in the lane of every node     verdict.go, poll.go
//	gather    statuses, until they decide or the time is up        verdict.go (what counts of them: package quorum)
//	content   is the payload the block whose hash it claims?       content.go (and package claim)
//	compose   a node's own words, changed where they must be       compose.go
//	follow    late objections, nodes that are behind, evidence     follow.go, describe.go
package verdict

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/catchup"
	"executionbackup/internal/claim"
	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
	"executionbackup/internal/session"
	"executionbackup/internal/tracing"
)

// Bench is where calls are judged. Safe for concurrent use.
type Bench struct {
	fleet   *fleet.Fleet
	catchUp *catchup.CatchUp
	metrics *metrics
	ahead   ahead
	claims  claim.Claims
	checks  claim.Checks
	traces  traces

	differences differences
	alone       atomic.Pointer[node.Node] // that alone had payloads in mode Off, which the others lack; nil: none
}

// New returns a bench for the calls to a fleet. Its metrics are registered with r.
func New(f *fleet.Fleet, c *catchup.CatchUp, r prometheus.Registerer) *Bench {
	return &Bench{fleet: f, catchUp: c, metrics: newMetrics(r), checks: claim.NewChecks()}
}

// Forget drops the metrics of a name that is no node's any more.
func (b *Bench) Forget(name string) {
	b.metrics.triedVotes.DeletePartialMatch(prometheus.Labels{"node": name})
}

// Judge puts a newPayload or forkchoiceUpdated of a CL to all nodes. It has its place in their lanes when Judge
// returns; wait returns the answer for the CL, or gives up when ctx ends. What the nodes say after that is still read:
// they need the call, and an objection may come late.
func (b *Bench) Judge(ctx context.Context, s *session.Session, c *engine.Call, mode Mode) (wait func() engine.Answer) {
	came := time.Now()
	b.fleet.Spoke(c.Method.Family)
	b.fleet.Pool.Reach(c.Payload.Timestamp)
	clock := b.clock(c, came)
	if mode.Alone == nil {
		awaitRoom(b.fleet, c, &clock)
	}
	b.noteMissed(mode, c)
	pl := b.newPoll(s, c, came, clock, mode)
	pl.traced = tracing.Carry(b.fleet.Context(), ctx)
	pl.traceCall()
	pl.fanOut()
	b.fleet.Go(pl.gather)
	return func() engine.Answer {
		if pl.shadow.on {
			defer pl.call.MarkHeard()
		} else {
			defer b.fleet.Answered(pl.nodes, &pl.call)
		}
		select {
		case given := <-pl.answer:
			pl.fleet.Await(ctx, given.words, given.build)
			return given.Answer
		case <-ctx.Done():
			return engine.Unavailable("the caller has gone")
		}
	}
}

// fanOut sends the call to every node that gets it, in its turn on each. The calls run on after the verdict; each
// brings one arrival. From here on the poll belongs to the goroutine of gather.
func (pl *poll) fanOut() {
	if pl.isPayload() {
		pl.bench.noteClock(&pl.quorum.Clock)
		pl.record = pl.newRecord()
		pl.fleet.History.Add(pl.record)
		pl.claim()
	} else {
		pl.content.awaited = pl.bench.claims.Checking(pl.call.Block, nil)
	}
	pl.trace()
	pl.usual = pl.session.Methods.Use(pl.call.Method)
	nodes, seats := make([]*node.Node, 0, len(pl.seats)), make([]int, 0, len(pl.seats))
	for i := range pl.seats {
		if pl.seats[i].sent {
			nodes, seats = append(nodes, pl.seats[i].node), append(seats, i)
		}
	}
	if pl.place = pl.fleet.Join(nodes, &pl.call); pl.shadow.on { // the CL isn't waiting for us
		pl.place.Superseded = nil
	}
	for i, turn := range pl.place.Turns {
		pl.fleet.Go(func() {
			answer, err := nodes[i].Deliver(pl.traced, turn)
			pl.arrivals <- arrival{seats[i], answer, err, time.Since(pl.begun)}
		})
	}
}

// gather collects what the nodes say, answers the CL as soon as that is decided, and goes on until all have ended.
func (pl *poll) gather() {
	changed := pl.fleet.Pool.Changed()
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		if pl.content.dropSettled() {
			pl.reconvene()
		}
		pl.tell()
		pl.consider()
		pl.tell()
		if pl.decided && pl.isTold() && pl.pending == 0 && pl.content.check == nil {
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
			superseded = pl.place.Superseded
		}
		select {
		case a := <-pl.arrivals:
			pl.take(a)
		case <-changed:
			changed = pl.fleet.Pool.Changed()
		case <-pl.content.checked():
			pl.takeCheck()
		case <-pl.content.others():
		case <-superseded:
		case <-alarm.C:
		}
		pl.noteLate()
		if pl.decided { // what was said late outlives us, too
			pl.fleet.SaveWords()
		}
	}
}

// isSuperseded reports whether another forkchoiceUpdated waits behind this one.
func (pl *poll) isSuperseded() bool {
	select {
	case <-pl.place.Superseded:
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
	look := pl.look()
	if pl.consent(look.Quorum) { // what the nodes said before counts from here on
		pl.refresh()
		look = pl.look()
	}
	pl.next = look.Next // 0 where the votes are done: then nothing but a check is waited for
	if pl.content.isAwaiting() {
		return
	}
	if j, due := pl.judge(look); due {
		pl.decide(j)
	}
}

// look counts the votes in hand.
func (pl *poll) look() quorum.Look {
	return pl.quorum.Look(time.Since(pl.begun), pl.votes, pl.isSuperseded())
}

// pass answers the CL with what the only node says, if it is time to. Where the node says nothing, we check the payload
// at least.
func (pl *poll) pass() {
	s, v := &pl.seats[0], &pl.votes[0]
	switch {
	case !v.Ended && !v.Dead && time.Since(pl.begun) < v.Due:
		pl.next = v.Due
	case v.Ended && (s.failure == nil || pl.verbatim && s.Whole != nil):
		pl.consent(v.Said == engine.Valid)
		pl.decide(judgement{passed: true})
	default:
		pl.next = 0 // nothing but a check is waited for
		if j, due := pl.judge(quorum.Look{Done: true}); due {
			pl.decide(j)
		}
	}
}

// due is when to look again though nothing comes; zero for never.
func (pl *poll) due() (at time.Time) {
	if !pl.lateNoted && !pl.first.IsZero() {
		at = pl.first.Add(pl.quorum.Clock.Grace)
	}
	if sh := &pl.shadow; sh.on && !sh.told && !pl.votes[sh.seat].Ended {
		if patience := pl.begun.Add(pl.votes[sh.seat].Due); at.IsZero() || patience.Before(at) {
			at = patience
		}
	}
	if !pl.decided && pl.next > 0 {
		if next := pl.begun.Add(pl.next); at.IsZero() || next.Before(at) {
			at = next
		}
	}
	return at
}

// decide answers the CL. Whatever may be asked of us as soon as the CL has its answer is noted before, and that there
// is a dispute: the CL's next call on the block would be the evidence otherwise. The log and the metrics don't keep it
// waiting.
func (pl *poll) decide(j judgement) {
	pl.decided = true
	answer := pl.compose(j)
	pl.verdict, pl.took = answer.Status, time.Since(pl.begun)
	pl.shadow.ours, pl.shadow.disputed = answer, j.Dispute
	if answer.PayloadID != "" && !pl.shadow.on {
		pl.startBuild(answer.PayloadID)
	}
	pl.beginCheck() // unless it is known by now what the content is
	pl.noteUsedUp()
	pl.lead(j.Dispute)
	if j.Dispute && pl.record == nil {
		pl.record = pl.newRecord()
	}
	for i := range pl.seats {
		pl.seats[i].objected = pl.vote(i) == engine.Invalid
	}
	pl.rule, pl.why = j.Rule, pl.whyRule(j.Rule)
	if pl.record != nil {
		if j.Dispute {
			pl.fleet.History.Began(pl.record, pl.objectionRoot())
		}
		pl.fleet.History.Decide(pl.record, heard(pl.verdict), pl.took, pl.rule.String(), pl.why)
	}
	pl.followUp() // so that a node which is behind is seen to be
	pl.traceVerdict(j.Dispute)
	if j.Dispute && !pl.shadow.on {
		pl.keep(&answer, true)
	}
	if saved := pl.save(&answer, j.Dispute); !pl.shadow.on {
		pl.answer <- saved
	} else {
		pl.compareShadow()
	}
	pl.fleet.Touch()
	pl.report(&answer, j.Dispute)
}

// given is an answer for the CL, and what is to be saved before it goes out.
type given struct {
	engine.Answer
	words, build fleet.Saved
}

// save saves what the answer rests on. A VALID over a dispute doesn't wait for that.
func (pl *poll) save(answer *engine.Answer, dispute bool) given {
	g := given{Answer: *answer}
	switch {
	case pl.verdict != engine.Valid:
		g.words = pl.fleet.SaveWords()
	case dispute:
		pl.fleet.SaveWords()
	default:
		g.words = pl.fleet.SaveEnds()
	}
	if pl.build != nil {
		g.build = pl.fleet.SaveBuild(pl.session, pl.build.ID)
	}
	return g
}

// report tells what the CL was told.
func (pl *poll) report(answer *engine.Answer, dispute bool) {
	pl.bench.metrics.decided(pl.call.Method.Family, pl.verdict, pl.took)
	pl.reportTime()
	if log := pl.log(); log.Enabled(pl.fleet.Context(), slog.LevelDebug) {
		log.Debug("verdict", "method", pl.call.Method.Name, "block_hash", pl.call.Block, "status", heard(pl.verdict),
			"duration", pl.took)
	}
	if dispute {
		pl.explain()
		pl.reportDispute()
	} else if i := pl.backupObjects(); i >= 0 {
		pl.reportLate(i)
	}
	if pl.over {
		pl.log().Info("dispute over: the consensus client hears VALID to its head", "block_hash", pl.call.Block)
	}
	if !dispute && !pl.shadow.on {
		pl.keep(answer, false)
	}
}

// reportTime counts when in the slot the CL had its answer, and whether that was later than it had to be.
func (pl *poll) reportTime() {
	clock := &pl.quorum.Clock
	if !pl.isPayload() || !clock.Known || clock.Old() || pl.shadow.on {
		return
	}
	pl.bench.metrics.answered.Observe(max(0, clock.Asked+pl.took).Seconds())
	quorum, had := pl.quorum.QuorumAt(func(i int) time.Duration { return pl.seats[i].took })
	if had && pl.verdict == engine.Valid && clock.Overdue(quorum, pl.took) {
		pl.bench.metrics.overdue.Inc()
		pl.fleet.Log.Warn("overdue: VALID had its quorum in time, and went out late in the slot", "block_hash",
			pl.call.Block, "number", pl.call.Payload.Number, "quorum", quorum, "duration", pl.took,
			"slot_offset", clock.Asked+pl.took)
	}
}

// lead notes what the answer means for the head: the nodes are to follow one that we called VALID. Beside a dispute the
// CL goes on to a head that isn't ours: who objects to that falls behind, and doesn't serve what one node can answer.
func (pl *poll) lead(dispute bool) {
	switch {
	case pl.isPayload():
		pl.answeredValid()
	case pl.verdict == engine.None: // an error
		pl.session.Chain.Refuse()
	case pl.verdict == engine.Valid && pl.call.Named:
		pl.session.Chain.SetHead(pl.call.Block, pl.call.Forkchoice.Finalized, pl.place.Seq)
		pl.bench.catchUp.Follow(pl.call.Call)
		pl.fleet.Pool.Lead(pl.call.Block)
	case pl.verdict == engine.Syncing && dispute && pl.call.Named:
		pl.fleet.Pool.Lead(pl.call.Block)
	}
	switch {
	case pl.isPayload():
	case dispute:
		pl.fleet.Disputed.Store(true)
	case pl.verdict == engine.Valid:
		pl.over = pl.fleet.Disputed.CompareAndSwap(true, false)
	}
}

// answeredValid notes that we called the payload VALID, as soon as it is known to be the block's.
func (pl *poll) answeredValid() {
	if pl.verdict == engine.Valid && pl.content.state == genuine {
		pl.session.Chain.AnsweredValid(pl.call.Block, pl.call.Payload.Number)
	}
}

// objectionRoot is where the objection began that makes a dispute; zero where it isn't known.
func (pl *poll) objectionRoot() common.Hash {
	for i := range pl.seats {
		if pl.vote(i) != engine.Invalid {
			continue
		}
		if root, stands := pl.fleet.Memory.Root(pl.votes[i].Node, pl.call.Block); stands {
			return root
		}
	}
	return common.Hash{}
}

// startBuild remembers what the CL's payload id stands for on each node.
func (pl *poll) startBuild(id string) {
	attributes := pl.call.Forkchoice.Attributes
	if attributes == nil { // an id that was not asked for
		attributes = new(engine.Attributes)
	}
	b := &session.Build{
		ID: id, Begun: pl.begun, Head: pl.call.Block, Attributes: attributes, IDs: make(map[quorum.NodeID]string),
	}
	for i := range pl.seats {
		if s := &pl.seats[i]; s.PayloadID != "" && pl.votes[i].MayVote {
			b.IDs[s.node.ID] = s.PayloadID
		}
	}
	pl.build = b
	pl.bench.metrics.builds.Inc()
	pl.session.Builds.Put(b)
}

// end settles what is left when every node has answered or failed, and no check runs.
func (pl *poll) end() {
	if pl.content.state == genuine && !pl.alone() && !blockhash.Known(pl.call.Method.Name) {
		pl.fleet.Memory.Identify(pl.call.Block, pl.content.digest()) // nobody waits for it any more
	}
	if pl.isPayload() { // nothing more will come of the claim
		pl.bench.claims.Leave(&pl.content.own)
	}
	pl.recount()
	pl.tally()
	pl.tallyTried()
	pl.bench.metrics.ended(pl.call.Method.Family, time.Since(pl.begun))
}

// tally counts for each node whether its VALID or INVALID was what the CL heard (history.Figures).
func (pl *poll) tally() {
	if pl.alone() {
		return
	}
	definite := pl.verdict == engine.Valid || pl.verdict == engine.Invalid
	for i := range pl.seats {
		switch vote, track := pl.vote(i), &pl.seats[i].node.Track; {
		case vote != engine.Valid && vote != engine.Invalid:
		case vote == pl.verdict:
			track.Voted(true)
		case definite, vote == engine.Invalid && pl.rule != quorum.NoRule:
			track.Voted(false)
		}
	}
}

// heard names what the CL heard, for logs and metrics.
func heard(s engine.Status) string {
	if s == engine.None {
		return "error"
	}
	return s.String()
}
