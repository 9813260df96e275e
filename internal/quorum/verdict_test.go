package quorum

import (
	"fmt"
	"math/big"
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

func ballots(votes ...engine.Status) []Ballot {
	b := make([]Ballot, len(votes))
	for i, v := range votes {
		b[i] = Ballot{Vote: v, Asked: true}
	}
	return b
}

// The table of the documentation, and the two-node rows.
func TestTruthTable(t *testing.T) {
	for _, c := range []struct {
		votes   []engine.Status
		want    engine.Status
		dispute bool
	}{
		{[]engine.Status{valid, valid, valid}, valid, false},
		{[]engine.Status{invalid, invalid, invalid}, invalid, false},
		{[]engine.Status{valid, valid, syncing}, valid, false},
		{[]engine.Status{valid, valid, invalid}, syncing, true},
		{[]engine.Status{invalid, invalid, valid}, invalid, true},
		{[]engine.Status{invalid, invalid, syncing}, invalid, false},
		{[]engine.Status{valid, invalid}, syncing, true},
		{[]engine.Status{valid, syncing}, valid, false},
		{[]engine.Status{invalid, syncing}, syncing, true},
		{[]engine.Status{invalid, none, none}, syncing, true}, // one answer among hung nodes condemns nothing
		{[]engine.Status{accepted, accepted}, accepted, false},
		{[]engine.Status{accepted, syncing}, syncing, false},
		{[]engine.Status{none, none}, none, false},
		{nil, none, false},
	} {
		got := rules(t, "0.6").Decide(ballots(c.votes...))
		if got != (Verdict{c.want, c.dispute}) {
			t.Errorf("%v: got %v, want %v, dispute %v", c.votes, got, c.want, c.dispute)
		}
	}
}

// oracle decides as the documentation words it, with rationals and lists instead of counters.
func oracle(votes []engine.Status, threshold string, minValid int, majority bool) engine.Status {
	t, _ := new(big.Rat).SetString(threshold)
	share := func(s engine.Status, of int) *big.Rat {
		n := int64(0)
		for _, v := range votes {
			if v == s || s == syncing && v == accepted {
				n++
			}
		}
		if of == 0 {
			return new(big.Rat)
		}
		return big.NewRat(n, int64(of))
	}
	n := 0
	onlyAccepted := true
	for _, v := range votes {
		if v != none {
			n++
			onlyAccepted = onlyAccepted && v == accepted
		}
	}
	asked := len(votes)
	if n == 0 {
		return none
	}
	if share(invalid, asked).Cmp(t) >= 0 {
		return invalid
	}
	minimum := big.NewRat(int64(minValid), int64(n))
	if share(invalid, n).Sign() > 0 {
		if majority && share(valid, asked).Cmp(t) >= 0 && share(valid, n).Cmp(minimum) >= 0 {
			return valid
		}
		return syncing
	}
	if onlyAccepted {
		return accepted
	}
	if share(valid, n).Sign() == 0 || share(syncing, n).Cmp(t) >= 0 {
		return syncing
	}
	if share(valid, n).Cmp(minimum) < 0 {
		return syncing
	}
	return valid
}

// each calls f with every sequence of n of the choices.
func each(n int, choices []engine.Status, f func([]engine.Status)) {
	seq := make([]engine.Status, n)
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

// Every mix of up to five votes; none stands for an error as well as for silence.
func TestDecideAgainstOracle(t *testing.T) {
	checked := 0
	for _, threshold := range []string{"0.51", "0.6", "2/3", "1"} {
		for _, majority := range []bool{false, true} {
			for minValid := 1; minValid <= 3; minValid++ {
				r := rules(t, threshold)
				r.Majority, r.MinValid = majority, minValid
				for n := range 6 {
					each(n, []engine.Status{none, valid, invalid, syncing, accepted}, func(votes []engine.Status) {
						checked++
						got, want := r.Decide(ballots(votes...)).Status, oracle(votes, threshold, minValid, majority)
						if got != want {
							t.Errorf("%v at %s, min-valid %d, majority %v: got %q, want %q", votes, threshold, minValid, majority, got, want)
						}
					})
				}
			}
		}
	}
	if checked != 4*2*3*(1+5+25+125+625+3125) {
		t.Errorf("checked %d mixes", checked)
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

// Implementations vote once each: INVALID if any of their nodes says so, else VALID, else SYNCING, else ACCEPTED.
func TestVoteByClient(t *testing.T) {
	r := rules(t, "0.6")
	r.ByClient = true
	node := func(client string, vote engine.Status) Ballot { return Ballot{Vote: vote, Asked: true, Client: client} }
	for _, c := range []struct {
		name    string
		ballots []Ballot
		want    engine.Status
	}{
		{"three geths can't outvote a Nethermind", []Ballot{node("GE", valid), node("GE", valid), node("GE", valid), node("NM", invalid)}, syncing},
		{"nor condemn for it", []Ballot{node("GE", invalid), node("GE", invalid), node("GE", invalid), node("NM", valid)}, syncing},
		{"one objection is the client's", []Ballot{node("GE", valid), node("GE", invalid), node("NM", valid)}, syncing},
		{"one valid geth speaks for a syncing one", []Ballot{node("GE", syncing), node("GE", valid), node("NM", syncing), node("BU", valid)}, valid},
		{"unknown clients stand for themselves", []Ballot{node("", valid), node("", valid), node("GE", syncing)}, valid},
		{"accepted by all", []Ballot{node("GE", accepted), node("NM", accepted), node("NM", none)}, accepted},
		{"accepted and syncing", []Ballot{node("GE", accepted), node("GE", syncing)}, syncing},
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
		r.Majority, r.ByClient, r.MinValid = random.IntN(2) == 0, random.IntN(2) == 0, 1+random.IntN(3)
		b := make([]Ballot, random.IntN(8))
		for i := range b {
			b[i] = Ballot{engine.Status(random.IntN(5)), random.IntN(4) > 0, clients[random.IntN(4)]}
		}
		want := r.Decide(b)
		random.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
		if got := r.Decide(b); got != want {
			t.Fatalf("%+v: got %v, before shuffling %v", b, got, want)
		}
	}
}

// Settled says yes exactly where no way for the missing votes to turn out changes the verdict.
func TestSettledAgainstBruteForce(t *testing.T) {
	const missing = engine.Status(99)
	settledSeen := map[bool]int{}
	for _, threshold := range []string{"0.51", "0.6", "2/3", "1"} {
		for mode := range 8 {
			r := rules(t, threshold)
			r.Majority, r.ByClient, r.MinValid = mode&1 != 0, mode&2 != 0, 1+mode>>2
			for n := range 5 {
				each(n, []engine.Status{missing, none, valid, invalid, syncing, accepted}, func(votes []engine.Status) {
					b := ballots(votes...)
					isMissing := make([]bool, n)
					count := 0
					for i := range b {
						b[i].Client = []string{"GE", "GE", "NM", ""}[i]
						if b[i].Vote == missing {
							b[i].Vote, isMissing[i] = none, true
							count++
						}
					}
					outcomes := map[engine.Status]bool{}
					each(count, []engine.Status{none, valid, invalid, syncing, accepted}, func(rest []engine.Status) {
						full := append([]Ballot(nil), b...)
						k := 0
						for i := range full {
							if isMissing[i] {
								full[i].Vote = rest[k]
								k++
							}
						}
						outcomes[r.Decide(full).Status] = true
					})
					want := len(outcomes) == 1
					settledSeen[want]++
					if got := r.Settled(b, func(i int) bool { return isMissing[i] }); got != want {
						t.Fatalf("%v at %s, %+v: settled %v, want %v (%v)", votes, threshold, r, got, want, outcomes)
					}
				})
			}
		}
	}
	if settledSeen[true] == 0 || settledSeen[false] == 0 {
		t.Error("one of the answers never came")
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
		if got := rules(t, "0.6").HasQuorum(ballots(c.votes...)); got != c.want {
			t.Errorf("%v: got %v", c.votes, got)
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
