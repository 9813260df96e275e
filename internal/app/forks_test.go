package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/admin"
	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/quorum"
)

// osaka is the present fork in these tests.
var osaka = enginetest.Fork{At: time.Unix(1764798551, 0), ID: "0x5167e2a6"}

// amsterdam is the next one, so long from now.
func amsterdam(in time.Duration) enginetest.Fork {
	return enginetest.Fork{At: time.Now().Add(in), ID: "0x0000000a"}
}

// told returns once so many nodes have told their forks, with what GET /forks has.
func (m *multiplexer) told(t testing.TB, nodes int) (all admin.Forks) {
	t.Helper()
	apptest.Until(t, "the nodes have told their forks", func() bool {
		all = admin.Forks{}
		m.Get(t, "/forks", &all)
		isMute := func(n admin.NodeForks) bool { return n.Read.IsZero() }
		return len(slices.DeleteFunc(slices.Clone(all.Nodes), isMute)) == nodes
	})
	return all
}

// GET /forks has what each node says, and how that differs; GET /nodes has the latter, and the methods that are
// lacking.
func TestForksShown(t *testing.T) {
	t.Parallel()
	nodes := append(three(t), enginetest.New(t, enginetest.Client{Capabilities: []string{"engine_newPayloadV5"}}))
	next := amsterdam(5*time.Hour + time.Minute)
	nodes[0].TellForks(osaka, next)
	nodes[1].TellForks(osaka)
	other := osaka
	other.Deposits = "0x4242424242424242424242424242424242424242"
	nodes[2].TellForks(other, next)
	m := startLed(t, apptest.Fakes(nodes...), nil)
	m.call(t, "engine_exchangeCapabilities", []string{})
	all := m.told(t, 4) // that it lacks the method is told, too

	n := all.Next
	if n == nil || n.ActivationTime != uint64(next.At.Unix()) || n.ForkID != next.ID || n.Left() != "5 hours" {
		t.Errorf("next: got %+v", n)
	}
	for i, want := range []string{
		"ready", "it knows of no next fork; next: no next fork; the others: one at ",
		"ready; current.systemContracts: DEPOSIT_CONTRACT_ADDRESS 0x4242424242424242424242424242424242424242; " +
			"the others: DEPOSIT_CONTRACT_ADDRESS 0x00000000219ab540356cbb839cbe05303d7705fa",
		"unknown the method eth_config does not exist",
	} {
		n := all.Nodes[i]
		got := []string{"unknown " + n.Trouble}
		switch {
		case n.Ready == nil:
		case *n.Ready:
			got[0] = "ready"
		default:
			got[0] = n.Says
		}
		for _, d := range n.Differences {
			got = append(got, d.String())
		}
		if text := strings.Join(got, "; "); !strings.HasPrefix(text, want) {
			t.Errorf("n%d: got %s, want %s", i+1, text, want)
		}
	}
	if c := all.Nodes[0].Current; c.State != "known" || c.ActivationTime != 1764798551 || c.ChainID != "1" {
		t.Errorf("n1 is at %+v", c)
	}

	var shown []admin.Node
	m.Get(t, "/nodes", &shown)
	for i, n := range shown {
		want := all.Nodes[i].Readiness
		if n.Forks == nil || len(n.Forks.Differences) != len(want.Differences) || n.Forks.Says != want.Says {
			t.Errorf("/nodes: n%d has %+v, want %+v", i+1, n.Forks, want)
		}
	}
	if got := shown[0].Lacks; !slices.Equal(got, []string{"engine_newPayloadV5 (Amsterdam)"}) {
		t.Errorf("n1 lacks %v", got)
	}
	late := func() float64 { return m.Metric(t, `executionbackup_fork_config_difference{field="next",node="n2"}`) }
	metrics := func() string { return m.REST(t, "GET", "/metrics?format=prometheus", "").Body }
	if late() != 1 || !strings.Contains(metrics(), `executionbackup_node_fork_ready{node="n2"} 0`) {
		t.Error("n2's metrics don't say that it isn't ready")
	}
	m.must(t, "/drain_nodes", "n2")
	m.Log.Wait(t, "node drained", "node=n2")
	if got := metrics(); strings.Contains(got, `_fork_ready{node="n2"}`) ||
		strings.Contains(got, `_difference{field="next",node="n2"}`) {
		t.Error("n2 is drained, and still alarming")
	}
	m.must(t, "/undrain_nodes", "n2")
	m.Log.Wait(t, "node undrained", "node=n2")
	if late() != 1 {
		t.Error("n2 is back, and not alarming")
	}
	if got := shown[3].Lacks; len(got) < 10 || !slices.Contains(got, "engine_newPayloadV4 (Prague)") {
		t.Errorf("n4 lacks %v", got)
	}
}

