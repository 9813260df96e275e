package overview

import (
	"fmt"

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
			"reload or restart. (Without an admin token there is no other way.)"}}
	}
	for _, bad := range heard {
		if bad.text == "" {
			continue
		}
		f.level, f.since, f.meaning = bad.level, bad.since, join([]string{bad.meaning, f.meaning}, " ")
		f.text += "; " + bad.text
		f.do = append(f.do, bad.do...)
		f.notes = bad.notes
		break
	}
	return f
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
