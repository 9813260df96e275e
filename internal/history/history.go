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
	Verdict string      `json:"verdict"`         // what the CL heard: a status, or "error"; "" while it is being judged
	Asked   *Micros     `json:"asked,omitempty"` // from the slot's beginning until the call came; nil where unknown
	Took    Micros      `json:"took"`            // from the call's arrival until the CL was answered
	Dispute bool        `json:"dispute"`         // the votes conflicted when the CL was answered
	Rule    string      `json:"rule,omitempty"`  // which rule decided the dispute; "" where there was none
	Why     string      `json:"why,omitempty"`   // why, in words
	Late    bool        `json:"late_objection"`  // a node called the block INVALID after the CL was answered
	Votes   []Vote      `json:"votes"`           // not nil

	Parent common.Hash `json:"-"` // zero where the call doesn't tell
	Wrong  string      `json:"-"` // why the payload isn't that of the block whose hash it claims; "" as far as we know
}

// Vote is what one node said.
type Vote struct {
	Node   string `json:"node"`
	Status string `json:"status"`           // a status, an error in words, or "" where nothing has come yet
	Vote   string `json:"vote"`             // the status that counts for the node; "" where none does
	Reason string `json:"reason,omitempty"` // why it says INVALID, in its own words
	Took   Micros `json:"took"`             // from the call's arrival until the node had answered or failed
}

// Dispute is a block that nodes disagree about: the call in which that showed, and the calls on its descendants in
// which the dispute went on.
type Dispute struct {
	*Record           // of the first call
	Rule    string    `json:"rule,omitempty"` // which rule decided its last call; "" as long as none did
	Why     string    `json:"why,omitempty"`  // why, in words
	Last    time.Time `json:"last"`           // when the last of its calls came
	Calls   int       `json:"calls"`          // so far, with the first

	blocks []common.Hash // the last ones that the dispute is about, at most maxRecords
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

// Forged notes that a payload isn't that of the block whose hash it claims.
func (h *History) Forged(r *Record, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.Wrong = why
}

// Disputed notes a dispute about a payload that wasn't put to a vote: a node objects to it before it is proposed.
func (h *History) Disputed(r *Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dispute(r)
}

// Objected notes that a node called the block INVALID after the CL had its answer.
func (h *History) Objected(r *Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !r.Late && !r.Dispute {
		h.dispute(r)
	}
	r.Late = true
}

// dispute keeps a record as a new dispute, or counts it to the one that it goes on with. h.mu is held.
func (h *History) dispute(r *Record) {
	if r.ID == 0 { // it isn't among the records: no newPayload
		h.lastID++
		r.ID = h.lastID
		h.complete(r)
	}
	isAlike := func(d *Dispute) bool { return (r.Wrong == "") == (d.Wrong == "") } // a forged block is another one
	for _, d := range slices.Backward(h.disputes) {
		if isAlike(d) && (slices.Contains(d.blocks, r.Block) || slices.Contains(d.blocks, r.Parent)) {
			d.Last, d.Calls = r.Time, d.Calls+1
			if r.Rule != "" { // a late objection has none
				d.Rule, d.Why = r.Rule, r.Why
			}
			d.blocks = appendBounded(d.blocks, r.Block, maxRecords)
			return
		}
	}
	h.disputes = appendBounded(h.disputes, &Dispute{r, r.Rule, r.Why, r.Time, 1, []common.Hash{r.Block}}, maxDisputes)
}

// complete fills in what a call doesn't tell of its block, where the block's newPayload is among the records. h.mu is
// held.
func (h *History) complete(r *Record) {
	for _, known := range h.records {
		if known.Block == r.Block && known.Wrong == "" {
			r.Number, r.Parent = known.Number, known.Parent
		}
	}
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

// Disputes returns the last disputes, oldest first.
func (h *History) Disputes() []Dispute {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]Dispute, len(h.disputes))
	for i, d := range h.disputes {
		out[i] = Dispute{Record: d.copy(), Rule: d.Rule, Why: d.Why, Last: d.Last, Calls: d.Calls}
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
