package engine

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"executionbackup/internal/jsonrpc"
)

// Error codes of the Engine API (common.md#errors) that we answer ourselves.
const (
	CodeUnknownPayload  = -38001
	CodeTooLargeRequest = -38004
)

// Status is what an execution client says of a payload (paris.md#payloadstatusv1).
type Status uint8

const (
	None Status = iota // no status: no answer, an error, or not judged
	Valid
	Invalid // INVALID_BLOCK_HASH too
	Syncing
	Accepted
)

var statusNames = [...]string{"", "VALID", "INVALID", "SYNCING", "ACCEPTED"}

// String returns the status as the specification spells it, or "" for None.
func (s Status) String() string { return statusNames[s] }

// PayloadStatus is the judged part of a PayloadStatusV1 or V2, with the bytes that it was read from.
type PayloadStatus struct {
	Raw                    []byte
	Status                 Status
	Unknown                string // the word, where it is none that we know; Status is Syncing then
	LatestValidHash        *common.Hash
	ValidationError        string
	InclusionListSatisfied *bool // nil where the field is null or absent (bogota.md#payloadstatusv2)
	HasInclusionList       bool  // whether the field stands there at all
}

// Word is the status as the node spelt it.
func (p *PayloadStatus) Word() string {
	if p.Unknown != "" {
		return p.Unknown
	}
	return p.Status.String()
}

var statusMembers = []string{"status", "latestValidHash", "validationError", "inclusionListSatisfied"}

// ParsePayloadStatus reads the result of newPayload. A word of a fork to come is as good as SYNCING.
func ParsePayloadStatus(raw []byte) (PayloadStatus, error) {
	var found [4][]byte
	if err := jsonrpc.Members(raw, statusMembers, found[:]); err != nil {
		return PayloadStatus{}, fmt.Errorf("payload status: %w", err)
	}
	p := PayloadStatus{Raw: raw, HasInclusionList: found[3] != nil}
	switch string(found[0]) {
	case `"VALID"`:
		p.Status = Valid
	case `"INVALID"`, `"INVALID_BLOCK_HASH"`:
		p.Status = Invalid
	case `"SYNCING"`:
		p.Status = Syncing
	case `"ACCEPTED"`:
		p.Status = Accepted
	default:
		word, ok := jsonrpc.String(found[0])
		if !ok || word == "" {
			return PayloadStatus{}, errors.New("payload status: malformed status")
		}
		p.Status, p.Unknown = Syncing, jsonrpc.Excerpt(word)
	}
	if !jsonrpc.IsNull(found[1]) {
		hash, ok := ParseHash(found[1])
		if !ok {
			return PayloadStatus{}, errors.New("payload status: malformed latestValidHash")
		}
		p.LatestValidHash = &hash
	}
	if !jsonrpc.IsNull(found[2]) {
		var ok bool
		if p.ValidationError, ok = jsonrpc.String(found[2]); !ok {
			return PayloadStatus{}, errors.New("payload status: validationError is not a string")
		}
		p.ValidationError = jsonrpc.Excerpt(p.ValidationError)
	}
	switch {
	case jsonrpc.IsNull(found[3]):
	case string(found[3]) == "true", string(found[3]) == "false":
		satisfied := string(found[3]) == "true"
		p.InclusionListSatisfied = &satisfied
	default:
		return PayloadStatus{}, errors.New("payload status: inclusionListSatisfied is not a boolean")
	}
	return p, nil
}

// ForkchoiceResult is the judged part of forkchoiceUpdated's result.
type ForkchoiceResult struct {
	PayloadStatus
	PayloadID string // as the node wrote it, without quotes; "" where it is null
}

var forkchoiceMembers = []string{"payloadStatus", "payloadId"}

