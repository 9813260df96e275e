package overview

import (
	"fmt"
	"strings"
	"time"

	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/history"
)

// Alert is something that somebody is to be told of, as Prometheus has it by deploy/prometheus/rules.yml: its name
// (alertname), severity, labels and annotations are those. Only the description is more: what is wrong, what that
// means, and what to do, as the page has it, at the time of the alert.
type Alert struct {
	Labels, Annotations map[string]string
	For                 time.Duration // how long it has to be so before anybody is told
}

// Name is what all alerts of its kind are called.
func (a *Alert) Name() string { return a.Labels["alertname"] }

// rule is what alerts of one kind have in common.
type rule struct {
	severity string
	wait     time.Duration
	summary  string
}

const (
	critical = "critical"
	warning  = "warning"
)

// rules are the alerts that we tell of ourselves, by name without the prefix. A test holds them to
// deploy/prometheus/rules.yml, but that a node may be dead for longer here: one that is restarted is no news.
var rules = map[string]rule{
	"Dispute": {critical, 0, "Nodes behind {{ $labels.instance }} disagree about a block: unless --on-dispute lets " +
		"it go on, the consensus client doesn't attest to it."},
	"ForkDispute": {critical, 0, "Nodes behind {{ $labels.instance }} disagree about a block, and about the rules " +
		"of the present fork: don't outvote anybody before you know who is right."},
	"LateObjection": {warning, 0, "A node behind {{ $labels.instance }} calls a block INVALID after the consensus " +
		"client had another answer, or a payload that has been proposed; or a backup does, which has no vote."},
	"ProposalDispute": {warning, 0, "A node behind {{ $labels.instance }} called another's payload INVALID before " +
		"it was proposed: the next best was taken, if there was one."},
	"InvalidIsLast": {critical, time.Minute, "The consensus client of {{ $labels.instance }} has heard INVALID " +
		"within the last hour, and no VALID now: its validators are on a fork, or stand still."},
	"NoVoter": {critical, 30 * time.Second, "No node behind {{ $labels.instance }} is alive and may vote."},
	"NoVoterInTime": {critical, 2 * time.Minute, "All nodes behind {{ $labels.instance }} that vote hang, or are " +
		"late: the consensus client hears SYNCING, or VALID too late."},
	"OneVoterLeft": {warning, 2 * time.Minute, "Only one node behind {{ $labels.instance }} votes: nothing protects " +
		"from its errors."},
	"NodeDead": {warning, 5 * time.Minute, "{{ $labels.node }} behind {{ $labels.instance }} can't be reached, " +
		"refuses our token, is on the wrong chain, or missed a fork and is shut out (--fork-mismatch=exclude)."},
	"PoorProposal": {critical, 0, "{{ $labels.instance }} had no good payload for a proposal " +
		"({{ $labels.outcome }})."},
	"ForkConfigDiffers": {critical, 5 * time.Minute, "{{ $labels.node }} behind {{ $labels.instance }} judges " +
		"blocks by another fork configuration than most others."},
	"ForkInAWeek":  {warning, 15 * time.Minute, notReady},
	"ForkInADay":   {critical, 5 * time.Minute, notReady},
	"ForkInAnHour": {critical, 0, notReady},
	"StateNotKept": {warning, time.Minute, "{{ $labels.instance }} can't write to its --state-dir: its restart would " +
		"end disputes, and forget drains."},
	"SharedStateDegraded": {warning, time.Minute, "{{ $labels.instance }} shares nothing with the other instance of " +
		"its pair: Redis is gone, slow, full, or was flushed."},
	"SplitActive": {critical, 0, "Consensus clients talk to {{ $labels.instance }} and to another instance of its " +
		"pair in turn: nodes may get old forkchoices after newer ones."},
}

const (
	notReady = "{{ $labels.node }} behind {{ $labels.instance }} isn't ready for the fork in " + forkLeft + "."
	forkLeft = "{{ $value | humanizeDuration }}"

	alertPrefix = "ExecutionBackup"
	runbook     = "https://github.com/TennisBowling/executionbackup/blob/HEAD/docs/operations.md#"

	// stillNews is how long an event that is over when it is seen, such as a proposal, makes an alert.
	stillNews = time.Minute
	// maxDescription bounds what is told of one alert, in bytes. Nodes' words are in it.
	maxDescription = 4 << 10
)

// alerts are those that are put together for an instance.
type alerts struct {
	State
	instance string
	list     []Alert
}

// Alerts are what somebody is to be told of now; instance names us in them. It is pure. Where one node alone answers,
// what would have been said is no alert.
func Alerts(s State, instance string) []Alert {
	a := &alerts{State: s, instance: instance}
	inChain := a.disputes()
	if invalid, _ := s.invalid(); invalid.text != "" && !inChain && s.Mode != config.Shadow {
		a.add("InvalidIsLast", invalid)
	}
	a.voters()
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.State == "dead" && !n.Drained {
			a.add("NodeDead", finding{text: n.Name + " " + s.trouble(n), do: look()}, "node", n.Name, "state", "dead")
		}
	}
	a.proposals()
	a.forkReadiness(inChain)
	for _, kept := range []struct{ name, reason string }{
		{"StateNotKept", s.Kept.File}, {"SharedStateDegraded", s.Kept.Shared}, {"SplitActive", s.Kept.Split},
	} {
		if kept.reason != "" {
			a.add(kept.name, finding{text: kept.reason})
		}
	}
	return a.list
}

