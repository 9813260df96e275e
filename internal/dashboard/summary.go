package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"executionbackup/internal/admin"
	"executionbackup/internal/fleet"
	"executionbackup/internal/history"
)

// State is what the dashboard shows.
type State struct {
	Now      time.Time
	Started  time.Time // when we did
	Nodes    []admin.Node
	Blocks   []history.Record  // oldest first
	Disputes []history.Dispute // oldest first
	Forks    admin.Forks
	Kept     []string // what is the matter with what should outlive us
}

// Summary is a State in one line.
type Summary struct {
	Level string   `json:"level"` // good, warn or bad
	Text  string   `json:"text"`
	Notes []string `json:"notes"` // what is the matter, node by node
	Fork  string   `json:"fork"`  // when the next fork is, and who knows it; "" where none is known
}

const (
	good = "good"
	warn = "warn"
	bad  = "bad"
)

const (
	quietAfter = time.Minute     // a consensus client sends a payload every 12 seconds, if no slots are missed
	slowAfter  = 2 * time.Second // attestations are due 4 s into a slot
	freshAfter = time.Hour       // how long the last dispute is news
)

// Summarize tells in one line how things are: a dispute that goes on, else whether the consensus client can rely on us,
// else what is the matter with the nodes' forks; and where nothing of that is bad, how fast we are and for how long
// nodes have agreed. It is pure.
func Summarize(s State) Summary {
	level, head, notes := s.votes()
	paceLevel, pace := s.speed()
	peaceLevel, peace := s.agreement()
	forkLevel, fork := s.forks()
	dispute, about := s.standing()
	sum := Summary{Level: level, Fork: s.Forks.Countdown()}
	sum.raise(paceLevel)
	sum.raise(peaceLevel)
	sum.raise(forkLevel)
	if len(s.Kept) > 0 {
		sum.raise(warn)
	}
	var first []string
	switch line := join([]string{head, pace, peace}, ", "); {
	case dispute != "":
		sum.raise(s.severity())
		sum.Text, first = dispute, append(about, fork, join([]string{head, pace}, ", "))
	case level == bad:
		sum.Text, first = head, []string{fork, join([]string{pace, peace}, ", ")}
	case fork != "":
		sum.Text, first = fork, []string{line}
	default:
		sum.Text = line
	}
	sum.Notes = []string{}
	for _, note := range slices.Concat(first, s.Kept, notes, s.forkNotes()) {
		if note != "" {
			sum.Notes = append(sum.Notes, note)
		}
	}
	isName := func(n admin.Node) bool { return strings.HasPrefix(sum.Text, n.Name+" ") }
	if !slices.ContainsFunc(s.Nodes, isName) {
		sum.Text = strings.ToUpper(sum.Text[:1]) + sum.Text[1:]
	}
	return sum
}

// raise makes the level at least as bad as another.
func (s *Summary) raise(level string) {
	order := []string{"", good, warn, bad}
	if slices.Index(order, level) > slices.Index(order, s.Level) {
		s.Level = level
	}
}

// votes tells how many of the nodes that may vote do, and what is the matter with the others.
func (s State) votes() (level, text string, notes []string) {
	var may, alive, reachable, prompt, unknown, backups int
	objections := false
	for _, n := range s.Nodes {
		note := trouble(&n)
		if note != "" {
			notes = append(notes, n.Name+" "+note)
		}
		if !mayVote(&n) {
			continue
		}
		if n.Backup && !n.Votes {
			backups++
			continue
		}
		may++
		objections = objections || n.Objections > 0
		switch n.State {
		case "alive":
			alive, reachable = alive+1, reachable+1
			if !n.Laggard {
				prompt++
			}
		case "unknown":
			unknown, reachable = unknown+1, reachable+1
		case "syncing":
			reachable++
		}
	}
	switch {
	case alive == 0 && unknown > 0:
		return warn, "nodes are being probed for the first time", notes
	case reachable == 0:
		return bad, "no node can be reached: the consensus client hears SYNCING", notes
	case alive == 0:
		return bad, fmt.Sprintf("no node is synced: the %s that can be reached %s",
			count(reachable, "node"), verb(reachable, "votes", "vote")), notes
	case len(s.Nodes) == 1 && prompt == 1:
		return good, "the only node answers, and nothing checks it", notes
	case len(s.Nodes) == 1:
		return warn, "the only node is late, and nothing checks it", notes
	case alive < may && alive == 1:
		return bad, fmt.Sprintf("only 1 of %d nodes votes: nothing checks it", may), notes
	}
	level = good
	if alive < may || prompt < alive || objections {
		level = warn
	}
	text = fmt.Sprintf("%d of %s %s", alive, count(may, "node"), verb(alive, "votes", "vote"))
	if backups > 0 {
		text += ", " + count(backups, "backup")
	}
	return level, text, notes
}