// ParseForkchoiceResult reads the result of forkchoiceUpdated.
func ParseForkchoiceResult(raw []byte) (ForkchoiceResult, error) {
	var found [2][]byte
	if err := jsonrpc.Members(raw, forkchoiceMembers, found[:]); err != nil {
		return ForkchoiceResult{}, fmt.Errorf("forkchoice result: %w", err)
	}
	status, err := ParsePayloadStatus(found[0])
	if err != nil {
		return ForkchoiceResult{}, err
	}
	r := ForkchoiceResult{PayloadStatus: status}
	if !jsonrpc.IsNull(found[1]) {
		var ok bool
		if r.PayloadID, ok = jsonrpc.String(found[1]); !ok || r.PayloadID == "" || len(r.PayloadID) > maxPayloadID {
			return ForkchoiceResult{}, errors.New("forkchoice result: malformed payloadId")
		}
	}
	return r, nil
}

// maxPayloadID is how long a payload id may be, in characters: far above the 18 of today's eight bytes.
const maxPayloadID = 130

// ParseHash decodes a raw JSON string of 32 bytes of DATA.
func ParseHash(raw []byte) (hash common.Hash, ok bool) {
	if len(raw) != 2+2+2*common.HashLength || raw[0] != '"' {
		return hash, false
	}
	return hash, hash.UnmarshalText(raw[1:len(raw)-1]) == nil
}

// Quantity is 64 bits of QUANTITY in JSON.
type Quantity = hexutil.Uint64

// ParseQuantity decodes a raw JSON string of QUANTITY that fits 64 bits.
func ParseQuantity(raw []byte) (n uint64, ok bool) {
	var q hexutil.Uint64
	if q.UnmarshalJSON(bytes.TrimSpace(raw)) != nil {
		return 0, false
	}
	return uint64(q), true
}

// Payload names a payload: what we judge of newPayload's first parameter.
type Payload struct {
	Hash, Parent common.Hash
	Number       uint64
	Timestamp    uint64
}

var payloadMembers = []string{"blockHash", "parentHash", "blockNumber", "timestamp"}

// ParsePayload reads newPayload's first parameter. Without two hashes there is nothing to judge (ok is false): the
// nodes will say what is wrong. The error is that of a member that stands there twice or in another case.
func ParsePayload(r *jsonrpc.Request) (p Payload, ok bool, err error) {
	var found [4][]byte
	if err := r.ArgMembers(payloadMembers, found[:]); err != nil {
		return p, false, err
	}
	var hash, parent bool
	p.Hash, hash = ParseHash(found[0])
	p.Parent, parent = ParseHash(found[1])
	p.Number, _ = ParseQuantity(found[2])
	p.Timestamp, _ = ParseQuantity(found[3])
	return p, hash && parent, nil
}

// Forkchoice is what we judge of forkchoiceUpdated's parameters.
type Forkchoice struct {
	Head, Safe, Finalized common.Hash
	Attributes            *Attributes // nil where there are none
	CustodyColumns        []byte      // raw (amsterdam.md#engine_forkchoiceupdatedv4); nil where there are none
}

var forkchoiceStateMembers = []string{"headBlockHash", "safeBlockHash", "finalizedBlockHash"}

// ParseForkchoice reads forkchoiceUpdated's parameters, as ParsePayload does newPayload's.
func ParseForkchoice(r *jsonrpc.Request) (f Forkchoice, ok bool, err error) {
	var found [3][]byte
	if err := r.ArgMembers(forkchoiceStateMembers, found[:]); err != nil {
		return f, false, err
	}
	f.Head, ok = ParseHash(found[0])
	f.Safe, _ = ParseHash(found[1])
	f.Finalized, _ = ParseHash(found[2])
	if a := r.Arg(1); !jsonrpc.IsNull(a) {
		if f.Attributes, err = parseAttributes(a); err != nil {
			return f, false, err
		}
	}
	if c := r.Arg(2); !jsonrpc.IsNull(c) {
		f.CustodyColumns = c
	}
	return f, ok, nil
}
