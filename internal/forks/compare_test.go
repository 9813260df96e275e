package forks

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The third of December 2026, 18:49:11.
var night = time.Unix(1796323751, 0)

// at returns the entry of a fork so long after that night, with a fork id.
func at(after time.Duration, id string) Entry {
	e := fork(uint64(night.Add(after).Unix()))
	e.ForkID = id
	return e
}

// nodes returns what n1, n2, … say.
func nodes(configs ...Config) (said []Said) {
	for i, c := range configs {
		said = append(said, Said{Node: fmt.Sprintf("n%d", i+1), Config: c})
	}
	return said
}

func TestCompare(t *testing.T) {
	var (
		old  = Config{fork(0), none, none}
		a    = at(3*time.Hour, "0x0000000a")
		b    = at(50*time.Hour, "0x0000000b")
		c    = at(100*time.Hour, "0x0000000c")
		inA  = "one at 2026-12-03 21:49:11 UTC, in 3 hours (fork id 0x0000000a)"
		inB  = "one at 2026-12-05 20:49:11 UTC, in 2 days (fork id 0x0000000b)"
		next = func(next, last Entry) Config { return Config{fork(0), next, last} }
		more = func(change func(*Entry)) Config {
			e := fork(7)
			e.BlobSchedule = blobs(6, 9, 5007716)
			e.Precompiles = "ECREC " + address(1) + ", ID " + address(4)
			e.SystemContracts = "BEACON_ROOTS_ADDRESS " + address(2)
			change(&e)
			return Config{e, none, none}
		}
		same = more(func(*Entry) {})
	)
	for _, test := range []struct {
		name string
		said []Said
		want []Difference
	}{
		{"nobody", nil, nil},
		{"one alone", nodes(old), nil},
		{"all the same", nodes(next(a, b), next(a, b), next(a, b)), nil},
		{"one is unknown", nodes(old, Config{}, old), nil},
		{"all but one are unknown", nodes(next(a, a), Config{}, Config{}), nil},

		{"one lacks the next fork", nodes(next(a, a), old, next(a, a)),
			[]Difference{{"n2", "next", "no next fork", inA}}},
		{"one has a next fork alone", nodes(old, old, next(a, a)), []Difference{{"n3", "next", inA, "no next fork"}}},
		{"one of two lacks it", nodes(old, next(a, a)),
			[]Difference{{"n1", "next", "no next fork", inA}, {"n2", "next", inA, "no next fork"}}},
		{"two and two", nodes(old, next(a, a), old, next(a, a)), []Difference{
			{"n1", "next", "no next fork", inA}, {"n2", "next", inA, "no next fork"},
			{"n3", "next", "no next fork", inA}, {"n4", "next", inA, "no next fork"},
		}},
		{"three and two", nodes(old, next(a, a), old, next(a, a), old),
			[]Difference{{"n2", "next", inA, "no next fork"}, {"n4", "next", inA, "no next fork"}}},
		{"each another", nodes(next(c, c), next(b, b), next(a, a)), []Difference{
			{"n1", "next.activationTime", "2026-12-07 22:49:11 UTC, in 4 days", "2026-12-03 21:49:11 UTC, in 3 hours"},
			{"n1", "next.forkId", "0x0000000c", "0x0000000a"},
			{"n2", "next.activationTime", "2026-12-05 20:49:11 UTC, in 2 days", "2026-12-03 21:49:11 UTC, in 3 hours"},
			{"n2", "next.forkId", "0x0000000b", "0x0000000a"},
			{"n3", "next.activationTime", "2026-12-03 21:49:11 UTC, in 3 hours", "2026-12-05 20:49:11 UTC, in 2 days"},
			{"n3", "next.forkId", "0x0000000a", "0x0000000b"},
		}},
		{"two of five are most", nodes(next(a, a), next(c, c), next(b, b), next(c, c), old), []Difference{
			{"n1", "next.activationTime", "2026-12-03 21:49:11 UTC, in 3 hours", "2026-12-07 22:49:11 UTC, in 4 days"},
			{"n1", "next.forkId", "0x0000000a", "0x0000000c"},
			{"n3", "next.activationTime", "2026-12-05 20:49:11 UTC, in 2 days", "2026-12-07 22:49:11 UTC, in 4 days"},
			{"n3", "next.forkId", "0x0000000b", "0x0000000c"},
			{"n5", "next", "no next fork", "one at 2026-12-07 22:49:11 UTC, in 4 days (fork id 0x0000000c)"},
		}},
		{"the last is another than the next, for most", nodes(next(a, b), next(a, b), old), []Difference{
			{"n3", "next", "no next fork", inA}, {"n3", "last", "no last fork", inB},
		}},
		{"the last is another than the next, for one", nodes(next(a, a), next(a, b), next(a, a)), []Difference{
			{"n2", "last.activationTime", "2026-12-05 20:49:11 UTC, in 2 days", "2026-12-03 21:49:11 UTC, in 3 hours"},
			{"n2", "last.forkId", "0x0000000b", "0x0000000a"},
		}},
		{"geth 1.17.4's last", nodes(next(a, unknown), next(a, a), next(a, a)), nil},
		{"only the last is known", nodes(next(unknown, b), next(a, a), next(a, a)), []Difference{
			{"n1", "last.activationTime", "2026-12-05 20:49:11 UTC, in 2 days", "2026-12-03 21:49:11 UTC, in 3 hours"},
			{"n1", "last.forkId", "0x0000000b", "0x0000000a"},
		}},

		{"the time of a fork", nodes(same, same, more(func(e *Entry) { e.Activation = 0 })),
			[]Difference{{"n3", "current.activationTime", "genesis", "1970-01-01 00:00:07 UTC, 20790 days ago"}}},
		{"a time without a date", nodes(same, same, more(func(e *Entry) { e.Activation = 1<<64 - 1 })),
			[]Difference{{"n3", "current.activationTime", "second 18446744073709551615 since 1970",
				"1970-01-01 00:00:07 UTC, 20790 days ago"}}},
		{"chain id", nodes(same, more(func(e *Entry) { e.ChainID = "17000" }), same),
			[]Difference{{"n2", "current.chainId", "17000", "1"}}},
		{"fork id", nodes(same, more(func(e *Entry) { e.ForkID = "0xffffffff" }), same),
			[]Difference{{"n2", "current.forkId", "0xffffffff", "0x00000007"}}},
		{"blobs", nodes(same, more(func(e *Entry) { e.BlobSchedule = "none" }), same),
			[]Difference{{"n2", "current.blobSchedule", "none", "target 6, max 9, baseFeeUpdateFraction 5007716"}}},
		{"a precompile is lacking", nodes(same, more(func(e *Entry) { e.Precompiles = "ID " + address(4) }), same),
			[]Difference{{"n2", "current.precompiles", "lacks ECREC", "ECREC " + address(1)}}},
		{"a precompile more, and one elsewhere", nodes(same, same, more(func(e *Entry) {
			e.Precompiles = "ECREC " + address(9) + ", ID " + address(4) + ", P256VERIFY " + address(0x100)
		})), []Difference{{"n3", "current.precompiles", "ECREC " + address(9) + ", P256VERIFY " + address(0x100),
			"ECREC " + address(1) + ", lacks P256VERIFY"}}},
		{"no precompile", nodes(same, more(func(e *Entry) { e.Precompiles = "" }), same),
			[]Difference{{"n2", "current.precompiles", "lacks ECREC, lacks ID",
				"ECREC " + address(1) + ", ID " + address(4)}}},
		{"Holesky's deposit contract", nodes(same, same, more(func(e *Entry) {
			e.SystemContracts = "BEACON_ROOTS_ADDRESS " + address(3)
		})), []Difference{{"n3", "current.systemContracts",
			"BEACON_ROOTS_ADDRESS " + address(3), "BEACON_ROOTS_ADDRESS " + address(2)}}},
		{"all of it", nodes(Config{fork(0), none, none}, same, same), []Difference{
			{"n1", "current.activationTime", "genesis", "1970-01-01 00:00:07 UTC, 20790 days ago"},
			{"n1", "current.forkId", "0x00000000", "0x00000007"},
			{"n1", "current.blobSchedule", "none", "target 6, max 9, baseFeeUpdateFraction 5007716"},
			{"n1", "current.precompiles", "lacks ECREC, lacks ID", "ECREC " + address(1) + ", ID " + address(4)},
			{"n1", "current.systemContracts", "lacks BEACON_ROOTS_ADDRESS", "BEACON_ROOTS_ADDRESS " + address(2)},
		}},
	} {
		if got := Compare(test.said, night); !slices.Equal(got, test.want) {
			t.Errorf("%s:\n got %q\nwant %q", test.name, got, test.want)
		}
	}
}

