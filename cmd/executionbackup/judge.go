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

// findings is what check has found. In JSON it is what check --json prints: see docs/operations.md.
type findings struct {
	OK       bool          `json:"ok"`      // there is no problem
	Offline  bool          `json:"offline"` // no node was asked: of nodes there are names and URLs only
	Nodes    []checkedNode `json:"nodes"`
	Problems []remark      `json:"problems"`
	Warnings []remark      `json:"warnings"`
	Notes    []remark      `json:"notes"`
}

// remark is something that a person should know of a node.
type remark struct {
	Node string `json:"node"` // its name; "" where it is about none
	Text string `json:"text"`
}

// checkedNode is what check shows of a node.
type checkedNode struct {
	Name      string      `json:"name"`
	URL       string      `json:"url"`
	Reachable bool        `json:"reachable"`
	JWT       string      `json:"jwt"`          // "accepted", "refused", or "" where that isn't known
	ClockSkew *float64    `json:"clock_skew"`   // seconds that its clock is ahead of ours; nil where it isn't known
	ChainID   string      `json:"chain_id"`     // decimal; "" where it wasn't told, and so are the texts below
	Genesis   string      `json:"genesis"`      // hash
	Head      *admin.Head `json:"head"`         // nil where it wasn't told
	Client    string      `json:"client"`       // name/version
	ForkID    string      `json:"fork_id"`      // of its present fork
	NextFork  string      `json:"next_fork_id"` // of the next one that it knows
	Lacks     []string    `json:"lacks"`        // engine methods that others have
}

// newFindings is what is found as long as nothing is.
func newFindings() *findings {
	return &findings{Nodes: []checkedNode{}, Problems: []remark{}, Warnings: []remark{}, Notes: []remark{}}
}

func (f *findings) problem(i *inspection, format string, args ...any) {
	r := remark{i.node.Name(), fmt.Sprintf(format, args...)}
	if !slices.Contains(f.Problems, r) { // one method may have been asked for two blocks
		f.Problems = append(f.Problems, r)
	}
}

func (f *findings) warning(i *inspection, format string, args ...any) {
	f.Warnings = append(f.Warnings, remark{i.node.Name(), fmt.Sprintf(format, args...)})
}

func (f *findings) note(node, format string, args ...any) {
	f.Notes = append(f.Notes, remark{node, fmt.Sprintf(format, args...)})
}

// lines are the findings for people.
func (f *findings) lines() (lines []string) {
	for _, kind := range []struct {
		word    string
		remarks []remark
	}{{"problem: ", f.Problems}, {"warning: ", f.Warnings}, {"note: ", f.Notes}} {
		for _, r := range kind.remarks {
			if r.Node != "" {
				r.Text = r.Node + ": " + r.Text
			}
			lines = append(lines, kind.word+r.Text)
		}
	}
	return lines
}

// judge puts in words what the daemon sees in the nodes, and what only check looks at.
func judge(inspections []*inspection, home []identity.Chain, forks admin.Forks) *findings {
	f := newFindings()
	methods, highest := allMethods(inspections), highestHead(inspections)
	for n, i := range inspections {
		f.Nodes = append(f.Nodes, i.shown(&forks.Nodes[n], methods))
		for _, err := range i.failures {
			f.judgeFailure(i, err)
		}
		f.judgeClock(i)
		f.judgeChain(i, home)
		f.judgeForks(i, n, &forks)
		f.judgeTwins(i, inspections[:n])
		f.judgeMethods(i, methods)
		switch behind := highest - min(highest, i.head.Number); {
		case i.now.State == health.Syncing:
			f.warning(i, "it is syncing: it gets every payload, but has no vote until it has finished")
		case i.head != (node.Head{}) && !i.now.WrongChain && behind > farApart:
			f.warning(i, "its head is %d blocks behind that of another, though it says that it is synced", behind)
		}
	}
	f.OK = len(f.Problems) == 0
	return f
}

// farApart is how many blocks the heads of nodes may differ by: they are asked at the same time, and follow the same
// consensus client, but for those that are new here.
const farApart = 8

