// Package quorum turns what execution clients say into what the consensus client hears, and says when. It is pure: no
// I/O, no clock, no JSON.
//
//	reply → vote → verdict
//
// A reply is what a node sent, a vote is what of it counts (see Seat, and package memory), the verdict is what we
// answer. The same votes give the same verdict in whatever order they came.
package quorum

import (
	"slices"

	"executionbackup/internal/engine"
)

// Ballot is one node's place in a vote.
type Ballot struct {
	// Vote is the status that counts for this node, or engine.None.
	Vote engine.Status
	// Asked says that the node is in the denominator of VALID: it is a voter that is neither dead nor a laggard, or its
	// INVALID is a vote.
	Asked bool
	// Heard says that the node is in the denominator of INVALID: it is asked, or a laggard, or seconds an INVALID, or
	// it held the block to be valid, or one that the block builds on.
	Heard bool
	// Seconds says that the node is a backup that has no vote and calls the block INVALID: that is counted for INVALID
	// alone.
	Seconds bool
	// Proved says that the node's INVALID is one of the two without which a block can't be called INVALID.
	Proved bool
	// Read says that the node's INVALID was read from records: it makes a dispute, and is not counted for INVALID.
	Read bool
	// Stands says that a VALID of the node stands: on the block, or on one to which an objection that covers the block
	// was made, too.
	Stands bool
	// Configured says that the operator lets the node vote, whether or not it can now.
	Configured bool
	// Client is the node's implementation. It matters under Rules.ByClient and Live only; "" stands for itself alone.
	Client string
	// Config is the node's present fork configuration, in a text that is equal where configurations are; "" where it
	// isn't known. It matters under Live only, as does NearFork: that the block to which the node objects, if it does,
	// is near a fork, as far as we know.
	Config   string
	NearFork bool
	// Explained says that fork configurations differed when this objection, which is the node's vote, was disputed
	// before.
	Explained bool
}

// Verdict is what the votes come to.
type Verdict struct {
	// Status is None where there was no vote.
	Status engine.Status
	// Dispute says that votes conflict: a node objects to a block that others call VALID, or that we don't call
	// INVALID.
	Dispute bool
	// Rule is what decided a dispute; NoRule where there is none.
	Rule Rule
}

// tally counts votes: nodes, or implementations under Rules.ByClient.
type tally struct {
	asked, heard                    int
	votes, valid, invalid, accepted int
	validClients                    int // implementations that say VALID, as far as they have told which they are
	condemn                         int // those whose INVALID counts towards INVALID
	proved                          int // nodes among these that have proved themselves
	provedClients                   int
	voters, clients                 int // configured
}

// Decide reaches the verdict of the ballots.
//
//	INVALID/heard ≥ threshold, with two that proved themselves   INVALID
//	any INVALID                         SYNCING, a dispute (unless the Policy lets VALID go on)
//	no VALID, or SYNCING/n ≥ threshold  SYNCING, or ACCEPTED if all votes are
//	VALID < MinValid                    SYNCING
//	otherwise                           VALID
//
// INVALID can't be taken back by a consensus client. So it is measured against all that can be hoped to know better,
// and never the word of one node of several.
func (r Rules) Decide(ballots []Ballot) Verdict {
	t := r.tally(ballots)
	var v Verdict
	v.Status, v.Rule = r.status(t, ballots)
	v.Dispute = t.invalid > 0 && (t.valid > 0 || v.Status != engine.Invalid)
	if !v.Dispute {
		v.Rule = NoRule
	}
	return v
}

// status is the verdict's status, and the rule that gives it where there is an INVALID: see Decide.
func (r Rules) status(t tally, ballots []Ballot) (engine.Status, Rule) {
	syncing := t.votes - t.valid - t.invalid
	rule := NoRule
	switch {
	case t.votes == 0:
		return engine.None, NoRule
	case r.condemned(t):
		return engine.Invalid, Condemned
	case t.invalid > 0:
		if rule = r.dispute(t, ballots); !rule.goesOn() {
			return engine.Syncing, rule
		}
	case t.accepted == t.votes:
		return engine.Accepted, NoRule
	}
	switch {
	case t.valid == 0 || r.Threshold.Reached(syncing, t.votes):
		return engine.Syncing, rule
	case t.valid < r.MinValid:
		return engine.Syncing, TooFew
	}
	return engine.Valid, rule
}