// Times are told in the largest unit of which there are two.
func TestWhen(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  string
	}{
		{0, "now"},
		{500 * time.Millisecond, "now"},
		{-500 * time.Millisecond, "now"},
		{time.Second, "in 1 second"},
		{-time.Second, "1 second ago"},
		{1999 * time.Millisecond, "in 1 second"},
		{2 * time.Second, "in 2 seconds"},
		{119 * time.Second, "in 119 seconds"},
		{2 * time.Minute, "in 2 minutes"},
		{119 * time.Minute, "in 119 minutes"},
		{2 * time.Hour, "in 2 hours"},
		{-2 * time.Hour, "2 hours ago"},
		{48*time.Hour - time.Second, "in 47 hours"},
		{48 * time.Hour, "in 2 days"},
		{-400 * 24 * time.Hour, "400 days ago"},
	} {
		got := when(uint64(night.Unix()), night.Add(-c.after))
		if want := "2026-12-03 18:49:11 UTC, " + c.want; got != want {
			t.Errorf("%s: %q, want %q", c.after, got, want)
		}
	}
	if got, want := when(lastSecond, night), "9999-12-31 23:59:59 UTC, in 106751 days"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

var someConfigs = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Config {
	e := rapid.SampledFrom([]Entry{unknown, none, fork(1), fork(1), fork(2), fork(3)})
	return Config{e.Draw(t, "current"), e.Draw(t, "next"), e.Draw(t, "last")}
}), 0, 7)

