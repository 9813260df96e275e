package app_test

import (
	"strings"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

func three(t testing.TB) []*enginetest.Node {
	return []*enginetest.Node{
		enginetest.New(t, enginetest.Client{}),
		enginetest.New(t, enginetest.Client{}),
		enginetest.New(t, enginetest.Client{}),
	}
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
				m := start(t, apptest.Fakes(nodes...), nil)
				m.prove(t, nodes...)
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
					if !strings.HasPrefix(got.ValidationError, "n") ||
						!strings.HasSuffix(got.ValidationError, ": no reason given") {
						t.Errorf("validationError %q doesn't name the node", got.ValidationError)
					}
				}
				if got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
				// and one was the proof
				sent := map[string]int{"engine_newPayload": 2, "engine_forkchoiceUpdated": 1}[method]
				for i, n := range nodes {
					if calls := n.Wait(method, sent); len(calls) != sent {
						t.Errorf("node %d got %d calls", i+1, len(calls))
					}
				}
			})
		}
	}
}

// One answer among hung nodes condemns nothing.
func TestOneInvalidAmongHungNodes(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	block := enginetest.Chain(4, 1, nil)[0]
	nodes[0].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID"})
	for _, n := range nodes[1:] {
		n.Script(enginetest.Rule{Hang: true})
	}
	if got := m.newPayload(t, block); got.Status != "SYNCING" {
		t.Errorf("got %+v", got)
	}
}
