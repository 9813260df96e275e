package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"executionbackup/internal/admin"
	"executionbackup/internal/engine"
	"executionbackup/internal/health"
	"executionbackup/internal/identity"
	"executionbackup/internal/node"
)

// findings is what check prints.
type findings struct {
	table              [][]string
	problems, warnings []string
}

func (f *findings) problem(i *inspection, format string, args ...any) {
	text := "problem: " + i.node.Name() + ": " + fmt.Sprintf(format, args...)
	if !slices.Contains(f.problems, text) { // one method may have been asked for two blocks
		f.problems = append(f.problems, text)
	}
}

func (f *findings) warning(i *inspection, format string, args ...any) {
	f.warnings = append(f.warnings, "warning: "+i.node.Name()+": "+fmt.Sprintf(format, args...))
}

// judge puts in words what the daemon sees in the nodes, and what only check looks at.
func judge(inspections []*inspection, home []identity.Chain, forks admin.Forks) *findings {
	f := &findings{table: [][]string{
		{"NODE", "URL", "REACHABLE", "JWT", "CLOCK SKEW", "CHAIN ID", "GENESIS", "HEAD", "CLIENT", "FORK", "LACKS"},
	}}
	methods := allMethods(inspections)
	for n, i := range inspections {
		f.table = append(f.table, i.row(&forks.Nodes[n], methods))
		for _, err := range i.failures {
			f.judgeFailure(i, err)
		}
		f.judgeClock(i)
		f.judgeChain(i, home)
		f.judgeForks(i, n, &forks)
		if lacks := i.lackedPayloads(methods); len(lacks) > 0 {
			f.warning(i, "it lacks %s, which others have: it can't follow such a fork, so upgrade it before",
				strings.Join(lacks, ", "))
		}
		if i.now.State == health.Syncing {
			f.warning(i, "it is syncing: it gets every payload, but has no vote until it has finished")
		}
	}
	return f
}

// allMethods are those that any node has.
func allMethods(inspections []*inspection) []string {
	var infos []identity.Info
	for _, i := range inspections {
		infos = append(infos, i.now.Info)
	}
	return identity.Methods(infos)
}

// lackedPayloads returns the newPayloads of methods that the node lacks, each with the fork that it came with: without
// them it can't follow that.
func (i *inspection) lackedPayloads(methods []string) []string {
	return slices.DeleteFunc(i.now.Info.Lacking(methods), func(method string) bool {
		return engine.ParseMethod(method).Family != engine.NewPayload
	})
}

func (f *findings) judgeFailure(i *inspection, err error) {
	switch {
	case !i.reachable:
		f.problem(i, "unreachable: %v: does it run, and is this the address of its Engine API?", err)
	case !errors.Is(err, errRefused):
		f.problem(i, "%v: is this the address of its Engine API (as a rule, port 8551)?", err)
	case i.roundTrip > 0 && i.skew.Abs() < skewWarning:
		f.problem(i, "it refuses our token, and not for the clock: give the secret that it uses itself, "+
			"by #jwt-secret=PATH or --jwt-secret")
	default:
		f.problem(i, "it refuses our token: give the secret that it uses itself, "+
			"by #jwt-secret=PATH or --jwt-secret, and set both clocks")
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

func (f *findings) judgeChain(i *inspection, home []identity.Chain) {
	own, known := i.now.Info.Chain()
	switch {
	case !known:
	case len(home) > 1:
		f.problem(i, "a tie of chains: it is on %s, as many are on another, and none would be shut out "+
			"before it is known which is right", chainText(own))
	case i.now.WrongChain:
		f.problem(i, "it is on another chain (%s) than the others (%s), and would get no calls: is it the right node?",
			chainText(own), chainText(home[0]))
	}
}

func chainText(c identity.Chain) string {
	return "chain id " + decimal(c.ID) + ", genesis " + short(c.Genesis)
}

// row is a node's line in the table. forks is what it says of them; methods are those that it should have.
func (i *inspection) row(forks *admin.NodeForks, methods []string) []string {
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
	info := &i.now.Info
	var lacks []string
	for _, m := range info.Lacking(methods) {
		lacks = append(lacks, strings.TrimPrefix(m, "engine_"))
	}
	slices.Sort(lacks)
	return []string{
		i.node.Name(), i.node.URL(), yes(i.reachable), jwt, skew,
		decimal(info.ChainID), short(info.Genesis), headText(i.head), info.Label(),
		forkText(forks), strings.Join(lacks, " "),
	}
}

// headText is the number of a node's head; "" where it hasn't told.
func headText(h node.Head) string {
	if h == (node.Head{}) {
		return ""
	}
	return strconv.FormatUint(h.Number, 10)
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
