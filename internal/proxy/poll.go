package proxy

import (
	"errors"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/health"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/lane"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
	"executionbackup/internal/wire"
)

// poll is one newPayload or forkchoiceUpdated that is put to the nodes. After fanOut it belongs to the goroutine of gather.
type poll struct {
	proxy    *Proxy
	settings *Settings
	request  *jsonrpc.Request
	method   engine.Method

	payload    engine.Payload    // of newPayload
	forkchoice engine.Forkchoice // of forkchoiceUpdated
	block      common.Hash       // what the nodes vote on
	named      bool              // whether the call names it; if not, it can only be passed on

	call       *lane.Call
	seq        uint64          // counts the calls in the order of their sending
	usual      bool            // its method is that of the CL's last calls
	superseded <-chan struct{} // closed when another forkchoiceUpdated waits behind this one; nil for newPayload
	nodes      []*node.Node    // all, in configuration order
	seats      []seat          // one for each
	votes      []quorum.Seat   // what counts of them
	quorum     quorum.Poll
	build      *build // what the CL's payload id stands for; nil where it got none
	arrivals   chan arrival
	answer     chan jsonrpc.Reply

	begun   time.Time
	pending int           // seats that may still bring something
	next    time.Duration // when something is due though nothing comes, from begun; 0 for never
	decided bool          // the CL has its answer
	verdict engine.Status
	took    time.Duration // until it had it
	kept    bool          // it is in the evidence
	first   time.Time     // since when a status is missing of those that are late
	counted bool          // who was late has been noted
	record  *Record

	content content
}

// seat is a node's place in a poll.
type seat struct {
	node    *node.Node
	state   health.State // when the poll began
	foreign bool         // it is on another chain
	sent    bool         // it gets the call
	breaks  uint64       // of the node, when it was sent
	fresh   bool         // a newPayload that the node had never been sent before

	took      time.Duration
	reply     jsonrpc.Reply
	failure   error
	malformed []byte               // the result, where it is none that the method has
	status    engine.PayloadStatus // of the reply; Status is None where there was none
	payloadID string

	late     bool // what came, came after the CL had its answer
	told     bool // that has been dealt with
	compared bool // so has a SYNCING
}

// arrival is what came of the call on one node.
type arrival struct {
	seat  int
	reply jsonrpc.Reply
	err   error
}

// newPoll reads what is judged of the call and finds who takes part. The error says that the call is ambiguous.
func (p *Proxy) newPoll(r *jsonrpc.Request, m engine.Method) (*poll, error) {
	pl := &poll{proxy: p, settings: p.settings.Load(), request: r, method: m, begun: time.Now(), nodes: p.pool.Nodes()}
	pl.call = &lane.Call{Method: m, Body: r.Raw, ID: r.ID}
	var err error
	if m.Family == engine.NewPayload {
		pl.payload, pl.named, err = engine.ParsePayload(r)
		pl.block = pl.payload.Hash
	} else {
		pl.forkchoice, pl.named, err = engine.ParseForkchoice(r)
		pl.block = pl.forkchoice.Head
		pl.named = pl.named && pl.block != zeroHash // which is no block: clients have different words for it
		pl.call.Attributes, pl.call.Columns = pl.forkchoice.Attributes != nil, pl.forkchoice.CustodyColumns != nil
	}
	if err != nil {
		return nil, err
	}
	pl.seat()
	pl.arrivals = make(chan arrival, len(pl.seats))
	pl.answer = make(chan jsonrpc.Reply, 1)
	return pl, nil
}

// seat gives each node its seat, and finds who gets the call. Where no node that may vote can be reached, all are tried but
// those of another chain.
func (pl *poll) seat() {
	pl.seats = make([]seat, len(pl.nodes))
	pl.votes = make([]quorum.Seat, len(pl.nodes))
	for i, n := range pl.nodes {
		status := n.Status()
		s, v := &pl.seats[i], &pl.votes[i]
		*s = seat{node: n, state: status.State, sent: status.Called(), foreign: status.WrongChain}
		*v = quorum.Seat{Node: n.ID, Configured: !status.DoNotUse, MayVote: status.MayVote(), Due: n.Timeout(pl.method)}
		if pl.settings.Rules.ByClient {
			v.Client = n.Client()
		}
		v.Proved, s.breaks = pl.proxy.memory.Standing(n.ID)
	}
	voters := pl.electorate()
	for i := range pl.seats {
		s := &pl.seats[i]
		s.sent = s.sent || !voters.Reachable && !s.foreign
		if pl.votes[i].Ended = !s.sent; s.sent {
			pl.pending++
		}
	}
	pl.quorum = quorum.NewPoll(pl.settings.Rules, pl.settings.Grace, len(pl.seats))
	pl.quorum.Forkchoice = pl.method.Family == engine.ForkchoiceUpdated
	pl.quorum.Builds = pl.forkchoice.Attributes != nil
	pl.quorum.Headless = !pl.quorum.Forkchoice && pl.proxy.chain.headHash() == zeroHash
	pl.enfranchise()
}

