package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// A node that objected, was repaired and follows again doesn't halt us: its first VALID to a new payload ends what it
// objected to, and nothing is left of it. Nobody sends it the old block again.
func TestRepairedObjector(t *testing.T) {
	for _, test := range []struct {
		name  string
		words string // what the nodes say to the block that n1, at least, is wrong about
		said  string // what the CL hears of it
		slow  time.Duration
	}{
		{"one of three", "INVALID VALID VALID", "SYNCING", 0},
		{"one of three, slow", "INVALID VALID VALID", "SYNCING", 300 * time.Millisecond},
		{"one of two", "INVALID VALID", "SYNCING", 0},
		{"one of two, slow", "INVALID VALID", "SYNCING", 300 * time.Millisecond},
		{"two of four", "INVALID VALID INVALID VALID", "SYNCING", 0},
		{"two of three", "INVALID INVALID VALID", "INVALID", 0},
		{"all", "INVALID INVALID INVALID", "INVALID", 0},
		{"all, slow", "INVALID INVALID INVALID", "INVALID", 300 * time.Millisecond},
	} {
		for _, method := range bothMethods {
			t.Run(test.name+" "+method, func(t *testing.T) {
				t.Parallel()
				words := strings.Fields(test.words)
				nodes, _ := honest(t, len(words))
				// so that slow isn't late
				m := start(t, apptest.Fakes(nodes...), func(c *config.Config) { c.Grace = 3 * time.Second })
				chain := enginetest.Chain(4, 11, nil)
				m.follows(t, chain[0])
				var broken []*enginetest.Node
				for i, word := range words {
					if word == "INVALID" {
						broken = append(broken, nodes[i])
					}
				}
				if method == "engine_forkchoiceUpdated" {
					m.hears(t, "VALID", "engine_newPayload", chain[1])
				}
				for _, n := range broken {
					defer n.Script(enginetest.Rule{Method: method, BlockHash: chain[1].Hash(),
						Status: "INVALID", Times: 1})()
				}
				m.hears(t, test.said, method, chain[1])

				for _, n := range broken {
					n.Update(func(c *enginetest.Client) { c.Version = "v9.9.9" })
					restart(t, m, n)
					n.Script(enginetest.Rule{Method: "engine_newPayload", Delay: test.slow})
				}
				m.follows(t, chain[2:]...)
				m.follows(t, chain[1])
				m.unburdened(t)
				apptest.Try(t, apptest.Patience, func() error { // nobody waits for the last node's VALID
					for _, n := range m.Nodes(t) {
						if n.Laggard || !n.Qualified {
							return fmt.Errorf("%+v", n)
						}
					}
					return nil
				})
			})
		}
	}
}

// A repaired objector that hangs, says SYNCING or errs to what is new to it is not waited for longer than three graces,
// and its objection stands.
func TestObjectorThatIsNotRepaired(t *testing.T) {
	for _, rule := range []enginetest.Rule{
		{Status: "SYNCING"}, {Status: "ACCEPTED"}, {Status: "INVALID"}, {Hang: true},
		{Error: &enginetest.RPCError{Code: -32000, Message: "x"}},
		{Reply: &enginetest.Reply{Status: 503}},
	} {
		t.Run(rule.Status, func(t *testing.T) {
			t.Parallel()
			m, nodes, chain, undo := dispute(t, "engine_newPayload")
			undo()
			restart(t, m, nodes[2])
			rule.Method = "engine_"
			defer nodes[2].Script(rule)()
			begun := time.Now()
			m.hears(t, "SYNCING", "engine_newPayload", chain[2])
			if took := time.Since(begun); took > 5*time.Second { // three graces are 1.5 s, its timeout is 7.5 s
				t.Errorf("it took %v", took)
			}
			m.hears(t, "SYNCING", "engine_forkchoiceUpdated", chain[2])
		})
	}
}

// One node's INVALID is not the answer because the one that knew better has been stopped.
func TestInvalidBesideAStoppedNode(t *testing.T) {
	for _, words := range []string{"VALID INVALID", "VALID VALID INVALID INVALID"} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			nodes := speakers(t, words, "")
			m := start(t, apptest.Fakes(nodes...), nil)
			m.prove(t, nodes...)
			chain := enginetest.Chain(4, 3, nil)
			m.hears(t, "SYNCING", "engine_newPayload", chain[0])
			apptest.Until(t, "all have answered", func() bool {
				return m.said(t, chain[0], "n1").Status != "" && m.said(t, chain[0], "n2").Status != ""
			})
			for i, word := range strings.Fields(words) {
				if word == "VALID" {
					nodes[i].Close()
				}
			}
			for _, noticed := range []bool{false, true} {
				if noticed {
					m.Recheck(t)
				}
				for _, p := range chain[:2] {
					m.hears(t, "SYNCING", "engine_newPayload", p)
					m.hears(t, "SYNCING", "engine_forkchoiceUpdated", p)
				}
			}
		})
	}
}

