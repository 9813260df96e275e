package quorum

import "executionbackup/internal/engine"

// Explanation is a verdict for people: with why, and what it was counted from, in nodes or (Rules.ByClient) in
// implementations.
type Explanation struct {
	Verdict
	Why                                 string
	Votes, Asked, Heard                 int
	Valid, Invalid, Syncing, Condemning int // Condemning are those whose INVALID counts towards INVALID
}

// Explain is Decide, with what it goes by.
func (r Rules) Explain(ballots []Ballot) Explanation {
	t := r.tally(ballots)
	e := Explanation{
		Verdict: r.Decide(ballots), Votes: t.votes, Asked: t.asked, Heard: t.heard,
		Valid: t.valid, Invalid: t.invalid, Syncing: t.votes - t.valid - t.invalid, Condemning: t.condemn,
	}
	e.Why = r.why(e)
	return e
}

// why says in words what gives a verdict. Of a dispute that is the rule which decided it.
func (r Rules) why(e Explanation) string {
	switch {
	case e.Dispute:
		return e.Rule.Why()
	case e.Status == engine.None:
		return "no node gives a status"
	case e.Status == engine.Invalid:
		return Condemned.Why()
	case e.Status == engine.Accepted:
		return "all say ACCEPTED"
	case e.Status == engine.Valid:
		return "enough nodes say VALID, and none objects"
	case e.Valid == 0:
		return "no node says VALID"
	case r.Threshold.Reached(e.Syncing, e.Votes):
		return "SYNCING has reached the threshold"
	}
	return TooFew.Why()
}
