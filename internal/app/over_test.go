package app_test

import (
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// The log says when a dispute is over, and once.
func TestDisputeIsOver(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	chain := enginetest.Chain(4, 3, nil)
	m := start(t, apptest.Fakes(nodes...), nil)
	m.disputes(t, nodes, chain)
	m.hears(t, "SYNCING", "engine_forkchoiceUpdated", chain[1])
	m.must(t, "/drain_nodes", "n3")
	for range 2 {
		m.hears(t, "VALID", "engine_forkchoiceUpdated", chain[1])
	}
	m.Log.Wait(t, "level=INFO", "dispute over", chain[1].Hash())
	m.hears(t, "VALID", "engine_newPayload", chain[2])
	if lines := m.Log.Lines("dispute over"); len(lines) != 1 {
		t.Errorf("logged %q", lines)
	}
}
