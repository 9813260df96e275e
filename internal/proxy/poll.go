package proxy

import (
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/health"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
)

// poll is one newPayload or forkchoiceUpdated that is put to the nodes.
type poll struct {
	proxy    *Proxy
	settings *Settings
	request  *jsonrpc.Request
	method   engine.Method

	payload    engine.Payload    // of newPayload
	forkchoice engine.Forkchoice // of forkchoiceUpdated
	block      common.Hash       // what the nodes vote on
	named      bool              // whether the call names it; if not, it can only be passed on

	call     *node.Call
	nodes    []*node.Node // all, in configuration order
	seats    []seat       // one for each
	ballots  []quorum.Ballot
	build    *build // what the CL's payload id stands for; nil where it got none
	arrivals chan arrival
	answer   chan jsonrpc.Reply

	begun    time.Time
	pending  int  // seats that may still bring something
	decided  bool // the CL has its answer
	verdict  engine.Status
	took     time.Duration // until it had it
	wrong    string        // why the payload is invalid by itself; "" where it isn't, or wasn't checked
	kept     bool          // it is in the evidence
	first    time.Time     // when the first status came
	counted  bool          // who was late has been noted
	quorumAt time.Time     // since when VALID has a quorum
	validAt  time.Time     // since when the votes in hand give VALID
	record   *Record
	check    *hashCheck // nil where none runs
}

// seat is a node's place in a poll.
type seat struct {
	node      *node.Node
	mayVote   bool // the operator lets it
	voter     bool // its status counts
	asked     bool // it is waited for
	sent      bool // it gets the call
	mayObject bool // its INVALID counts
	laggard   bool // when the poll began

	given     bool // found dead or a laggard while we waited
	open      bool // its vote is waited for
	ended     bool // nothing more will come of it
	took      time.Duration
	reply     jsonrpc.Reply
	failure   error
	malformed []byte               // the result, where it is none that the method has
	status    engine.PayloadStatus // of the reply; Status is None where there was none
	payloadID string
	vote      engine.Status // what of it counts
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
	pl.call = &node.Call{Method: m, Body: r.Raw, ID: r.ID}
	var err error
	if m.Family == engine.NewPayload {
		pl.payload, pl.named, err = engine.ParsePayload(r)
		pl.block = pl.payload.Hash
	} else {
		pl.forkchoice, pl.named, err = engine.ParseForkchoice(r)
		pl.block = pl.forkchoice.Head
		pl.call.Attributes, pl.call.Columns = pl.forkchoice.Attributes != nil, pl.forkchoice.CustodyColumns != nil
	}
	if err != nil {
		return nil, err
	}
	pl.seat()
	pl.ballots = make([]quorum.Ballot, len(pl.seats))
	pl.arrivals = make(chan arrival, len(pl.seats))
	pl.answer = make(chan jsonrpc.Reply, 1)
	return pl, nil
}

// seat finds the part that each node has: voters are the alive nodes that the operator lets vote, or all reachable
// ones where none is alive; asked are the voters that don't lag, or all voters where all lag.
func (pl *poll) seat() {
	pl.seats = make([]seat, len(pl.nodes))
	alive, prompt, qualified := false, false, false
	states := make([]health.State, len(pl.nodes))
	for i, n := range pl.nodes {
		status := n.Status()
		states[i] = status.State
		s := &pl.seats[i]
		*s = seat{node: n, mayVote: status.MayVote(), sent: status.Reachable(), laggard: status.Laggard}
		alive = alive || s.mayVote && status.State == health.Alive
	}
	for i := range pl.seats {
		s := &pl.seats[i]
		s.voter = s.mayVote && s.sent && (states[i] == health.Alive || !alive)
		prompt = prompt || s.voter && !s.laggard
		s.mayObject = pl.proxy.memory.Qualified(s.node.ID)
		qualified = qualified || s.voter && s.mayObject
	}
	for i := range pl.seats {
		s := &pl.seats[i]
		s.asked = s.voter && (!s.laggard || !prompt)
		s.mayObject = s.voter && (s.mayObject || !qualified)
		s.ended = !s.sent
		if s.sent {
			pl.pending++
		}
	}
}

// alone reports whether there is but one node: then nothing is judged, and its answer passes through.
func (pl *poll) alone() bool { return len(pl.seats) == 1 }