// trouble says what is the matter with a node; "" where it is well.
func trouble(n *admin.Node) string {
	var words []string
	switch {
	case n.State == "dead":
		words = append(words, "is dead ("+n.Reason+")")
	case n.State == "syncing":
		words = append(words, "is syncing")
	case n.Laggard:
		words = append(words, "is a laggard: nobody waits for it")
	}
	if n.Objections > 0 {
		words = append(words, fmt.Sprintf("objects to %s", count(n.Objections, "block")))
		if n.State == "alive" && !n.Drained {
			words[len(words)-1] += ": " + fleet.HowObjectionsEnd(n.Name)
		}
	}
	if n.Drained {
		words = append(words, "is drained")
	}
	return join(words, " and ")
}

// speed tells how long verdicts took, or that there are none.
func (s State) speed() (level, text string) {
	var took []history.Micros
	for _, b := range s.Blocks {
		if b.Verdict != "" {
			took = append(took, b.Took)
		}
	}
	if len(took) == 0 {
		if s.Now.Sub(s.Started) < quietAfter {
			return good, "no call from the consensus client yet"
		}
		return warn, "no payload from the consensus client since the start " + age(s.Now.Sub(s.Started)) + " ago"
	}
	if quiet := s.Now.Sub(s.Blocks[len(s.Blocks)-1].Time); quiet >= quietAfter {
		return warn, "no payload from the consensus client for " + age(quiet)
	}
	slices.Sort(took)
	median := time.Duration(took[len(took)/2])
	level = good
	if median >= slowAfter {
		level = warn
	}
	return level, "verdicts in " + short(median)
}

// agreement tells for how long there has been no dispute, as far as we know.
func (s State) agreement() (level, text string) {
	d := s.lastDispute()
	quiet := s.Now.Sub(s.Started)
	switch {
	case len(s.Nodes) == 1:
		return good, ""
	case d == nil && quiet < time.Minute:
		return good, "no dispute yet"
	case d == nil:
		return good, "no dispute for " + age(quiet)
	}
	if quiet = s.Now.Sub(d.Last); quiet < freshAfter {
		return warn, "last dispute " + age(quiet) + " ago"
	}
	return good, "no dispute for " + age(quiet)
}

// standing tells of a dispute that wasn't over when the last payload was judged, and beside it how long it has gone on
// and what decided it; "" where there is none.
func (s State) standing() (text string, about []string) {
	d := s.lastDispute()
	if d == nil {
		return "", nil
	}
	for _, b := range slices.Backward(s.Blocks) {
		if b.Verdict != "" && b.Time.After(d.Last) {
			return "", nil
		}
	}
	var objectors []string
	for _, v := range d.Votes {
		if v.Vote == "INVALID" || v.Status == "INVALID" {
			objectors = append(objectors, v.Node)
		}
	}
	who := fmt.Sprintf("%s %s block %d INVALID",
		join(objectors, " and "), verb(len(objectors), "calls", "call"), d.Number)
	switch {
	case d.Late && !d.Dispute && d.Verdict == "":
		text = "late objection: " + who + " after it was proposed"
	case d.Late && !d.Dispute:
		text = "late objection: " + who + " after the consensus client heard " + d.Verdict
	case d.Verdict == "":
		text = "dispute: " + who + " before it was proposed"
	default:
		text = "dispute: " + who + ", the consensus client hears " + d.Verdict
	}
	if _, fields := s.presentDifferences(); len(fields) > 0 {
		text += ", and the nodes' fork configurations differ: " + join(fields, ", ")
	}
	about = []string{fmt.Sprintf("it began %s ago, %s so far", age(s.Now.Sub(d.Time)), count(d.Calls, "call"))}
	if d.Why != "" {
		about = append(about, fmt.Sprintf("decided by the rule %s: %s", d.Rule, d.Why))
	}
	return text, about
}

// severity is how bad the standing dispute is: where the consensus client hears VALID all the same, validators go on.
func (s State) severity() string {
	if d := s.lastDispute(); d.Dispute && d.Verdict == "VALID" {
		return warn
	}
	return bad
}

// lastDispute is the one that was last heard of, or nil.
func (s State) lastDispute() *history.Dispute {
	var last *history.Dispute
	for i := range s.Disputes {
		if d := &s.Disputes[i]; last == nil || d.Last.After(last.Last) {
			last = d
		}
	}
	return last
}

// join puts together what isn't empty.
func join(parts []string, between string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return p == "" }), between)
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// short writes the time that a call took.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// age writes how long something has been, in its largest unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return count(int(d.Minutes()), "minute")
	case d < 48*time.Hour:
		return count(int(d.Hours()), "hour")
	}
	return count(int(d.Hours()/24), "day")
}
