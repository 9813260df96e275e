// Package quorum turns what execution clients say into what the consensus client hears. It is pure: no I/O, no clock,
// no JSON.
//
//	reply → vote → verdict
//
// A reply is what a node sent, a vote is what of it counts (see Memory), the verdict is what we answer. The same votes
// give the same verdict in whatever order they came.
package quorum

import "executionbackup/internal/engine"

// Ballot is one node's place in a vote.
type Ballot struct {
	// Vote is the status that counts for this node, or engine.None.
	Vote engine.Status
	// Asked says that the node is in the denominator: a voter that was sent the call and is neither dead nor a
	// laggard, or one whose earlier objection covers the block.
	Asked bool
	// Client is the node's implementation. It matters under Rules.ByClient only; "" stands for itself alone.
	Client string
}

// Verdict is what the votes come to.
type Verdict struct {
	// Status is None where there was no vote.
	Status engine.Status
	// Dispute says that votes conflict: a node objects to what others hold valid, or to what we don't call INVALID.
	Dispute bool
}

// tally counts votes: nodes, or implementations under Rules.ByClient.
type tally struct{ asked, votes, valid, invalid, accepted int }

// Decide reaches the verdict of the ballots.
//
//	INVALID/asked ≥ threshold           INVALID
//	any INVALID                         SYNCING, a dispute (under Majority VALID, where VALID/asked ≥ threshold)
//	no VALID, or SYNCING/n ≥ threshold  SYNCING, or ACCEPTED if all votes are
//	VALID < MinValid                    SYNCING
//	otherwise                           VALID
//
// INVALID is measured against all that were asked, so that one answer among hung nodes condemns nothing.
func (r Rules) Decide(ballots []Ballot) Verdict {
	t := r.count(ballots)
	v := Verdict{Status: r.status(t)}
	v.Dispute = t.invalid > 0 && (t.valid > 0 || v.Status != engine.Invalid)
	return v
}

func (r Rules) status(t tally) engine.Status {
	syncing := t.votes - t.valid - t.invalid
	switch {
	case t.votes == 0:
		return engine.None
	case r.Threshold.Reached(t.invalid, t.asked):
		return engine.Invalid
	case t.invalid > 0 && !(r.Majority && r.Threshold.Reached(t.valid, t.asked)):
		return engine.Syncing
	case t.accepted == t.votes:
		return engine.Accepted
	case t.valid == 0 || r.Threshold.Reached(syncing, t.votes) || t.valid < r.MinValid:
		return engine.Syncing
	}
	return engine.Valid
}

func (r Rules) count(ballots []Ballot) (t tally) {
	for i := range ballots {
		b := ballots[i]
		if r.ByClient && b.Client != "" {
			if !firstOfClient(ballots, i) {
				continue
			}
			b = clientBallot(ballots[i:])
		}
		if b.Asked {
			t.asked++
		}
		switch b.Vote {
		case engine.None:
			continue
		case engine.Valid:
			t.valid++
		case engine.Invalid:
			t.invalid++
		case engine.Accepted:
			t.accepted++
		}
		t.votes++
	}
	return t
}

func firstOfClient(ballots []Ballot, i int) bool {
	for j := range i {
		if ballots[j].Client == ballots[i].Client {
			return false
		}
	}
	return true
}

// clientBallot is the one vote of the first ballot's implementation: INVALID if any of its nodes says so, else VALID,
// else SYNCING, else ACCEPTED.
func clientBallot(ballots []Ballot) Ballot {
	all := ballots[0]
	for _, b := range ballots[1:] {
		if b.Client != all.Client {
			continue
		}
		all.Asked = all.Asked || b.Asked
		if rank(b.Vote) > rank(all.Vote) {
			all.Vote = b.Vote
		}
	}
	return all
}

func rank(s engine.Status) int {
	switch s {
	case engine.Invalid:
		return 4
	case engine.Valid:
		return 3
	case engine.Syncing:
		return 2
	case engine.Accepted:
		return 1
	}
	return 0
}

// completions are the ways for the missing votes to turn out that reach every verdict that any way reaches: what the
// first missing voter says, and what all others say.
var completions = [...]struct{ first, others engine.Status }{
	{engine.None, engine.None},
	{engine.Valid, engine.Valid},
	{engine.Invalid, engine.Invalid},
	{engine.Syncing, engine.Syncing},
	{engine.Accepted, engine.Accepted},
	{engine.Invalid, engine.Syncing},
	{engine.Invalid, engine.None},
}

// Settled reports whether the votes still missing can no longer change the verdict's status. missing(i) says that
// ballots[i] may still turn into a vote; Settled uses those ballots as scratch and leaves them without a vote.
func (r Rules) Settled(ballots []Ballot, missing func(i int) bool) bool {
	var status engine.Status
	settled := true
	for n, c := range completions {
		vote := c.first
		for i := range ballots {
			if missing(i) {
				ballots[i].Vote, vote = vote, c.others
			}
		}
		s := r.status(r.count(ballots))
		if n == 0 {
			status = s
		} else if s != status {
			settled = false
			break
		}
	}
	for i := range ballots {
		if missing(i) {
			ballots[i].Vote = engine.None
		}
	}
	return settled
}

// HasQuorum reports whether VALID has reached the threshold of the asked: then the others get no more than the grace
// to object.
func (r Rules) HasQuorum(ballots []Ballot) bool {
	t := r.count(ballots)
	return r.status(t) == engine.Valid && r.Threshold.Reached(t.valid, t.asked)
}

// Asked returns how many votes were asked for: nodes, or implementations under ByClient.
func (r Rules) Asked(ballots []Ballot) int { return r.count(ballots).asked }
