package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"executionbackup/internal/forks"
	"executionbackup/internal/node"
)

// Forks is what the nodes say of their forks, as GET /forks shows it.
type Forks struct {
	Next  *NextFork   `json:"next"` // nil where no node knows of one
	Nodes []NodeForks `json:"nodes"`
}

// NextFork is the earliest fork to come that any node knows of.
type NextFork struct {
	ActivationTime uint64 `json:"activation_time"` // seconds since 1970
	In             uint64 `json:"in"`              // seconds from now
	ForkID         string `json:"fork_id"`
}

// NodeForks is what one node says of its forks.
type NodeForks struct {
	Node    string    `json:"node"`
	URL     string    `json:"url"`
	Client  string    `json:"client"`        // its name and version
	Read    time.Time `json:"read,omitzero"` // when it said so last
	Current Fork      `json:"current"`
	Next    Fork      `json:"next"`
	Last    Fork      `json:"last"`
	Readiness
}

// Fork is one that a node may have.
type Fork struct {
	State string `json:"state"` // unknown, none or known
	*ForkConfig
}

// ForkConfig is the configuration from a fork on. All but the time is in words.
type ForkConfig struct {
	ActivationTime  uint64 `json:"activation_time"` // seconds since 1970; 0 for genesis
	ChainID         string `json:"chain_id"`
	ForkID          string `json:"fork_id"`
	BlobSchedule    string `json:"blob_schedule"`
	Precompiles     string `json:"precompiles"`
	SystemContracts string `json:"system_contracts"`
}

// Readiness is how what a node says of its forks compares with what the others say.
type Readiness struct {
	Ready       *bool        `json:"ready"`             // it knows the next fork; nil where none is, or it can't say
	Says        string       `json:"says,omitempty"`    // of the next fork, in words, where it isn't ready
	Trouble     string       `json:"trouble,omitempty"` // why not all of it is known
	Missed      bool         `json:"missed"`            // a fork, and it is shut out for that
	Differences []Difference `json:"differences"`       // not nil
}

// Difference is a node's own word on a field of its forks, and that of most others.
type Difference struct {
	Field  string `json:"field"`
	Own    string `json:"own"`
	Others string `json:"others"`
}

// String puts the difference in words.
func (d Difference) String() string { return d.Field + ": " + d.Own + "; the others: " + d.Others }

// ForksOf puts a report into the words of GET /forks.
func ForksOf(r *node.ForkReport, now time.Time) Forks {
	all := Forks{Nodes: []NodeForks{}}
	if e := r.Next; e.State == forks.Known {
		begun := min(uint64(max(0, now.Unix())), e.Activation)
		all.Next = &NextFork{e.Activation, e.Activation - begun, e.ForkID}
	}
	for i := range r.Nodes {
		nf := &r.Nodes[i]
		all.Nodes = append(all.Nodes, NodeForks{
			Node: nf.Node.Name(), URL: nf.Node.URL(), Client: nf.Client, Read: nf.Read,
			Current: forkOf(nf.Config.Current), Next: forkOf(nf.Config.Next), Last: forkOf(nf.Config.Last),
			Readiness: readinessOf(nf, r.Next),
		})
	}
	return all
}

func forkOf(e forks.Entry) Fork {
	switch e.State {
	case forks.None:
		return Fork{State: "none"}
	case forks.Known:
		return Fork{"known", &ForkConfig{
			e.Activation, e.ChainID, e.ForkID, e.BlobSchedule, e.Precompiles, e.SystemContracts,
		}}
	}
	return Fork{State: "unknown"}
}

// readinessIn is what a report says of a node; nil where it isn't in there.
func readinessIn(r *node.ForkReport, n *node.Node) *Readiness {
	for i := range r.Nodes {
		if r.Nodes[i].Node == n {
			readiness := readinessOf(&r.Nodes[i], r.Next)
			return &readiness
		}
	}
	return nil
}

func readinessOf(nf *node.NodeForks, next forks.Entry) Readiness {
	r := Readiness{Trouble: nf.Trouble, Missed: nf.Missed, Differences: []Difference{}}
	if knows, known := nf.Knows(next); next.State == forks.Known && known {
		r.Ready = &knows
		if !knows {
			r.Says = forks.Instead(nf.Config.Next, next)
		}
	}
	for _, d := range nf.Differences {
		r.Differences = append(r.Differences, Difference{d.Field, d.Own, d.Others})
	}
	return r
}

// At is when the fork is, in words.
func (n *NextFork) At() string { return forks.Entry{Activation: n.ActivationTime}.Date() }

// String says which fork it is, and when.
func (n *NextFork) String() string {
	return fmt.Sprintf("%s, in %s (fork id %s)", n.At(), n.Left(), n.ForkID)
}

// Left is how long it is until the fork, in words.
func (n *NextFork) Left() string {
	for _, unit := range []struct {
		name    string
		seconds uint64
	}{{"days", 24 * 3600}, {"hours", 3600}, {"minutes", 60}} {
		if n.In >= 2*unit.seconds {
			return fmt.Sprintf("%d %s", n.In/unit.seconds, unit.name)
		}
	}
	return "less than 2 minutes"
}

// Countdown says in one line when the next fork is, and who knows it; "" where no node knows of one.
func (f *Forks) Countdown() string {
	if f.Next == nil {
		return ""
	}
	know, mute := 0, []string(nil)
	for _, n := range f.Nodes {
		switch {
		case n.Ready == nil:
			mute = append(mute, n.Node)
		case *n.Ready:
			know++
		}
	}
	nodes, knows := "nodes", "know"
	if len(f.Nodes) == 1 {
		nodes = "node"
	}
	if know == 1 {
		knows = "knows"
	}
	line := fmt.Sprintf("next fork in %s, %s (fork id %s), %d of %d %s %s it", f.Next.Left(),
		f.Next.At(), f.Next.ForkID, know, len(f.Nodes), nodes, knows)
	if len(mute) > 0 {
		line += ", " + strings.Join(mute, ", ") + " can't say"
	}
	return line
}

// Forks reports what the nodes say of their forks, in configuration order.
func (a *API) Forks() Forks {
	report, members := *a.Fleet.Pool.Forks(), a.Fleet.Pool.Nodes()
	wasRemoved := func(n node.NodeForks) bool { return !slices.Contains(members, n.Node) }
	report.Nodes = slices.DeleteFunc(slices.Clone(report.Nodes), wasRemoved)
	return ForksOf(&report, time.Now())
}

// forks shows it.
func (a *API) forks(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, a.Forks()) }