// highestHead is the number of the highest head on our chain.
func highestHead(inspections []*inspection) (highest uint64) {
	for _, i := range inspections {
		if !i.now.WrongChain {
			highest = max(highest, i.head.Number)
		}
	}
	return highest
}

// judgeTwins finds out whether the node is one of those before it under another address: it would have two votes. Two
// names for one address may also be two nodes behind one proxy, which only the operator knows; two clients of one
// version never are the same for that.
func (f *findings) judgeTwins(i *inspection, before []*inspection) {
	for _, other := range before {
		switch i.twin(other) {
		case sameAddress:
			f.problem(i, "it is the same client as %s, under another address (%s and %s): "+
				"one client must not vote twice, so leave one out", other.node.Name(), i.node.URL(), other.node.URL())
		case maybeSame:
			f.warning(i, "it may be the same client as %s (%s and %s lead to the same machine and port): "+
				"one client must not vote twice", other.node.Name(), i.node.URL(), other.node.URL())
		}
	}
}

// judgeMethods finds methods that the node lacks though others have them.
func (f *findings) judgeMethods(i *inspection, methods []string) {
	payloads := i.lackedPayloads(methods)
	if len(payloads) > 0 {
		f.warning(i, "it lacks %s, which others have: it can't follow such a fork, so upgrade it before",
			strings.Join(payloads, ", "))
	}
	rest := slices.DeleteFunc(i.now.Info.Lacking(methods), func(m string) bool { return slices.Contains(payloads, m) })
	if len(rest) > 0 {
		f.warning(i, "it lacks %s, which others have: upgrade it, or do without its answers to these",
			strings.Join(rest, ", "))
	}
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

// shown is what is shown of a node. forks is what it says of them; methods are those that it should have.
func (i *inspection) shown(forks *admin.NodeForks, methods []string) checkedNode {
	info := &i.now.Info
	c := checkedNode{
		Name: i.node.Name(), URL: i.node.URL(), Reachable: i.reachable,
		ChainID: decimal(info.ChainID), Genesis: info.Genesis, Client: info.Label(), Lacks: info.Lacking(methods),
	}
	switch {
	case i.accepted:
		c.JWT = "accepted"
	case i.reachable && errors.Is(errors.Join(i.failures...), errRefused):
		c.JWT = "refused"
	}
	if i.roundTrip > 0 {
		c.ClockSkew = new(i.skew.Seconds())
	}
	if i.head != (node.Head{}) {
		c.Head = &admin.Head{Number: i.head.Number, Hash: i.head.Hash.Hex()}
	}
	if forks.Current.State == "known" {
		c.ForkID = forks.Current.ForkID
	}
	if forks.Next.State == "known" {
		c.NextFork = forks.Next.ForkID
	}
	if c.Lacks == nil {
		c.Lacks = []string{}
	}
	slices.Sort(c.Lacks)
	return c
}

// table has a line for each node.
func (f *findings) table() [][]string {
	if f.Offline {
		table := [][]string{{"NODE", "URL"}}
		for _, c := range f.Nodes {
			table = append(table, []string{c.Name, c.URL})
		}
		return table
	}
	table := [][]string{
		{"NODE", "URL", "REACHABLE", "JWT", "CLOCK SKEW", "CHAIN ID", "GENESIS", "HEAD", "CLIENT", "FORK", "LACKS"},
	}
	for _, c := range f.Nodes {
		skew, head, fork := "n/a", "", c.ForkID
		if c.ClockSkew != nil {
			skew = "~" + time.Duration(*c.ClockSkew*float64(time.Second)).String()
		}
		if c.Head != nil {
			head = strconv.FormatUint(c.Head.Number, 10)
		}
		if c.NextFork != "" {
			fork = strings.TrimPrefix(fork+", next "+c.NextFork, ", ")
		}
		table = append(table, []string{
			c.Name, c.URL, yes(c.Reachable), c.JWT, skew, c.ChainID, short(c.Genesis), head, c.Client, fork,
			strings.ReplaceAll(strings.Join(c.Lacks, " "), "engine_", ""),
		})
	}
	return table
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
