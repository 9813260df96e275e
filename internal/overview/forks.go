package overview

import (
	"fmt"
	"slices"
	"strings"

	"executionbackup/internal/admin"
	"executionbackup/internal/fleet"
)

// How long before a fork a node that isn't ready for it is the headline, in seconds.
const (
	warnBefore = 7 * 24 * 3600
	badBefore  = 24 * 3600
)

// forks tells which of the nodes that may vote have another present configuration, or aren't ready for the next fork;
// "" where all is well, or it is a while until then.
func (s State) forks() (f finding) {
	if names, fields := s.presentDifferences(); len(names) > 0 {
		f = finding{level: Bad, meaning: "They don't agree on the rules of blocks: it ends in a dispute, or has."}
		f.text = fmt.Sprintf("the present fork %s of %s %s: %s", verb(len(names), "configuration", "configurations"),
			join(names, " and "), verb(len(names), "differs", "differ"), join(fields, ", "))
		f.do = []Step{{"Compare what each node says of its forks:", "executionbackup check --fork"}}
		return f
	}
	var late []string
	says := ""
	for _, n := range s.unready() {
		late = append(late, n.Name)
		says = ": " + n.Forks.Says
	}
	next := s.Forks.Next
	if len(late) == 0 || next == nil || next.In > warnBefore {
		return f
	}
	if len(late) > 1 {
		says = "" // the notes have it
	}
	f.level = Warn
	if next.In <= badBefore {
		f.level = Bad
	}
	f.text = fmt.Sprintf("%s %s ready for the fork in %s%s", join(late, " and "),
		verb(len(late), "isn't", "aren't"), next.Left(), says)
	f.meaning = "From the fork on " + verb(len(late), "it follows", "they follow") + " another chain, or none."
	f.do = upgrade(late...)
	return f
}

// unready are the nodes that may vote and aren't ready for the next fork.
func (s State) unready() (nodes []*admin.Node) {
	for i := range s.Nodes {
		if n := &s.Nodes[i]; mayVote(n) && n.Forks != nil && n.Forks.Ready != nil && !*n.Forks.Ready {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// upgrade is what to do about them.
func upgrade(names ...string) []Step {
	return []Step{{"Upgrade before the fork, or set aside until that is done:", fleet.DrainCommand(names...)}}
}

// presentDifferences are the nodes that may vote whose present configuration differs, and the fields in which it does.
func (s State) presentDifferences() (names, fields []string) {
	for _, n := range s.Nodes {
		if n.Forks == nil || !mayVote(&n) {
			continue
		}
		for _, d := range n.Forks.Differences {
			entry, field, _ := strings.Cut(d.Field, ".")
			if entry != "current" {
				continue
			}
			if !slices.Contains(names, n.Name) {
				names = append(names, n.Name)
			}
			if !slices.Contains(fields, field) {
				fields = append(fields, field)
			}
		}
	}
	return names, fields
}

// forkNotes tell of each node how its forks differ from the others'.
func (s State) forkNotes() (notes []string) {
	for _, n := range s.Nodes {
		if n.Forks == nil {
			continue
		}
		for _, d := range n.Forks.Differences {
			notes = append(notes, n.Name+"'s "+d.String())
		}
		if n.Forks.Says != "" && len(n.Forks.Differences) == 0 { // most others say as it does
			notes = append(notes, n.Name+" isn't ready for the next fork: "+n.Forks.Says)
		}
	}
	return notes
}
