package node

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"executionbackup/internal/forks"
)

// What the log tells of forks.

// forkMarks are how long before a fork the log tells who knows of it.
var forkMarks = []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour}

// sayForks logs what is new in a report. p.forking is held.
func (p *Pool) sayForks(r *ForkReport) {
	if slices.ContainsFunc(r.Nodes, func(nf NodeForks) bool { return nf.pending }) {
		return // who differs from most is seen when all have been asked
	}
	for i := range r.Nodes {
		p.sayDifferences(&r.Nodes[i])
	}
	if r.Next.State != forks.Known {
		return
	}
	left := r.Next.Until(r.At)
	if r.Next.Activation != p.announced.fork {
		p.announced.fork, p.announced.left = r.Next.Activation, 1<<63-1
	}
	for _, mark := range slices.Backward(forkMarks) {
		if left <= mark && mark < p.announced.left {
			p.announced.left = mark
			p.announce(r, left)
			return
		}
	}
}

// announced says which fork was announced last, and how long before it at the most.
type announced struct {
	fork uint64
	left time.Duration
}

// announce tells of the next fork, and what each node says of it.
func (p *Pool) announce(r *ForkReport, left time.Duration) {
	level := slog.LevelInfo
	var said Sayings
	for i := range r.Nodes {
		nf := &r.Nodes[i]
		knows, known := nf.Knows(r.Next)
		word := "ready"
		switch {
		case !known:
			word = "unknown: " + cmp.Or(nf.Trouble, "it hasn't told its forks")
		case !knows:
			word, level = "NOT READY: "+forks.Instead(nf.Config.Next, r.Next), slog.LevelError
		}
		said = append(said, Said{nf.Node.Name(), cmp.Or(nf.Client, "unknown client") + ": " + word})
	}
	p.Log.Log(context.Background(), level, "a fork is near", "fork_id", r.Next.ForkID, "at", r.Next.Date(),
		"in", left.Round(time.Minute), "said", said)
}

// sayDifferences logs how a node's forks differ from the others', once per change.
func (p *Pool) sayDifferences(nf *NodeForks) {
	n := nf.Node
	if nf.Config == (forks.Config{}) {
		return // nothing is known of it
	}
	var fields, words []string
	for _, d := range nf.Differences {
		fields = append(fields, d.Field)
		words = append(words, inWords(d))
	}
	n.mu.Lock()
	was := n.differed
	c := &nf.Config
	n.differed = difference{strings.Join(fields, " "), c.Current, c.Next, c.Last}
	if len(fields) == 0 {
		n.differed = difference{}
	}
	is := n.differed
	n.mu.Unlock()
	log := n.setup.Load().log
	switch {
	case is == was:
	case is.fields != "":
		log.Error("a node's fork configuration differs from that of the others", "client", nf.Client,
			"difference", strings.Join(words, ". "))
	default:
		log.Info("the node's fork configuration differs no longer", "client", nf.Client)
	}
}

// inWords says what a difference is.
func inWords(d forks.Difference) string { return d.Field + ": " + d.Own + ", the others: " + d.Others }

// difference is how a node's forks differed last; the zero value where they don't.
type difference struct {
	fields              string
	current, next, last forks.Entry
}
