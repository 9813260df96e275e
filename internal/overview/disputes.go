package overview

import (
	"fmt"
	"slices"

	"executionbackup/internal/config"
	"executionbackup/internal/fleet"
	"executionbackup/internal/history"
)

// standing returns the dispute to tell of, of those that weren't over when the last payload was judged: one about a
// block of the chain before others, then the last one; nil where there is none.
func (s State) standing() (worst *history.Dispute) {
	for i := range s.Disputes {
		d := &s.Disputes[i]
		if !d.Standing {
			continue
		}
		if worst == nil || d.Kind.Compare(worst.Kind) < 0 || d.Kind == worst.Kind && d.Last.After(worst.Last) {
			worst = d
		}
	}
	return worst
}

// dispute tells of the dispute that goes on, if any.
func (s State) dispute() finding { return s.tell(s.standing()) }

// tell tells of a dispute: who objects to what, what the consensus client hears, and what to do.
func (s State) tell(d *history.Dispute) (f finding) {
	if d == nil || s.Mode == config.Off || s.Mode == config.Shadow && !wasShadow(d) { // what was said before is over
		return f
	}
	who := fmt.Sprintf("%s %s block %d INVALID",
		join(d.Objectors, " and "), verb(len(d.Objectors), "calls", "call"), d.Number)
	switch d.Kind {
	case history.BeforeProposal:
		f = finding{level: Warn, text: "dispute: " + who + " before it was proposed"}
		f.meaning = "Another payload was proposed, if there was one. Validators go on, but a node that is wrong can " +
			"make worse payloads be proposed, its own among them."
		switch {
		case wasShadow(d):
			f.meaning = "In mode shadow nothing follows from that."
		case d.Late && !d.Dispute:
			f.text = "late objection: " + who + " after it was proposed"
			f.meaning = "Other clients may not attest to this validator's block."
		}
	case history.LateObjection:
		f = finding{level: Warn, text: "late objection: " + who + " after the consensus client heard " + d.Heard}
		f.meaning = "Validators go on. With the next block it may become a dispute."
	default:
		f = finding{level: Bad, text: "dispute: " + who + ", the consensus client hears " + d.Heard}
		switch {
		case wasShadow(d):
			f.level = Warn
			f.text = "dispute: " + who + ", the consensus client would have heard " + d.Would
			if d.Heard != "" {
				f.text += ", and heard " + d.Heard
			}
			f.meaning = "Objections stand, also in mode active: find out who is right."
		case d.Heard == "VALID":
			f.level = Warn
			f.meaning = "Validators go on, as --on-dispute=" + s.Policy.OnDispute + " has it: they attest to the block."
		case d.Heard == "INVALID":
			f.meaning = forGood
		default:
			f.meaning = "Validators don't attest to the block or to what is built on it, and don't propose, until " +
				"this is over."
		}
	}
	f.since, f.do = d.Time, s.evidence()
	if d.Kind != history.BeforeProposal {
		f.do = append(f.do, s.settle(d.Objectors)...)
	}
	if _, fields := s.presentDifferences(); len(fields) > 0 {
		f.text += ", and the nodes' fork configurations differ: " + join(fields, ", ")
	}
	f.notes = []string{fmt.Sprintf("it began %s ago, %s so far", age(s.Now.Sub(d.Time)), count(d.Calls, "call"))}
	if d.Why != "" {
		f.notes = append(f.notes, fmt.Sprintf("decided by the rule %s: %s", d.Rule, d.Why))
	}
	return f
}

// wasShadow reports whether a dispute's last call came in mode shadow.
func wasShadow(d *history.Dispute) bool {
	return d.Would != "" || d.Kind == history.BeforeProposal && d.Shadow
}

// evidence is where to look first, where it is kept.
func (s State) evidence() []Step {
	if !s.Evidence {
		return nil
	}
	return []Step{{"See what each node says, and why:", "executionbackup evidence show last"}}
}

// settle is what to do about objections: set aside who is wrong.
func (s State) settle(objectors []string) (steps []Step) {
	if len(objectors) == 0 {
		return nil
	}
	are, object := verb(len(objectors), "is", "are"), verb(len(objectors), "objects", "object")
	who := join(objectors, " and ")
	var others []string
	for i := range s.Nodes {
		if n := &s.Nodes[i]; mayVote(n) && !slices.Contains(objectors, n.Name) {
			others = append(others, n.Name)
		}
	}
	if len(others) > 0 { // the last one can't be set aside
		steps = append(steps, Step{
			fmt.Sprintf("Where %s %s wrong (the network builds on the block), set %s aside:",
				who, are, verb(len(objectors), "it", "them")),
			fleet.DrainCommand(objectors...),
		})
		if s.isOfOne() { // whatever is set aside, that one answers
			steps = append(steps, Step{Text: fmt.Sprintf("Where %s %s right, let %s answer: make it shadow_node in "+
				"the configuration, and reload.", who, are, objectors[0])})
		} else {
			steps = append(steps, Step{
				fmt.Sprintf("Where %s %s right, set the others aside:", who, are), fleet.DrainCommand(others...),
			})
		}
	}
	return append(steps, Step{
		fmt.Sprintf("Where %s no longer %s, end what is left of it:", who, object),
		fleet.ClearCommand(objectors...),
	})
}

// endObjections is how the objections end of those nodes that haven't been told of.
func (s State) endObjections(told []string) (steps []Step) {
	if s.Mode == config.Off {
		return nil
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Objections == 0 || n.State != "alive" || n.Drained || slices.Contains(told, n.Name) {
			continue
		}
		steps = append(steps, Step{"The objection of " + n.Name + " ends when it says VALID to the block or to a new " +
			"payload on top of it, or by:", fleet.ClearCommand(n.Name)})
	}
	return steps
}
