package verdict

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/health"
	"executionbackup/internal/history"
	"executionbackup/internal/lane"
	"executionbackup/internal/memory"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
	"executionbackup/internal/session"
	"executionbackup/internal/wire"
)

// poll is one newPayload or forkchoiceUpdated that is put to the nodes. Whoever calls Judge makes it; after fanOut all
// of it belongs to the goroutine of gather, but for arrivals and answer, and for call and nodes, which don't change.
type poll struct {
	bench    *Bench
	fleet    *fleet.Fleet
	session  *session.Session // of the CL that made the call
	settings *fleet.Settings
	call     lane.Call
	place    fleet.Place // among all calls
	verbatim bool        // the only node's answer passes through to its last byte
	usual    bool        // the call's method is that of the CL's last calls

	nodes    []*node.Node  // all, in configuration order
	seats    []seat        // one for each node: what came of the call there
	votes    []quorum.Seat // one for each node: what counts of that
	quorum   quorum.Poll   // when there is a verdict, and which
	lapses   uint64        // Memory.Lapses when it was settled who may object
	arrivals chan arrival  // has room for every seat
	pending  int           // seats that may still bring something

	noneTimely bool // when it was settled who votes, every voter was a laggard, or dead

	traced  context.Context // of the calls to nodes: the fleet's, with the span of the CL's call
	begun   time.Time
	next    time.Duration  // when to look again though nothing comes, from begun; 0 for never
	answer  chan given     // has room for the only one
	decided bool           // the CL has its answer
	verdict engine.Status  // that the CL heard; None for an error
	took    time.Duration  // from begun until the CL was answered
	rule    quorum.Rule    // what decided the dispute; NoRule where there was none
	why     string         // why, in words
	over    bool           // the dispute about the CL's head is
	build   *session.Build // what the CL's payload id stands for; nil where it got none

	first     time.Time       // when the first status came by which others are late a grace later; zero before
	lateNoted bool            // who is late has been noted
	record    *history.Record // nil as long as the history has none; changed through the history only
	isKept    bool            // the call is in the evidence

	content content
	shadow  shadow
}

// seat is a node's place in a poll.
type seat struct {
	node    *node.Node
	part    node.Part // when the poll began
	foreign bool      // the node is on another chain
	sent    bool      // the node gets the call
	breaks  uint64    // how many the node had had when the call was sent: see memory.Broke
	broke   bool      // the node had another break before what came of the call came
	fresh   bool      // the call is a newPayload that the node had never been sent before

	returned bool // the node is a laggard only because it has just come back, as of the last look

	engine.Answer // the node's; its status is None where there is none
	failure       error
	took          time.Duration // until the node had answered or failed

	late     bool // the answer came after the CL had its own
	objected bool // INVALID was the node's vote when the CL was answered
	told     bool // what follows from the answer has been drawn: see followUp
	compared bool // the node was found to be behind in this call: see compareToHead
}

// arrival is what came of the call on one node.
type arrival struct {
	seat    int
	answer  engine.Answer
	failure error
	took    time.Duration // from the call's arrival
}

// newPoll finds who takes part in a call that came at a time, and goes by a clock.
func (b *Bench) newPoll(
	s *session.Session, c *engine.Call, came time.Time, clock quorum.Clock, mode Mode) *poll {
	pl := &poll{
		bench: b, fleet: b.fleet, session: s, settings: b.fleet.Settings(), begun: came,
		nodes: b.fleet.Pool.Nodes(),
	}
	pl.call.Call = c
	pl.verbatim = mode.Alone != nil
	switch seat := slices.Index(pl.nodes, mode.Alone); {
	case mode.Alone == nil:
	case mode.Off, seat < 0: // it has been removed meanwhile
		pl.nodes = []*node.Node{mode.Alone}
	default:
		pl.shadow.seat, pl.shadow.on = seat, len(pl.nodes) > 1
	}
	pl.convene(clock)
	pl.arrivals = make(chan arrival, len(pl.seats))
	pl.answer = make(chan given, 1)
	return pl
}

func (pl *poll) isPayload() bool { return pl.call.Method.Family == engine.NewPayload }

