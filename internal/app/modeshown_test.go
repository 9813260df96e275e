package app_test

import (
	"strings"
	"testing"

	"executionbackup/internal/admin"
	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/history"
	"executionbackup/internal/overview"
)

// As long as the node that alone answers hasn't, nothing says that the consensus client heard what we have decided.
func TestShownBeforeItIsHeard(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 3)
	m := start(t, apptest.Fakes(nodes...), func(c *config.Config) {
		c.Mode, c.ShadowNode = config.Shadow, "n1"
		c.Nodes[2].DoNotUse, c.Nodes[2].Shadow = true, true
	})
	chain := enginetest.Chain(4, 2, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	answer := nodes[0].Script(enginetest.Rule{Method: "engine_newPayload", Status: "SYNCING", Hang: true})
	heard := make(chan enginetest.Status, 1)
	go func() {
		s, _ := m.NewPayload(t.Context(), chain[1])
		heard <- s
	}()
	last := func() history.Record {
		var blocks []history.Record
		m.Get(t, "/blocks", &blocks)
		return blocks[len(blocks)-1]
	}
	apptest.Until(t, "we have decided", func() bool { r := last(); return r.Number == 2 && r.Verdict != "" })
	if r := last(); r.Verdict != "VALID" || !r.Shadow || r.Did != "" || r.Told() != "" {
		t.Errorf("before the node has answered: %+v", r)
	}
	answer()
	s := <-heard
	apptest.Until(t, "it is known what was heard", func() bool { return last().Did == s.Status })

	var status overview.Overview
	m.Get(t, "/status", &status)
	const headline = "n1 alone answers the consensus client; it is syncing: the consensus client hears SYNCING"
	if status.Mode != config.Shadow || status.Alone != "n1" || status.Level != overview.Bad ||
		!strings.HasSuffix(status.Headline, headline) {
		t.Errorf("GET /status: %+v", status)
	}
	var shown []admin.Node
	m.Get(t, "/nodes", &shown)
	if n := shown[2]; !n.Shadow || !n.DoNotUse || shown[1].Shadow ||
		m.Metric(t, `executionbackup_node_role{node="n3",role="shadow"}`) != 1 {
		t.Errorf("the node that is tried is shown as %+v", n)
	}
}
