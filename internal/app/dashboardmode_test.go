package app_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// In mode shadow the page says that nothing is protected and who answers, and tells what the consensus client heard
// from what it would have heard; once the mode is active again it says nothing of it.
func dashboardMode(t *testing.T, chromium context.Context) {
	nodes := clients(t, 3)
	m := start(t, apptest.Fakes(nodes...), func(c *config.Config) {
		c.Mode, c.ShadowNode = config.Shadow, "n1"
		c.Nodes[2].DoNotUse, c.Nodes[2].Shadow = true, true
	})
	chain := enginetest.Chain(4, 4, nil)
	m.follow(t, chain[:1])
	m.settled(t, chain[0])
	propose(t, m, nodes, chain[0])
	nodes[1].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID", ValidationError: "bad"})
	m.hears(t, "VALID", "engine_newPayload", chain[1])
	b := browse(t, chromium, m)
	b.sees("what it would have heard", `document.querySelector("#blocks .would")?.textContent === "≠ SYNCING"`)
	b.sees("two proposals", `document.querySelectorAll(".proposal").length === 2`)
	for selector, want := range map[string]string{
		"#summary h1":         "Mode shadow protects from nothing: n1 alone answers the consensus client",
		"#do":                 "executionbackup mode active --url ",
		"#instance":           "mode shadow",
		".card[data-node=n1]": "answers alone",
		".card[data-node=n3]": "tried",
		"#block p":            "the consensus client heard VALID and would have heard SYNCING after ",
		"#pinned":             "the consensus client heard VALID and would have heard SYNCING",
		".proposal h3":        "the consensus client got the payload of n1, and would have got 0.047493 ETH by n2",
	} {
		if got := b.text(selector); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q in it", selector, got, want)
		}
	}
	got := m.REST(t, "POST", "/mode", `{"mode":"active"}`, "Content-Type", "application/json")
	if got.Status != http.StatusOK {
		t.Fatal(got)
	}
	b.sees("nobody answers alone", `!document.querySelector(".flag.alone, #instance .mode")`)
	m.hears(t, "SYNCING", "engine_newPayload", chain[2])
	b.sees("what it hears now", `document.querySelector("#summary h1").textContent.startsWith("Dispute: n2 ")`)
}
