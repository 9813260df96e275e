// Package overview tells in a few lines how ExecutionBackup is: what is wrong, since when, what that means, and what to
// do about it. The page, GET /status and `executionbackup status` all show the same, which is made here once.
//
//	Of           the headline, and what belongs to it   overview.go
//	mode         one node alone answers                 mode.go
//	votes        who votes, and who can't               nodes.go
//	invalid      what the CL has heard INVALID about    invalid.go
//	dispute      what nodes disagree about              disputes.go
//	forks        who isn't ready for the next one       forks.go
//	Alerts       what somebody is to be told of         alerts.go
//	Source       where a State comes from               source.go
package overview

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"executionbackup/internal/admin"
	"executionbackup/internal/config"
	"executionbackup/internal/fleet"
	"executionbackup/internal/history"
)

// Level is how things are as a whole.
type Level string

// The levels. Bad is what "something is wrong" means wherever that is asked: the page is red, and
// `executionbackup status` ends with 1. It says that validators don't attest, or that nothing checks what they attest
// to: no node is synced, can be reached or answers in time; one of several is left; INVALID is the last word that the
// consensus client has of a payload; it hears no VALID in a dispute about a block of its chain; the nodes' fork
// configurations differ, or one isn't ready for a fork of the next 24 hours. What is worth a look, but costs nothing
// yet, is Warn: so are the modes shadow and off, which somebody chose, and what the consensus client would have heard.
const (
	Good Level = "good"
	Warn Level = "warn"
	Bad  Level = "bad"
)

// levels has them in order, the best first.
var levels = []Level{Good, Warn, Bad}

// Overview is how ExecutionBackup is, for people.
type Overview struct {
	Level    Level     `json:"level"`
	Headline string    `json:"headline"`
	Since    time.Time `json:"since,omitzero"` // since when that is so; zero where it is no news, or isn't known
	Meaning  string    `json:"meaning"`        // what it means for the validators; "" where that is plain
	Do       []Step    `json:"do"`             // what to do about it, in order; not nil
	Notes    []string  `json:"notes"`          // what else there is, node by node; not nil
	Fork     string    `json:"fork"`           // when the next fork is, and who knows it; "" where none is known
	Voters   int       `json:"voters"`         // the nodes that may vote, without backups at rest
	Voting   int       `json:"voting"`         // those of them that are alive and in time
	Instance
}

// Step is something to do.
type Step struct {
	Text    string `json:"text"`
	Command string `json:"command,omitempty"` // to paste into a shell
}

// Instance is which ExecutionBackup this is.
type Instance struct {
	Name    string    `json:"instance"` // the host's
	Network string    `json:"network"`  // that of most nodes; "" until one has told
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Policy  Policy    `json:"policy"`
	admin.ModeReport
}

// Policy is how votes become verdicts, in the words of the settings.
type Policy struct {
	OnDispute string `json:"on_dispute"`
	Threshold string `json:"threshold"`
	VoteBy    string `json:"vote_by"`
	MinValid  int    `json:"min_valid"`
}

// State is what an overview is made of.
type State struct {
	Instance
	Now      time.Time
	Nodes    []admin.Node
	Blocks   []history.Record  // oldest first
	Disputes []history.Dispute // oldest first
	// Proposals are the last ones, oldest first. Overviews don't tell of them, alerts do.
	Proposals []history.Proposal
	Forks     admin.Forks
	Kept      fleet.Degraded // what is the matter with what should outlive us
	Evidence  bool           // disputes are written down
	Reload    string         // why the last reload failed; "" where it didn't
	Untold    bool           // alerts don't reach --webhook-url
	Refused   Refusals       // of consensus clients' requests
	// Decisions count the calls in mode shadow, in some order.
	Decisions []fleet.ShadowDecision
	Flags     Flags
}

// Refusals are requests that were refused for their token, since the start.
type Refusals struct {
	Count        uint64
	Time         time.Time // of the last one; zero where there was none
	From, Reason string    // likewise: whose address it came from, and why
}

// Flags are what commands need to find this ExecutionBackup from its own machine, beside those in Step.
type Flags struct {
	Remote, Check, Evidence string // of commands that ask it, of check, and of those that read evidence
	NoToken                 bool   // there is no admin token, so that nothing can be changed
}

const (
	quietAfter = time.Minute     // a consensus client sends a payload every 12 seconds, if no slots are missed
	slowAfter  = 2 * time.Second // attestations are due 4 s into a slot
	freshAfter = time.Hour       // how long the last dispute is news
)

// finding is one thing there is to say: of those that are there, the first is the headline.
type finding struct {
	level   Level
	text    string // "" says that there is nothing to say
	since   time.Time
	meaning string
	do      []Step
	notes   []string
}