// alone reports whether there is but one node: then nothing is judged, and its answer passes through.
func (pl *poll) alone() bool { return len(pl.seats) == 1 }

// convene gives each node its seat, and finds who gets the call and who votes. Where no node that may vote can be
// reached, all are tried but those of another chain. One that alone answers gets the call whatever it is.
func (pl *poll) convene(clock quorum.Clock) {
	pl.seats = make([]seat, len(pl.nodes))
	pl.votes = make([]quorum.Seat, len(pl.nodes))
	for i, n := range pl.nodes {
		now := n.Status()
		s, v := &pl.seats[i], &pl.votes[i]
		s.node, s.part, s.sent, s.foreign = n, now.Part(), now.Called(), now.WrongChain
		s.returned = now.Returned
		s.presume(pl.fleet.Pool)
		*v = quorum.Seat{
			Node: n.ID, Configured: !now.DoNotUse, MayVote: now.MayVote(), Due: n.Timeout(pl.call.Method),
		}
		if pl.settings.Rules.CountsClients() {
			v.Client = now.Info.Implementation()
		}
		v.Proved, s.breaks = pl.fleet.Memory.Standing(n.ID)
	}
	voters := pl.electorate()
	for i := range pl.seats {
		s := &pl.seats[i]
		answers := pl.alone() || pl.shadow.on && i == pl.shadow.seat
		s.sent = s.sent || !voters.Reachable && !s.foreign || answers
		if pl.votes[i].Ended = !s.sent; s.sent {
			pl.pending++
		}
	}
	pl.quorum = quorum.NewPoll(pl.settings.Rules, clock, len(pl.seats))
	pl.quorum.Forkchoice = !pl.isPayload()
	pl.quorum.Builds = pl.call.Forkchoice.Attributes != nil
	pl.quorum.Headless = pl.isPayload() && pl.head() == zeroHash
	pl.enfranchise()
}

// presume takes a node for alive that hasn't said how it is, as long as the first probes of all haven't ended: whoever
// answers these first isn't the only voter.
func (s *seat) presume(p *node.Pool) {
	if s.part.State == health.Unknown && !p.IsReady() {
		s.part.State = health.Alive
	}
}

// electorate is what the seats' nodes are together.
func (pl *poll) electorate() (voters node.Electorate) {
	for i := range pl.seats {
		voters.Add(pl.seats[i].part)
	}
	return voters
}

// enfranchise finds who votes, and who may object: a node that proves itself in this call may from the next one on.
// Where a voter has proved itself, objections from the time when none had lapse.
func (pl *poll) enfranchise() {
	voters, proved := pl.electorate(), false
	pl.noneTimely = true
	for i := range pl.seats {
		s, v := &pl.seats[i], &pl.votes[i]
		v.Voter, v.Rests = s.sent && voters.Has(s.part), voters.Rests(s.part)
		proved = proved || (v.Voter || v.Rests) && v.Proved
		pl.noneTimely = pl.noneTimely && !(v.Voter && !s.part.Laggard && s.part.State != health.Dead)
	}
	for i := range pl.seats {
		s, v := &pl.seats[i], &pl.votes[i]
		v.MayObject = (v.Voter || v.Rests) && pl.fleet.Memory.MayObject(v.Node, proved)
		v.Follows = s.sent && (s.part.State == health.Alive || s.part.State == health.Unknown || s.returned)
	}
	if proved {
		pl.fleet.Memory.Lapse()
	}
	pl.lapses = pl.fleet.Memory.Lapses()
	pl.quorum.NoneAlive = !voters.Alive
}

// reconvene looks again at who votes: the call whose check this one has waited for may have shown that a node is
// behind, or has proved itself. A node that proves itself in this very call may object from the next one on, and so are
// others ignored.
func (pl *poll) reconvene() {
	for i := range pl.seats {
		s, v := &pl.seats[i], &pl.votes[i]
		now := s.node.Waited()
		s.part.State, s.part.Laggard, s.returned = now.State, now.Laggard, now.Returned
		s.presume(pl.fleet.Pool)
		if !s.fresh || v.Said != engine.Valid {
			v.Proved, _ = pl.fleet.Memory.Standing(v.Node)
		}
	}
	pl.enfranchise()
	if !pl.isPayload() && !pl.quorum.Clock.Known { // the other call may have been its head's
		pl.quorum.Clock = pl.bench.clock(pl.call.Call, pl.begun)
	}
}

