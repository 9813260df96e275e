package history

import (
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Dispute is an objection that nodes disagree about: the call in which that showed, and all those in which it went on.
// It is one entry, however many blocks are built on the one that a node objects to.
type Dispute struct {
	*Record             // of the first call
	Kind      Kind      `json:"kind"`
	Standing  bool      `json:"standing"`        // no payload has been judged without it since its last call
	Heard     string    `json:"heard"`           // what the CL heard in its last call: see Record.Told
	Would     string    `json:"would,omitempty"` // what it would have heard there, where that was in shadow mode
	Objectors []string  `json:"objectors"`       // who said INVALID in its last call, by name; not nil
	Rule      string    `json:"rule,omitempty"`  // which rule decided its last call; "" as long as none did
	Why       string    `json:"why,omitempty"`   // why, in words
	Last      time.Time `json:"last"`            // when the last of its calls came
	Calls     int       `json:"calls"`           // so far, with the first

	blocks []common.Hash // the last ones that the dispute is about, at most maxRecords
	roots  []common.Hash // where the objections began, likewise
	last   *Record       // of its last call
}

// Kind is how much a dispute means for the CL.
type Kind string

// The kinds of disputes, the gravest first. A dispute is of the gravest kind that any of its calls had.
const (
	OfTheChain     Kind = "chain"    // the CL asked about a block, and the votes conflicted
	LateObjection  Kind = "late"     // a node objected to a block after the CL had its answer, or has no vote
	BeforeProposal Kind = "proposal" // a node objected to a payload that another had built
)

// kinds has them in order.
var kinds = []Kind{OfTheChain, LateObjection, BeforeProposal}

// Compare orders kinds, the gravest first.
func (k Kind) Compare(other Kind) int { return slices.Index(kinds, k) - slices.Index(kinds, other) }

// kind returns what a call's dispute is of.
func (r *Record) kind() Kind {
	switch {
	case strings.HasPrefix(r.Method, "engine_getPayload"):
		return BeforeProposal
	case r.Dispute:
		return OfTheChain
	}
	return LateObjection
}

// Objectors are the nodes that say INVALID, by name; not nil.
func (r *Record) Objectors() []string {
	names := []string{}
	for _, v := range r.Votes {
		if v.Vote == "INVALID" || v.Status == "INVALID" {
			names = append(names, v.Node)
		}
	}
	return names
}

// Began notes on which block the objection began that a call's dispute is about. To be called before Decide.
func (h *History) Began(r *Record, root common.Hash) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.Root = root
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
	for _, d := range slices.Backward(h.disputes) {
		if d.goesOnWith(r) {
			d.add(r)
			return
		}
	}
	d := &Dispute{Record: r, Kind: r.kind()}
	d.add(r)
	h.disputes = appendBounded(h.disputes, d, maxDisputes)
}

// sameProposals is how long after an objection to a payload that wasn't proposed another one of the same node is no
// news: each of these payloads is another block.
const sameProposals = time.Hour

// goesOnWith reports whether a call is one more of the dispute: about a block of it, or one on top of it, or one that
// is covered by the same objection.
func (d *Dispute) goesOnWith(r *Record) bool {
	switch {
	case (r.Wrong == "") != (d.Wrong == ""): // a forged block is another one
		return false
	case slices.Contains(d.blocks, r.Block), slices.Contains(d.blocks, r.Parent),
		r.Root != (common.Hash{}) && (slices.Contains(d.roots, r.Root) || slices.Contains(d.blocks, r.Root)):
		return true
	}
	return d.Kind == BeforeProposal && r.kind() == BeforeProposal && r.Time.Sub(d.Last) < sameProposals &&
		slices.Equal(d.last.Objectors(), r.Objectors())
}

// add counts a call to the dispute.
func (d *Dispute) add(r *Record) {
	if r.kind().Compare(d.Kind) < 0 {
		d.Kind = r.kind()
	}
	if r.Rule != "" { // a late objection has none
		d.Rule, d.Why = r.Rule, r.Why
	}
	if r.Root != (common.Hash{}) && !slices.Contains(d.roots, r.Root) {
		d.roots = appendBounded(d.roots, r.Root, maxRecords)
	}
	d.blocks = appendBounded(d.blocks, r.Block, maxRecords)
	d.Last, d.last, d.Calls = r.Time, r, d.Calls+1
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

// Disputes returns the last disputes, oldest first.
func (h *History) Disputes() []Dispute {
	h.mu.Lock()
	defer h.mu.Unlock()
	judged := time.Time{} // when the last payload came that has been judged
	for _, r := range h.records {
		if r.Verdict != "" && r.Time.After(judged) {
			judged = r.Time
		}
	}
	out := make([]Dispute, len(h.disputes))
	for i, d := range h.disputes {
		out[i] = Dispute{
			Record: d.copy(), Kind: d.Kind, Standing: !judged.After(d.Last), Heard: d.last.Told(),
			Objectors: d.last.Objectors(), Rule: d.Rule, Why: d.Why, Last: d.Last, Calls: d.Calls,
		}
		if d.last.Shadow {
			out[i].Would = d.last.Verdict
		}
	}
	return out
}