// Of tells how things are: that one node alone answers, else that INVALID is the last word, else a dispute that goes
// on, else whether the consensus client can rely on us, and hears VALID, else what is the matter with the nodes' forks,
// else that the consensus client is silent; and where there is nothing of that, how fast we are and for how long nodes
// have agreed. It is pure.
func Of(s State) Overview {
	votes, dispute, fork, silence := s.votes(), s.dispute(), s.forks(), s.silence()
	invalid, told := s.invalid()
	unheard, mode := s.unheard(), finding{}
	if s.isOfOne() {
		votes, mode = s.wouldVote(), s.mode(invalid, s.alone(), unheard)
	}
	paceLevel, pace := s.speed()
	peaceLevel, peace := s.agreement()
	o := Overview{Level: votes.level, Fork: s.Forks.Countdown(), Instance: s.Instance, Do: []Step{}, Notes: []string{}}
	o.Voters, o.Voting = s.count()
	for _, f := range []finding{
		mode, invalid, unheard, dispute, silence, fork, {level: paceLevel}, {level: peaceLevel},
	} {
		o.raise(f.level)
	}
	if s.Kept != (fleet.Degraded{}) || s.Reload != "" || s.Untold {
		o.raise(Warn)
	}
	var head finding
	var first []string // notes: what would be the headline, were there nothing worse
	switch line := join([]string{votes.text, pace, peace}, ", "); {
	case mode.text != "":
		head = mode
		head.do = s.settleFirst(mode, dispute)
		first = slices.Concat(mode.notes, []string{dispute.text, dispute.meaning}, dispute.notes,
			[]string{fork.text, silence.text, line})
	case invalid.text != "":
		head = invalid
		first = append(invalid.notes, dispute.text, fork.text, silence.text, join([]string{votes.text, pace}, ", "))
	case dispute.text != "" && (dispute.level == Bad || votes.level != Bad):
		head, first = dispute, append(dispute.notes, fork.text, silence.text, join([]string{votes.text, pace}, ", "))
	case votes.level == Bad:
		head, first = votes, []string{dispute.text, fork.text, silence.text, join([]string{pace, peace}, ", ")}
	case unheard.text != "":
		head = unheard
		first = []string{dispute.text, fork.text, silence.text, join([]string{votes.text, pace}, ", ")}
	case fork.text != "":
		head, first = fork, []string{silence.text, line}
	case silence.text != "":
		head, first = silence, []string{join([]string{votes.text, peace}, ", ")}
	default:
		head = votes
		head.text = line
	}
	o.Headline, o.Since, o.Meaning = s.sentence(head.text), head.since, head.meaning
	o.Do = append(o.Do, head.do...)
	if d := s.standing(); d != nil {
		told = append(told, d.Objectors...)
	}
	for _, step := range slices.Concat(votes.do, s.endObjections(told)) {
		if !slices.Contains(o.Do, step) {
			o.Do = append(o.Do, step)
		}
	}
	if s.Reload != "" {
		first = append(first, "the configuration is no good, and an older one stays in force: "+s.Reload)
	}
	if s.Untold {
		first = append(first, "alerts don't reach --webhook-url: the log says why")
	}
	o.Do = s.Flags.addTo(o.Do)
	for _, note := range slices.Concat(first, s.Kept.Words(), s.nodeNotes(), s.forkNotes()) {
		if note != "" {
			o.Notes = append(o.Notes, note)
		}
	}
	return o
}

// sentence begins with a capital letter, unless it begins with a node's name.
func (s State) sentence(text string) string {
	isName := func(n admin.Node) bool { return strings.HasPrefix(text, n.Name+" ") }
	if slices.ContainsFunc(s.Nodes, isName) {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// raise makes the level at least as bad as another.
func (o *Overview) raise(level Level) {
	if slices.Index(levels, level) > slices.Index(levels, o.Level) {
		o.Level = level
	}
}

// silence tells that the consensus client, which sends a payload every few seconds, doesn't.
func (s State) silence() (f finding) {
	switch quiet := s.Now.Sub(s.lastNews()); {
	case quiet < quietAfter:
		return f
	case len(s.Blocks) == 0:
		f.text = "no payload from the consensus client since the start " + age(quiet) + " ago"
	default:
		f.text = "no payload from the consensus client for " + age(quiet)
	}
	f.level, f.since = Warn, s.lastNews()
	f.meaning = "Validators whose consensus client relies on this attest only if it has another execution client."
	f.do = []Step{{Text: "See whether the consensus client runs, and whether this is its execution endpoint. " +
		"Beside an instance that it prefers, silence is as it should be."}}
	if r := s.Refused; r.Time.After(s.lastNews()) {
		f.text += fmt.Sprintf(", and %s %s refused: the last one, from %s, because %s",
			count(int(r.Count), "request"), verb(int(r.Count), "was", "were"), r.From, r.Reason)
		f.do = []Step{{Text: "Give the consensus client the secret of --jwt-secret (without that, the first node's)."}}
	}
	return f
}

// lastNews is when the consensus client sent its last payload, or when we started.
func (s State) lastNews() time.Time {
	if len(s.Blocks) == 0 {
		return s.Started
	}
	return s.Blocks[len(s.Blocks)-1].Time
}

// speed tells how long verdicts took; nothing while the consensus client is silent, or no node answers in time.
func (s State) speed() (level Level, text string) {
	what := map[config.Mode]string{config.Shadow: "verdicts worked out in ", config.Off: "answers in "}[s.Mode]
	var took []history.Micros
	for _, b := range s.Blocks {
		if b.Verdict != "" {
			took = append(took, b.Took)
		}
	}
	switch {
	case s.Now.Sub(s.lastNews()) >= quietAfter:
		return Good, ""
	case len(took) == 0:
		return Good, "no payload from the consensus client yet"
	}
	if _, voting := s.count(); voting == 0 {
		return Good, "" // it was so before
	}
	slices.Sort(took)
	median := time.Duration(took[len(took)/2])
	if median >= slowAfter {
		level = Warn
	}
	return level, cmp.Or(what, "verdicts in ") + short(median)
}

// agreement tells for how long there has been no dispute, as far as we know.
func (s State) agreement() (level Level, text string) {
	last := s.Started
	for i := range s.Disputes {
		if s.Disputes[i].Last.After(last) {
			last = s.Disputes[i].Last
		}
	}
	quiet := s.Now.Sub(last)
	switch {
	case len(s.Nodes) == 1, s.Mode == config.Off:
		return Good, ""
	case len(s.Disputes) == 0 && quiet < time.Minute:
		return Good, "no dispute yet"
	case len(s.Disputes) > 0 && quiet < freshAfter:
		return Warn, "last dispute " + age(quiet) + " ago"
	}
	return Good, "no dispute for " + age(quiet)
}
