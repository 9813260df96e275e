package proxy

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/quorum"
)

// compose turns what the CL is to hear into its answer: a voter's own bytes, changed only where they must be. status is None
// where the answer is an error.
func (pl *poll) compose(v verdict) (reply jsonrpc.Reply, status engine.Status) {
	switch {
	case v.passed:
		s := &pl.seats[0]
		if s.status.Status == engine.Valid && s.payloadID != "" {
			pl.startBuild(s.payloadID)
		}
		return s.reply, s.status.Status
	case v.refuted:
		return pl.refutation(), engine.Invalid
	}
	if e := pl.agreedError(v.Status); e != nil {
		return jsonrpc.Reply{Err: e}, engine.None
	}
	switch v.Status {
	case engine.Valid:
		return pl.valid(), engine.Valid
	case engine.Invalid:
		return pl.invalid(), engine.Invalid
	case engine.None:
		return pl.syncing(engine.Syncing), engine.Syncing
	}
	return pl.syncing(v.Status), v.Status
}

// refutation is the answer to a payload that shows by itself that it is invalid (paris.md#engine_newpayloadv1, and
// shanghai.md#engine_newpayloadv2, since which a wrong block hash has no status of its own).
func (pl *poll) refutation() jsonrpc.Reply {
	name := "INVALID"
	if pl.content.wrongHash && pl.method.Version == 1 {
		name = "INVALID_BLOCK_HASH"
	}
	return pl.result(nil, newStatus(name, nil, pl.content.wrong), "")
}

// agreedError is the error that is the answer, or nil: that of nodes none of which gave a status, or the one that most of
// those which are asked give, where none calls the block VALID.
func (pl *poll) agreedError(status engine.Status) *jsonrpc.Error {
	if status == engine.None {
		return pl.commonError()
	}
	if pl.said(engine.Valid) {
		return nil
	}
	code, agreed := quorum.AgreedError(pl.settings.Rules.Threshold, pl.votes, pl.quorum.Ballots)
	return pl.pickError(func(e *jsonrpc.Error) bool { return agreed && e.Code == code })
}

// valid is the answer for VALID: the result of a voter that says VALID now and means this block.
func (pl *poll) valid() jsonrpc.Reply {
	agrees := func(i int) bool { return pl.vote(i) == engine.Valid && pl.votes[i].Said == engine.Valid }
	chosen := pl.pick(func(i int) bool {
		s := &pl.seats[i]
		return agrees(i) && s.status.LatestValidHash != nil && *s.status.LatestValidHash == pl.block
	})
	if chosen == nil {
		chosen = pl.pick(agrees)
	}
	var status []byte
	if chosen == nil { // all of them said so before, and SYNCING now
		status = newStatus("VALID", &pl.block, "")
	} else if status = chosen.status.Raw; chosen.status.HasInclusionList {
		status = setMember(status, "inclusionListSatisfied", pl.inclusionListSatisfied())
	}
	id := pl.choosePayloadID()
	if id != "" {
		pl.startBuild(id)
	}
	return pl.result(chosen, status, id)
}

// invalid is the answer for INVALID: a voter's own result, with its name before its reason.
func (pl *poll) invalid() jsonrpc.Reply {
	chosen := pl.pick(func(i int) bool { return pl.vote(i) == engine.Invalid && pl.votes[i].Said == engine.Invalid })
	if chosen == nil {
		return pl.result(nil, newStatus("INVALID", nil, pl.standingReason()), "")
	}
	reason := chosen.status.ValidationError
	if reason == "" {
		reason = "no reason given"
	}
	status := setMember(chosen.status.Raw, "validationError", quote(chosen.node.Name()+": "+reason))
	return pl.result(chosen, setMember(status, "latestValidHash", pl.latestValidHash()), "")
}

// syncing is the answer for SYNCING and ACCEPTED. A word that we don't know goes out only where all that are asked say it, or
// have nothing to say.
func (pl *poll) syncing(status engine.Status) jsonrpc.Reply {
	word := func(i int) string { return pl.seats[i].status.Unknown }
	says := func(i int) bool { return pl.votes[i].Voter && pl.votes[i].Said == status }
	chosen := pl.pick(func(i int) bool { return says(i) && word(i) == "" })
	if chosen == nil {
		chosen = pl.pick(func(i int) bool {
			for j, b := range pl.quorum.Ballots {
				v := &pl.votes[j]
				if b.Asked && (!v.Ended || v.Said != engine.None && word(j) != word(i)) {
					return false
				}
			}
			return says(i)
		})
	}
	if chosen == nil {
		return pl.result(nil, newStatus(status.String(), nil, ""), "")
	}
	return pl.result(chosen, chosen.status.Raw, "")
}

