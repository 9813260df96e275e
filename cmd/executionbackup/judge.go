package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"executionbackup/internal/engine"
)

// findings is what check prints.
type findings struct {
	table              [][]string
	problems, warnings []string
}

func (f *findings) problem(i *inspection, format string, args ...any) {
	f.problems = append(f.problems, "problem: "+i.node.Name+": "+fmt.Sprintf(format, args...))
}

func (f *findings) warning(i *inspection, format string, args ...any) {
	f.warnings = append(f.warnings, "warning: "+i.node.Name+": "+fmt.Sprintf(format, args...))
}

// judge compares the nodes with each other and with what they should be.
func judge(inspections []*inspection) *findings {
	f := &findings{table: [][]string{
		{"NODE", "URL", "REACHABLE", "JWT", "CLOCK SKEW", "CHAIN ID", "GENESIS", "HEAD", "CLIENT", "LACKS"},
	}}
	methods, home := allMethods(inspections), homeChains(inspections)
	for _, i := range inspections {
		f.table = append(f.table, i.row(methods))
		for _, err := range i.failures {
			f.judgeFailure(i, err)
		}
		f.judgeClock(i)
		switch {
		case !i.chain.known():
		case len(home) > 1:
			f.problem(i, "a tie of chains: it is on %v, as many are on another, and none would be shut out "+
				"before it is known which is right", i.chain)
		case i.chain != home[0]:
			f.problem(i, "it is on another chain (%v) than the others (%v), and would get no calls: is it the right node?", i.chain, home[0])
		}
		if i.syncing {
			f.warning(i, "it is syncing: it gets every payload, but has no vote until it has finished")
		}
	}
	return f
}

func (f *findings) judgeFailure(i *inspection, err error) {
	switch {
	case !i.reachable:
		f.problem(i, "unreachable: %v: does it run, and is this the address of its Engine API?", err)
	case !errors.Is(err, errRefused):
		f.problem(i, "%v: is this the address of its Engine API (as a rule, port 8551)?", err)
	case i.roundTrip > 0 && i.skew.Abs() < skewWarning:
		f.problem(i, "it refuses our token, and not for the clock: give the secret that it uses itself, by #jwt-secret=PATH or --jwt-secret")
	default:
		f.problem(i, "it refuses our token: give the secret that it uses itself, by #jwt-secret=PATH or --jwt-secret, and set both clocks")
	}
}

// Nodes refuse tokens that are a minute old or from a minute ahead.
const (
	skewWarning = 5 * time.Second
	skewProblem = 60 * time.Second
)

func (f *findings) judgeClock(i *inspection) {
	const words = "its clock is about %v from ours, and tokens fail at 60s: synchronise both clocks (NTP)"
	switch skew := i.skew.Abs(); {
	case skew > skewProblem:
		f.problem(i, words, skew)
	case skew > skewWarning:
		f.warning(i, words, skew)
	}
}

// chain identifies a chain. Two nodes are on the same one if both fields are equal.
type chain struct{ id, genesis string }

func (c chain) known() bool { return c.id != "" && c.genesis != "" }

func (c chain) String() string { return "chain id " + c.id + ", genesis " + short(c.genesis) }

// homeChains is the chain that most nodes are on; in a tie there are several.
func homeChains(inspections []*inspection) (home []chain) {
	count := make(map[chain]int)
	most := 0
	for _, i := range inspections {
		if i.chain.known() {
			count[i.chain]++
			most = max(most, count[i.chain])
		}
	}
	for c, n := range count {
		if n == most {
			home = append(home, c)
		}
	}
	return home
}

// allMethods returns the engine methods that any node has. Names without a version are left out: some clients list
// them beside the methods themselves.
func allMethods(inspections []*inspection) []string {
	var all []string
	for _, i := range inspections {
		for _, name := range i.methods {
			if m := engine.ParseMethod(name); m.Namespace() == "engine" && m.Version > 0 {
				all = append(all, name)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// row is a node's line in the table. methods are those that it should have.
func (i *inspection) row(methods []string) []string {
	jwt, skew := "", "n/a"
	switch {
	case i.accepted:
		jwt = "accepted"
	case i.reachable && errors.Is(errors.Join(i.failures...), errRefused):
		jwt = "refused"
	}
	if i.roundTrip > 0 {
		skew = "~" + i.skew.String()
	}
	return []string{
		i.node.Name, i.node.Display(), yes(i.reachable), jwt, skew,
		i.chain.id, short(i.chain.genesis), i.head, i.client, strings.Join(i.lacks(methods), " "),
	}
}

// lacks returns the methods that the node doesn't have, if it told which it has.
func (i *inspection) lacks(methods []string) []string {
	var lacks []string
	for _, m := range methods {
		if i.methods != nil && !slices.Contains(i.methods, m) {
			lacks = append(lacks, strings.TrimPrefix(m, "engine_"))
		}
	}
	return lacks
}

// short returns the beginning of a hash.
func short(hash string) string { return hash[:min(len(hash), 10)] }

// decimal writes a quantity, such as 0x10, in figures for people. What is none stays as it is.
func decimal(quantity string) string {
	n, err := strconv.ParseUint(quantity, 0, 64)
	if err != nil {
		return quantity
	}
	return strconv.FormatUint(n, 10)
}
