package proxy

import (
	"encoding/json"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/evidence"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
)

// RecordTo makes a log keep what is evidence: disputes, late objections, wrong block hashes. It is to be set before the
// first request.
func (p *Proxy) RecordTo(l *evidence.Log) { p.evidence = l }

// keep hands over what the CL was told, if it is evidence or follows some. The CL has its answer by then.
func (pl *poll) keep(answer jsonrpc.Reply, dispute bool) {
	kind := evidence.Follows
	switch {
	case dispute:
		kind = evidence.Dispute
	case pl.content.wrong != "":
		kind = evidence.WrongBlockHash
	}
	if !pl.wanted(kind) {
		return
	}
	pl.kept = true
	e := pl.event(kind)
	e.Verdict, e.Dispute, e.Took, e.Answer = outcome(pl.verdict), dispute, pl.took.Microseconds(), rawReply(answer)
	e.Replies = pl.replies()
	pl.proxy.evidence.Add(e)
}

// keepLate hands over a reply that came after the CL had its answer.
func (pl *poll) keepLate(i int, objects bool) {
	kind := evidence.Follows
	if objects {
		kind = evidence.LateObjection
	}
	if !pl.kept && (!objects || !pl.wanted(kind)) {
		return
	}
	e := pl.event(kind)
	e.Late = true
	if pl.kept {
		e.Replies = []evidence.Reply{pl.heard(i)}
	} else {
		e.Verdict, e.Took, e.Replies = outcome(pl.verdict), pl.took.Microseconds(), pl.replies()
		pl.kept = true
	}
	pl.proxy.evidence.Add(e)
}

func (pl *poll) wanted(kind evidence.Kind) bool {
	return pl.named && !pl.alone() && (pl.content.wrong == "" || kind != evidence.Follows) &&
		pl.proxy.evidence.Wants(kind, pl.block, pl.parent())
}

// parent is the block's parent, as far as the call tells.
func (pl *poll) parent() common.Hash {
	if pl.method.Family == engine.NewPayload {
		return pl.payload.Parent
	}
	return pl.block
}

// event is what is known of the call itself. A forkchoiceUpdated comes with the payload that it is about.
func (pl *poll) event(kind evidence.Kind) *evidence.Event {
	e := &evidence.Event{Case: evidence.Case{Kind: kind, Parent: pl.parent(), Reason: pl.content.wrong, Settings: pl.settings.shown()}}
	e.Time, e.Method, e.Number, e.Block = pl.begun, pl.method.Name, pl.payload.Number, pl.block
	if pl.method.Family == engine.ForkchoiceUpdated {
		if k, known := pl.proxy.catchUp.ring.get(pl.block); known {
			e.Number, e.Parent = k.Number, k.Parent
			e.Calls = append(e.Calls, evidence.Call{Method: k.method.Name, Body: k.body})
		}
	}
	e.Calls = append(e.Calls, evidence.Call{Method: pl.method.Name, Body: pl.request.Raw})
	return e
}

func (pl *poll) replies() []evidence.Reply {
	replies := make([]evidence.Reply, len(pl.seats))
	for i := range pl.seats {
		replies[i] = pl.heard(i)
	}
	return replies
}

// heard is what a seat's node said and who it is.
func (pl *poll) heard(i int) evidence.Reply {
	s, v := &pl.seats[i], &pl.votes[i]
	about := aboutNode(s.node)
	about.Timeout = s.node.Timeout(pl.method).Microseconds()
	about.Sent, about.Voter, about.Asked, about.MayObject, about.Laggard = s.sent, v.Voter, pl.quorum.Ballots[i].Asked, v.MayObject, v.Laggard
	r := evidence.Reply{Node: s.node.Name(), Status: s.status.Word(), Vote: pl.vote(i).String(), Reason: s.status.ValidationError,
		Took: s.took.Microseconds(), Answer: rawReply(s.reply), About: about}
	switch {
	case s.failure != nil:
		r.Reason, r.Answer = s.failure.Error(), evidence.Raw(s.malformed)
	case s.reply.Err != nil:
		r.Reason = s.reply.Err.Error()
	case !v.Ended:
		r.Reason = "no answer yet"
	case !s.sent:
		r.Reason = "it was not asked: " + about.State
	}
	return r
}

// aboutNode is what is known of a node now.
func aboutNode(n *node.Node) *evidence.Node {
	s := n.Status()
	about := &evidence.Node{URL: n.URL(), Client: s.Info.Client, State: s.State.String(), DoNotUse: s.DoNotUse, Drained: s.Drained, Laggard: s.Laggard}
	if len(s.Info.Clients) > 0 {
		c := s.Info.Clients[0]
		about.Client = c.Name + "/" + c.Version + "/" + c.Commit
	}
	return about
}

// rawReply is a result, or an error object.
func rawReply(r jsonrpc.Reply) json.RawMessage {
	if r.Err == nil {
		return evidence.Raw(r.Result)
	}
	raw, _ := json.Marshal(r.Err) // what was read can be written
	return evidence.Raw(raw)
}

// keep hands over an INVALID to a built payload, with what every judge has said so far. dispute is one that the proposal could
// heed.
func (h *hearing) keep(dispute bool) {
	e := h.event(evidence.CrossCheck)
	e.Dispute, e.Calls = dispute, []evidence.Call{h.candidate.shown}
	for _, n := range h.judges {
		e.Replies = append(e.Replies, h.said(n))
	}
	h.proposal.proxy.evidence.Add(e)
}

// keepLate adds what a judge said after that.
func (h *hearing) keepLate(n *node.Node) {
	e := h.event(evidence.Follows)
	e.Late, e.Replies = true, []evidence.Reply{h.said(n)}
	h.proposal.proxy.evidence.Add(e)
}

func (h *hearing) event(kind evidence.Kind) *evidence.Event {
	c := h.candidate
	e := &evidence.Event{Case: evidence.Case{Kind: kind, Parent: c.payload.Parent, Builder: c.node.Name(), Settings: h.proposal.settings.shown()}}
	e.Time, e.Method, e.Number, e.Block = time.Now(), c.shown.Method, c.payload.Number, c.payload.Hash
	return e
}

// said is what a judge said, and who it is.
func (h *hearing) said(n *node.Node) evidence.Reply {
	got, came := h.came[n]
	about := aboutNode(n)
	about.Timeout, about.Sent, about.Voter, about.Asked, about.MayObject = h.proposal.settings.CrossCheck.Microseconds(), true, true, true, n == h.objector || h.mayObject(n)
	r := evidence.Reply{Node: n.Name(), Took: got.took.Microseconds(), Answer: rawReply(got.Reply), About: about}
	s, err := got.status()
	switch {
	case !came:
		r.Reason = "no answer yet"
	case err != nil:
		r.Reason = err.Error()
	default:
		r.Status, r.Reason = s.Status.String(), s.ValidationError
		if s.Status != engine.Invalid || about.MayObject {
			r.Vote = r.Status
		}
	}
	return r
}

// shown are the settings as one writes them.
func (s *Settings) shown() evidence.Settings {
	shown := evidence.Settings{Threshold: s.Rules.Threshold.String(), MinValid: s.Rules.MinValid, OnDispute: "halt", VoteBy: "node",
		Grace: s.Grace.String(), BuildGrace: s.BuildGrace.String(), CrossCheck: s.CrossCheck.String()}
	if s.Rules.Majority {
		shown.OnDispute = "majority"
	}
	if s.Rules.ByClient {
		shown.VoteBy = "client"
	}
	return shown
}