// A node on another chain has no say in forks, whatever it told before, and isn't said to lack one.
func TestForksOfAnotherChain(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	nodes[0].TellForks(osaka, amsterdam(time.Hour))
	nodes[1].TellForks(osaka, amsterdam(time.Hour))
	nodes[2].TellForks(osaka)
	m := startLed(t, apptest.Fakes(nodes...), nil)
	for i, n := range m.told(t, 3).Nodes {
		if ready := n.Ready; ready == nil || *ready != (i < 2) {
			t.Errorf("n%d: got %+v", i+1, n)
		}
	}
	nodes[2].Close()
	m.Recheck(t)
	nodes[2].Update(func(c *enginetest.Client) { c.ChainID = 5 })
	nodes[2].Reopen()
	apptest.Until(t, "n3 is on another chain", func() bool {
		return strings.HasPrefix(m.Node(t, "n3").Reason, "wrong chain")
	})
	m.Recheck(t)
	if n := m.told(t, 3).Nodes[2]; n.Ready != nil || n.Says != "" || len(n.Differences) > 0 {
		t.Errorf("n3: got %+v", n)
	}
}

// Where one implementation can't be outvoted --on-dispute=live promises more than it can do: a warning says so, at the
// start and with a reload, when the nodes have told who they are.
func TestLiveThatCanOnlyHalt(t *testing.T) {
	t.Parallel()
	const warning = "--on-dispute=live can do no more than halt"
	for _, c := range []struct {
		clients string
		change  func(*config.Config)
		want    string // in the warning; "" for none
	}{
		{"GE NM BU", nil, ""},
		{"GE GE NM", nil, "takes 2 others; implementations that are known: 2;"},
		{"GE NM", nil, "takes 2 others; implementations that are known: 2;"},
		{"GE NM BU", func(c *config.Config) { c.Rules.MinClients = 3 },
			"takes 3 others; implementations that are known: 3;"},
		{"GE NM BU", func(c *config.Config) { c.Nodes[2].DoNotUse = true }, "implementations that are known: 2;"},
		{"GE NM ?", nil, "voters that haven't told which they are: 1"},
		{"GE GE", func(c *config.Config) { c.Rules.OnDispute = quorum.Halt }, ""},
	} {
		t.Run(c.clients, func(t *testing.T) {
			t.Parallel()
			var nodes []*enginetest.Node
			for _, code := range strings.Fields(c.clients) {
				n := enginetest.New(t, enginetest.Client{Code: code, Name: code, Version: "1"})
				if code == "?" {
					n.Close()
				}
				nodes = append(nodes, n)
			}
			m := start(t, apptest.Fakes(nodes...), func(cfg *config.Config) {
				cfg.Rules.OnDispute, cfg.Rules.MinClients = quorum.Live, 2
				if c.change != nil {
					c.change(cfg)
				}
			})
			reload := *m.Config
			m.Reload(&reload) // says it again where it is so
			m.Log.Wait(t, "configuration reloaded")
			if c.want != "" {
				m.Log.Wait(t, warning, c.want)
			} else if lines := m.Log.Lines(warning); len(lines) > 0 {
				t.Errorf("the log has %q", lines)
			}
		})
	}
}
