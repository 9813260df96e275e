// Package history keeps what was decided lately, to be shown: the last newPayloads with who said what, the last
// disputes, and the last proposals. Nothing is decided by it. In JSON its types are what the REST API and the page
// show.
package history

import (
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Record is one call that was put to a vote, and what became of it: a newPayload, or a forkchoiceUpdated that ended in
// a dispute.
type Record struct {
	ID      uint64      `json:"id"` // counts up since our start
	Time    time.Time   `json:"time"`
	Method  string      `json:"method"`
	Number  uint64      `json:"number"` // 0 where the call doesn't tell
	Block   common.Hash `json:"hash"`
	Verdict string      `json:"verdict"`          // what the CL heard: a status, or "error"; "" while being judged
	Asked   *Micros     `json:"asked,omitempty"`  // from the slot's start until the call came; nil where unknown
	Took    Micros      `json:"took"`             // from the call's arrival until the CL was answered
	Dispute bool        `json:"dispute"`          // the votes conflicted when the CL was answered
	Rule    string      `json:"rule,omitempty"`   // which rule decided the dispute; "" where there was none
	Why     string      `json:"why,omitempty"`    // why, in words
	Shadow  bool        `json:"shadow,omitempty"` // Verdict is what the CL would have heard: see Did
	Did     string      `json:"did,omitempty"`    // what it heard in shadow mode; "" while it has no answer
	Late    bool        `json:"late_objection"`   // a node called the block INVALID after the CL was answered
	Votes   []Vote      `json:"votes"`            // not nil

	Parent common.Hash `json:"-"` // zero where the call doesn't tell
	Wrong  string      `json:"-"` // why the payload isn't that of the block whose hash it claims; "" as far as we know
	Root   common.Hash `json:"-"` // where the objection began that the dispute is about; zero where that isn't known
}

// Told is what the CL heard, in whatever mode: a status, or "error"; "" while it has no answer.
func (r *Record) Told() string {
	if r.Shadow {
		return r.Did
	}
	return r.Verdict
}

// Vote is what one node said.
type Vote struct {
	Node   string `json:"node"`
	Status string `json:"status"`           // a status, an error in words, or "" where nothing has come yet
	Vote   string `json:"vote"`             // the status that counts for the node; "" where none does
	Reason string `json:"reason,omitempty"` // why it says INVALID, in its own words
	Took   Micros `json:"took"`             // from the call's arrival until the node had answered or failed
}

// History holds the last newPayloads, and the last disputes however old. Nothing is decided by it. Safe for concurrent
// use. The zero value is empty.
type History struct {
	mu       sync.Mutex // guards what follows, and all records
	lastID   uint64
	records  []*Record  // oldest first
	disputes []*Dispute // oldest first
}

// maxRecords is how many newPayloads are kept, maxDisputes how many disputes.
const (
	maxRecords  = 64
	maxDisputes = 32
)

// Add keeps the record of a newPayload that is being judged. From then on it is changed through the history only.
func (h *History) Add(r *Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastID++
	r.ID = h.lastID
	h.records = appendBounded(h.records, r, maxRecords)
}

// Vote notes what came from the i-th node of a record, early or late.
func (h *History) Vote(r *Record, i int, v Vote) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.Votes[i] = v
}

// Decide notes what the CL heard. rule and why, if not empty, say that it was a dispute, and what decided it.
func (h *History) Decide(r *Record, verdict string, took time.Duration, rule, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.Verdict, r.Took, r.Dispute, r.Rule, r.Why = verdict, Micros(took), rule != "", rule, why
	if r.Dispute {
		h.dispute(r)
	}
}

// Heard notes what the CL heard in shadow mode, and after what time.
func (h *History) Heard(r *Record, did string, took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.Did, r.Took = did, Micros(took)
}

// Forged notes that a payload isn't that of the block whose hash it claims.
func (h *History) Forged(r *Record, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.Wrong = why
}

// Records returns the last newPayloads, oldest first.
func (h *History) Records() []Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]Record, len(h.records))
	for i, r := range h.records {
		out[i] = *r.copy()
	}
	return out
}

// copy returns a copy that the history doesn't change. h.mu is held.
func (r *Record) copy() *Record {
	c := *r
	c.Votes = slices.Clone(r.Votes)
	return &c
}

// appendBounded appends to a list of at most max entries. The oldest is the first, and makes room for the new one.
func appendBounded[T any](list []T, v T, max int) []T {
	if len(list) < max {
		return append(list, v)
	}
	return append(slices.Clone(list[len(list)-max+1:]), v)
}
