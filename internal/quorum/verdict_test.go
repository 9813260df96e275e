package quorum

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"executionbackup/internal/engine"
)

const (
	none     = engine.None
	valid    = engine.Valid
	invalid  = engine.Invalid
	syncing  = engine.Syncing
	accepted = engine.Accepted
)

func rules(t testing.TB, threshold string) Rules {
	t.Helper()
	r, err := ParseRatio(threshold)
	if err != nil {
		t.Fatal(err)
	}
	return Rules{Threshold: r, MinValid: 1}
}

// ballots are those of nodes that are asked and have proved themselves.
func ballots(votes ...engine.Status) []Ballot {
	b := make([]Ballot, len(votes))
	for i, v := range votes {
		b[i] = Ballot{Vote: v, Configured: true, Asked: true, Heard: true, Proved: true}
	}
	return b
}

// The table of the documentation, the two-node rows, and what can't be INVALID.
func TestTruthTable(t *testing.T) {
	votes := ballots
	and := func(b []Ballot, more ...Ballot) []Ballot { return append(b, more...) }
	unproved := Ballot{Vote: invalid, Configured: true, Asked: true, Heard: true}
	dead := Ballot{Configured: true}
	laggard := Ballot{Configured: true, Heard: true, Proved: true}
	for _, c := range []struct {
		name    string
		ballots []Ballot
		want    engine.Status
		dispute bool
	}{
		{"V V V", votes(valid, valid, valid), valid, false},
		{"I I I", votes(invalid, invalid, invalid), invalid, false},
		{"V V S", votes(valid, valid, syncing), valid, false},
		{"V V I", votes(valid, valid, invalid), syncing, true},
		{"I I V", votes(invalid, invalid, valid), invalid, true},
		{"I I S", votes(invalid, invalid, syncing), invalid, false},
		{"V I", votes(valid, invalid), syncing, true},
		{"V S", votes(valid, syncing), valid, false},
		{"V S S", votes(valid, syncing, syncing), syncing, false},
		{"I S", votes(invalid, syncing), syncing, true},
		{"I, two hang", votes(invalid, none, none), syncing, true},
		{"A A", votes(accepted, accepted), accepted, false},
		{"A S", votes(accepted, syncing), syncing, false},
		{"two errors", votes(none, none), none, false},
		{"nobody", nil, none, false},
		{"I, a dead one", and(votes(invalid), dead), syncing, true},
		{"I, the only one that the operator lets vote", votes(invalid), invalid, false},
		{"I, beside a node that is not to be used", and(votes(invalid), Ballot{}), invalid, false},
		{"I of the only one, which hasn't proved itself", []Ballot{unproved}, syncing, true},
		{"I I, one not proved", and(votes(invalid), unproved), syncing, true},
		{"I I I, none proved", []Ballot{unproved, unproved, unproved}, syncing, true},
		{"I I I, one not proved", and(votes(invalid, invalid), unproved), invalid, false},
		{"I I of three, the third not heard", and(votes(invalid, invalid), dead), invalid, false},
		{"I I, two laggards", and(votes(invalid, invalid), laggard, laggard), syncing, true},
		{"I I, a laggard", and(votes(invalid, invalid), laggard), invalid, false},
		{"V V, two laggards", and(votes(valid, valid), laggard, laggard), valid, false},
	} {
		if got := rules(t, "0.6").Decide(c.ballots); got.Status != c.want || got.Dispute != c.dispute {
			t.Errorf("%s: got %v, want %v, dispute %v", c.name, got, c.want, c.dispute)
		}
	}
}

// party is what has one vote: a node, or all nodes of an implementation.
type party []Ballot

func (p party) any(is func(Ballot) bool) bool { return p.count(is) > 0 }

func (p party) count(is func(Ballot) bool) (n int) {
	for _, b := range p {
		if is(b) {
			n++
		}
	}
	return n
}

func voted(s engine.Status) func(Ballot) bool { return func(b Ballot) bool { return b.Vote == s } }
func isAsked(b Ballot) bool                   { return b.Asked }
func isHeard(b Ballot) bool                   { return b.Heard }
func isConfigured(b Ballot) bool              { return b.Configured }
func isStanding(b Ballot) bool                { return b.Stands || b.Vote == valid }
func isWitness(b Ballot) bool                 { return b.Vote == invalid && b.Proved }

// share is a threshold as a fraction of small numbers.
type share struct{ num, den int }

func (s share) reached(part, whole int) bool { return whole > 0 && part*s.den >= whole*s.num }

