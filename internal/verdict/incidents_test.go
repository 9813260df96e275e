package verdict_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/quorum"
)

// The incidents of the past, in which clients disagreed about a block: what would a consensus client behind us have
// heard? What each client said is from what was reported then; that all of them answer eth_config is as it is today.
var incidents = []incident{
	{
		// github.com/besu-eth/besu/issues/6357: a faulty state, a wrong "bad block", and a stop until the restart.
		name:    "Besu, 6 January 2024: one of three says INVALID",
		story:   func() story { return badBlock(shanghai) },
		reason:  "World State Root does not match",
		repairs: []int{2},
		rules:   [4]quorum.Rule{quorum.Halted, quorum.Outvoted, quorum.Outvoted, quorum.OneClientWrong},
		right:   "VALID",
	},
	{
		name:    "the same, with clients of then, which don't tell their forks",
		story:   func() story { return badBlock(nil) },
		reason:  "World State Root does not match",
		why:     "n3 hasn't told its own",
		repairs: []int{2},
		rules:   [4]quorum.Rule{quorum.Halted, quorum.Outvoted, quorum.Outvoted, quorum.ConfigsUnknown},
		right:   "VALID",
	},
	{
		// github.com/NethermindEth/nethermind/issues/6588: all of 1.23 to 1.25.1, until the release of 1.25.2.
		name: "Nethermind, 21 January 2024: one of three says INVALID",
		story: func() story {
			return story{
				block: 19056922, at: date("2024-01-21 20:41:11"), version: 2,
				clients: []*player{
					{code: "GE", name: "Geth", version: "v1.13.10", forks: shanghai},
					{
						code: "NM", name: "Nethermind", version: "v1.25.1", forks: shanghai, says: nethermind,
						fixed: "v1.25.2",
					},
					{code: "BU", name: "besu", version: "v23.10.3", forks: shanghai},
				},
			}
		},
		reason:  "InvalidStateRoot",
		repairs: []int{1},
		rules:   [4]quorum.Rule{quorum.Halted, quorum.Outvoted, quorum.Outvoted, quorum.OneClientWrong},
		right:   "VALID",
	},
	{
		// github.com/ethereum/pm/blob/master/Pectra/holesky-postmortem.md: most took mainnet's deposit contract to be
		// that of Holesky.
		name: "Holesky, 24 February 2025: three of five call an invalid block VALID",
		story: func() story {
			return story{
				block: 3419724, at: date("2025-02-24 22:01:12"), version: 4, follows: 40,
				clients: []*player{
					{code: "GE", name: "Geth", version: "v1.15.2", forks: holesky(mainnetDeposits),
						fixed: "v1.15.3", saysFixed: requestsHash},
					{code: "NM", name: "Nethermind", version: "v1.31.0", forks: holesky(mainnetDeposits),
						fixed: "v1.31.1", saysFixed: requestsHash},
					{code: "BU", name: "besu", version: "v25.2.0", forks: holesky(mainnetDeposits),
						fixed: "v25.2.1", saysFixed: requestsHash},
					{code: "RH", name: "reth", version: "v1.2.0", forks: holesky(holeskyDeposits),
						says: requestsHash},
					{code: "EG", name: "erigon", version: "v3.0.0-beta2", forks: holesky(holeskyDeposits),
						says: erigon},
				},
			}
		},
		reason:  "mismatched block requests hash",
		why:     holeskyDeposits,
		repairs: []int{0, 1, 2},
		rules:   [4]quorum.Rule{quorum.Halted, quorum.Outvoted, quorum.Outvoted, quorum.ConfigsDiffer},
		right:   "not VALID",
	},
	{
		// github.com/paradigmxyz/reth/issues/18205: a wrong state root, cured by unwinding some blocks and a restart.
		name: "Reth, 2 September 2025: one of three says INVALID",
		story: func() story {
			return story{
				block: 23272427, at: date("2025-09-02 01:27:11"), version: 4,
				clients: []*player{
					{code: "GE", name: "Geth", version: "v1.16.2", forks: prague},
					{code: "NM", name: "Nethermind", version: "v1.32.4", forks: prague},
					{code: "RH", name: "reth", version: "v1.6.0", forks: prague, says: reth},
				},
			}
		},
		reason:  "mismatched block state root",
		repairs: []int{2},
		rules:   [4]quorum.Rule{quorum.Halted, quorum.Outvoted, quorum.Outvoted, quorum.OneClientWrong},
		right:   "VALID",
	},
	{
		// github.com/NethermindEth/nethermind/issues/9878: eight slots after Fusaka. All knew of the fork.
		name:    "Nethermind, 3 December 2025: one of three says INVALID, 96 s after a fork",
		story:   func() story { return fusaka(osaka) },
		reason:  "InvalidStateRoot",
		repairs: []int{1},
		rules:   [4]quorum.Rule{quorum.Halted, quorum.Outvoted, quorum.Outvoted, quorum.OneClientWrong},
		right:   "VALID",
	},
	{
		name:    "the same, and the third doesn't tell its fork configuration",
		story:   func() story { return fusaka(nil) },
		reason:  "InvalidStateRoot",
		why:     "n3 hasn't told its own",
		repairs: []int{1},
		rules:   [4]quorum.Rule{quorum.Halted, quorum.Outvoted, quorum.Outvoted, quorum.ConfigsUnknown},
		right:   "VALID",
	},
	{
		name:    "the same, and the third doesn't know of the fork after this one",
		story:   func() story { return fusaka(osakaOnly) },
		reason:  "InvalidStateRoot",
		repairs: []int{1},
		rules:   [4]quorum.Rule{quorum.Halted, quorum.Outvoted, quorum.Outvoted, quorum.OneClientWrong},
		right:   "VALID",
	},
	{
		name: "Nethermind, 21 January 2024, where all three nodes are Nethermind",
		story: func() story {
			s := story{block: 19056922, at: date("2024-01-21 20:41:11"), version: 2}
			for range 3 {
				s.clients = append(s.clients, &player{code: "NM", name: "Nethermind", version: "v1.25.1",
					forks: shanghai, says: nethermind, fixed: "v1.25.2"})
			}
			return s
		},
		repairs: []int{0, 1, 2},
		right:   "VALID",
	},
}