// electorate is what the seats' nodes are together.
func (pl *poll) electorate() (voters node.Electorate) {
	for i := range pl.seats {
		voters.Add(pl.votes[i].MayVote, pl.seats[i].state)
	}
	return voters
}

// enfranchise finds who votes. Who may object is settled here: whoever proves itself in this call may from the next one on.
func (pl *poll) enfranchise() {
	voters, proved := pl.electorate(), false
	for i := range pl.seats {
		s, v := &pl.seats[i], &pl.votes[i]
		v.Voter = s.sent && voters.Has(v.MayVote, s.state)
		proved = proved || v.Voter && v.Proved
	}
	for i := range pl.seats {
		s, v := &pl.seats[i], &pl.votes[i]
		v.MayObject = v.Voter && (v.Proved || !proved)
		v.Follows = s.sent && (s.state == health.Alive || s.state == health.Unknown)
	}
	if proved {
		pl.proxy.memory.Lapse()
	}
	pl.quorum.NoneAlive = !voters.Alive
}

// reconvene looks again at who votes: the call before this one has shown only now what its nodes are.
func (pl *poll) reconvene() {
	for i := range pl.seats {
		s, v := &pl.seats[i], &pl.votes[i]
		s.state, _, _ = s.node.Waited()
		v.Proved, _ = pl.proxy.memory.Standing(v.Node)
	}
	pl.enfranchise()
}

// alone reports whether there is but one node: then nothing is judged, and its answer passes through.
func (pl *poll) alone() bool { return len(pl.seats) == 1 }

// vote is what counts of a seat, as of the last count.
func (pl *poll) vote(i int) engine.Status { return pl.quorum.Ballots[i].Vote }

// refresh brings what counts of the seats up to date: who has died or become a laggard, and what their nodes said before.
// Words are about a block, and count in a newPayload only where its content is that block's.
func (pl *poll) refresh() {
	for i := range pl.seats {
		s, v := &pl.seats[i], &pl.votes[i]
		if v.Ended {
			continue
		}
		state, laggard, spent := s.node.Waited()
		v.Laggard, v.Spent = laggard, spent
		v.Dead = state == health.Dead && s.state != health.Dead
	}
	if pl.named && !pl.alone() && (pl.method.Family == engine.ForkchoiceUpdated || pl.content.state == genuine) {
		pl.proxy.memory.Recall(pl.block, pl.votes)
	}
	for i := range pl.votes {
		s, v := &pl.seats[i], &pl.votes[i]
		v.Recants = v.Own || s.fresh
		v.Died = v.Died || s.died() // also while it isn't known whether that is a word
	}
}

// count brings the ballots up to date.
func (pl *poll) count() {
	pl.refresh()
	pl.quorum.Cast(pl.votes)
}

// arrived takes in what came of the call on one node.
func (pl *poll) arrived(a arrival) {
	s, v := &pl.seats[a.seat], &pl.votes[a.seat]
	v.Ended, s.took, s.reply, s.failure, s.late = true, time.Since(pl.begun), a.reply, a.err, pl.decided
	pl.pending--
	if a.err == nil && a.reply.Err == nil {
		s.failure = pl.read(s)
	}
	v.Said, v.LatestValid = s.status.Status, s.status.LatestValidHash
	if s.reply.Err != nil {
		v.Error = &s.reply.Err.Code
	}
	pl.broke(s, v)
	failure, failed := s.failure.(*wire.Failure)
	v.Dead = failed && (failure.Kind == wire.Unreachable || failure.Kind == wire.Unauthorized)
	if pl.method.Family == engine.NewPayload && !pl.alone() {
		pl.time(s, v)
	}
	if v.Said != engine.None {
		s.node.Said(pl.method.Family, v.Said)
		s.node.ShowedAble()
		if v.Said == engine.Valid {
			s.node.Followed()
		}
		if s.status.Unknown != "" {
			pl.proxy.metrics.unknownStatus(s.status.Unknown)
			s.node.FellBehind()
		}
	}
	if pl.remembers() {
		pl.remember(a.seat)
	}
	pl.contentArrived(v)
	pl.count()
	if pl.record != nil {
		pl.proxy.history.vote(pl.record, a.seat, pl.shown(a.seat))
	}
	pl.followUp()
}

