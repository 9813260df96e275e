package proxy

import (
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Record is one newPayload and what became of it.
type Record struct {
	Time    time.Time
	Method  string
	Block   common.Hash
	Number  uint64
	Verdict string        // what the CL heard: a status, or "error"
	Took    time.Duration // until the CL heard it
	Dispute bool
	Votes   []Vote
}

// Vote is what one node said.
type Vote struct {
	Node   string
	Status string // a status, an error in words, or "" where nothing has come yet
	Vote   string // what of it counts; "" where nothing does
	Took   time.Duration
}

// History holds the last Records. Safe for concurrent use. The zero value is empty.
type History struct {
	mu      sync.Mutex
	records []*Record // oldest first
}

// maxRecords is how many blocks are shown.
const maxRecords = 64

func (h *History) add(r *Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.records = append(h.records, r)
	if len(h.records) > maxRecords {
		h.records = append([]*Record(nil), h.records[1:]...)
	}
}

// vote notes what came from the i-th node of a record, early or late.
func (h *History) vote(r *Record, i int, v Vote) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.Votes[i] = v
}

// Records returns the last records, oldest first.
func (h *History) Records() []Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]Record, len(h.records))
	for i, r := range h.records {
		out[i] = *r
		out[i].Votes = append([]Vote(nil), r.Votes...)
	}
	return out
}

// decide notes what the CL heard.
func (h *History) decide(r *Record, verdict string, took time.Duration, dispute bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.Verdict, r.Took, r.Dispute = verdict, took, dispute
}

// newRecord begins the record of a payload.
func newRecord(pl *poll) *Record {
	r := &Record{Time: time.Now(), Method: pl.method.Name, Block: pl.block, Number: pl.payload.Number, Votes: make([]Vote, len(pl.seats))}
	for i := range pl.seats {
		r.Votes[i].Node = pl.seats[i].node.Name()
		if !pl.seats[i].sent {
			r.Votes[i].Status = "dead"
		}
	}
	return r
}

// shown is what a seat says, for people.
func (s *seat) shown() Vote {
	v := Vote{Node: s.node.Name(), Took: s.took, Vote: s.vote.String(), Status: s.status.Status.String()}
	switch {
	case s.failure != nil:
		v.Status = s.failure.Error()
	case s.reply.Err != nil:
		v.Status = s.reply.Err.Error()
	}
	return v
}