// incident is one that is played under every policy.
type incident struct {
	name    string
	story   func() story
	reason  string         // a part of the reason that the first to object gives
	why     string         // a part of the reason why live halts
	repairs []int          // the clients that are stopped and start again, repaired
	rules   [4]quorum.Rule // what decides the dispute under each policy; NoRule where there is none: all say INVALID
	right   string         // what is right to hear of the block
}

// badBlock is the story of January 2024, in which the clients tell of their forks in some way.
func badBlock(forks func(time.Time) string) story {
	return story{
		block: 18947893, at: date("2024-01-06 11:35:59"), version: 2,
		clients: []*player{
			{code: "GE", name: "Geth", version: "v1.13.8", forks: forks},
			{code: "NM", name: "Nethermind", version: "v1.24.0", forks: forks},
			{code: "BU", name: "besu", version: "v23.10.3", forks: forks, says: besu},
		},
	}
}

// fusaka is the story of December 2025, in which the third client tells of its forks in some way.
func fusaka(third func(time.Time) string) story {
	return story{
		block: 23935699, at: date("2025-12-03 21:50:47"), version: 4, follows: 20,
		clients: []*player{
			{code: "GE", name: "Geth", version: "v1.16.7", forks: osaka},
			{code: "NM", name: "Nethermind", version: "v1.35.2", forks: osaka, says: nethermind},
			{code: "BU", name: "besu", version: "v25.11.0", forks: third},
		},
	}
}

// besu objects to all that follows as it did to the block, and names no block as the latest valid one.
func besu(s *story, n int, forkchoice bool) word {
	const none = "0x0000000000000000000000000000000000000000000000000000000000000000"
	switch {
	case forkchoice && n > 0:
		return word{status: "SYNCING"} // it has no such block
	case n == 0 && !forkchoice:
		return word{"INVALID", none, "World State Root does not match expected value, header " + s.hash(7) +
			" calculated " + s.hash(8)}
	}
	return word{"INVALID", none, "Block already present in bad block manager."}
}

// nethermind names the parent as the latest valid block, and knows of all that follows that it is of an invalid chain.
func nethermind(s *story, n int, forkchoice bool) word {
	if n == 0 && !forkchoice {
		return word{"INVALID", s.hash(-1), "InvalidStateRoot: State root in header does not match. " +
			"Expected " + s.hash(7) + ", got " + s.hash(8)}
	}
	return word{"INVALID", s.hash(-1), fmt.Sprintf("block %s is known to be a part of an invalid chain.", s.hash(n))}
}

func reth(s *story, n int, forkchoice bool) word {
	if n == 0 && !forkchoice {
		return word{"INVALID", s.hash(-1), "mismatched block state root: got " + s.hash(7) + ", expected " + s.hash(8)}
	}
	return word{"INVALID", s.hash(-1), "links to previously rejected block"}
}

