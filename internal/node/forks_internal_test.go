package node

import (
	"math"
	"slices"
	"testing"
	"time"

	"executionbackup/internal/forks"
)

// Of the times of forks those nearest to now are remembered, whatever a node tells.
func TestActivations(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var p Pool
	if p.earliest(now) != 0 || !p.NearFork(1_700_000_000, time.Hour) {
		t.Error("before any node has told, no fork is next, and one may be near")
	}
	tell := func(activation uint64) {
		p.remember(forks.Config{Current: forks.Entry{State: forks.Known, Activation: activation}}, now)
	}
	tell(0)
	if p.earliest(now) != 0 || p.NearFork(1_700_000_000, time.Hour) {
		t.Error("genesis is none that is near")
	}
	past, next := uint64(1_700_000_000-3600), uint64(1_700_000_000+3600)
	for i := range uint64(200) {
		tell(past)
		tell(next)
		tell(math.MaxUint64 - i)
		tell(1 + i)
	}
	known := *p.activations.Load()
	if len(known) != maxActivations || !slices.IsSorted(known) || p.earliest(now) != next ||
		!slices.Contains(known, past) || !p.NearFork(past+1, time.Minute) {
		t.Errorf("%d are known, the next is that of %d", len(known), p.earliest(now))
	}
}
