package verdict

import (
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/evidence"
	"executionbackup/internal/fleet"
	"executionbackup/internal/history"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
)

// description is what a seat's node said and what of it counts, in words. What the log, the history and the evidence
// say of a seat is made of it.
type description struct {
	node     *node.Node
	word     string // the status as the node spelt it; "" where there is none
	trouble  string // why there is no status, where the node has answered with an error or failed
	isSent   bool   // the node gets the call
	isEnded  bool   // nothing more comes of the call on the node
	vote     string // the status that counts; "" where none does
	reason   string // the validationError that came with its status
	earlier  string // why the node said INVALID before, where that is its vote
	standing bool   // its vote is an INVALID from before
	unheard  bool   // it says INVALID, and that isn't its vote
	rests    bool   // it is a backup that has no vote
	took     time.Duration
}

// describe describes a seat, as of the last look.
func (pl *poll) describe(i int) description {
	s, v := &pl.seats[i], &pl.votes[i]
	vote := pl.vote(i)
	d := description{
		node: s.node, word: s.PayloadStatus.Word(), isSent: s.sent, isEnded: v.Ended, vote: vote.String(),
		reason: s.ValidationError, took: s.took,
		standing: vote == engine.Invalid && s.Status != engine.Invalid,
		unheard:  vote != engine.Invalid && s.Status == engine.Invalid,
		rests:    v.Rests,
	}
	if d.standing {
		d.earlier = v.Reason
	}
	switch {
	case s.failure != nil:
		d.trouble = s.failure.Error()
	case s.Err != nil:
		d.trouble = s.Err.Error()
	}
	return d
}

// forHistory is the description for people.
func (d description) forHistory() history.Vote {
	v := history.Vote{
		Node: d.node.Name(), Took: history.Micros(d.took), Vote: d.vote, Status: d.word,
		Reason: engine.Excerpt(d.reason),
	}
	switch {
	case !d.isSent:
		v.Status = "dead"
	case d.trouble != "":
		v.Status = engine.Excerpt(d.trouble)
	}
	if d.standing {
		v.Reason = engine.Excerpt("it stands by an earlier objection: " + d.earlier)
	}
	return v
}

// forLog is the description in one line.
func (d description) forLog() node.Said {
	said := d.forHistory().Status
	switch {
	case d.standing && said == "":
		said = "no answer yet (it stands by an earlier INVALID)"
	case d.standing:
		said += " (it stands by an earlier INVALID)"
	case d.unheard && d.rests:
		said += " (a backup, which has no vote)"
	case d.unheard:
		said += " (doesn't count: restarted, and not yet seen to follow)"
	case !d.isEnded:
		said = "no answer yet"
	}
	if d.reason != "" {
		said += ": " + d.reason
	}
	return node.Said{Node: d.node.Name(), Words: said}
}

// forEvidence is the description as it is kept, with what is known of the node now. The answer's bytes, and what the
// node was in this call, are for the caller to add.
func (d description) forEvidence() evidence.Reply {
	about := fleet.About(d.node)
	r := evidence.Reply{
		Node: d.node.Name(), Status: d.word, Vote: d.vote, Reason: d.reason, Took: d.took.Microseconds(), About: about,
	}
	switch {
	case d.trouble != "":
		r.Reason = d.trouble
	case !d.isEnded:
		r.Reason = "no answer yet"
	case !d.isSent:
		r.Reason = "it was not asked: " + about.State
	}
	return r
}

// newRecord begins the record of a call.
func (pl *poll) newRecord() *history.Record {
	r := &history.Record{
		Time: pl.begun, Method: pl.call.Method.Name, Block: pl.call.Block, Parent: pl.call.Payload.Parent,
		Number: pl.call.Payload.Number, Votes: make([]history.Vote, len(pl.seats)), Shadow: pl.shadow.on,
	}
	if clock := &pl.quorum.Clock; clock.Known {
		r.Asked = new(history.Micros(clock.Asked))
	}
	for i := range pl.seats {
		r.Votes[i] = pl.describe(i).forHistory()
	}
	return r
}

// reportDispute says that nodes disagree about a block, each with what it said.
func (pl *poll) reportDispute() {
	pl.fleet.Dispute(pl.call.Method.Family)
	pl.fleet.Decided(pl.rule)
	attrs := []any{
		"method", pl.call.Method.Name, "block_hash", pl.call.Block, "number", pl.number(),
		"answer", heard(pl.verdict), "rule", pl.rule.String(), "why", pl.why,
	}
	var said node.Sayings
	var objectors []string
	for i := range pl.seats {
		d := pl.describe(i)
		said = append(said, d.forLog())
		if pl.vote(i) == engine.Invalid {
			objectors = append(objectors, d.node.Name())
		}
	}
	attrs = append(attrs, "said", said)
	if pl.rule != quorum.Condemned { // then they are right, as far as we know
		attrs = append(attrs, "ends", fleet.HowObjectionsEnd(objectors...))
	}
	pl.log().Error("dispute: nodes disagree about a block", attrs...)
}

// whyRule says in words why a rule decided a dispute: where configurations do, whose they are.
func (pl *poll) whyRule(rule quorum.Rule) string {
	var whose []string
	report := pl.fleet.Pool.Forks()
	for i := range pl.seats {
		n, v := pl.seats[i].node, &pl.votes[i]
		if vote := pl.vote(i); vote != engine.Valid && vote != engine.Invalid {
			continue
		}
		switch rule {
		case quorum.ConfigsDiffer:
			if differs := report.Present(n); differs != "" {
				whose = append(whose, n.Name()+": "+differs)
			}
		case quorum.ConfigsUnknown, quorum.OneClientWrong:
			if v.Fork == "" {
				whose = append(whose, n.Name()+" hasn't told its own")
			}
		}
	}
	if len(whose) == 0 {
		return rule.Why()
	}
	return engine.Excerpt(rule.Why() + " (" + strings.Join(whose, "; ") + ")")
}