// vote is what counts of a seat, as of the last look.
func (pl *poll) vote(i int) engine.Status { return pl.quorum.Ballots[i].Vote }

// refresh brings what counts of the seats up to date: who has died or become a laggard, and what their nodes said
// before. Words are about a block, and count in a newPayload only where its content is that block's.
func (pl *poll) refresh() {
	for i := range pl.seats {
		s, v := &pl.seats[i], &pl.votes[i]
		if v.Ended {
			continue
		}
		now := s.node.Waited()
		// Where all voters are laggards, those that have just come back are asked like any other.
		v.Laggard, v.Spent, s.returned = now.Laggard && !(now.Returned && pl.noneTimely), now.Spent, now.Returned
		v.Dead = now.State == health.Dead && s.part.State != health.Dead
	}
	if !pl.decided {
		pl.callUp()
	}
	if pl.call.Named && !pl.alone() && (!pl.isPayload() || pl.content.state == genuine) {
		pl.fleet.Memory.Recall(pl.call.Block, pl.votes)
	}
	for i := range pl.votes {
		s, v := &pl.seats[i], &pl.votes[i]
		v.Recants = v.Own || s.fresh
		// A standing objector may have come back repaired.
		v.Laggard = v.Laggard && !(s.returned && v.Objects)
		// Also while it isn't known whether the memory is to keep that.
		v.Died = v.Died || s.died()
		if pl.isLive() {
			v.Fork, v.NearFork = pl.fork(i), pl.isNearFork(v)
		}
	}
}

// fork is the fork configuration of a seat's node, in the slot of the payload by whatever clock that has begun. Where
// that isn't known, and the node stands by an objection, it is the one with which it began to object, unless there has
// been a fork since.
func (pl *poll) fork(i int) string {
	v, at := &pl.votes[i], pl.forkTime()
	present := pl.seats[i].node.Fork(at)
	if present == "" && v.Objects && !pl.fleet.Pool.ForkBetween(v.Since, uint64(at.Unix())) {
		return v.Config
	}
	return present
}

// forkTime is the time at which it is looked which fork holds for the call's block.
func (pl *poll) forkTime() time.Time { return node.ForkTime(pl.timestamp(), anyClock) }

// anyClock is how far ahead of our clock the time of a payload is believed, where that can only halt.
const anyClock = time.Hour

// isLive reports whether fork configurations matter in a dispute.
func (pl *poll) isLive() bool { return pl.settings.Rules.OnDispute == quorum.Live }

// isNearFork reports whether the block to which a node objects, if it does, is near a fork: the one with which a
// standing objection began, else this call's.
func (pl *poll) isNearFork(v *quorum.Seat) bool {
	timestamp := v.Since
	if !v.Objects {
		timestamp = pl.timestamp()
	}
	return pl.fleet.Pool.NearFork(timestamp, pl.settings.ForkWindow)
}

// timestamp is that of the block which the call is about, in seconds; 0 where it isn't known.
func (pl *poll) timestamp() uint64 {
	if pl.isPayload() {
		return pl.call.Payload.Timestamp
	}
	return pl.fleet.Memory.Timestamp(pl.call.Block)
}

// callUp lets the backups vote where no voter has a vote to give any more: all have died while the call was under way,
// become laggards, let their time go by, or answered what is none.
func (pl *poll) callUp() {
	if slices.ContainsFunc(pl.votes, func(v quorum.Seat) bool { return v.Voter && pl.counts(&v) }) {
		return
	}
	for i := range pl.votes {
		if v := &pl.votes[i]; v.Rests && pl.seats[i].part.State == health.Alive {
			v.Rests, v.Voter = false, true
		}
	}
}

