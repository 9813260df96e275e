package enginejson

import (
	"errors"
	"fmt"

	"executionbackup/internal/engine"
	"executionbackup/internal/rawjson"
)

var statusMembers = []string{"status", "latestValidHash", "validationError", "inclusionListSatisfied"}

// readStatus reads the result of newPayload. A word of a fork to come is as good as SYNCING.
func readStatus(raw []byte) (engine.PayloadStatus, error) {
	var found [4][]byte
	if err := rawjson.Members(raw, statusMembers, found[:]); err != nil {
		return engine.PayloadStatus{}, fmt.Errorf("payload status: %w", err)
	}
	p := engine.PayloadStatus{Raw: raw, HasInclusionList: found[3] != nil}
	for _, err := range []error{
		readWord(&p, found[0]), readLatestValid(&p, found[1]), readReason(&p, found[2]), readSatisfied(&p, found[3]),
	} {
		if err != nil {
			return engine.PayloadStatus{}, fmt.Errorf("payload status: %w", err)
		}
	}
	return p, nil
}

// readWord reads the status itself.
func readWord(p *engine.PayloadStatus, raw []byte) error {
	switch string(raw) {
	case `"VALID"`:
		p.Status = engine.Valid
	case `"INVALID"`, `"INVALID_BLOCK_HASH"`:
		p.Status = engine.Invalid
	case `"SYNCING"`:
		p.Status = engine.Syncing
	case `"ACCEPTED"`:
		p.Status = engine.Accepted
	default:
		word, ok := rawjson.String(raw)
		if !ok || word == "" {
			return errors.New("malformed status")
		}
		p.Status, p.Unknown = engine.Syncing, engine.Excerpt(word)
	}
	return nil
}

// readLatestValid reads the latest valid hash.
func readLatestValid(p *engine.PayloadStatus, raw []byte) error {
	if rawjson.IsNull(raw) {
		return nil
	}
	hash, ok := parseHash(raw)
	if !ok {
		return errors.New("malformed latestValidHash")
	}
	p.LatestValidHash = &hash
	return nil
}

// readReason reads the validation error, of which an excerpt is kept.
func readReason(p *engine.PayloadStatus, raw []byte) error {
	if rawjson.IsNull(raw) {
		return nil
	}
	reason, ok := rawjson.String(raw)
	if !ok {
		return errors.New("validationError is not a string")
	}
	p.ValidationError = engine.Excerpt(reason)
	return nil
}

// readSatisfied reads whether the inclusion list is satisfied.
func readSatisfied(p *engine.PayloadStatus, raw []byte) error {
	switch {
	case rawjson.IsNull(raw):
	case string(raw) == "true", string(raw) == "false":
		satisfied := string(raw) == "true"
		p.InclusionListSatisfied = &satisfied
	default:
		return errors.New("inclusionListSatisfied is not a boolean")
	}
	return nil
}

var forkchoiceMembers = []string{"payloadStatus", "payloadId"}

// maxPayloadID is how long a payload id may be, in characters: far above the 18 of today's eight bytes.
const maxPayloadID = 130

// readForkchoiceResult reads the result of forkchoiceUpdated: a status, and the payload id without its quotes.
func readForkchoiceResult(raw []byte) (status engine.PayloadStatus, payloadID string, err error) {
	var found [2][]byte
	if err := rawjson.Members(raw, forkchoiceMembers, found[:]); err != nil {
		return status, "", fmt.Errorf("forkchoice result: %w", err)
	}
	if status, err = readStatus(found[0]); err != nil {
		return status, "", err
	}
	if rawjson.IsNull(found[1]) {
		return status, "", nil
	}
	id, ok := rawjson.String(found[1])
	if !ok || id == "" || len(id) > maxPayloadID {
		return engine.PayloadStatus{}, "", errors.New("forkchoice result: malformed payloadId")
	}
	return status, id, nil
}