// A node is named exactly where its own word is known and isn't the most common one of the others.
func TestWhoDiffers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		said := nodes(someConfigs.Draw(t, "configs")...)
		got := Compare(said, night)
		for _, s := range said {
			for _, entry := range entries {
				own := *entry.of(&s.Config)
				others, differs := mostOfTheOthers(said, s.Node, entry.of)
				named := slices.ContainsFunc(got, func(d Difference) bool {
					return d.Node == s.Node && (d.Field == entry.name || strings.HasPrefix(d.Field, entry.name+"."))
				})
				if next, nextDiffers := mostOfTheOthers(said, s.Node, entries[1].of); nextDiffers &&
					entry.name == "last" && s.Config.Next == own && next == others {
					differs = false // it has been told of next
				}
				if named != differs {
					t.Fatalf("%s: its %s is %+v, that of others %+v, but got %q", s.Node, entry.name, own, others, got)
				}
				if differs && own.State == None && !slices.Contains(got, Difference{
					s.Node, entry.name, "no " + entry.name + " fork", others.words(entry.name, night),
				}) {
					t.Fatalf("%s: not compared with %+v: %q", s.Node, others, got)
				}
			}
		}
	})
}

// mostOfTheOthers returns what most of the others say, and whether a node says something else.
func mostOfTheOthers(said []Said, node string, of func(*Config) *Entry) (most Entry, differs bool) {
	var own Entry
	var others []Entry
	for _, s := range said {
		e := *of(&s.Config)
		if s.Node == node {
			own = e
		} else if e.State != Unknown {
			others = append(others, e)
		}
	}
	times := func(e Entry) (n int) {
		for _, other := range others {
			if other == e {
				n++
			}
		}
		return n
	}
	differs = own.State != Unknown && len(others) > 0
	for i, e := range others {
		if i == 0 || times(e) > times(most) || times(e) == times(most) && e.Text() < most.Text() {
			most = e
		}
	}
	if times(own) == times(most) {
		differs = false
	}
	return most, differs
}

// The order of the nodes, and how each spells what it says, don't matter.
func TestCompareIsIndifferent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var said []Said
		for i := range rapid.IntRange(1, 5).Draw(t, "nodes") {
			c := Config{someEntries.Draw(t, "current"), someEntries.Draw(t, "next"), someEntries.Draw(t, "last")}
			if i > 0 && rapid.Bool().Draw(t, "the same") {
				c = said[0].Config
			}
			c, _ = Read([]byte(spelt{t}.config(c)))
			said = append(said, Said{Node: fmt.Sprintf("n%d", i), Config: c})
		}
		var others []Said
		for _, s := range rapid.Permutation(said).Draw(t, "order") {
			s.Config, _ = Read([]byte(spelt{t}.config(s.Config)))
			others = append(others, s)
		}
		want, got := Compare(said, night), Compare(others, night)
		for _, list := range [][]Difference{want, got} {
			slices.SortFunc(list, func(a, b Difference) int { return strings.Compare(a.Node+a.Field, b.Node+b.Field) })
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v\n in another order or spelling: %q\nwant %q", said, got, want)
		}
	})
}

