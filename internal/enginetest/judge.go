package enginetest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
)

// judge knows which differences between a client and what stands before clients like it the contract allows: they are
// the exceptions in allowed and latestValid, each with its sentence.
type judge struct {
	fork int

	// All of these are what has been said since the start of what stands between.
	proved     bool                        // the clients have said VALID to a payload that was new to them
	sent       map[common.Hash]bool        // real payloads, by hash
	misread    map[common.Hash]bool        // payloads that were sent by a method of another version
	said       map[common.Hash]string      // the client's last definite word on a block
	parents    map[common.Hash]common.Hash // of all real payloads that were sent
	numbers    map[common.Hash]uint64      // and theirs
	validSent  map[common.Hash]bool        // what was heard VALID in newPayload
	validHead  map[common.Hash]bool        // and in forkchoiceUpdated
	finalized  uint64                      // the number of the last forkchoice's finalized block; 0: none
	everFinal  uint64                      // and the highest of all
	knownBuild map[string]bool             // ids heard

	built *Payload // the last payload that was fetched
	heard string   // the last status
	code  int      // the client's last error code, 0 for none
}

// question is what a call asks, as far as the judge wants to know.
type question struct {
	payload   *Payload // of newPayload
	right     bool     // it is what its hash says
	version   int      // of newPayload, if not the payload's own
	head      *made    // of forkchoiceUpdated
	finalized made
	build     string // id that was sent
}

// block is the block that newPayload or forkchoiceUpdated is about.
func (q question) block() common.Hash {
	if q.payload != nil {
		return q.payload.BlockHash
	}
	return q.head.BlockHash
}

// answer is what came of a call.
type answer struct {
	Status
	code      int
	result    json.RawMessage
	payloadID string
}

func (j *judge) begin(fork int) {
	*j = judge{
		fork: fork,
		sent: map[common.Hash]bool{}, misread: map[common.Hash]bool{},
		said: map[common.Hash]string{}, parents: map[common.Hash]common.Hash{},
		numbers: map[common.Hash]uint64{}, validSent: map[common.Hash]bool{}, validHead: map[common.Hash]bool{},
		knownBuild: map[string]bool{},
	}
}

func readAnswer(raw []byte) (a answer, err error) {
	var whole struct {
		JSONRPC string
		Result  json.RawMessage
		Error   *RPCError
	}
	if err := json.Unmarshal(raw, &whole); err != nil {
		return a, fmt.Errorf("%q: %w", raw, err)
	}
	if whole.JSONRPC != "2.0" || (whole.Error == nil) == (whole.Result == nil) {
		return a, fmt.Errorf("%s is no answer", raw)
	}
	if whole.Error != nil {
		a.code = whole.Error.Code
		return a, nil
	}
	a.result = whole.Result
	var forkchoice struct {
		PayloadStatus Status
		PayloadID     string
	}
	if json.Unmarshal(whole.Result, &forkchoice) == nil && forkchoice.PayloadStatus.Status != "" {
		a.Status, a.payloadID = forkchoice.PayloadStatus, forkchoice.PayloadID
	} else {
		json.Unmarshal(whole.Result, &a.Status) // other results have no status
	}
	return a, nil
}

// compare judges two answers to one call, and takes note of them. wrong is "" if they differ in nothing that they
// mustn't.
func (j *judge) compare(q question, direct, through []byte, faulty, objects bool) (d, t answer, wrong string) {
	d, err := readAnswer(direct)
	if err != nil {
		return d, t, err.Error()
	}
	t, err = readAnswer(through)
	if err != nil {
		return d, t, err.Error()
	}
	j.heard, j.code = t.Status.Status, d.code
	switch {
	case faulty && d.Status.Status == "VALID" && strings.HasPrefix(t.Status.Status, "INVALID"):
		wrong = "INVALID where the client says VALID"
	case faulty && !objects && d.Status.Status == "VALID" && t.Status.Status != "VALID":
		wrong = "not VALID, which all but one say"
	case faulty && q.build == "":
	case q.payload != nil || q.head != nil:
		wrong = j.verdict(q, d, t)
	case q.build != "":
		wrong = j.sameBuild(q, d, t, faulty)
	case d.code != t.code:
		wrong = "another error code"
	case !sameJSON(d.result, t.result):
		wrong = "another result"
	}
	j.note(q, d, t)
	return d, t, wrong
}

