package forks

import (
	"cmp"
	"slices"
	"time"
)

// Said is what a node says, and who it is.
type Said struct {
	Node   string
	Client string // the implementation; "" where it isn't known
	Config Config // as it holds at the time (Config.At)
	Votes  bool   // the operator lets it vote
}

// Difference is a node's own word on one field, and that of the others, in words for people: what is told of times
// depends on when it is told. Field is "current", "next" or "last" where one side has such a fork and the other none,
// else a field of it, such as "next.forkId".
type Difference struct{ Node, Field, Own, Others string }

// Compare compares what each node says with what most others say, entry by entry, and returns where that differs: in
// the order of the nodes, and then of EIP-7910's fields. What is Unknown differs from nothing. That there is no such
// fork is a word like any other. Where two words are as common among the others, a node that says neither is compared
// with the one whose Text is smaller, so that the order of the nodes doesn't matter.
func Compare(said []Said, now time.Time) []Difference {
	var ranks [len(entries)][]rank
	for i, entry := range entries {
		ranks[i] = ranked(said, entry.of)
	}
	var all []Difference
	for _, s := range said {
		own, others := s.Config, Config{}
		for i, entry := range entries {
			*entry.of(&others) = otherThan(*entry.of(&own), ranks[i])
		}
		if own.Next == own.Last && others.Next == others.Last {
			others.Last = own.Last // it is the same fork: told once
		}
		for _, entry := range entries {
			all = append(all, differences(s.Node, entry.name, *entry.of(&own), *entry.of(&others), now)...)
		}
	}
	return all
}

// rank is how many nodes say one thing of an entry.
type rank struct {
	entry Entry
	nodes int
}

// ranked returns what nodes say of an entry, as far as it is known: the most common first.
func ranked(said []Said, of func(*Config) *Entry) []rank {
	nodes := make(map[Entry]int)
	for _, s := range said {
		if e := *of(&s.Config); e.State != Unknown {
			nodes[e]++
		}
	}
	var ranks []rank
	for e, n := range nodes {
		ranks = append(ranks, rank{e, n})
	}
	slices.SortFunc(ranks, func(a, b rank) int {
		return cmp.Or(cmp.Compare(b.nodes, a.nodes), cmp.Compare(a.entry.Text(), b.entry.Text()))
	})
	return ranks
}

// otherThan returns what most other nodes say, where a node doesn't: what at least as many say as say its own. Else it
// returns its own.
func otherThan(own Entry, ranks []rank) Entry {
	same := slices.IndexFunc(ranks, func(r rank) bool { return r.entry == own })
	if same < 0 {
		return own // Unknown
	}
	for _, r := range ranks {
		if r.entry != own && r.nodes >= ranks[same].nodes {
			return r.entry
		}
	}
	return own
}

// Missed returns the nodes, by name, whose current fork is of an earlier time than that of most implementations: they
// missed one. A fork that hasn't begun counts for nobody, whatever a node's clock says. An implementation is all nodes
// of one Client that may vote, the node's own among them; where the Client isn't known each node is its own. It is
// later where it has nodes beside this one whose current fork is Known, and all of these are: one that hasn't told is
// not. A node whose next fork is Unknown may know of others that have begun (Config.At), and isn't named.
func Missed(said []Said, now time.Time) []string {
	var missed []string
	for i, s := range said {
		if s.Config.Current.State == Known && s.Config.Next.State != Unknown && isBehind(said, i, now) {
			missed = append(missed, s.Node)
		}
	}
	return missed
}

// isBehind reports whether most implementations are at a later fork than a node.
func isBehind(said []Said, node int, now time.Time) bool {
	type implementation struct {
		client string
		node   int // where the client isn't known
	}
	others := make(map[implementation]int) // its nodes beside this one that have told; 0 where there is none
	later := make(map[implementation]int)  // those of them that are
	for i, s := range said {
		if i != node && !s.Votes {
			continue
		}
		its := implementation{client: s.Client}
		if s.Client == "" {
			its.node = i
		}
		others[its] += 0
		current := s.Config.Current
		if i == node || current.State != Known {
			continue
		}
		others[its]++
		if current.Activation > said[node].Config.Current.Activation && current.began(now) {
			later[its]++
		}
	}
	ahead := 0
	for its, nodes := range others {
		if nodes > 0 && later[its] == nodes {
			ahead++
		}
	}
	return 2*ahead > len(others)
}