var shares = map[string]share{"0.51": {51, 100}, "0.6": {6, 10}, "2/3": {2, 3}, "0.7": {7, 10}, "1": {1, 1}}

// oracle decides as the documentation words it: lists of parties, each asked for what it is.
func oracle(all []Ballot, t share, minValid int, majority, byClient bool) engine.Status {
	var parties []party
	index := map[string]int{}
	for _, b := range all {
		if i, known := index[b.Client]; known && byClient && b.Client != "" {
			parties[i] = append(parties[i], b)
			continue
		}
		index[b.Client] = len(parties)
		parties = append(parties, party{b})
	}
	status := func(p party) engine.Status {
		for _, s := range []engine.Status{invalid, valid, syncing, accepted} {
			if p.any(voted(s)) {
				return s
			}
		}
		return none
	}
	number := func(is func(party) bool) (n int) {
		for _, p := range parties {
			if is(p) {
				n++
			}
		}
		return n
	}
	say := func(s engine.Status) int { return number(func(p party) bool { return status(p) == s }) }
	condemning := func(p party) bool {
		return p.any(voted(invalid)) && (!byClient ||
			t.reached(p.count(voted(invalid)), p.count(isHeard)) && !p.any(isStanding))
	}
	n := len(parties) - say(none)
	asked := number(func(p party) bool { return p.any(isAsked) })

	// 1.
	if n == 0 {
		return none
	}
	// 2. INVALID/heard ≥ t, and at least two …
	witnesses := 0
	for _, p := range parties {
		if condemning(p) {
			witnesses += p.count(isWitness)
		}
	}
	needed := min(2, party(all).count(isConfigured))
	enough := witnesses >= needed
	if byClient {
		clients := number(func(p party) bool { return p.any(isConfigured) })
		enough = enough && number(func(p party) bool { return condemning(p) && p.any(isWitness) }) >= min(2, clients)
	}
	if enough && t.reached(number(condemning), number(func(p party) bool { return p.any(isHeard) })) {
		return invalid
	}
	// 3. any INVALID otherwise
	if say(invalid) > 0 {
		if majority && t.reached(say(valid), asked) && say(valid) >= minValid {
			return valid
		}
		return syncing
	}
	// 4.
	if say(accepted) == n {
		return accepted
	}
	if say(valid) == 0 || t.reached(say(syncing)+say(accepted), n) {
		return syncing
	}
	// 5. and 6.
	if say(valid) < minValid {
		return syncing
	}
	return valid
}

// sequences calls f with every sequence of n of the choices.
func sequences[T any](n int, choices []T, f func([]T)) {
	seq := make([]T, n)
	var fill func(int)
	fill = func(i int) {
		if i == n {
			f(seq)
			return
		}
		for _, c := range choices {
			seq[i] = c
			fill(i + 1)
		}
	}
	fill(0)
}

// kinds are the ballots that there are. One without a vote is that of a node that is silent, gave an error, or is dead.
var kinds = []Ballot{
	{},
	{Configured: true},
	{Configured: true, Heard: true, Stands: true},
	{Configured: true, Asked: true, Heard: true},
	{Configured: true, Asked: true, Heard: true, Vote: valid},
	{Configured: true, Asked: true, Heard: true, Vote: syncing},
	{Configured: true, Asked: true, Heard: true, Vote: accepted},
	{Configured: true, Asked: true, Heard: true, Vote: invalid},
	{Configured: true, Asked: true, Heard: true, Vote: invalid, Proved: true, Stands: true},
	{Configured: true, Asked: true, Heard: true, Vote: invalid, Proved: true},
}

// Every mix of up to four ballots, with one vote a node.
func TestDecideAgainstOracle(t *testing.T) {
	checked, seen := 0, map[engine.Status]int{}
	for threshold, share := range shares {
		for mode := range 6 {
			r := rules(t, threshold)
			r.OnDispute, r.MinValid = Policy(mode%2), 1+mode/2
			for n := range 5 {
				sequences(n, kinds, func(b []Ballot) {
					checked++
					got, want := r.Decide(b).Status, oracle(b, share, r.MinValid, r.OnDispute == Majority, false)
					seen[got]++
					if got != want {
						t.Fatalf("%+v at %s, min-valid %d, %v: got %q, want %q",
							b, threshold, r.MinValid, r.OnDispute, got, want)
					}
				})
			}
		}
	}
	if checked != 5*6*(1+10+100+1000+10000) || len(seen) != 5 {
		t.Errorf("checked %d mixes, saw %v", checked, seen)
	}
}

