package node

import (
	"slices"
	"testing"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/wire"
)

// Of a node's times those of newPayloads are shown, and those in which it was waited for in vain.
func TestWhatIsTimed(t *testing.T) {
	n := newTestPool(t, "127.0.0.1:1").Nodes()[0]
	for _, call := range []struct {
		family  engine.Family
		failure *wire.Failure
		took    time.Duration
	}{
		{engine.NewPayload, nil, time.Second},
		{engine.ForkchoiceUpdated, nil, time.Hour},
		{engine.NewPayload, &wire.Failure{Kind: wire.Unreachable}, time.Hour},
		{engine.NewPayload, &wire.Failure{Kind: wire.TimedOut}, 3 * time.Second},
		{engine.NewPayload, nil, 2 * time.Second},
	} {
		n.observe(call.family, call.failure, call.took)
	}
	want := []time.Duration{time.Second, 3 * time.Second, 2 * time.Second}
	if got := n.Track.Figures(time.Now()).Recent; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