// counts reports whether a voter has given its vote, or can be hoped to.
func (pl *poll) counts(v *quorum.Seat) bool {
	switch {
	case v.Dead || v.Laggard:
		return false
	case v.Objects:
		return true
	case !v.Ended:
		return !v.Spent && time.Since(pl.begun) < v.Due
	}
	return v.Said != engine.None && (v.Said != engine.Invalid || v.MayObject)
}

// recount brings the ballots up to date.
func (pl *poll) recount() {
	pl.refresh()
	pl.quorum.Cast(pl.votes)
}

// take takes in what came of the call on one node, and draws what follows from it.
func (pl *poll) take(a arrival) {
	s, v := &pl.seats[a.seat], &pl.votes[a.seat]
	pl.fill(s, v, a)
	pl.noteBreak(s, v)
	pl.noteTime(s, v)
	pl.noteHealth(s)
	pl.reviewContent()
	if pl.remembers() {
		pl.remember(a.seat)
	}
	pl.contentArrived(v)
	pl.recount()
	if pl.record != nil {
		pl.fleet.History.Vote(pl.record, a.seat, pl.describe(a.seat).forHistory())
	}
	pl.followUp()
}

// fill puts what came of the call on a node in its seat.
func (pl *poll) fill(s *seat, v *quorum.Seat, a arrival) {
	v.Ended, s.took, s.Answer, s.failure, s.late = true, a.took, a.answer, a.failure, pl.decided
	pl.pending--
	if pl.isAboutAnother(s) {
		s.node.Disconnect()
		s.failure = wire.MalformedAnswer(errOtherBlock)
	}
	if s.failure != nil { // the bytes are shown, and nothing in them counts
		s.Answer = engine.Answer{Raw: s.Raw, Whole: s.Whole}
	}
	v.Said, v.LatestValid = s.Status, s.LatestValidHash
	if s.Err != nil {
		v.Error = &s.Err.Code
	}
	failure, failed := s.failure.(*wire.Failure)
	v.Dead = failed && (failure.Kind == wire.Unreachable || failure.Kind == wire.Unauthorized)
}

var errOtherBlock = errors.New("it is about another block")

// isAboutAnother reports whether a node's answer calls another block VALID than the call is about: it was meant for
// another call. The only node's answers pass through.
func (pl *poll) isAboutAnother(s *seat) bool {
	return s.failure == nil && pl.isPayload() && !pl.alone() && pl.call.Named && s.Status == engine.Valid &&
		s.LatestValidHash != nil && *s.LatestValidHash != pl.call.Block
}

// died reports whether the node's connection broke while it had the call.
func (s *seat) died() bool {
	failure, failed := s.failure.(*wire.Failure)
	return failed && failure.Died
}

// noteBreak takes its proof from a node that has had a break since the call was sent: a break counts at once.
func (pl *poll) noteBreak(s *seat, v *quorum.Seat) {
	if _, breaks := pl.fleet.Memory.Standing(v.Node); breaks == s.breaks {
		return
	}
	s.broke, v.Proved = true, false
	proved := slices.ContainsFunc(pl.votes, func(other quorum.Seat) bool {
		return (other.Voter || other.Rests) && other.Proved
	})
	v.MayObject = (v.Voter || v.Rests) && pl.fleet.Memory.MayObject(v.Node, proved)
}

// noteTime notes whether a node's status to a payload came in time, and when the first of all did.
func (pl *poll) noteTime(s *seat, v *quorum.Seat) {
	if !pl.isPayload() || pl.alone() {
		return
	}
	failure, failed := s.failure.(*wire.Failure)
	switch {
	case failed && failure.Kind == wire.TimedOut && (v.Voter || v.Rests):
		s.node.UsedUp(pl.call.Block)
	case v.Said != engine.None && !pl.lateNoted:
		s.node.CameInTime()
	case v.Said != engine.None:
		s.node.CameLate()
	}
	// A syncing node's quick SYNCING says nothing about how long a block takes, and neither does a quick INVALID.
	counts := v.Voter && v.Said == engine.Valid || pl.quorum.NoneAlive && v.Said != engine.None
	if counts && pl.first.IsZero() {
		pl.first = time.Now()
	}
}

