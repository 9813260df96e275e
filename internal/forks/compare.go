package forks

import "time"

// Said is what a node says, and who it is.
type Said struct {
	Node   string
	Client string // the implementation; "" where it isn't known
	Config Config // as it holds at the time (Config.At)
}

// Difference is a node's own word on one field, and that of the others, in words for people: what is told of times
// depends on when it is told. Field is "current", "next" or "last" where one side has such a fork and the other none,
// else a field of it, such as "next.forkId".
type Difference struct{ Node, Field, Own, Others string }

// Compare compares what each node says with what most others say, entry by entry, and returns where that differs: in
// the order of the nodes, and then of EIP-7910's fields. What is Unknown differs from nothing. That there is no such
// fork is a word like any other. Where two words are as common among the others, a node that says neither is compared
// with the one whose Text is smaller, so that the order of the nodes doesn't matter.
func Compare(said []Said, now time.Time) []Difference { return nil }

// Missed returns the nodes, by name, whose current fork is of an earlier time than that of most implementations: they
// missed one. An implementation is all nodes of one Client whose current fork is Known, the node's own among them;
// where the Client isn't known each node is its own. It is later where it has nodes beside this one, and all of these
// are.
func Missed(said []Said) []string { return nil }
