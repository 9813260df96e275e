package quorum

import (
	"testing"

	"executionbackup/internal/engine"
)

// Every verdict has its reason, and the counts that it goes by.
func TestExplain(t *testing.T) {
	two := rules(t, "0.6")
	two.MinValid = 2
	majority := rules(t, "0.6")
	majority.OnDispute = Majority
	dead := Ballot{Configured: true}
	for _, c := range []struct {
		name    string
		rules   Rules
		ballots []Ballot
		want    Explanation // without the verdict
	}{
		{"nobody", rules(t, "0.6"), []Ballot{dead, dead}, Explanation{Why: "no node gives a status"}},
		{"V V S", rules(t, "0.6"), ballots(valid, valid, syncing), Explanation{
			Why: "enough nodes say VALID, and none objects", Votes: 3, Asked: 3, Heard: 3, Valid: 2, Syncing: 1}},
		{"V S S", rules(t, "0.6"), ballots(valid, syncing, syncing), Explanation{
			Why: "SYNCING has reached the threshold", Votes: 3, Asked: 3, Heard: 3, Valid: 1, Syncing: 2}},
		{"S A", rules(t, "0.6"), ballots(syncing, accepted), Explanation{
			Why: "no node says VALID", Votes: 2, Asked: 2, Heard: 2, Syncing: 2}},
		{"A A", rules(t, "0.6"), ballots(accepted, accepted), Explanation{
			Why: "all say ACCEPTED", Votes: 2, Asked: 2, Heard: 2, Syncing: 2}},
		{"I I I", rules(t, "0.6"), ballots(invalid, invalid, invalid), Explanation{
			Why: Condemned.Why(), Votes: 3, Asked: 3, Heard: 3, Invalid: 3, Condemning: 3}},
		{"I I V", rules(t, "0.6"), ballots(invalid, invalid, valid), Explanation{
			Why: Condemned.Why(), Votes: 3, Asked: 3, Heard: 3, Valid: 1, Invalid: 2, Condemning: 2}},
		{"V V I", rules(t, "0.6"), ballots(valid, valid, invalid), Explanation{
			Why: Halted.Why(), Votes: 3, Asked: 3, Heard: 3, Valid: 2, Invalid: 1, Condemning: 1}},
		{"V V I, majority", majority, ballots(valid, valid, invalid), Explanation{
			Why: Outvoted.Why(), Votes: 3, Asked: 3, Heard: 3, Valid: 2, Invalid: 1, Condemning: 1}},
		{"V S, two wanted", two, ballots(valid, syncing), Explanation{
			Why: TooFew.Why(), Votes: 2, Asked: 2, Heard: 2, Valid: 1, Syncing: 1}},
	} {
		c.want.Verdict = c.rules.Decide(c.ballots)
		if got := c.rules.Explain(c.ballots); got != c.want {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

// Whatever the votes, a reason is given, and none that the votes contradict.
func TestExplainAlways(t *testing.T) {
	for _, policy := range []Policy{Halt, Majority, Live} {
		r := rules(t, "0.6")
		r.OnDispute, r.MinValid = policy, 2
		sequences(4, []engine.Status{none, valid, invalid, syncing, accepted}, func(votes []engine.Status) {
			e := r.Explain(ballots(votes...))
			if e.Why == "" || e.Dispute != (e.Rule != NoRule) || e.Votes != e.Valid+e.Invalid+e.Syncing {
				t.Errorf("%v %v: %+v", policy, votes, e)
			}
		})
	}
}
