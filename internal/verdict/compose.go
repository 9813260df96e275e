package verdict

import (
	"fmt"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// compose turns what the CL is to hear into its answer: a voter's own bytes, said anew only where they must be. It
// changes nothing. The answer's status is None where it is an error.
func (pl *poll) compose(j judgement) engine.Answer {
	switch {
	case j.passed:
		return pl.passed()
	case j.refuted:
		return pl.refutation()
	}
	if e := pl.agreedError(j.Status); e != nil {
		return engine.Answer{Err: e}
	}
	switch j.Status {
	case engine.Valid:
		return pl.valid()
	case engine.Invalid:
		return pl.invalid()
	case engine.None:
		return pl.syncing(engine.Syncing)
	}
	return pl.syncing(j.Status)
}

// passed is the only node's answer. Its bytes go to the CL as they are; a payload id in them that stands beside another
// status than VALID begins no build.
func (pl *poll) passed() engine.Answer {
	a := pl.seats[0].Answer
	a.Verbatim = pl.verbatim
	if a.Status != engine.Valid {
		a.PayloadID = ""
	}
	return a
}

// refutation is the answer to a payload that shows by itself that it is invalid (paris.md#engine_newpayloadv1, and
// shanghai.md#engine_newpayloadv2, since which a wrong block hash has no status of its own).
func (pl *poll) refutation() engine.Answer {
	return engine.Answer{PayloadStatus: engine.PayloadStatus{
		Status: engine.Invalid, ValidationError: pl.content.wrong,
		WrongHash: pl.content.wrongHash && pl.call.Method.Version == 1,
	}}
}

// agreedError is the error that is the answer, or nil: the nodes' common error where none gave a status; where none
// calls the block VALID, the error that the threshold of those which are asked give.
func (pl *poll) agreedError(status engine.Status) *engine.Error {
	if status == engine.None {
		return pl.commonError()
	}
	if pl.quorum.IsVote(engine.Valid) {
		return nil
	}
	code, agreed := quorum.AgreedError(pl.settings.Rules.Threshold, pl.votes, pl.quorum.Ballots)
	return pl.pickError(func(e *engine.Error) bool { return agreed && e.Code == code })
}

// valid is the answer for VALID: the result of a voter that says VALID now and means this block.
func (pl *poll) valid() engine.Answer {
	agrees := func(i int) bool { return pl.vote(i) == engine.Valid && pl.votes[i].Said == engine.Valid }
	chosen := pl.pick(func(i int) bool {
		hash := pl.seats[i].LatestValidHash
		return agrees(i) && hash != nil && *hash == pl.call.Block
	})
	if chosen == nil {
		chosen = pl.pick(agrees)
	}
	a := engine.Answer{PayloadStatus: engine.PayloadStatus{Status: engine.Valid, LatestValidHash: &pl.call.Block}}
	if chosen != nil { // otherwise all of them said VALID before, and SYNCING now
		a = pl.own(chosen)
	}
	if a.HasInclusionList {
		satisfied := pl.satisfiesInclusionList()
		a.InclusionListSatisfied = &satisfied
		a.Anew |= engine.AnewInclusionList
	}
	a.PayloadID = pl.choosePayloadID()
	return a
}

// invalid is the answer for INVALID: a voter's own result, with its name before its reason.
func (pl *poll) invalid() engine.Answer {
	chosen := pl.pick(func(i int) bool { return pl.vote(i) == engine.Invalid && pl.votes[i].Said == engine.Invalid })
	if chosen == nil {
		return engine.Answer{PayloadStatus: engine.PayloadStatus{
			Status: engine.Invalid, ValidationError: pl.standingReason(),
		}}
	}
	a := pl.own(chosen)
	if a.ValidationError == "" {
		a.ValidationError = "no reason given"
	}
	a.ValidationError = chosen.node.Name() + ": " + a.ValidationError
	a.LatestValidHash = nil
	hash, named := quorum.LatestValid(pl.settings.Rules.Threshold, pl.votes, pl.quorum.Ballots)
	if named && pl.session.Chain.MayBeLatestValid(hash) {
		a.LatestValidHash = &hash
	}
	a.Anew |= engine.AnewValidationError | engine.AnewLatestValidHash
	return a
}

// syncing is the answer for SYNCING and ACCEPTED. A word that we don't know goes out only where all that are asked say
// it, or have nothing to say.
func (pl *poll) syncing(status engine.Status) engine.Answer {
	says := func(i int) bool { return pl.votes[i].Voter && pl.votes[i].Said == status }
	chosen := pl.pick(func(i int) bool { return says(i) && pl.seats[i].Unknown == "" })
	if chosen == nil {
		chosen = pl.pick(func(i int) bool { return says(i) && pl.allSay(pl.seats[i].Unknown) })
	}
	if chosen == nil {
		return engine.Answer{PayloadStatus: engine.PayloadStatus{Status: status}}
	}
	return pl.own(chosen)
}

// allSay reports whether all that are asked say a word that we don't know, or have nothing to say.
func (pl *poll) allSay(word string) bool {
	for i, b := range pl.quorum.Ballots {
		v := &pl.votes[i]
		if b.Asked && (!v.Ended || v.Said != engine.None && pl.seats[i].Unknown != word) {
			return false
		}
	}
	return true
}

// own is a node's answer as ours. The payload id of a forkchoiceUpdated is said anew: there is none but with VALID.
func (pl *poll) own(s *seat) engine.Answer {
	a := s.Answer
	if !pl.isPayload() {
		a.PayloadID, a.Anew = "", engine.AnewPayloadID
	}
	return a
}

// pick returns the primary's seat if it fits, else the first in configuration order that does, else nil.
func (pl *poll) pick(fits func(i int) bool) *seat {
	primary := pl.fleet.Pool.Primary()
	var first *seat
	for i := range pl.seats {
		s := &pl.seats[i]
		if !fits(i) {
			continue
		}
		if s.node == primary {
			return s
		}
		if first == nil {
			first = s
		}
	}
	return first
}

// choosePayloadID returns the id that the CL gets: the primary's where it gave one, else a VALID voter's, else
// anyone's.
func (pl *poll) choosePayloadID() string {
	builds := func(i int) bool { return pl.votes[i].MayVote && pl.seats[i].PayloadID != "" }
	s := pl.pick(func(i int) bool { return builds(i) && pl.vote(i) == engine.Valid })
	if s == nil {
		s = pl.pick(builds)
	}
	if s == nil {
		return ""
	}
	return s.PayloadID
}

// satisfiesInclusionList is true where the threshold of the VALID voters say so (bogota.md#payloadstatusv2).
func (pl *poll) satisfiesInclusionList() bool {
	satisfied, voters := 0, 0
	for i := range pl.seats {
		s := &pl.seats[i]
		if pl.vote(i) != engine.Valid {
			continue
		}
		voters++
		if s.InclusionListSatisfied != nil && *s.InclusionListSatisfied {
			satisfied++
		}
	}
	return pl.settings.Rules.Threshold.Reached(satisfied, voters)
}

// standingReason tells of an objection that a node stands by.
func (pl *poll) standingReason() string {
	for i := range pl.seats {
		if v := &pl.votes[i]; v.Objects && v.MayVote {
			return fmt.Sprintf("%s: %s (it stands by an earlier INVALID)", pl.seats[i].node.Name(), v.Reason)
		}
	}
	return ""
}

// commonError is the error that the nodes agree on; where they don't, the primary's, else the first's. Voters are
// heard before others. Nil where no node answered with an error.
func (pl *poll) commonError() *engine.Error {
	if e := pl.pickError(func(*engine.Error) bool { return true }); e != nil {
		return e
	}
	if s := pl.pick(func(i int) bool { return pl.seats[i].Err != nil }); s != nil {
		return s.Err
	}
	return nil
}

// pickError returns the first error of a voter that fits, the primary's before others; nil where none does.
func (pl *poll) pickError(fits func(*engine.Error) bool) *engine.Error {
	s := pl.pick(func(i int) bool {
		e := pl.seats[i].Err
		return pl.votes[i].Voter && e != nil && fits(e)
	})
	if s == nil {
		return nil
	}
	return s.Err
}
