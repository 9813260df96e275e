package quorum

import (
	"fmt"
	"slices"
	"strings"

	"executionbackup/internal/engine"
)

// Policy is what a dispute leads to, where INVALID has no quorum (--on-dispute).
type Policy uint8

const (
	Halt     Policy = iota // SYNCING
	Majority               // VALID, where that has reached the threshold of the asked
	// Live is VALID where that has reached the threshold by implementation, several implementations say so, and the
	// nodes' fork configurations don't explain the dispute: one client is wrong. Otherwise it is Halt.
	Live
)

// policies are their names on the command line.
var policies = [...]string{Halt: "halt", Majority: "majority", Live: "live"}

// String returns the policy's name on the command line.
func (p Policy) String() string { return policies[p] }

// ParsePolicy reads a policy's name.
func ParsePolicy(text string) (Policy, error) {
	if i := slices.Index(policies[:], text); i >= 0 {
		return Policy(i), nil
	}
	return Halt, fmt.Errorf("%q is none of %s", text, strings.Join(policies[:], ", "))
}

// Rule is what decided a dispute.
type Rule uint8

// The rules. Those that let VALID go out are Outvoted and OneClientWrong.
const (
	NoRule         Rule = iota // no dispute
	Condemned                  // INVALID has its quorum
	Halted                     // --on-dispute=halt
	Outvoted                   // --on-dispute=majority: VALID has reached the threshold of the asked
	NotOutvoted                // … it hasn't
	OneClientWrong             // --on-dispute=live: all of it holds
	NoClientQuorum             // … VALID hasn't reached the threshold by implementation
	FewClients                 // … too few implementations say VALID
	ConfigsDiffer              // … those that accept the block and those that object have different configurations
	ConfigsUnknown             // … a configuration isn't known, and a fork is near
	TooFew                     // fewer VALID than --min-valid
	NotTheBlock                // the content isn't that of the block whose hash it claims, and VALID has no quorum
)

// ruleWords are their names, fit for a metric's label, and their reasons for people.
var ruleWords = [...]struct{ name, why string }{
	Condemned:   {"invalid", "enough nodes call the block INVALID"},
	Halted:      {"halt", "any objection halts"},
	Outvoted:    {"majority", "VALID has reached the threshold"},
	NotOutvoted: {"majority_missed", "VALID hasn't reached the threshold"},
	OneClientWrong: {
		"live",
		"several implementations say VALID, and no known difference of fork configurations explains the objection",
	},
	NoClientQuorum: {"live_no_quorum", "VALID hasn't reached the threshold, counted by implementation"},
	FewClients:     {"live_few_implementations", "too few implementations say VALID"},
	ConfigsDiffer: {
		"live_configurations_differ", "fork configurations of those that accept the block and those that object differ",
	},
	ConfigsUnknown: {"live_configurations_unknown", "a fork is near, and not every fork configuration is known"},
	TooFew:         {"min_valid", "fewer nodes than --min-valid say VALID"},
	NotTheBlock:    {"wrong_content", "the payload isn't the block whose hash it claims, and VALID has no quorum"},
}

// String returns the rule's name, fit for a metric's label; "" of NoRule.
func (r Rule) String() string { return ruleWords[r].name }

// Why says in words what the rule found; "" of NoRule.
func (r Rule) Why() string { return ruleWords[r].why }

// RuleNames are the names of all rules.
func RuleNames() (names []string) {
	for _, r := range ruleWords[Condemned:] {
		names = append(names, r.name)
	}
	return names
}

// goesOn reports whether the rule lets VALID go out beside an INVALID.
func (r Rule) goesOn() bool { return r == Outvoted || r == OneClientWrong }

// dispute finds the rule that decides beside an INVALID which has no quorum.
func (r Rules) dispute(t tally, ballots []Ballot) Rule {
	switch {
	case r.OnDispute == Live:
		return r.live(ballots)
	case r.OnDispute == Halt:
		return Halted
	case r.Threshold.Reached(t.valid, t.asked):
		return Outvoted
	}
	return NotOutvoted
}

// live finds whether one client is wrong, so that the others go on. No count of votes tells that from a fork for which
// most clients are configured wrongly; the configurations do.
func (r Rules) live(ballots []Ballot) Rule {
	r.ByClient = true
	t := r.tally(ballots)
	differ, unknown, nearFork := configurations(ballots)
	switch {
	case differ && t.valid > 0:
		return ConfigsDiffer
	case unknown && nearFork && t.valid > 0:
		return ConfigsUnknown
	case !r.Threshold.Reached(t.valid, t.asked):
		return NoClientQuorum
	case t.validClients < r.MinClients:
		return FewClients
	}
	return OneClientWrong
}

// configurations compares those of the nodes that accept the block or object to it: whether two of them differ, or did
// when the objection was disputed before (that they are equal again makes the block no better), whether one isn't
// known, and whether a node objects to a block near a fork.
func configurations(ballots []Ballot) (differ, unknown, nearFork bool) {
	known := ""
	for i := range ballots {
		b := &ballots[i]
		objects := b.Vote == engine.Invalid || b.Seconds
		if !objects && b.Vote != engine.Valid {
			continue
		}
		nearFork = nearFork || objects && b.NearFork
		differ = differ || b.Explained
		switch {
		case b.Config == "":
			unknown = true
		case known == "":
			known = b.Config
		default:
			differ = differ || b.Config != known
		}
	}
	return differ, unknown, nearFork
}
