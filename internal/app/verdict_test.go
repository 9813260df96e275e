package app_test

import (
	"strings"
	"testing"

	"executionbackup/internal/enginetest"
)

func three(t testing.TB) []*enginetest.Node {
	return []*enginetest.Node{enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})}
}

// Each row of the truth table, seen by the CL, for both methods.
func TestTruthTable(t *testing.T) {
	for _, row := range []struct{ votes, want string }{
		{"VALID VALID VALID", "VALID"},
		{"INVALID INVALID INVALID", "INVALID"},
		{"VALID VALID SYNCING", "VALID"},
		{"VALID VALID INVALID", "SYNCING"},
		{"INVALID INVALID VALID", "INVALID"},
		{"INVALID INVALID SYNCING", "INVALID"},
		{"VALID INVALID", "SYNCING"},
		{"VALID SYNCING", "VALID"},
		{"INVALID SYNCING", "SYNCING"},
		{"SYNCING SYNCING SYNCING", "SYNCING"},
		{"ACCEPTED ACCEPTED", "ACCEPTED"},
	} {
		for _, method := range []string{"engine_newPayload", "engine_forkchoiceUpdated"} {
			if method == "engine_forkchoiceUpdated" && strings.Contains(row.votes, "ACCEPTED") {
				continue // no status of that method
			}
			t.Run(row.votes+" "+method, func(t *testing.T) {
				t.Parallel()
				var nodes []*enginetest.Node
				for _, vote := range strings.Fields(row.votes) {
					n := enginetest.New(t, enginetest.Client{})
					n.Script(enginetest.Rule{Method: method, Status: vote})
					nodes = append(nodes, n)
				}
				m := start(t, fakes(nodes...), nil)
				block := enginetest.Chain(4, 1, nil)[0]
				ask := m.newPayload
				if method == "engine_forkchoiceUpdated" {
					ask = m.forkchoice
				}
				got := ask(t, block)
				if got.Status != row.want {
					t.Fatalf("got %+v, want %s", got, row.want)
				}
				want := enginetest.Status{Status: row.want}
				switch row.want {
				case "VALID":
					want.LatestValidHash = block.Hash()
				case "INVALID":
					want.ValidationError = got.ValidationError
					if !strings.HasPrefix(got.ValidationError, "n") || !strings.HasSuffix(got.ValidationError, ": no reason given") {
						t.Errorf("validationError %q doesn't name the node", got.ValidationError)
					}
				}
				if got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
				for i, n := range nodes {
					if calls := n.CallsOf(method); len(calls) != 1 {
						t.Errorf("node %d got %d calls", i+1, len(calls))
					}
					if v := n.Violations(); len(v) > 0 {
						t.Errorf("node %d: %v", i+1, v)
					}
				}
			})
		}
	}
}

// A dispute binds: the block, its child and its grandchild stay SYNCING, whatever the objector does next.
func TestDisputeBinds(t *testing.T) {
	for _, next := range []string{"SYNCING", "ACCEPTED", "VALID", "error", "dead"} {
		t.Run(next, func(t *testing.T) {
			t.Parallel()
			nodes := three(t)
			m := start(t, fakes(nodes...), nil)
			chain := enginetest.Chain(4, 4, nil)
			m.newPayload(t, chain[0])
			nodes[2].Script(enginetest.Rule{Method: "engine_", BlockHash: chain[1].Hash(), Status: "INVALID", Times: 1})
			if got := m.newPayload(t, chain[1]); got.Status != "SYNCING" {
				t.Fatalf("the objection: %+v", got)
			}
			switch next {
			case "error":
				nodes[2].Script(enginetest.Rule{Method: "engine_", Error: &enginetest.RPCError{Code: -32000, Message: "x"}})
			case "dead":
				nodes[2].Close()
			case "VALID": // to the children only
				nodes[2].Script(enginetest.Rule{Method: "engine_", BlockHash: chain[1].Hash(), Status: "SYNCING"})
			default:
				nodes[2].Script(enginetest.Rule{Method: "engine_", Status: next})
			}
			for _, p := range chain[1:] {
				if got := m.newPayload(t, p); got.Status != "SYNCING" {
					t.Errorf("newPayload %d: %+v", p.Number, got)
				}
				if got := m.forkchoice(t, p); got.Status != "SYNCING" || got.PayloadID != "" {
					t.Errorf("forkchoiceUpdated %d: %+v", p.Number, got)
				}
			}
			if got := m.newPayload(t, chain[0]); got.Status != "VALID" {
				t.Errorf("the parent: %+v", got)
			}
			if lines := m.log.lines("level=ERROR", "dispute", chain[3].Hash()); len(lines) == 0 {
				t.Error("no dispute is logged for the grandchild")
			}
		})
	}
}

// One answer among hung nodes condemns nothing.
func TestOneInvalidAmongHungNodes(t *testing.T) {
	nodes := three(t)
	m := start(t, fakes(nodes...), nil)
	block := enginetest.Chain(4, 1, nil)[0]
	nodes[0].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID"})
	for _, n := range nodes[1:] {
		defer n.Script(enginetest.Rule{Hang: true})()
	}
	if got := m.newPayload(t, block); got.Status != "SYNCING" {
		t.Errorf("got %+v", got)
	}
}