// witnesses is how many that proved themselves have to say INVALID, where there are as many.
const witnesses = 2

// condemned reports whether the verdict is INVALID. Backups without a vote can only second one.
func (r Rules) condemned(t tally) bool {
	if t.invalid == 0 {
		return false
	}
	if r.ByClient && t.provedClients < min(witnesses, t.clients) {
		return false
	}
	return t.proved >= min(witnesses, t.voters) && r.Threshold.Reached(t.condemn, t.heard)
}

func (r Rules) tally(ballots []Ballot) (t tally) {
	for i := range ballots {
		if ballots[i].Configured {
			t.voters++
		}
		if !r.ByClient || ballots[i].Client == "" {
			r.add(&t, join(ballots[i:i+1], ""))
		} else if isFirstOfClient(ballots, i) {
			r.add(&t, join(ballots[i:], ballots[i].Client))
		}
	}
	return t
}

func isFirstOfClient(ballots []Ballot, i int) bool {
	return !slices.ContainsFunc(ballots[:i], func(b Ballot) bool { return b.Client == ballots[i].Client })
}

// bloc is what has one vote: one ballot, or those of one implementation.
type bloc struct {
	vote                      engine.Status
	asked, configured, stands bool // at least one of its ballots is so; a VALID that is a vote stands, too
	heard                     int  // ballots that are in the denominator of INVALID
	invalid                   int  // that say INVALID in this run
	proved                    int  // that do, and have proved themselves
	named                     bool // it is known which implementation it is
}

// join makes one vote of the ballots of a client, or where none is named of all: INVALID if any of them says so, else
// VALID, else SYNCING, else ACCEPTED.
func join(ballots []Ballot, client string) (all bloc) {
	all.named = client != ""
	for i := range ballots {
		b := &ballots[i]
		if client != "" && b.Client != client {
			continue
		}
		all.asked = all.asked || b.Asked
		all.configured = all.configured || b.Configured
		all.stands = all.stands || b.Stands || b.Vote == engine.Valid
		if rank(b.Vote) > rank(all.vote) {
			all.vote = b.Vote
		}
		if b.Heard {
			all.heard++
		}
		if (b.Vote == engine.Invalid || b.Seconds) && !b.Read {
			all.invalid++
			if b.Proved {
				all.proved++
			}
		}
	}
	return all
}

// add counts one vote. That of an implementation counts towards INVALID if the threshold of its nodes that are heard
// say so, and no VALID of theirs stands.
func (r Rules) add(t *tally, b bloc) {
	if b.asked {
		t.asked++
	}
	if b.heard > 0 {
		t.heard++
	}
	if b.configured {
		t.clients++
	}
	if b.invalid > 0 && (!r.ByClient || r.Threshold.Reached(b.invalid, b.heard) && !b.stands) {
		t.condemn++
		t.proved += b.proved
		t.provedClients += min(1, b.proved)
	}
	switch b.vote {
	case engine.None:
		return
	case engine.Valid:
		t.valid++
		if b.named {
			t.validClients++
		}
	case engine.Invalid:
		t.invalid++
	case engine.Accepted:
		t.accepted++
	}
	t.votes++
}

// rank orders the statuses of nodes that have one vote together: the highest is it.
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

// hasQuorum reports whether the votes give VALID and VALID has reached the threshold of the asked: then the missing
// ones get no more than the grace to object.
func (r Rules) hasQuorum(ballots []Ballot) bool {
	t := r.tally(ballots)
	status, _ := r.status(t, ballots)
	return status == engine.Valid && r.Threshold.Reached(t.valid, t.asked)
}
