//go:build e2e

package live

import (
	"fmt"
	"strings"
)

// result is what came of one scenario. All times are in milliseconds or as their names say.
type result struct {
	Name   string
	About  string
	Direct bool // Prysm talked to one geth directly
	Halts  bool // slots are missed because that is the right answer to a dispute

	Phases    []phase
	Slots     int
	Missed    []miss
	Attested  int // validators whose attestation for a slot of the scenario is in a block
	Attesters int // validators who should have attested

	BlocksWithTransactions int
	Transactions           int
	BlobTransactions       int
	Finalized              int // epoch, at the end

	CLErrors     int
	CLErrorKinds []string

	Verdicts map[string]int // of newPayload
	Disputes int
	P50, P99 float64
	Back     []returned

	// Beyond is the longest that a verdict came after all voters, but those in Back, had said something.
	Beyond float64

	AnsweredP50, AnsweredP99 float64 // when in the slot newPayload had its answer, in seconds
	Overdue                  int     // VALIDs later than the slot's clock allows, though their quorum was there in time
	Unclocked                int     // verdicts of which nobody knows when in the slot they came

	Notes     []string
	Failures  []string // claims that don't hold
	NotTested bool     // the machine refused what it needs; Notes says what
}

// phase is slots from From on, and before To.
type phase struct {
	Name     string
	From, To int
	Missed   int
}

// miss is a slot without a block.
type miss struct {
	Slot int
	Why  []string // log lines around it
}

// returned is how long a node took from when it could be reached again to its first VALID.
type returned struct {
	Node    string
	Seconds float64
	Late    bool // it said something else to a newPayload after comebackLimit
}

const never = -1

// add counts the block of a slot; nil is none.
func (r *result) add(slot int, b *beaconBlock) {
	r.Slots++
	if b == nil {
		r.Missed = append(r.Missed, miss{Slot: slot})
		for i := range r.Phases {
			if p := &r.Phases[i]; p.From <= slot && slot < p.To {
				p.Missed++
			}
		}
		return
	}
	if b.Transactions > 0 {
		r.BlocksWithTransactions++
	}
	r.Transactions += b.Transactions
	r.BlobTransactions += b.Blobs // one blob each
}

// String is the result in one line.
func (r *result) String() string {
	var phases []string
	for _, p := range r.Phases {
		phases = append(phases, fmt.Sprintf("%s %d-%d missed %d", p.Name, p.From, p.To-1, p.Missed))
	}
	return fmt.Sprintf("%s: %s; attested %d/%d; blocks with transactions %d, blobs %d; finalized %d; CL errors %d; "+
		"verdicts %v, disputes %d, p50 %.0f ms, p99 %.0f ms, at most %.0f ms after the others; "+
		"answered in the slot p50 %.2f s, p99 %.2f s, overdue %d; back %v; notes %q",
		r.Name, strings.Join(phases, ", "), r.Attested, r.Attesters, r.BlocksWithTransactions,
		r.BlobTransactions, r.Finalized, r.CLErrors, r.Verdicts, r.Disputes, r.P50, r.P99, r.Beyond,
		r.AnsweredP50, r.AnsweredP99, r.Overdue, r.Back, r.Notes)
}