// count fills the ballots with what counts of each node now.
func (pl *poll) count() []quorum.Ballot {
	for i := range pl.seats {
		s := &pl.seats[i]
		b := &pl.ballots[i]
		*b = quorum.Ballot{Asked: s.asked}
		if pl.settings.Rules.ByClient {
			b.Client = s.node.Client()
		}
		if !s.mayVote {
			continue
		}
		if s.voter {
			b.Vote = s.vote
		}
		if _, objects := pl.proxy.memory.Objection(s.node.ID, pl.block); objects {
			b.Vote = engine.Invalid
		}
		// Whoever has a vote is counted: a denominator without it could make one vote a majority.
		b.Asked = b.Asked || b.Vote != engine.None
	}
	return pl.ballots
}

// missing reports whether a vote is still waited for.
func (pl *poll) missing(i int) bool {
	s := &pl.seats[i]
	return s.asked && !s.ended && !s.given && time.Since(pl.begun) < s.node.Timeout(pl.method)
}

// reconsider stops waiting for nodes that have died or become laggards. Where there is no vote at all, laggards are
// the only hope left.
func (pl *poll) reconsider() {
	votes := false
	for i := range pl.seats {
		votes = votes || pl.seats[i].vote != engine.None
	}
	for i := range pl.seats {
		s := &pl.seats[i]
		if !s.asked || s.ended {
			continue
		}
		reachable, laggard := s.node.Waited()
		s.given = !reachable || votes && laggard && !s.laggard
	}
}

// arrived takes in what came of the call on one node.
func (pl *poll) arrived(a arrival) {
	s := &pl.seats[a.seat]
	s.ended, s.took, s.reply, s.failure = true, time.Since(pl.begun), a.reply, a.err
	pl.pending--
	if a.err == nil && a.reply.Err == nil {
		s.failure = pl.read(s)
	}
	if s.failure == nil && pl.method.Family == engine.NewPayload && !pl.counted && !pl.alone() {
		s.node.Timely()
		if pl.first.IsZero() && s.status.Status != engine.None {
			pl.first = time.Now()
		}
	}
	if s.status.Status != engine.None {
		pl.remember(s)
		pl.expectSyncing()
	}
	pl.note(a.seat)
}

// read parses a result. An error says that the answer is malformed: it counts as none.
func (pl *poll) read(s *seat) error {
	var err error
	if pl.method.Family == engine.NewPayload {
		s.status, err = engine.ParsePayloadStatus(s.reply.Result)
	} else {
		var r engine.ForkchoiceResult
		r, err = engine.ParseForkchoiceResult(s.reply.Result)
		s.status, s.payloadID = r.PayloadStatus, r.PayloadID
	}
	if err != nil {
		s.malformed = s.reply.Result
		s.status, s.reply = engine.PayloadStatus{}, jsonrpc.Reply{}
		s.node.Broke()
		return &node.Failure{Kind: node.Malformed, Reason: "malformed answer: " + err.Error()}
	}
	return nil
}

// remember makes a status a vote and a word.
func (pl *poll) remember(s *seat) {
	s.node.Said(pl.method.Family, s.status.Status)
	if s.status.Status == engine.Valid {
		s.node.Followed()
	}
	if pl.alone() || !pl.named {
		s.vote = s.status.Status
		return
	}
	record := pl.proxy.memory.Record
	if pl.method.Family == engine.NewPayload {
		record = pl.proxy.memory.RecordPayload
	}
	s.vote = record(s.node.ID, pl.block, s.status.Status, s.status.ValidationError, s.mayObject)
}

// countLate notes which nodes have not answered a grace after the first status.
func (pl *poll) countLate() {
	pl.counted = true
	for i := range pl.seats {
		if s := &pl.seats[i]; s.voter && !s.ended { // a node that catches up is late, and no laggard
			s.node.Late()
		}
	}
}

// compareToHead notes that a node which says SYNCING is behind: to a child of the head, or to a forkchoiceUpdated on
// the head that it hasn't called VALID.
func (pl *poll) compareToHead(s *seat) {
	if s.status.Status != engine.Syncing || !pl.named {
		return
	}
	behind := false
	if pl.method.Family == engine.NewPayload {
		behind = pl.proxy.chain.isHead(pl.payload.Parent)
	} else {
		behind = pl.proxy.chain.isHead(pl.block) && pl.proxy.memory.Word(s.node.ID, pl.block) != engine.Valid
	}
	if behind {
		s.node.Behind()
		pl.proxy.catchUp.try(s.node)
	}
}