// A quick INVALID beside a laggard is not the answer, neither before the laggard's VALID has come nor after.
func TestInvalidBesideALaggard(t *testing.T) {
	t.Parallel()
	nodes := three(t)[:2]
	m := start(t, apptest.Fakes(nodes...), func(c *config.Config) { c.Grace = 100 * time.Millisecond })
	m.prove(t, nodes...)
	chain := enginetest.Chain(4, 4, nil)
	nodes[0].Script(enginetest.Rule{Method: "engine_newPayload", Delay: 600 * time.Millisecond})
	for _, p := range chain[:2] {
		m.hears(t, "VALID", "engine_newPayload", p)
	}
	apptest.Until(t, "n1 is a laggard", func() bool { return m.Node(t, "n1").Laggard })
	nodes[1].Script(enginetest.Rule{Method: "engine_", Status: "INVALID"})
	m.hears(t, "SYNCING", "engine_newPayload", chain[2])
	apptest.Until(t, "n1 has answered", func() bool { return m.said(t, chain[2], "n1").Status == "VALID" })
	m.hears(t, "SYNCING", "engine_newPayload", chain[2])
	m.hears(t, "SYNCING", "engine_forkchoiceUpdated", chain[2])
	m.hears(t, "SYNCING", "engine_newPayload", chain[3])
}

// Nor is it beside two that hang, whether they have become laggards by that or not.
func TestInvalidBesideHungLaggards(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), func(c *config.Config) {
		c.Grace = 100 * time.Millisecond
		for i := range c.Nodes {
			c.Nodes[i].Timeout = time.Second
		}
	})
	m.prove(t, nodes...)
	chain := enginetest.Chain(4, 4, nil)
	for _, n := range nodes[1:] {
		defer n.Script(enginetest.Rule{Method: "engine_", Hang: true})()
	}
	for _, p := range chain[:2] {
		m.hears(t, "VALID", "engine_newPayload", p)
	}
	apptest.Until(t, "n2 and n3 are laggards", func() bool {
		return m.Node(t, "n2").Laggard && m.Node(t, "n3").Laggard
	})
	nodes[0].Script(enginetest.Rule{Method: "engine_", Status: "INVALID"})
	for _, p := range chain[2:] {
		m.hears(t, "SYNCING", "engine_newPayload", p)
		m.hears(t, "SYNCING", "engine_forkchoiceUpdated", p)
	}
}

// Restarted nodes have named genesis as the latest valid block, all of them. What they say is no INVALID, and once they
// say VALID nothing is left of it.
func TestInvalidByRestartedNodes(t *testing.T) {
	for _, method := range bothMethods {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			nodes := three(t)
			m := start(t, apptest.Fakes(nodes...), nil)
			m.prove(t, nodes...)
			chain := enginetest.Chain(4, 4, nil)
			m.follows(t, chain[0])
			for _, n := range nodes {
				n.Close()
			}
			m.Recheck(t)
			var undo []func()
			for _, n := range nodes {
				n.Reopen()
				undo = append(undo, n.Script(enginetest.Rule{
					Method: "engine_", Status: "INVALID", LatestValidHash: enginetest.GenesisHash,
				}))
			}
			m.Recheck(t)
			m.hears(t, "SYNCING", method, chain[0])
			for range 2 {
				m.hears(t, "SYNCING", method, chain[1])
			}
			m.hears(t, "SYNCING", "engine_newPayload", chain[2])
			m.hears(t, "SYNCING", "engine_forkchoiceUpdated", chain[2])
			for _, undo := range undo {
				undo()
			}
			m.follows(t, chain[3])
			m.follows(t, chain...)
			m.unburdened(t)
		})
	}
}

// Nobody has proved itself after our start either: then nothing is INVALID that isn't so by itself. Once one has, the
// others' INVALIDs from before lapse, and their next ones don't count.
func TestInvalidAfterOurStart(t *testing.T) {
	for _, words := range []string{"INVALID INVALID", "INVALID INVALID INVALID", "INVALID INVALID VALID"} {
		for _, method := range bothMethods {
			t.Run(words+" "+method, func(t *testing.T) {
				t.Parallel()
				nodes := speakers(t, words, "")
				m := start(t, apptest.Fakes(nodes...), nil)
				chain := enginetest.Chain(4, 3, nil)
				m.hears(t, "SYNCING", method, chain[0])
				next := "SYNCING"
				if strings.HasSuffix(words, " VALID") && method == "engine_newPayload" {
					apptest.Until(t, "n3 has proved itself", func() bool { return m.Node(t, "n3").Qualified })
					next = "VALID"
				}
				for _, p := range chain {
					m.hears(t, next, method, p)
				}
			})
		}
	}
}
