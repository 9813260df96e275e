package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/quorum"
)

// The page counts down to the next fork, and says which node isn't ready for it until it is.
func dashboardForks(t *testing.T, chromium context.Context) {
	nodes := clients(t, 3)
	next := amsterdam(5*time.Hour + time.Minute)
	nodes[0].TellForks(osaka, next)
	nodes[1].TellForks(osaka)
	m := start(t, named(nodes), nil)
	m.follow(t, enginetest.Chain(4, 40, func(p *enginetest.Payload) { p.Timestamp = uint64(time.Now().Unix()) }))
	b := browse(t, chromium, m)
	b.sees("who isn't ready", `document.querySelector("#summary[data-level=bad] h1")?.textContent === `+
		`"nethermind-a isn't ready for the fork in 5 hours: it knows of no next fork"`)
	card := func(name string) string {
		return strings.Join(strings.Fields(b.text(".card[data-node="+name+"]")), " ")
	}
	if got := card("nethermind-a"); !strings.Contains(got, "next fork not ready: it knows of no next fork "+
		"forks differ next: no next fork; the others: one at ") {
		t.Errorf("the card says %q", got)
	}
	if got := card("geth-a"); !strings.Contains(got, "next fork ready") {
		t.Errorf("geth's card says %q", got)
	}
	if got := card("besu-a"); strings.Contains(got, "fork") {
		t.Errorf("besu has told nothing, and its card says %q", got)
	}
	b.shootAll("3-fork")

	nodes[1].Close()
	nodes[1].TellForks(osaka, next)
	nodes[1].Reopen()
	b.sees("it is ready", `!document.querySelector(".card .differs") && `+
		`document.getElementById("summary-text").textContent.startsWith("3 of 3 nodes vote")`)
	got := b.text("#next-fork")
	if !strings.HasPrefix(got, "next fork in 5 hours, 20") ||
		!strings.HasSuffix(got, " (fork id 0x0000000a), 2 of 3 nodes know it, besu-a can't say") {
		t.Errorf("the countdown says %q", got)
	}
}

// A dispute between nodes whose configurations differ says so, and what --on-dispute=live made of it.
func dashboardForkDispute(t *testing.T, chromium context.Context) {
	nodes := clients(t, 3)
	wrong := osaka
	wrong.Deposits = "0x4242424242424242424242424242424242424242"
	for i, current := range []enginetest.Fork{wrong, osaka, wrong} {
		nodes[i].TellForks(current)
	}
	m := start(t, named(nodes), func(c *config.Config) { c.Rules.OnDispute, c.Rules.MinClients = quorum.Live, 2 })
	b := browse(t, chromium, m)
	b.sees("the difference", `document.getElementById("summary-text").textContent === `+
		`"The present fork configuration of nethermind-a differs: systemContracts"`)
	if got := b.text("#next-fork"); got != "" {
		t.Errorf("no fork is planned, and the page says %q", got)
	}
	chain := enginetest.Chain(4, 12, nil)
	m.follow(t, chain[:10])
	nodes[1].Script(enginetest.Rule{Method: "engine_", Status: "INVALID", ValidationError: "requests hash mismatch"})
	m.follow(t, chain[10:])
	b.sees("the dispute", `document.getElementById("summary-text").textContent === `+
		`"Dispute: nethermind-a calls block 11 INVALID, the consensus client hears SYNCING, `+
		`and the nodes' fork configurations differ: systemContracts"`)
	const rule = "decided by the rule live_configurations_differ: fork configurations of those that accept"
	for _, where := range []string{"#pinned", "#summary-notes"} {
		if got := b.text(where); !strings.Contains(got, rule) {
			t.Errorf("%s says %q", where, got)
		}
	}
	b.sees("how the objection ends", `document.getElementById("do").innerText`+
		`.includes("executionbackup nodes clear-objections nethermind-a")`)
	b.shootAll("3-fork-dispute")
}