// died reports whether the node's connection broke while it had the call before it.
func (s *seat) died() bool {
	failure, failed := s.failure.(*wire.Failure)
	return failed && failure.Died
}

// broke takes it in that a node had a break since the call was sent: that counts at once.
func (pl *poll) broke(s *seat, v *quorum.Seat) {
	if _, breaks := pl.proxy.memory.Standing(v.Node); breaks == s.breaks {
		return
	}
	v.Proved = false
	v.MayObject = v.Voter && !slices.ContainsFunc(pl.votes, func(other quorum.Seat) bool { return other.Voter && other.Proved })
}

// time notes whether a payload's status came in time.
func (pl *poll) time(s *seat, v *quorum.Seat) {
	failure, failed := s.failure.(*wire.Failure)
	switch {
	case failed && failure.Kind == wire.TimedOut && v.Voter:
		s.node.UsedUp(pl.block)
	case v.Said != engine.None && !pl.counted:
		s.node.CameInTime()
	case v.Said != engine.None:
		s.node.CameLate()
	}
	// A syncing node's quick SYNCING says nothing about how long a block takes, and neither does a quick INVALID.
	if pl.first.IsZero() && (v.Voter && v.Said == engine.Valid || pl.quorum.NoneAlive && v.Said != engine.None) {
		pl.first = time.Now()
	}
}

var errOtherBlock = errors.New("it is about another block")

// read parses a result. An error says that the answer is malformed: it counts as none.
func (pl *poll) read(s *seat) error {
	var err error
	if pl.method.Family == engine.NewPayload {
		s.status, err = engine.ParsePayloadStatus(s.reply.Result)
		if err == nil && !pl.alone() && pl.named && s.status.Status == engine.Valid &&
			s.status.LatestValidHash != nil && *s.status.LatestValidHash != pl.block {
			err = errOtherBlock
			s.node.Disconnect()
		}
	} else {
		var r engine.ForkchoiceResult
		r, err = engine.ParseForkchoiceResult(s.reply.Result)
		s.status, s.payloadID = r.PayloadStatus, r.PayloadID
	}
	if err != nil {
		s.malformed = s.reply.Result
		s.status, s.reply, s.payloadID = engine.PayloadStatus{}, jsonrpc.Reply{}, ""
		return &wire.Failure{Kind: wire.Malformed, Reason: "malformed answer: " + err.Error()}
	}
	return nil
}

// remembers reports whether what a node says is its word on the block: a forkchoiceUpdated has no content that could be
// another's.
func (pl *poll) remembers() bool {
	if !pl.named || pl.alone() {
		return false
	}
	return pl.method.Family == engine.ForkchoiceUpdated || pl.stands()
}

// remember keeps what came of the call on a node.
func (pl *poll) remember(i int) {
	s, v := &pl.seats[i], &pl.votes[i]
	memory := pl.proxy.memory
	failure, failed := s.failure.(*wire.Failure)
	if s.died() {
		memory.Died(v.Node, pl.block, s.breaks)
		if pl.method.Family == engine.NewPayload {
			pl.proxy.catchUp.died(v.Node, pl.block)
		}
	}
	if pl.method.Family == engine.NewPayload && s.fresh {
		if s.failure == nil || failed && failure.Reached {
			memory.Sent(v.Node, pl.block, s.breaks)
		} else {
			memory.NotSent(v.Node, pl.block, s.breaks)
		}
	}
	changed := memory.Keep(quorum.Note{
		Node: v.Node, Block: pl.block, Status: v.Said, Reason: s.status.ValidationError, Seq: pl.seq,
		Voter: v.Voter, MayObject: v.MayObject, Proved: v.Proved, Fresh: s.fresh, Breaks: s.breaks,
	})
	if v.Said == engine.Invalid && v.Proved {
		s.node.Objected()
	}
	if changed {
		pl.proxy.pool.Elect()
	}
}

// countLate notes which voters have not answered a grace after the first.
func (pl *poll) countLate() {
	pl.counted = true
	for i := range pl.seats {
		if v := &pl.votes[i]; v.Voter && !v.Ended && !v.Dead { // a node that catches up is late, and no laggard
			pl.seats[i].node.RanLate(pl.block)
		}
	}
}
