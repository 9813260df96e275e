package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"executionbackup/internal/forks"
)

// ForkReport is what the nodes said of their forks, as it holds at a time.
type ForkReport struct {
	At    time.Time
	Nodes []NodeForks // in configuration order
	Next  forks.Entry // the earliest that any node knows of; Known where there is one
}

// NodeForks is what one node said of its forks.
type NodeForks struct {
	Node        *Node
	Client      string // its name and version; "" where they aren't known
	Config      forks.Config
	Read        time.Time // when it said so last; zero where it hasn't
	Trouble     string    // why something of it isn't known; "" where all is
	Differences []forks.Difference
	Missed      bool // it missed a fork that most implementations have, and is shut out for that

	foreign bool   // it is on another chain, and not compared
	pending bool   // it can be reached, and hasn't been asked yet
	still   string // why it was shut out, where it has told no other forks since; "" where it wasn't
}

// Knows reports whether a node knows of the next fork: whether it can say, and says the same of it. Where its next one
// isn't known it may still be its last. One that is on another chain can't say.
func (nf *NodeForks) Knows(fork forks.Entry) (knows, known bool) {
	next, last := nf.Config.Next, nf.Config.Last
	knows = next == fork || next.State == forks.Unknown && last == fork
	return knows, (knows || next.State != forks.Unknown) && !nf.foreign
}

// Present says how a node's present configuration differs from that of most others; "" where it doesn't.
func (r *ForkReport) Present(n *Node) string {
	var words []string
	for i := range r.Nodes {
		if r.Nodes[i].Node != n {
			continue
		}
		for _, d := range r.Nodes[i].Differences {
			if strings.HasPrefix(d.Field, "current") {
				words = append(words, inWords(d))
			}
		}
	}
	return strings.Join(words, ", ")
}

// differsIn reports whether a node differs from most others in a field.
func (nf *NodeForks) differsIn(field string) bool {
	return slices.ContainsFunc(nf.Differences, func(d forks.Difference) bool { return d.Field == field })
}

// missedReason says why a node that missed a fork is shut out.
func (r *ForkReport) missedReason(nf *NodeForks) string {
	own := nf.Config.Current
	var missed forks.Entry // the first later one that others are at
	for i := range r.Nodes {
		other := r.Nodes[i].Config.Current
		if !r.Nodes[i].foreign && other.Activation > own.Activation &&
			(missed.State != forks.Known || other.Activation < missed.Activation) {
			missed = other
		}
	}
	return fmt.Sprintf("it missed a fork that most implementations have, of %s (fork id %s): its present one is of %s "+
		"(fork id %s); --fork-mismatch=exclude shuts it out",
		missed.Date(), missed.ForkID, own.Date(), own.ForkID)
}
