package overview

import (
	"fmt"
	"strings"

	"executionbackup/internal/admin"
	"executionbackup/internal/config"
)

// isOfOne reports whether one node alone answers the consensus client, in mode shadow or off.
func (s State) isOfOne() bool { return s.Alone != "" }

// mode tells that one node alone answers, what that means, and what ends it; and of what the consensus client hears of
// that node the first that is bad.
func (s State) mode(heard ...finding) finding {
	f := finding{level: Warn}
	f.text = fmt.Sprintf("mode %s protects from nothing: %s alone answers the consensus client", s.Mode, s.Alone)
	f.meaning = "Validators go by that node, right or wrong. "
	if s.Mode == config.Shadow {
		f.meaning += "What we would have said is counted and recorded, and nobody hears it."
	} else {
		f.meaning += "No other node gets its calls, and nothing is judged."
	}
	f.do = []Step{{"To be protected, let all nodes decide:", "executionbackup mode active"}}
	if s.Flags.NoToken {
		f.do = []Step{{Text: "To be protected, let all nodes decide: set mode to active in the configuration, and " +
			"restart, or send the process SIGHUP. (Without an admin token there is no other way.)"}}
	}
	if differ := s.differences(); differ != "" {
		f.notes = append(f.notes, differ)
	}
	for _, bad := range heard {
		if bad.text == "" {
			continue
		}
		f.level, f.since, f.meaning = bad.level, bad.since, join([]string{bad.meaning, f.meaning}, " ")
		f.text += "; " + bad.text
		f.do = append(f.do, bad.do...)
		f.notes = append(f.notes, bad.notes...)
		break
	}
	return f
}

// settleFirst is what to do about a mode, and a dispute in it. It is to be settled first: what nodes object to halts
// mode active at once. But what the consensus client hears now may be worse.
func (s State) settleFirst(mode, dispute finding) []Step {
	if len(dispute.do) == 0 || mode.level == Bad {
		return append(mode.do, dispute.do...)
	}
	ends := mode.do[0]
	ends.Text = "When that is settled (or the consensus client hears SYNCING): t" + strings.TrimPrefix(ends.Text, "T")
	return append(dispute.do, append([]Step{ends}, mode.do[1:]...)...)
}

// differences tells how often the consensus client heard something else than it would have heard of us, since we
// started.
func (s State) differences() string {
	same, total := uint64(0), uint64(0)
	var others []string
	for _, d := range s.Decisions {
		total += d.Calls
		if d.Would == d.Did {
			same += d.Calls
		} else if d.Calls > 0 {
			others = append(others, fmt.Sprintf("%s instead of %s %s", d.Would, d.Did, times(d.Calls)))
		}
	}
	switch {
	case total == 0:
		return ""
	case len(others) == 0:
		return fmt.Sprintf("since the start all %d verdicts and proposals were as they would have been by us", total)
	}
	return fmt.Sprintf("since the start %d of %d verdicts and proposals would have been others by us: %s",
		total-same, total, strings.Join(others, ", "))
}

// times says how often.
func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// alone tells that the node that alone answers doesn't, or can't in time.
func (s State) alone() (f finding) {
	var n admin.Node
	for i := range s.Nodes {
		if s.Nodes[i].Name == s.Alone {
			n = s.Nodes[i]
		}
	}
	look := []Step{{"See what keeps it from answering, and start or repair it:", "executionbackup check"}}
	switch {
	case n.State == "dead":
		return finding{
			level: Bad, since: n.Since, text: "it is dead: the consensus client hears SYNCING, or an error", do: look,
			meaning: "Validators neither attest nor propose until it is back.",
		}
	case n.State == "syncing":
		return finding{
			level: Bad, since: n.Since, text: "it is syncing: the consensus client hears SYNCING",
			meaning: "Validators neither attest nor propose until it is synced.",
		}
	case n.Laggard:
		return finding{
			level: Bad, text: "it doesn't answer in time", do: look,
			meaning: "Validators attest late or not at all, and may miss proposals.",
		}
	}
	return f
}

// wouldVote tells in mode shadow how many nodes would vote; in mode off none is asked.
func (s State) wouldVote() (f finding) {
	if s.Mode == config.Off {
		return finding{level: Good}
	}
	e := s.electorate()
	f = finding{level: Good, text: fmt.Sprintf("%d of %s would vote", e.prompt, count(e.may, "node"))}
	if e.prompt < e.may || e.may < 2 || e.objects {
		f.level = Warn
	}
	return f
}