// wordOpen reports whether the answer would be a word that we don't know if those that are missing say it too. They have a
// grace for that.
func (pl *poll) wordOpen() bool {
	if pl.alone() || time.Since(pl.begun) >= pl.settings.Grace {
		return false
	}
	word, missing := "", false
	for i, b := range pl.quorum.Ballots {
		switch v, said := &pl.votes[i], pl.seats[i].status.Unknown; {
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

// pick returns the primary's seat if it fits, else the first in configuration order that does, else nil.
func (pl *poll) pick(fits func(i int) bool) *seat {
	primary := pl.proxy.pool.Primary()
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

// result wraps a payload status for the method: as it is for newPayload, with a payload id for forkchoiceUpdated.
func (pl *poll) result(chosen *seat, status []byte, payloadID string) jsonrpc.Reply {
	if pl.method.Family == engine.NewPayload {
		return jsonrpc.Reply{Result: status}
	}
	id := []byte("null")
	if payloadID != "" {
		id = quote(payloadID)
	}
	outer := []byte(`{"payloadStatus":null,"payloadId":null}`)
	if chosen != nil {
		outer = chosen.reply.Result
	}
	return jsonrpc.Reply{Result: setMember(setMember(outer, "payloadStatus", status), "payloadId", id)}
}

// choosePayloadID returns the id that the CL gets: the primary's where it gave one, else a VALID voter's, else anyone's.
func (pl *poll) choosePayloadID() string {
	builds := func(i int) bool { return pl.votes[i].MayVote && pl.seats[i].payloadID != "" }
	s := pl.pick(func(i int) bool { return builds(i) && pl.vote(i) == engine.Valid })
	if s == nil {
		s = pl.pick(builds)
	}
	if s == nil {
		return ""
	}
	return s.payloadID
}

// latestValidHash is what at least the threshold of the INVALID voters name, if the CL may be sent back to it.
func (pl *poll) latestValidHash() []byte {
	hash, named := quorum.LatestValid(pl.settings.Rules.Threshold, pl.votes, pl.quorum.Ballots)
	if named && pl.proxy.chain.mayBeLatestValid(hash) {
		return quote(hash.Hex())
	}
	return []byte("null")
}

// inclusionListSatisfied is true where the threshold of the VALID voters say so (bogota.md#payloadstatusv2).
func (pl *poll) inclusionListSatisfied() []byte {
	satisfied, voters := 0, 0
	for i := range pl.seats {
		s := &pl.seats[i]
		if pl.vote(i) != engine.Valid {
			continue
		}
		voters++
		if s.status.InclusionListSatisfied != nil && *s.status.InclusionListSatisfied {
			satisfied++
		}
	}
	if pl.settings.Rules.Threshold.Reached(satisfied, voters) {
		return []byte("true")
	}
	return []byte("false")
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
func (pl *poll) commonError() *jsonrpc.Error {
	if e := pl.pickError(func(*jsonrpc.Error) bool { return true }); e != nil {
		return e
	}
	if s := pl.pick(func(i int) bool { return pl.seats[i].reply.Err != nil }); s != nil {
		return s.reply.Err
	}
	return nil
}

// pickError returns the first error of a voter that fits, the primary's before others. The primary's or the first's is
// also the one that they agree on, if they do.
func (pl *poll) pickError(fits func(*jsonrpc.Error) bool) *jsonrpc.Error {
	s := pl.pick(func(i int) bool {
		e := pl.seats[i].reply.Err
		return pl.votes[i].Voter && e != nil && fits(e)
	})
	if s == nil {
		return nil
	}
	return s.reply.Err
}

// newStatus builds a payload status of our own.
func newStatus(status string, latestValid *common.Hash, reason string) []byte {
	s := struct {
		Status          string       `json:"status"`
		LatestValidHash *common.Hash `json:"latestValidHash"`
		ValidationError *string      `json:"validationError"`
	}{Status: status, LatestValidHash: latestValid}
	if reason != "" {
		s.ValidationError = &reason
	}
	b, _ := json.Marshal(s) // strings and a hash always can be
	return b
}

// setMember is jsonrpc.SetMember for an object that has been parsed before.
func setMember(object []byte, name string, raw []byte) []byte {
	out, err := jsonrpc.SetMember(object, name, raw)
	if err != nil {
		return object
	}
	return out
}

func quote(s string) []byte {
	b, _ := json.Marshal(s) // a string always can be
	return b
}
