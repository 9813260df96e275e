package history

import (
	"slices"
	"sync"
	"time"
)

// Track records how a node does, to be shown. Safe for concurrent use; the zero value is that of a node which hasn't
// been asked.
type Track struct {
	mu          sync.Mutex // guards what follows
	won, lost   uint64
	samples     []sample // oldest first
	lastErrorAt time.Time
}

// Figures are how a node has done.
type Figures struct {
	// Won and Lost count the VALIDs and INVALIDs of the node that had a vote, since we know it. One is won where it is
	// what the CL heard. It is lost where the CL heard the contrary, and an INVALID also where it made the CL hear
	// SYNCING: a lone objector loses block for block. A VALID in such a dispute is neither, and SYNCING says nothing.
	Won, Lost uint64

	Recent      []time.Duration // how long the last newPayloads took on the node, oldest first; not nil
	Median, P99 time.Duration   // of the newPayloads of the last ten minutes; 0 where there was none
	LastErrorAt time.Time       // zero where no call has failed
}

// maxSamples is how many newPayloads are kept, trackWindow how old they may be to count in Figures.
const (
	maxSamples  = 64
	trackWindow = 10 * time.Minute
)

// sample is how long a newPayload took that ended at a time.
type sample struct {
	at   time.Time
	took time.Duration
}

// Figures returns how the node has done up to now.
func (t *Track) Figures(now time.Time) Figures {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := Figures{Won: t.won, Lost: t.lost, LastErrorAt: t.lastErrorAt, Recent: []time.Duration{}}
	var counted []time.Duration
	for _, s := range t.samples {
		f.Recent = append(f.Recent, s.took)
		if now.Sub(s.at) <= trackWindow {
			counted = append(counted, s.took)
		}
	}
	slices.Sort(counted)
	if len(counted) > 0 {
		f.Median, f.P99 = counted[len(counted)/2], counted[(len(counted)*99+99)/100-1]
	}
	return f
}

// Voted counts a vote of the node.
func (t *Track) Voted(won bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if won {
		t.won++
	} else {
		t.lost++
	}
}

// Took keeps how long a newPayload that ends now took, or was waited for in vain.
func (t *Track) Took(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.samples = appendBounded(t.samples, sample{time.Now(), took}, maxSamples)
}

// Failed notes that a call to the node failed.
func (t *Track) Failed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastErrorAt = time.Now()
}