// verdict compares the answers to newPayload and forkchoiceUpdated.
func (j *judge) verdict(q question, d, t answer) string {
	// "On those, in newPayload and forkchoiceUpdated, that node votes INVALID, whatever it answers": an error, too.
	if d.code != 0 && t.code == 0 && t.Status.Status != "VALID" && j.condemned(q.block(), q.payload) {
		return ""
	}
	if d.code != t.code {
		return "another error code"
	}
	if d.code != 0 {
		return ""
	}
	if why := j.allowed(q, d.Status.Status, t.Status.Status); why != "" {
		return why
	}
	if why := j.latestValid(q, d, t); why != "" {
		return why
	}
	invalid := strings.HasPrefix(t.Status.Status, "INVALID")
	switch {
	// "validationError: one of theirs, prefixed with the node's name." Where we found out ourselves the text is ours,
	// and a zero head has none.
	case !invalid && t.ValidationError != "", invalid && d.ValidationError != "" && t.ValidationError == "":
		return fmt.Sprintf("validationError %q", t.ValidationError)
	// "Never a payloadId beside a status other than VALID; never VALID without one if any node gave one."
	case (t.payloadID != "") != (d.payloadID != "" && t.Status.Status == "VALID"):
		return fmt.Sprintf("payload id %q", t.payloadID)
	}
	return ""
}

// allowed returns why two statuses may not differ so; "" if they may.
func (j *judge) allowed(q question, d, t string) string {
	forged := q.payload != nil && !q.right
	v1 := q.payload != nil && cmp.Or(q.version, q.payload.Version) == 1
	block := q.block()
	switch {
	case d == t:
		return ""

	// "Where nothing was kept, all may object while no voter has proved itself, INVALID can't come of it": SYNCING.
	// But what is wrong by itself we see ourselves, proved or not.
	case d == "INVALID" && t == "SYNCING" && !j.proved && !forged:
		return ""

	// "A standing VALID is a vote, too, where the node now says SYNCING, on that very content."
	case d == "SYNCING" && t == "VALID" && !forged && j.said[block] == "VALID":
		return ""

	// "A later SYNCING … on that block doesn't withdraw it. An INVALID, timely or late, covers the block's descendants
	// too": the client has forgotten that it rejected an ancestor, or never connected the two.
	case d == "SYNCING" && t == "INVALID" && !forged && j.condemned(block, q.payload):
		return ""

	// "SYNCING is checked: … the payload's block hash is recomputed … A mismatch → INVALID … (V1: INVALID_BLOCK_HASH)."
	case d == "SYNCING" && t == "INVALID" && forged,
		d != "VALID" && t == "INVALID_BLOCK_HASH" && forged && v1:
		return ""
	}
	return fmt.Sprintf("%s where the client says %s", t, d)
}

// condemned reports whether the client has called a block or one of its ancestors INVALID.
func (j *judge) condemned(block common.Hash, payload *Payload) bool {
	if payload != nil {
		j.parents[block] = payload.ParentHash
	}
	for range len(j.parents) + 1 {
		if j.said[block] == "INVALID" {
			return true
		}
		parent, ok := j.parents[block]
		if !ok {
			return false
		}
		block = parent
	}
	return j.said[block] == "INVALID"
}

