package verdict

import (
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// judgement is what the CL is to hear.
type judgement struct {
	quorum.Verdict
	refuted bool // the payload shows by itself that it is invalid
	passed  bool // the only node's answer passes through
}

// judge finds what the CL is to hear, if that is due, or begins the check that is needed first. No SYNCING goes out
// unchecked: where no node has called the content VALID, the content is checked first; so it is where it decides
// whether what nodes said before counts.
func (pl *poll) judge(l quorum.Look) (j judgement, due bool) {
	j.Verdict = l.Verdict
	if l.Done && j.Status == engine.Syncing && pl.isWordOpen() {
		pl.next = pl.quorum.Clock.Grace
		return j, false
	}
	if !pl.hasContent() {
		return j, l.Done
	}
	if pl.content.state == forged {
		return pl.refuted(l)
	}
	needed := pl.content.state == unknown &&
		(pl.wordsMatter() || pl.fleet.Memory.Known(pl.call.Block) || pl.saysNothing(l.Verdict) || pl.mustOutlive(j))
	if l.Done && needed {
		pl.beginCheck()
		return j, false
	}
	return j, l.Done
}

// mustOutlive reports whether what nodes object to is to be saved before this is answered: it is known to be about the
// block only after a check.
func (pl *poll) mustOutlive(j judgement) bool {
	return pl.fleet.Keeps() && !pl.alone() && (j.Dispute && j.Status == engine.Syncing || j.Status == engine.Invalid)
}

// saysNothing reports whether a verdict says that nobody knows the content.
func (pl *poll) saysNothing(v quorum.Verdict) bool {
	switch v.Status {
	case engine.Valid, engine.Invalid:
		return false
	case engine.None:
		return pl.commonError() == nil
	}
	return !pl.quorum.IsVote(engine.Valid)
}

// refuted is the judgement on a payload whose content isn't the block's. One that is asked and says INVALID is the
// second witness. A quorum of VALID is believed more than our own check; less is a dispute.
func (pl *poll) refuted(l quorum.Look) (j judgement, due bool) {
	j.Verdict = l.Verdict
	switch {
	case pl.quorum.IsVote(engine.Valid):
		if j.Status == engine.Valid && !l.Quorum {
			j.Verdict = quorum.Verdict{Status: engine.Syncing, Dispute: true, Rule: quorum.NotTheBlock}
		}
		return j, l.Done
	case pl.quorum.IsVote(engine.Invalid), l.Done && pl.saysNothing(l.Verdict):
		return judgement{Verdict: quorum.Verdict{Status: engine.Invalid}, refuted: true}, true
	}
	return j, l.Done
}

// isWordOpen reports whether the answer would be a word that we don't know if those that are missing say it too. They
// have a grace for that.
func (pl *poll) isWordOpen() bool {
	if pl.alone() || time.Since(pl.begun) >= pl.quorum.Clock.Grace {
		return false
	}
	word, missing := "", false
	for i, b := range pl.quorum.Ballots {
		switch v, said := &pl.votes[i], pl.seats[i].Unknown; {
		case !b.Asked:
		case !v.Ended:
			missing = true
		case v.Said != engine.None && (said == "" || word != "" && said != word):
			return false
		case said != "":
			word = said
		}
	}
	return missing && word != ""
}