// Implementations vote once each: INVALID if any of their nodes says so, else VALID, else SYNCING, else ACCEPTED.
func TestVoteByClientAgainstOracle(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	seen := map[engine.Status]int{}
	for range 200_000 {
		threshold := []string{"0.51", "0.6", "2/3", "0.7", "1"}[random.IntN(5)]
		r := rules(t, threshold)
		r.ByClient, r.OnDispute, r.MinValid = true, Policy(random.IntN(2)), 1+random.IntN(2)
		b := make([]Ballot, random.IntN(8))
		for i := range b {
			if b[i] = kinds[random.IntN(len(kinds))]; random.IntN(2) == 0 {
				b[i] = kinds[len(kinds)-1] // or INVALID would be rare
			}
			b[i].Client = []string{"", "GE", "GE", "NM", "BU"}[random.IntN(5)]
		}
		got, want := r.Decide(b).Status, oracle(b, shares[threshold], r.MinValid, r.OnDispute == Majority, true)
		seen[got]++
		if got != want {
			t.Fatalf("%+v at %s, min-valid %d, %v: got %q, want %q",
				b, threshold, r.MinValid, r.OnDispute, got, want)
		}
	}
	for _, s := range []engine.Status{none, valid, invalid, syncing, accepted} {
		if seen[s] < 100 {
			t.Errorf("%q only %d times", s, seen[s])
		}
	}
}

func TestVoteByClient(t *testing.T) {
	r := rules(t, "0.6")
	r.ByClient = true
	node := func(client string, vote engine.Status) Ballot {
		return Ballot{Vote: vote, Configured: true, Asked: true, Heard: true, Proved: true, Client: client}
	}
	unproved := func(client string) Ballot {
		b := node(client, invalid)
		b.Proved = false
		return b
	}
	stands := func(client string) Ballot { return Ballot{Configured: true, Heard: true, Stands: true, Client: client} }
	silent := func(client string) Ballot { return node(client, none) }
	for _, c := range []struct {
		name    string
		ballots []Ballot
		want    engine.Status
	}{
		{"three geths can't outvote a Nethermind",
			[]Ballot{node("GE", invalid), node("GE", invalid), node("GE", invalid), node("NM", valid)}, syncing},
		{"one geth of five condemns nothing", []Ballot{node("GE", invalid), silent("GE"), silent("GE"), silent("GE"),
			silent("GE"), node("NM", invalid)}, syncing},
		{"three of five are enough",
			[]Ballot{node("GE", invalid), node("GE", invalid), node("GE", invalid),
				silent("GE"), silent("GE"), node("NM", invalid)}, invalid},
		{"a geth says VALID",
			[]Ballot{node("GE", invalid), node("GE", invalid), node("GE", valid), node("NM", invalid)},
			syncing},
		{"a VALID of a geth that is gone stands",
			[]Ballot{node("GE", invalid), node("GE", invalid), node("GE", invalid), stands("GE"), node("NM", invalid)},
			syncing},
		{"the two INVALIDs are of one implementation",
			[]Ballot{node("GE", invalid), node("GE", invalid), unproved("NM")},
			syncing},
		{"they are, and no other is configured", []Ballot{node("GE", invalid), node("GE", invalid)}, invalid},
		{"one implementation, one that proved itself", []Ballot{node("GE", invalid), unproved("GE")}, syncing},
		{"two nodes of two", []Ballot{node("GE", invalid), node("NM", invalid)}, invalid},
		{"another implementation is configured, and dead",
			[]Ballot{node("GE", invalid), node("GE", invalid), {Configured: true, Client: "NM"}}, syncing},
		{"unknown ones are their own", []Ballot{node("", invalid), node("", invalid)}, invalid},
		{"unknown ones are their own: VALID", []Ballot{node("", valid), node("", valid), node("GE", syncing)}, valid},
		{"min-valid counts implementations", []Ballot{node("GE", valid), node("GE", valid), node("NM", valid)}, valid},
		{"one node in the denominator brings in its implementation",
			[]Ballot{node("GE", valid), {Configured: true, Client: "GE"}, silent("NM")}, valid},
	} {
		if got := r.Decide(c.ballots).Status; got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	r.MinValid = 2
	if got := r.Decide([]Ballot{node("GE", valid), node("GE", valid)}).Status; got != syncing {
		t.Errorf("min-valid counts implementations: got %v", got)
	}
}

// The order of the ballots changes nothing, with one vote a node or an implementation.
func TestOrderChangesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	clients := []string{"", "GE", "NM", "BU"}
	for range 20000 {
		r := rules(t, []string{"0.51", "0.6", "2/3", "1"}[random.IntN(4)])
		r.OnDispute, r.ByClient, r.MinValid = Policy(random.IntN(3)), random.IntN(2) == 0, 1+random.IntN(3)
		r.MinClients = 1 + random.IntN(3)
		b := make([]Ballot, random.IntN(8))
		for i := range b {
			b[i] = Ballot{
				Vote: engine.Status(random.IntN(5)), Asked: random.IntN(4) > 0, Heard: random.IntN(4) > 0,
				Proved: random.IntN(4) > 0,
				Stands: random.IntN(8) == 0, Configured: random.IntN(4) > 0, Client: clients[random.IntN(4)],
				Config: []string{"", "a", "a", "b"}[random.IntN(4)], NearFork: random.IntN(2) == 0,
			}
		}
		want, quorum := r.Decide(b), r.hasQuorum(b)
		random.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
		if got := r.Decide(b); got != want || r.hasQuorum(b) != quorum {
			t.Fatalf("%+v: got %v, before shuffling %v", b, got, want)
		}
	}
}