// What isn't known is no difference, neither a node's own nor the others'.
func TestUnknownIsNoDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		said := nodes(someConfigs.Draw(t, "configs")...)
		want := Compare(said, night)
		for _, d := range want {
			node := slices.IndexFunc(said, func(s Said) bool { return s.Node == d.Node })
			name, _, _ := strings.Cut(d.Field, ".")
			for _, entry := range entries {
				if entry.name == name && entry.of(&said[node].Config).State == Unknown {
					t.Fatalf("%q, which is unknown", d)
				}
			}
			if d.Own == "" || d.Others == "" || d.Own == d.Others {
				t.Fatalf("%q", d)
			}
		}
		for range rapid.IntRange(1, 3).Draw(t, "unknown") {
			i := rapid.IntRange(0, len(said)).Draw(t, "at")
			said = slices.Insert(said, i, Said{Node: "silent"})
		}
		if got := Compare(said, night); !slices.Equal(got, want) {
			t.Fatalf("with nodes that say nothing: %q, want %q", got, want)
		}
	})
}

func TestMissed(t *testing.T) {
	type node struct {
		client  string
		current Entry
	}
	before, after, later := fork(10), fork(20), fork(30)
	for _, c := range []struct {
		name  string
		nodes []node
		want  string
	}{
		{"nobody", nil, ""},
		{"one alone", []node{{"geth", before}}, ""},
		{"all the same", []node{{"geth", after}, {"reth", after}, {"besu", after}}, ""},
		{"one of three geths", []node{{"geth", after}, {"geth", before}, {"geth", after}}, "n2"},
		{"two of three geths", []node{{"geth", before}, {"geth", before}, {"geth", after}}, ""},
		{"one of two geths", []node{{"geth", before}, {"geth", after}}, "n1"},
		{"one against one", []node{{"geth", before}, {"nethermind", after}}, ""},
		{"one against two", []node{{"geth", before}, {"nethermind", after}, {"besu", after}}, "n1"},
		{"two against one", []node{{"geth", before}, {"nethermind", before}, {"besu", after}}, ""},
		{"three geths against two", []node{{"geth", before}, {"geth", before}, {"geth", before}, {"reth", after},
			{"besu", after}}, "n1 n2 n3"},
		{"three geths against one", []node{{"geth", before}, {"geth", before}, {"geth", before}, {"reth", after}}, ""},
		{"one geth of two, and a Besu", []node{{"geth", before}, {"geth", after}, {"besu", after}}, "n1"},
		{"one geth of two, with a Besu", []node{{"geth", before}, {"geth", after}, {"besu", before}}, ""},
		{"two implementations of four", []node{{"a", before}, {"b", before}, {"c", after}, {"d", after}}, ""},
		{"three implementations of four", []node{{"a", before}, {"b", after}, {"c", after}, {"d", after}}, "n1"},
		{"a divided implementation doesn't count", []node{{"a", before}, {"b", after}, {"b", before}, {"c", after}},
			"n3"},
		{"each unknown client is its own", []node{{"", before}, {"", after}, {"", after}}, "n1"},
		{"unknown clients are not one", []node{{"", before}, {"", after}}, ""},
		{"unknown words don't count", []node{{"geth", before}, {"besu", after}, {"reth", unknown}, {"a", unknown}}, ""},
		{"unknown words aren't late", []node{{"geth", unknown}, {"besu", after}, {"reth", after}}, ""},
		{"two of seven tell that they are later", []node{{"geth", before}, {"nethermind", after}, {"erigon", after},
			{"besu", unknown}, {"reth", unknown}, {"ethrex", unknown}, {"nimbus", unknown}}, ""},
		{"most of those that there are", []node{{"geth", before}, {"nethermind", after}, {"erigon", after},
			{"besu", after}, {"reth", unknown}}, "n1"},
		{"a geth hasn't told", []node{{"geth", before}, {"geth", after}, {"geth", unknown}}, "n1"},
		{"a fork that hasn't begun", []node{{"geth", before}, {"besu", fork(101)}, {"reth", fork(101)}}, ""},
		{"each is later", []node{{"geth", before}, {"besu", after}, {"reth", later}}, "n1"},
		{"genesis is early", []node{{"geth", fork(0)}, {"besu", after}, {"reth", after}}, "n1"},
	} {
		var said []Said
		for i, n := range c.nodes {
			said = append(said, Said{fmt.Sprintf("n%d", i+1), n.client, Config{n.current, none, none}, true})
		}
		if got := strings.Join(Missed(said, time.Unix(100, 0)), " "); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