// noteUsedUp notes, when the CL is answered, which voters (and backups, where a second INVALID was waited for) have let
// all their time go by: so that the CL's next call doesn't give them as much again. It may come before the failures of
// these voters are taken in.
func (pl *poll) noteUsedUp() {
	if !pl.isPayload() || pl.alone() {
		return
	}
	for i := range pl.seats {
		v := &pl.votes[i]
		if (v.Voter || v.Rests) && !v.Ended && !v.Dead && time.Since(pl.begun) >= v.Due {
			pl.seats[i].node.UsedUp(pl.call.Block)
		}
	}
}

// noteLate notes which voters have not answered a grace after the first status, once that grace is over. Others that
// are late, because they catch up, are no laggards; nor does a payload make one to which nobody attests any more.
func (pl *poll) noteLate() {
	if pl.lateNoted || pl.first.IsZero() || time.Since(pl.first) < pl.quorum.Clock.Grace {
		return
	}
	pl.lateNoted = true
	if pl.quorum.Clock.Old() {
		return
	}
	for i := range pl.seats {
		if v := &pl.votes[i]; v.Voter && !v.Ended && !v.Dead {
			pl.seats[i].node.RanLate(pl.call.Block)
		}
	}
}

// noteHealth notes what a status says of its node.
func (pl *poll) noteHealth(s *seat) {
	if s.Status == engine.None {
		return
	}
	s.node.Said(pl.call.Method.Family, s.Status)
	s.node.Spoke()
	if s.Status == engine.Valid {
		s.node.Followed()
	}
	if s.Unknown != "" {
		pl.bench.metrics.unknownStatus(s.Unknown)
		s.node.FellBehind()
	}
}

// remembers reports whether what a node says is its word on the block: a forkchoiceUpdated has no content that could be
// another's.
func (pl *poll) remembers() bool {
	if !pl.call.Named || pl.alone() {
		return false
	}
	return !pl.isPayload() || pl.content.state == genuine
}

// objectsWith is the fork configuration with which a node objects in this call; "" where it doesn't, or it isn't known.
func (pl *poll) objectsWith(i int) string {
	if pl.votes[i].Said != engine.Invalid {
		return ""
	}
	return pl.seats[i].node.Fork(pl.forkTime())
}

// explain notes where fork configurations explain a dispute, under every policy: another may be chosen while it lasts.
func (pl *poll) explain() {
	known, differ := "", false
	var objectors []quorum.NodeID
	for i := range pl.seats {
		switch pl.vote(i) {
		case engine.Invalid:
			objectors = append(objectors, pl.votes[i].Node)
		case engine.Valid:
		default:
			continue
		}
		fork := pl.fork(i)
		differ = differ || known != "" && fork != "" && fork != known
		known = cmp.Or(known, fork)
	}
	if differ {
		pl.fleet.Memory.Explain(pl.call.Block, objectors)
	}
}

// remember tells the memory what came of the call on a node, and elects a primary where that has changed who objects.
func (pl *poll) remember(i int) {
	s, v := &pl.seats[i], &pl.votes[i]
	words, block := pl.fleet.Memory, pl.call.Block
	failure, failed := s.failure.(*wire.Failure)
	if s.died() {
		words.Died(v.Node, block, s.breaks)
		if pl.isPayload() {
			pl.bench.catchUp.Died(v.Node, block)
		}
	}
	if pl.isPayload() && s.fresh {
		if s.failure == nil || failed && failure.Reached {
			words.Sent(v.Node, block, s.breaks)
		} else {
			words.NotSent(v.Node, block, s.breaks)
		}
	}
	changed := words.Keep(memory.Note{
		Node: v.Node, Block: block, Status: v.Said, Reason: s.ValidationError, Seq: pl.place.Seq,
		Voter: v.Voter || v.Rests, MayObject: v.MayObject, Proved: v.Proved,
		Fresh: s.fresh, Lapses: pl.lapses, Breaks: s.breaks, Broke: s.broke, Config: pl.objectsWith(i),
	})
	switch {
	case v.Said == engine.Invalid && v.Proved:
		s.node.Objected()
	case v.Said == engine.Valid && s.fresh:
		s.node.Proved()
	}
	if changed {
		pl.fleet.Pool.Elect()
	}
}
