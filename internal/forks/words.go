package forks

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// differences puts into words where two entries differ, of which neither is Unknown.
func differences(node, entry string, own, others Entry, now time.Time) []Difference {
	if own == others {
		return nil
	}
	if own.State == None || others.State == None {
		return []Difference{{node, entry, own.words(entry, now), others.words(entry, now)}}
	}
	var all []Difference
	for i, words := range [len(members)][2]string{
		{when(own.Activation, now), when(others.Activation, now)},
		{own.ChainID, others.ChainID},
		{own.ForkID, others.ForkID},
		{own.BlobSchedule, others.BlobSchedule},
		namesThatDiffer(own.Precompiles, others.Precompiles),
		namesThatDiffer(own.SystemContracts, others.SystemContracts),
	} {
		if words[0] != words[1] {
			all = append(all, Difference{node, entry + "." + members[i], words[0], words[1]})
		}
	}
	return all
}

// words says which fork it is.
func (e Entry) words(entry string, now time.Time) string {
	if e.State == None {
		return "no " + entry + " fork"
	}
	return fmt.Sprintf("one at %s (fork id %s)", when(e.Activation, now), e.ForkID)
}

// Date says when the fork is.
func (e Entry) Date() string { return date(e.Activation) }

// Instead says which next fork a node has in place of the first one that is known of.
func Instead(own, next Entry) string {
	switch {
	case own.State != Known:
		return "it knows of no next fork"
	case own.Activation == next.Activation:
		return "it has another configuration for it"
	}
	return fmt.Sprintf("its next fork is another, at %s (fork id %s)", own.Date(), own.ForkID)
}

// date writes when a fork is activated.
func date(activation uint64) string {
	switch {
	case activation == 0:
		return "genesis"
	case activation > lastSecond:
		return fmt.Sprintf("second %d since 1970", activation)
	}
	return time.Unix(int64(activation), 0).UTC().Format("2006-01-02 15:04:05 UTC")
}

// when says when a fork is activated, and how far that is from now.
func when(activation uint64, now time.Time) string {
	date := date(activation)
	if activation == 0 || activation > lastSecond {
		return date
	}
	switch left := until(activation, now); {
	case left.Abs() < time.Second:
		return date + ", now"
	case left < 0:
		return date + ", " + roughly(left.Abs()) + " ago"
	default:
		return date + ", in " + roughly(left)
	}
}

// roughly writes a duration of a second or more in the largest unit of which there are two, rounded down.
func roughly(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	case d >= 2*time.Second:
		return fmt.Sprintf("%d seconds", d/time.Second)
	}
	return "1 second"
}

// namesThatDiffer says of two lists of names and addresses what each has that the other hasn't, and what it lacks.
func namesThatDiffer(own, others string) [2]string {
	lists := [2]map[string]string{addresses(own), addresses(others)}
	names := maps.Clone(lists[0])
	maps.Copy(names, lists[1])
	var words [2][]string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if lists[0][name] == lists[1][name] {
			continue
		}
		for i, list := range lists {
			if list[name] == "" {
				words[i] = append(words[i], "lacks "+name)
			} else {
				words[i] = append(words[i], name+" "+list[name])
			}
		}
	}
	return [2]string{strings.Join(words[0], ", "), strings.Join(words[1], ", ")}
}

// addresses takes an Entry's list of names apart.
func addresses(list string) map[string]string {
	addresses := make(map[string]string)
	for item := range strings.SplitSeq(list, ", ") {
		if name, address, found := strings.Cut(item, " "); found {
			addresses[name] = address
		}
	}
	return addresses
}
