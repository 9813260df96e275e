package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"executionbackup/internal/admin"
)

// judgeForks finds what is wrong with the forks of the n-th node, by what the others say of theirs.
func (f *findings) judgeForks(i *inspection, n int, all *admin.Forks) {
	said := &all.Nodes[n]
	for _, d := range said.Differences {
		f.problem(i, "its forks differ in %s: %s", d, remedy(d.Field, said, all.Next))
	}
	isTold := func(n admin.NodeForks) bool { return n.Current.State == "known" }
	if i.accepted && said.Trouble != "" && slices.ContainsFunc(all.Nodes, isTold) {
		f.note(i.node.Name(), "it doesn't tell all of its forks: %s", said.Trouble)
	}
}

// remedy says what to do about a difference.
func remedy(field string, said *admin.NodeForks, next *admin.NextFork) string {
	switch {
	case strings.HasPrefix(field, "current"):
		return "find out which side is right, and upgrade or configure the other one now: they judge blocks by " +
			"other rules"
	case said.Ready != nil && *said.Ready && strings.HasPrefix(field, "next"):
		return "upgrade the others, unless no such fork is planned"
	case next == nil:
		return "upgrade it, or set its forks (geth: --override.…)"
	}
	return fmt.Sprintf("upgrade it, or set its forks (geth: --override.…), before %s", next.At())
}

// printForks writes what each node says of the next fork. An error says who isn't known to be ready for it.
func (p *program) printForks(inspections []*inspection, all *admin.Forks) error {
	table := [][]string{{"NODE", "CLIENT", "NEXT FORK"}}
	var late, mute []string
	methods := allMethods(inspections)
	for n, i := range inspections {
		said := &all.Nodes[n]
		words, unknown, lacks := said.Says, "", i.lackedPayloads(methods)
		switch {
		case len(i.failures) > 0 && said.Ready == nil:
			unknown = i.failures[0].Error()
		case i.now.WrongChain:
			unknown = "it is on another chain"
		case said.Ready != nil && *said.Ready: // though it may know this one as its last alone
			words = all.Next.String()
		case said.Next.State == "unknown":
			unknown = cmp.Or(said.Trouble, "it doesn't tell its forks")
		case all.Next == nil:
			words = "it knows of no next fork"
		}
		if unknown != "" {
			words = "unknown: " + unknown
			mute = append(mute, i.node.Name())
		} else if said.Ready == nil || !*said.Ready || len(lacks) > 0 {
			late = append(late, i.node.Name())
		}
		if len(lacks) > 0 {
			words += "; it lacks " + strings.Join(lacks, " and ")
		}
		table = append(table, []string{i.node.Name(), cmp.Or(said.Client, "unknown client"), words})
	}
	if err := printTable(p.stdout, table); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout)
	unknown := ""
	if len(mute) > 0 {
		unknown = "; unknown: " + strings.Join(mute, ", ")
	}
	switch {
	case all.Next == nil && len(late) == 0:
		return errors.New("no node tells its forks: look at each client's releases")
	case all.Next == nil:
		return errors.New("no node knows of a next fork: either none is scheduled, or all of them are too old" +
			unknown)
	case len(late) > 0:
		return fmt.Errorf("not ready for the fork at %s: %s%s", all.Next, strings.Join(late, ", "), unknown)
	case len(mute) > 0:
		return fmt.Errorf("not every node is known to be ready for the fork at %s%s", all.Next, unknown)
	}
	fmt.Fprintf(p.stdout, "every node knows the next fork: %s\n", all.Next)
	return nil
}
