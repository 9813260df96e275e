package engine

import "github.com/ethereum/go-ethereum/common"

// Status is what an execution client says of a payload (paris.md#payloadstatusv1).
type Status uint8

// The statuses. How they weigh against each other is package quorum's business.
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
	Raw                    []byte // nil where it is in words of our own
	Status                 Status
	Unknown                string // the word, where it is none that we know; Status is Syncing then
	LatestValidHash        *common.Hash
	ValidationError        string
	InclusionListSatisfied *bool // nil where the field is null or absent (bogota.md#payloadstatusv2)
	HasInclusionList       bool  // whether the field stands there at all
	// WrongHash says, in words of our own, that the block hash is what is wrong: INVALID_BLOCK_HASH in V1.
	WrongHash bool
}

// Word is the status as the node spelt it.
func (p *PayloadStatus) Word() string {
	if p.Unknown != "" {
		return p.Unknown
	}
	return p.Status.String()
}