func TestHasQuorum(t *testing.T) {
	for _, c := range []struct {
		votes []engine.Status
		want  bool
	}{
		{[]engine.Status{valid, valid, none}, true},
		{[]engine.Status{valid, none, none}, false},
		{[]engine.Status{valid, none}, false}, // of two asked, one is no quorum
		{[]engine.Status{valid, valid, invalid}, false},
		{[]engine.Status{invalid, invalid, none}, false},
	} {
		if got := rules(t, "0.6").hasQuorum(ballots(c.votes...)); got != c.want {
			t.Errorf("%v: got %v", c.votes, got)
		}
	}
	// By client an implementation is asked where any of its nodes is.
	r := rules(t, "0.6")
	r.ByClient = true
	b := ballots(valid, none, none)
	b[0].Client, b[1].Client, b[2].Client, b[1].Asked = "GE", "NM", "NM", false
	if r.hasQuorum(b) {
		t.Error("one implementation of two asked has a quorum")
	}
}

func TestThresholdIsExact(t *testing.T) {
	for _, c := range []struct {
		threshold   string
		part, whole int
		want        bool
	}{
		{"0.6", 3, 5, true}, {"0.6", 6, 10, true}, {"0.6", 599, 1000, false},
		{"0.66", 2, 3, true}, {"2/3", 2, 3, true}, {"0.67", 2, 3, false},
		{"1", 3, 3, true}, {"1.0", 2, 3, false}, {"0.51", 0, 0, false},
	} {
		if got := rules(t, c.threshold).Threshold.Reached(c.part, c.whole); got != c.want {
			t.Errorf("%d of %d at %s: got %v", c.part, c.whole, c.threshold, got)
		}
	}
}

func TestParseRatio(t *testing.T) {
	for _, c := range []struct{ in, out, err string }{
		{"0.6", "0.6", ""}, {"2/3", "2/3", ""}, {"1", "1", ""}, {"0.510", "0.51", ""},
		{"0.5", "", "0.5 is out of range: more than 0.5 and at most 1"},
		{"1.01", "", "1.01 is out of range: more than 0.5 and at most 1"},
		{"-1", "", "-1 is out of range: more than 0.5 and at most 1"},
		{"60%", "", `"60%" is not a number`},
		{"1/0", "", `"1/0" is not a number`},
		{"0.6000000001", "", "0.6000000001 has more than nine decimal places"},
		{"1e-99999", "", `"1e-99999" is not a plain number`},
	} {
		r, err := ParseRatio(c.in)
		if err != nil && err.Error() != c.err || err == nil && (c.err != "" || r.String() != c.out) {
			t.Errorf("%s: got %s, %v; want %s, %s", c.in, r, err, c.out, c.err)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, byClient := range []bool{false, true} {
		b.Run(fmt.Sprintf("byClient=%v", byClient), func(b *testing.B) {
			r := rules(b, "0.6")
			r.ByClient = byClient
			votes := ballots(valid, valid, syncing, valid, valid, valid, accepted, valid)
			for i := range votes {
				votes[i].Client = []string{"GE", "NM", "BU", "RH"}[i%4]
			}
			b.ReportAllocs()
			for b.Loop() {
				r.Decide(votes)
			}
		})
	}
}
