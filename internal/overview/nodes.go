package overview

import (
	"fmt"
	"slices"
	"time"

	"executionbackup/internal/admin"
	"executionbackup/internal/fleet"
	"executionbackup/internal/history"
)

// electorate counts the nodes that may vote, without the backups that rest.
type electorate struct {
	may, alive, prompt, unknown, reachable, backups int

	objects bool
	changed time.Time // when the last of those that aren't alive came to be so
}

// mayVote reports whether nothing but its state keeps a node from voting.
func mayVote(n *admin.Node) bool { return !n.DoNotUse && !n.Drained }

// electorate counts those that may vote.
func (s State) electorate() (e electorate) {
	for i := range s.Nodes {
		n := &s.Nodes[i]
		switch {
		case !mayVote(n):
			continue
		case n.Backup && !n.Votes:
			e.backups++
			continue
		}
		e.may++
		e.objects = e.objects || n.Objections > 0
		if n.State == "alive" {
			e.alive++
		} else if n.Since.After(e.changed) {
			e.changed = n.Since
		}
		if n.State == "alive" && !n.Laggard {
			e.prompt++
		}
		if n.State == "unknown" {
			e.unknown++
		}
		if n.State != "dead" {
			e.reachable++
		}
	}
	return e
}

// count returns how many nodes may vote, and how many do in time.
func (s State) count() (voters, voting int) {
	e := s.electorate()
	return e.may, e.prompt
}

// look is what to do about nodes that don't answer.
func look() []Step {
	return []Step{{"See what keeps the nodes from answering, and start or repair them:", "executionbackup check"}}
}

// votes tells how many of the nodes that may vote do. Who is late has a vote, and mostly it is over by then.
func (s State) votes() (f finding) {
	e := s.electorate()
	switch {
	case e.alive == 0 && e.unknown > 0:
		return finding{level: Warn, text: "nodes are being probed for the first time"}
	case e.may == 0:
		return finding{
			level: Bad, text: "no node may vote: all are drained or set aside", do: s.undrain(),
			meaning: "The consensus client hears SYNCING: its validators neither attest nor propose.",
		}
	case e.reachable == 0:
		return finding{
			level: Bad, text: "no node can be reached: the consensus client hears SYNCING", since: e.changed,
			do: look(), meaning: "Validators neither attest nor propose until one is back.",
		}
	case e.alive == 0:
		return finding{
			level: Bad, since: e.changed,
			text: fmt.Sprintf("no node is synced: the %s that can be reached %s",
				count(e.reachable, "node"), verb(e.reachable, "votes", "vote")),
			meaning: "The consensus client hears SYNCING: validators neither attest nor propose until one is synced.",
			do:      []Step{{Text: "Wait until a node is synced, or add one that is (executionbackup nodes add)."}},
		}
	case e.prompt == 0:
		return s.late(e)
	case len(s.Nodes) == 1:
		return finding{level: Good, text: "the only node answers, and nothing checks it"}
	case e.alive < e.may && e.alive == 1:
		return finding{
			level: Bad, since: e.changed, do: look(),
			text:    fmt.Sprintf("only 1 of %d nodes votes: nothing checks it", e.may),
			meaning: "Validators go on, and attest to whatever that node calls VALID.",
		}
	}
	if e.alive < e.may || e.prompt < e.alive || e.objects {
		f.level = Warn
	} else {
		f.level = Good
	}
	f.text = fmt.Sprintf("%d of %s %s", e.prompt, count(e.may, "node"), verb(e.prompt, "votes", "vote"))
	if late := e.alive - e.prompt; late > 0 {
		f.text += fmt.Sprintf(", %d %s late", late, verb(late, "is", "are"))
	}
	if e.backups > 0 {
		f.text += ", " + count(e.backups, "backup")
	}
	return f
}

// late tells that no node answers in time, and what the consensus client heard last.
func (s State) late(e electorate) finding {
	f := finding{
		level: Bad, text: fmt.Sprintf("none of %s answers in time", count(e.may, "node")), do: look(),
		meaning: "Validators attest late or not at all, and may miss proposals, until one does.",
	}
	if len(s.Nodes) == 1 {
		f.text = "the only node doesn't answer in time"
	}
	heard := ""
	for _, b := range s.Blocks {
		if b.Told() != "" {
			heard = b.Told()
		}
	}
	switch heard {
	case "", "VALID":
		return f
	case "error":
		heard = "an error"
	}
	f.text += ": the consensus client hears " + heard
	f.meaning = "Validators neither attest nor propose until one does."
	return f
}

// undrain is what to do where all nodes are drained.
func (s State) undrain() (steps []Step) {
	for _, n := range s.Nodes {
		if n.Drained {
			steps = append(steps, Step{"Let one vote again:", fleet.UndrainCommand(n.Name)})
		}
	}
	return steps
}

// nodeNotes say what is the matter with each node, in their order.
func (s State) nodeNotes() (notes []string) {
	for i := range s.Nodes {
		if note := s.trouble(&s.Nodes[i]); note != "" {
			notes = append(notes, s.Nodes[i].Name+" "+note)
		}
	}
	return notes
}

// trouble says what is the matter with a node, and since when; "" where it is well.
func (s State) trouble(n *admin.Node) string {
	since := ""
	if !n.Since.IsZero() {
		since = " for " + age(s.Now.Sub(n.Since))
	}
	var words []string
	switch {
	case n.State == "dead":
		words = append(words, "has been dead"+since+" ("+n.Reason+")")
	case n.State == "syncing":
		words = append(words, "has been syncing"+since)
	case n.Laggard:
		words = append(words, "is late: nobody waits for it")
	}
	if n.Objections > 0 {
		words = append(words, fmt.Sprintf("objects to %s", count(n.Objections, "block")))
	}
	if s.ignored(n) {
		words = append(words, "calls the last block INVALID, which doesn't count: started, and not yet seen to follow")
	}
	if n.Drained {
		words = append(words, "is drained")
	}
	return join(words, " and ")
}

// ignored reports whether a node that may vote calls the last block INVALID, and that doesn't count.
func (s State) ignored(n *admin.Node) bool {
	if len(s.Blocks) == 0 || len(s.Nodes) == 1 || s.isOfOne() || n.State != "alive" || n.Backup || !mayVote(n) {
		return false
	}
	return slices.ContainsFunc(s.Blocks[len(s.Blocks)-1].Votes, func(v history.Vote) bool {
		return v.Node == n.Name && v.Status == "INVALID" && v.Vote != "INVALID"
	})
}