// add adds an alert with what is to be said of it. Labels are names and values in turn.
func (a *alerts) add(name string, f finding, labels ...string) {
	r := rules[name]
	alert := Alert{
		Labels: map[string]string{
			"alertname": alertPrefix + name, "severity": r.severity, "job": "executionbackup", "instance": a.instance,
		},
		Annotations: map[string]string{
			"summary": r.summary, "runbook_url": runbook + strings.ToLower(name), "description": a.describe(f),
		},
		For: r.wait,
	}
	for i := 0; i < len(labels); i += 2 {
		alert.Labels[labels[i]] = labels[i+1]
	}
	left := ""
	if a.Forks.Next != nil {
		left = a.Forks.Next.Left()
	}
	alert.Annotations["summary"] = strings.NewReplacer(
		"{{ $labels.instance }}", a.instance, "{{ $labels.node }}", alert.Labels["node"],
		"{{ $labels.outcome }}", alert.Labels["outcome"], forkLeft, left,
	).Replace(r.summary)
	a.list = append(a.list, alert)
}

// describe puts a finding into lines. Commands are without the paths and URLs that Flags would add: they may go to
// somebody else's machine. Who is to paste them is told that.
func (a *alerts) describe(f finding) string {
	if f.text == "" {
		return ""
	}
	lines := []string{a.sentence(f.text)}
	if !f.since.IsZero() {
		lines[0] += ", since " + f.since.UTC().Format("2006-01-02 15:04:05 MST")
	}
	if f.meaning != "" {
		lines = append(lines, f.meaning)
	}
	commands := false
	for _, step := range f.do {
		lines = append(lines, strings.TrimSpace("- "+step.Text+" "+step.Command))
		commands = commands || step.Command != ""
	}
	if commands {
		lines = append(lines, "Commands are for its machine, and its settings: add its --config, or its flags.")
	}
	for i := range lines { // a receiver may be a terminal, and words in them are of nodes
		lines[i] = engine.Printable(strings.ToValidUTF8(lines[i], "�"))
	}
	text := strings.Join(lines, "\n")
	if len(text) > maxDescription {
		text = strings.ToValidUTF8(text[:maxDescription], "") + "…"
	}
	return text
}

// disputes tells of the last dispute of each kind that stands, or that was there just now: blocks may follow each other
// faster than anybody looks. It reports whether there is one about a block of the chain.
func (a *alerts) disputes() (inChain bool) {
	if a.isOfOne() {
		return false
	}
	last := make(map[history.Kind]*history.Dispute)
	for i := range a.Disputes {
		if d := &a.Disputes[i]; !wasShadow(d) && (d.Standing || a.Now.Sub(d.Last) < stillNews) {
			last[d.Kind] = d
		}
	}
	if d := last[history.OfTheChain]; d != nil {
		name := "Dispute"
		if _, fields := a.presentDifferences(); len(fields) > 0 {
			name = "ForkDispute"
		}
		a.add(name, a.tell(d))
	}
	if d := last[history.LateObjection]; d != nil {
		a.add("LateObjection", a.tell(d))
	}
	if d := last[history.BeforeProposal]; d != nil {
		a.add("ProposalDispute", a.tell(d), "method", "GetPayload")
	}
	return last[history.OfTheChain] != nil
}

// voters tells that nobody votes, or nobody in time, or only one of several, and what is the matter with each node.
func (a *alerts) voters() {
	e, f := a.electorate(), a.votes()
	for _, note := range a.nodeNotes() {
		f.do = append(f.do, Step{Text: note})
	}
	if a.isOfOne() {
		f = finding{} // what the consensus client hears doesn't depend on it
	}
	switch {
	case e.alive == 0 && e.unknown == 0:
		a.add("NoVoter", f)
	case e.alive > 0 && e.prompt == 0:
		a.add("NoVoterInTime", f)
	case e.alive == 1 && e.may > 1:
		a.add("OneVoterLeft", f)
	}
}

// proposals tells of those that were poor, one for each way of being that.
func (a *alerts) proposals() {
	last := make(map[string]*history.Proposal)
	for i := range a.Proposals {
		p := &a.Proposals[i]
		if !p.Shadow && a.Now.Sub(p.Time) < stillNews {
			last[p.Outcome] = p
		}
	}
	for _, outcome := range []string{"wrong_fee_recipient", "doubtful", "none"} {
		p := last[outcome]
		if p == nil {
			continue
		}
		f := finding{text: "no node had a payload to propose", since: p.Time}
		if p.Node != "" {
			f.text = fmt.Sprintf("block %d was proposed with the payload of %s", p.Number, p.Node)
		}
		for _, o := range p.Offers {
			f.do = append(f.do, Step{Text: o.Node + ": " + o.Fate})
		}
		a.add("PoorProposal", f, "outcome", outcome)
	}
}

// forkReadiness tells of each node whose fork configuration differs from most others', or that isn't ready for the
// next fork. While there is a dispute, that is ForkDispute.
func (a *alerts) forkReadiness(inChain bool) {
	if names, _ := a.presentDifferences(); !inChain {
		for _, name := range names {
			a.add("ForkConfigDiffers", a.forks(), "node", name)
		}
	}
	next := a.Forks.Next
	if next == nil {
		return
	}
	name := ""
	switch {
	case next.In <= 3600:
		name = "ForkInAnHour"
	case next.In <= badBefore:
		name = "ForkInADay"
	case next.In <= warnBefore:
		name = "ForkInAWeek"
	default:
		return
	}
	for _, n := range a.unready() {
		a.add(name, finding{
			text: fmt.Sprintf("%s isn't ready for the fork in %s: %s", n.Name, next.Left(), n.Forks.Says),
			do:   upgrade(n.Name),
		}, "node", n.Name)
	}
}