// requestsHash is what Reth said of Holesky's block, with the hash of no requests at all in its header.
func requestsHash(s *story, n int, forkchoice bool) word {
	if n == 0 && !forkchoice {
		return word{"INVALID", s.hash(-1), "mismatched block requests hash: " +
			"got 0x12e7307cb8a29c779310bea59482500fb917e433f6849de7394f9e2f5c34bf31, " +
			"expected 0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
	}
	return reth(s, n, forkchoice)
}

// erigon forgets what it objected to: it says SYNCING to what follows.
func erigon(s *story, n int, forkchoice bool) word {
	if n == 0 && !forkchoice {
		return word{"INVALID", s.hash(-1), "invalid requests root hash in header"}
	}
	return word{status: "SYNCING"}
}

func date(text string) time.Time {
	at, err := time.Parse(time.DateTime, text)
	if err != nil {
		panic(err)
	}
	return at
}

// tableFollowing is how many blocks follow the one in dispute, before somebody repairs what is broken, where the table
// is computed: 13 minutes.
const tableFollowing = 64

// What the consensus client hears in each incident under each policy; and the table of that in the documents.
func TestIncidents(t *testing.T) {
	cells := []string{"incident", "right"}
	for _, r := range rules {
		cells = append(cells, "`"+r.name+"`")
	}
	table, whole := head(cells...), following == tableFollowing
	for _, i := range incidents {
		cells := []string{i.name, i.right}
		for j, r := range rules {
			t.Run(i.name+"/"+r.name, func(t *testing.T) { cells = append(cells, i.play(t, j)) })
		}
		table += row(cells...)
		whole = whole && len(cells) == 2+len(rules) // or -run has left some out
	}
	if whole && !t.Failed() {
		documented(t, "incidents", table)
	}
}

// play plays the incident under a policy, and returns the cell of the table.
func (i *incident) play(t *testing.T, policy int) (cell string) {
	rule := i.rules[policy]
	p := i.story().play(t, rules[policy].set, func(s *story) {
		s.wants("before it", "VALID", s.follow(-s.follows, 0))
		heard := s.follow(0, following+1)
		s.wants("while it lasts", heardBy(rule), heard)
		cell = i.cell(heard)
		calls := float64(following + 1)
		if rule == quorum.NoRule {
			calls = 0 // nobody disputes it
		}
		if p, f := s.disputed(rule); p != calls || f != calls {
			t.Errorf("%v and %v disputes were counted, want %v each", p, f, calls)
		}
		if n := s.Value("executionbackup_late_objections_total"); n != 0 {
			t.Errorf("%v late objections", n)
		}
		i.ends(s, following, heardBy(rule))
	})
	if rule == quorum.NoRule {
		return cell
	}
	i.shown(t, &p, rule, following)
	if c := p.file.Case; c.Kind != "dispute" || c.Number != uint64(i.story().block) || c.Rule != rule.String() ||
		!strings.Contains(c.Why, rule.Why()) || !strings.Contains(c.Why, i.whyOf(rule)) ||
		c.Verdict != heardBy(rule) {
		t.Errorf("the evidence is of %+v", c)
	}
	return cell
}

// heardBy is what the consensus client hears where a rule decides.
func heardBy(r quorum.Rule) string {
	switch r {
	case quorum.NoRule:
		return "INVALID"
	case quorum.Outvoted, quorum.OneClientWrong:
		return "VALID"
	}
	return "SYNCING"
}

// cell is a cell of the table, by what was heard.
func (i *incident) cell(heard []bubble.Slot) string {
	said, lost := heard[0].NewPayload, 0
	for _, h := range heard {
		if h.NewPayload != "VALID" || h.Forkchoice != "VALID" {
			lost++
		}
	}
	mark := "✘"
	if said == "VALID" && i.right == "VALID" || said != "VALID" && i.right != "VALID" {
		mark = "✔"
	}
	if said == "SYNCING" {
		said = "halts"
	}
	return fmt.Sprintf("%s %s, %d of %d lost", mark, said, lost, len(heard))
}

// whyOf is what is told of the nodes where a rule halts because of their configurations.
func (i *incident) whyOf(r quorum.Rule) string {
	if r == quorum.ConfigsDiffer || r == quorum.ConfigsUnknown {
		return i.why
	}
	return ""
}

// shown checks what the log and the evidence have of the dispute: in every line and record of it which rule decided,
// and why; and once what the first to object said.
func (i *incident) shown(t *testing.T, p *played, rule quorum.Rule, following int) {
	t.Helper()
	all := p.lines("level=ERROR", "dispute: nodes disagree about a block", "rule=", "why=")
	if n := p.lines("dispute: nodes", "answer="+heardBy(rule), "rule="+rule.String(), rule.Why(),
		i.whyOf(rule)); n < 2*following || all-n > 4 { // while clients restart it may be another one
		t.Errorf("%d lines of %d say %q, and why", n, all, rule)
	}
	if p.file == nil {
		t.Fatal("no evidence")
	}
	reason := false
	for _, r := range p.file.Replies() {
		reason = reason || r.Status == "INVALID" && strings.Contains(r.Reason, i.reason) && r.About.Client != ""
	}
	if !reason {
		t.Errorf("the evidence doesn't say why: %+v", p.file.Replies())
	}
	disputes := 0
	for _, r := range p.file.Records {
		if r.Dispute && r.Rule == rule.String() && strings.Contains(r.Why, rule.Why()) {
			disputes++
		}
	}
	if disputes < 2*following {
		t.Errorf("%d of %d records tell of the dispute", disputes, len(p.file.Records))
	}
}

// ends plays the repair, after so many blocks. A client that comes back repaired ends its own objection with its VALID
// to the first new payload: no operator has to do anything, and nothing is left. In Holesky what is repaired is that
// the others object, too; then the right chain is VALID from its first block on.
func (i *incident) ends(s *story, after int, heard string) {
	s.t.Helper()
	repaired := func(down bool) {
		for _, c := range i.repairs {
			s.clients[c].restart(down)
		}
	}
	repaired(true)
	switch {
	case len(i.repairs) == 1:
		s.wants("while it restarts", heard, s.follow(after+1, after+3))
	default: // with most of them down, nobody knows better
		for _, h := range s.follow(after+1, after+3) {
			if h.NewPayload == "VALID" || h.Forkchoice == "VALID" || h.NewPayload == "INVALID" {
				s.t.Errorf("while they restart: %+v", h)
			}
		}
	}
	repaired(false)
	if i.right == "VALID" {
		s.wants("after the repair", "VALID", s.follow(after+3, after+8))
		if n := s.objections(); n != 0 {
			s.t.Errorf("%d objections are left", n)
		}
		return
	}
	for _, p := range s.right {
		s.wants("on the right chain", "VALID", []bubble.Slot{s.hear(p)})
	}
}

// Where the INVALID comes 1.5 to 3 s after what the others say, the consensus client has had its VALID to the block
// under every policy. The objection binds what follows, and all else is as above.
func TestIncidentsLate(t *testing.T) {
	const few = 10
	for k, i := range incidents {
		if i.rules[0] == quorum.NoRule {
			continue // nobody else says anything
		}
		late := 1500*ms + time.Duration(k%4)*500*ms
		for j, r := range rules {
			t.Run(i.name+"/"+r.name, func(t *testing.T) {
				rule, s := i.rules[j], i.story()
				s.late = late
				p := s.play(t, r.set, func(s *story) {
					s.follow(-s.follows, 0)
					s.wants("before the objection", "VALID", s.follow(0, 1))
					s.wants("after it", heardBy(rule), s.follow(1, few+1))
					if p, f := s.disputed(rule); p != few || f != few {
						t.Errorf("%v and %v disputes were counted, want %v each", p, f, few)
					}
					if n := s.Value("executionbackup_late_objections_total"); n < 1 || n > 4 { // in both methods
						t.Errorf("%v late objections", n)
					}
					i.ends(s, few, heardBy(rule))
				})
				i.shown(t, &p, rule, few)
				if p.file.Case.Kind != "late objection" || p.lines("level=ERROR", "late objection", i.reason) == 0 {
					t.Errorf("no late objection: %+v\n%s", p.file.Case, p.log)
				}
			})
		}
	}
}

// What a node that objects says to the blocks that follow is no late objection, however late it comes: the consensus
// client's answer knew of it.
func TestObjectionIsLateOnce(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			s := incidents[4].story() // Reth says INVALID to everything
			s.slow = 200 * ms
			s.play(t, r.set, func(s *story) {
				s.follow(-s.follows, 2)
				first := s.Value("executionbackup_late_objections_total")
				s.follow(2, 12)
				if n := s.Value("executionbackup_late_objections_total"); n != first || first > 2 {
					t.Errorf("%v late objections, and then %v", first, n)
				}
			})
		})
	}
}

// clear_objections ends a dispute only where the node has stopped objecting: one that says INVALID to what follows
// objects again at once, and one that was restarted and says SYNCING doesn't.
func TestIncidentCleared(t *testing.T) {
	i := &incidents[0]
	for name, c := range map[string]struct {
		says func(*story, int, bool) word
		want string
	}{
		"it objects":    {besu, "SYNCING"},
		"it is syncing": {func(*story, int, bool) word { return word{status: "SYNCING"} }, "VALID"},
	} {
		t.Run(name, func(t *testing.T) {
			s := i.story()
			s.clients[2].saysFixed = c.says
			s.play(t, rules[0].set, func(s *story) {
				s.follow(-s.follows, 0)
				s.wants("while it lasts", "SYNCING", s.follow(0, 5))
				s.clients[2].restart(name == "it is syncing")
				s.wants("before it is cleared", "SYNCING", s.follow(5, 7))
				s.clients[2].restart(false)
				s.wants("before it is cleared", "SYNCING", s.follow(7, 9))
				if err := s.Fleet.Pool.ClearObjections([]string{"n3"}); err != nil {
					t.Fatal(err)
				}
				s.wants("cleared", c.want, s.follow(9, 15))
			})
		})
	}
}
