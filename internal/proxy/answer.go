package proxy

import (
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/quorum"
)

// compose turns the votes in hand into the CL's answer: a voter's own bytes, changed only where they must be. status
// is None where the answer is an error.
func (pl *poll) compose() (reply jsonrpc.Reply, status engine.Status, dispute bool) {
	if pl.alone() {
		if s := &pl.seats[0]; s.ended && s.sent && s.failure == nil {
			if s.status.Status == engine.Valid && s.payloadID != "" {
				pl.startBuild(s.payloadID)
			}
			return s.reply, s.status.Status, false
		}
		return pl.syncing(quorum.Verdict{Status: engine.Syncing})
	}
	v := pl.settings.Rules.Decide(pl.count())
	if v.Status == engine.None {
		if e := pl.commonError(); e != nil {
			return jsonrpc.Reply{Err: e}, engine.None, false
		}
		v.Status = engine.Syncing
	}
	if v.Status == engine.Invalid && !pl.anyStatus() {
		// Nobody said so now: these are objections from before, and whoever could disagree is silent.
		v = quorum.Verdict{Status: engine.Syncing, Dispute: true}
	}
	switch v.Status {
	case engine.Valid:
		return pl.valid(), engine.Valid, v.Dispute
	case engine.Invalid:
		return pl.invalid(), engine.Invalid, v.Dispute
	}
	return pl.syncing(v)
}

func (pl *poll) anyStatus() bool {
	for i := range pl.seats {
		if pl.seats[i].status.Status != engine.None {
			return true
		}
	}
	return false
}

// valid is the answer for VALID: the result of a voter that says VALID now and means this block.
func (pl *poll) valid() jsonrpc.Reply {
	agrees := func(s *seat) bool { return s.voter && s.vote == engine.Valid && s.status.Status == engine.Valid }
	chosen := pl.pick(func(s *seat) bool {
		return agrees(s) && s.status.LatestValidHash != nil && *s.status.LatestValidHash == pl.block
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
	objects := func(s *seat) bool { return s.vote == engine.Invalid && s.status.Status == engine.Invalid }
	chosen := pl.pick(objects)
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

// syncing is the answer for SYNCING and ACCEPTED, unless the payload shows by itself that it is invalid.
func (pl *poll) syncing(v quorum.Verdict) (jsonrpc.Reply, engine.Status, bool) {
	if pl.method.Family == engine.NewPayload && !pl.anyValid() {
		if r := pl.checkHash(); r.Outcome == blockhash.Invalid {
			pl.wrong = r.Reason
			name := "INVALID"
			if r.HashMismatch && pl.method.Version == 1 {
				name = "INVALID_BLOCK_HASH"
			}
			return pl.result(nil, newStatus(name, nil, r.Reason), ""), engine.Invalid, v.Dispute
		}
	}
	chosen := pl.pick(func(s *seat) bool { return s.voter && s.status.Status == v.Status && s.failure == nil })
	if chosen == nil {
		return pl.result(nil, newStatus(v.Status.String(), nil, ""), ""), v.Status, v.Dispute
	}
	return pl.result(chosen, chosen.status.Raw, ""), v.Status, v.Dispute
}

func (pl *poll) anyValid() bool {
	for i := range pl.seats {
		if pl.seats[i].vote == engine.Valid {
			return true
		}
	}
	return false
}

// pick returns the primary's seat if it fits, else the first in configuration order that does, else nil.
func (pl *poll) pick(fits func(*seat) bool) *seat {
	primary := pl.proxy.pool.Primary()
	var first *seat
	for i := range pl.seats {
		s := &pl.seats[i]
		if !fits(s) {
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
	builds := func(s *seat) bool { return s.mayVote && s.payloadID != "" }
	s := pl.pick(func(s *seat) bool { return builds(s) && s.vote == engine.Valid })
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
	named := make(map[common.Hash]int)
	voters := 0
	for i := range pl.seats {
		s := &pl.seats[i]
		if pl.ballots[i].Vote != engine.Invalid {
			continue
		}
		voters++
		if s.status.Status == engine.Invalid && s.status.LatestValidHash != nil {
			named[*s.status.LatestValidHash]++
		}
	}
	for hash, n := range named { // the threshold is more than half: at most one reaches it
		if pl.settings.Rules.Threshold.Reached(n, voters) && pl.proxy.chain.mayBeLatestValid(hash) {
			return quote(hash.Hex())
		}
	}
	return []byte("null")
}

// inclusionListSatisfied is true where the threshold of the VALID voters say so (bogota.md#payloadstatusv2).
func (pl *poll) inclusionListSatisfied() []byte {
	satisfied, voters := 0, 0
	for i := range pl.seats {
		s := &pl.seats[i]
		if !s.voter || s.vote != engine.Valid {
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
		s := &pl.seats[i]
		if reason, stands := pl.proxy.memory.Objection(s.node.ID, pl.block); stands && s.mayVote {
			return fmt.Sprintf("%s: %s (it stands by an earlier INVALID)", s.node.Name(), reason)
		}
	}
	return ""
}

// commonError is the error that the nodes agree on; where they don't, the primary's, else the first's. Voters are
// heard before others. Nil where no node answered with an error.
func (pl *poll) commonError() *jsonrpc.Error {
	for _, fits := range []func(*seat) bool{
		func(s *seat) bool { return s.voter && s.reply.Err != nil },
		func(s *seat) bool { return s.reply.Err != nil },
	} {
		// The primary's or the first's is also the one that they agree on, if they do.
		if s := pl.pick(fits); s != nil {
			return s.reply.Err
		}
	}
	return nil
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