// latestValid returns why two latest valid hashes may not differ so; "" if they may.
//
// "For VALID the agreed one. … For INVALID, with several nodes configured: only a block that we answered VALID and
// that isn't older than the finalized one, named by at least t of the INVALID voters; else null."
func (j *judge) latestValid(q question, d, t answer) string {
	want, may := "", ""
	switch hash := common.HexToHash(d.LatestValidHash); {
	case t.Status.Status == "VALID" && d.Status.Status == "VALID":
		want = d.LatestValidHash
	case t.Status.Status == "VALID": // it stands
		want = t.LatestValidHash
	case t.Status.Status == "INVALID" && (j.numbers[hash] >= j.finalized || !j.sent[hash]):
		switch {
		case j.validSent[hash] && j.numbers[hash] >= j.everFinal:
			want = d.LatestValidHash
		case j.validSent[hash], j.validHead[hash]:
			// Whether the older finalized block, and a head of unknown number, count is left open.
			may = d.LatestValidHash
		}
	}
	if t.LatestValidHash != want && (may == "" || t.LatestValidHash != may) {
		return fmt.Sprintf("latestValidHash %q, the client says %q, want %q",
			t.LatestValidHash, d.LatestValidHash, want)
	}
	return ""
}

// sameBuild compares two payloads that were built.
func (j *judge) sameBuild(q question, d, t answer, faulty bool) string {
	// After our restart, "Unknown id: ask every node for that very id, skip the checks that need attributes, and take,
	// among those that build on the nodes' present head, the one with the greatest timestamp"; "no candidate left: the
	// primary's own answer". Where clients give ids of their own, that may be an error once the head has moved.
	if !j.knownBuild[q.build] && t.code == unknownPayload.Code && d.code == 0 {
		return ""
	}
	if faulty && t.code != 0 {
		return "" // its builder may be the faulty one
	}
	if d.code != t.code {
		return "another error code"
	}
	if !sameJSON(d.result, t.result) {
		return "another payload"
	}
	return ""
}

// note takes note of what was said.
func (j *judge) note(q question, d, t answer) {
	j.built = nil
	switch {
	case q.build != "" && d.code == 0 && t.code == 0:
		j.built = readPayload(j.fork, d.result)
	case q.payload != nil && q.right:
		hash := q.payload.BlockHash
		if d.Status.Status == "VALID" && !j.sent[hash] && !j.misread[hash] {
			j.proved = true // "once it has answered VALID to a newPayload that it had never been sent before"
		}
		j.sent[hash] = true
		j.parents[hash], j.numbers[hash] = q.payload.ParentHash, q.payload.Number
		j.word(hash, d)
		if t.Status.Status == "VALID" {
			j.validSent[hash] = true
		}
	case q.payload != nil && q.version != 0:
		// "Whose content hashes to it": by a method of another version, too, which the client refuses to read. So we
		// know the block's parent, and it doesn't.
		j.parents[q.payload.BlockHash] = q.payload.ParentHash
		j.misread[q.payload.BlockHash] = true // and it was sent it
	case q.head != nil:
		j.word(q.head.BlockHash, d)
		if t.payloadID != "" {
			j.knownBuild[t.payloadID] = true
		}
		if t.Status.Status != "VALID" {
			return
		}
		j.validHead[q.head.BlockHash] = true
		j.finalized = 0
		if j.sent[q.finalized.BlockHash] { // else we don't know its number
			j.finalized = q.finalized.Number
		}
		j.everFinal = max(j.everFinal, q.finalized.Number)
	}
}

// word keeps a definite word of the client.
func (j *judge) word(hash common.Hash, d answer) {
	if d.Status.Status == "VALID" || d.Status.Status == "INVALID" {
		j.said[hash] = d.Status.Status
	}
}

// readPayload reads what getPayload returns.
func readPayload(fork int, raw json.RawMessage) *Payload {
	p := &Payload{Version: fork}
	var envelope struct {
		ExecutionPayload *engine.ExecutableData
	}
	if json.Unmarshal(raw, &envelope) == nil && envelope.ExecutionPayload != nil {
		p.ExecutableData = *envelope.ExecutionPayload
	} else if json.Unmarshal(raw, &p.ExecutableData) != nil {
		return nil
	}
	parent := Payload{Version: fork}
	parent.Number = p.Number - 1
	p.BeaconRoot = parent.Child(nil).BeaconRoot // that of Payload.Attributes
	return p
}

func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
