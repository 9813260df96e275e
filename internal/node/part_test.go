package node

import (
	"fmt"
	"slices"
	"testing"

	"executionbackup/internal/quorum"
)

// names are those of nodes, in order.
func names(nodes []*Node) string {
	list := []string{}
	for _, n := range nodes {
		list = append(list, n.Name())
	}
	return fmt.Sprint(list)
}

// What backups do, of n1, n2 and n3 that have become what they are; "b" before a state makes the node a backup, "d" one
// that is drained.
func TestBackups(t *testing.T) {
	for _, c := range []struct {
		states                    [3]string
		voters, suppliers         string
		builders, judges, primary string // all have an id; n1 has built
		serving                   string
	}{
		// As long as another is alive and timely a backup rests.
		{[3]string{"fast", "b fast", "b fast"}, "[n1]", "[n1]", "[n1]", "[]", "n1", "[n1 n2 n3]"},
		{[3]string{"b fast", "slow", "syncing"}, "[n2]", "[n2 n3]", "[n2 n3]", "[n2]", "n2", "[n2 n1 n3]"},
		{[3]string{"b fast", "laggard", "slow"}, "[n2 n3]", "[n3 n2]", "[n2 n3]", "[n3]", "n3", "[n3 n2 n1]"},
		// Where all are laggards, or none is alive, it votes and leads.
		{[3]string{"b slow", "laggard", "b fast"}, "[n1 n2 n3]", "[n1 n2 n3]", "[n1 n2 n3]", "[n3]", "n1",
			"[n1 n2 n3]"},
		{[3]string{"b slow", "syncing", "dead"}, "[n1]", "[n1 n2]", "[n1 n2]", "[]", "n1", "[n1 n2]"},
		{[3]string{"b slow", "d fast", "dead"}, "[n1]", "[n1]", "[n1]", "[]", "n1", "[n1]"},
		// A backup that lags is no better than another that does.
		{[3]string{"b laggard", "laggard", "dead"}, "[n1 n2]", "[n2 n1]", "[n1 n2]", "[]", "n2", "[n2 n1]"},
		// Where none is alive, all that can be reached vote.
		{[3]string{"b syncing", "syncing", "dead"}, "[n1 n2]", "[n1 n2]", "[n1 n2]", "[]", "n1", "[n1 n2]"},
		{[3]string{"b dead", "dead", "d fast"}, "[n1 n2]", "[n1 n2]", "[]", "[]", "", "[n1 n2]"},
	} {
		p := pooled(t, 3)
		ids := map[quorum.NodeID]string{}
		for i, n := range p.Nodes() {
			state := c.states[i]
			if len(state) > 2 && state[1] == ' ' {
				spec := n.setup.Load().Node
				spec.Backup = state[0] == 'b'
				p.change(n, spec)
				n.setDrained(state[0] == 'd')
				state = state[2:]
			}
			n.become(state)
			ids[n.ID] = "0x1"
		}
		roll := p.Roll()
		for what, pair := range map[string][2]string{
			"voters":    {names(p.Voters()), c.voters},
			"suppliers": {names(p.Suppliers()), c.suppliers},
			"builders":  {names(roll.Builders(ids)), c.builders},
			"judges":    {names(roll.Judges(p.Nodes()[0])), c.judges},
			"serving":   {names(p.Serving()), c.serving},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%q: %s are %s, want %s", c.states, what, pair[0], pair[1])
			}
		}
		t.Run(fmt.Sprint(c.states), func(t *testing.T) { p.primaryIs(t, c.primary) })
	}
}

// The last that may vote stays, be it a backup.
func TestTheLastBackupStays(t *testing.T) {
	p := pooled(t, 2)
	n := p.Nodes()
	spec := n[1].setup.Load().Node
	spec.Backup = true
	p.change(n[1], spec)
	n[0].become("fast")
	n[1].become("fast")
	if err := p.Drain([]string{"n1"}, true); err != nil {
		t.Errorf("the backup can vote in its place: %v", err)
	}
	if err := p.Drain([]string{"n2"}, true); err == nil {
		t.Error("nobody is left to vote")
	}
	if got := names(p.Voters()); !slices.Equal(p.Voters(), n[1:]) {
		t.Errorf("voters are %s, want the backup", got)
	}
}