// reportLate says that a node objects to a block after the CL has its answer, or is a backup whose objection has no
// vote. It binds what comes after; that of a backup where the backup votes.
func (pl *poll) reportLate(i int) {
	pl.fleet.Late()
	if pl.record == nil {
		pl.record = pl.newRecord()
		pl.record.Verdict, pl.record.Took = heard(pl.verdict), history.Micros(pl.took)
		pl.record.Did = pl.did()
	}
	pl.fleet.History.Objected(pl.record)
	s := &pl.seats[i]
	message := "late objection: a node calls a block INVALID that was answered otherwise"
	if pl.votes[i].Rests {
		message = "objection without a vote: a backup calls a block INVALID that was answered otherwise"
	}
	pl.log().Error(message,
		"node", s.node.Name(), "method", pl.call.Method.Name, "block_hash", pl.call.Block,
		"number", pl.number(), "answer", heard(pl.verdict), "duration", s.took, "reason", s.ValidationError,
		"ends", fleet.HowObjectionsEnd(s.node.Name()))
}

// keep hands what the CL is told to the evidence, if that wants it.
func (pl *poll) keep(answer *engine.Answer, dispute bool) {
	kind := evidence.Follows
	switch {
	case dispute:
		kind = evidence.Dispute
	case pl.content.wrong != "":
		kind = evidence.WrongBlockHash
	case pl.backupObjects() >= 0:
		kind = evidence.LateObjection
	case pl.isEvidence():
		kind = evidence.Shadow
	}
	if !pl.isWanted(kind) {
		return
	}
	e := pl.whole(kind)
	e.Dispute, e.Rule, e.Why = dispute, pl.rule.String(), pl.why
	e.Answer = fleet.Told(pl.call.Call, answer)
	pl.fleet.Evidence.Add(e)
}

// keepLate hands a reply that came after the CL had its answer to the evidence: where the call is kept already, or this
// is an objection.
func (pl *poll) keepLate(i int, objects bool) {
	kind := evidence.Follows
	if objects {
		kind = evidence.LateObjection
	}
	if !pl.isKept && (!objects || !pl.isWanted(kind)) {
		return
	}
	var e *evidence.Event
	if pl.isKept {
		e = pl.event(kind)
		e.Replies = []evidence.Reply{pl.reply(i)}
	} else {
		e = pl.whole(kind)
	}
	e.Late = true
	pl.fleet.Evidence.Add(e)
}

// whole is an event with what the CL was told, and what all nodes said: with it the call is kept.
func (pl *poll) whole(kind evidence.Kind) *evidence.Event {
	pl.isKept = true
	e := pl.event(kind)
	e.Verdict, e.Did, e.Took, e.Replies = heard(pl.verdict), pl.did(), pl.took.Microseconds(), pl.replies()
	return e
}

// isWanted reports whether the evidence wants to hear of the call.
func (pl *poll) isWanted(kind evidence.Kind) bool {
	return pl.call.Named && !pl.alone() && (pl.content.wrong == "" || kind != evidence.Follows) &&
		pl.fleet.Evidence.Wants(kind, pl.call.Block, pl.parent())
}

// number is the block's; 0 where it isn't known.
func (pl *poll) number() uint64 {
	if !pl.isPayload() {
		if p := pl.bench.catchUp.Of(pl.call.Block); p != nil {
			return p.Payload.Number
		}
	}
	return pl.call.Payload.Number
}

// parent is the block's parent; of a forkchoiceUpdated, which doesn't name it, the block itself.
func (pl *poll) parent() common.Hash {
	if pl.isPayload() {
		return pl.call.Payload.Parent
	}
	return pl.call.Block
}

// event is what is known of the call itself. A forkchoiceUpdated comes with the payload that it is about.
func (pl *poll) event(kind evidence.Kind) *evidence.Event {
	e := &evidence.Event{Case: evidence.Case{
		Kind: kind, Parent: pl.parent(), Reason: pl.content.wrong,
		Settings: pl.settings.ForEvidence(pl.quorum.Clock.Grace),
	}}
	e.Time, e.Method, e.Number, e.Block = pl.begun, pl.call.Method.Name, pl.call.Payload.Number, pl.call.Block
	if !pl.isPayload() {
		if p := pl.bench.catchUp.Of(pl.call.Block); p != nil {
			e.Number, e.Parent = p.Payload.Number, p.Payload.Parent
			e.Calls = append(e.Calls, evidence.Call{Method: p.Method.Name, Body: p.Body})
		}
	}
	e.Calls = append(e.Calls, evidence.Call{Method: pl.call.Method.Name, Body: pl.call.Body})
	return e
}

// replies are those of all seats.
func (pl *poll) replies() []evidence.Reply {
	replies := make([]evidence.Reply, len(pl.seats))
	for i := range pl.seats {
		replies[i] = pl.reply(i)
	}
	return replies
}

// reply is what a seat's node said and who it is.
func (pl *poll) reply(i int) evidence.Reply {
	s, v := &pl.seats[i], &pl.votes[i]
	r := pl.describe(i).forEvidence()
	r.Answer = fleet.Told(pl.call.Call, &s.Answer)
	r.About.Timeout = s.node.Timeout(pl.call.Method).Microseconds()
	r.About.Sent, r.About.Voter, r.About.Asked = s.sent, v.Voter, pl.quorum.Ballots[i].Asked
	r.About.MayObject, r.About.Laggard = v.MayObject, v.Laggard
	return r
}
