package quorum

import (
	"math/rand/v2"
	"slices"
	"testing"

	"executionbackup/internal/engine"
)

// ballotOf is a voter's ballot, that of a client with a configuration.
func ballotOf(client string, vote engine.Status, config string) Ballot {
	return Ballot{
		Vote: vote, Configured: true, Asked: true, Heard: true, Proved: true, Client: client, Config: config,
	}
}

func near(b Ballot) Ballot { b.NearFork = true; return b }

// What decides a dispute under --on-dispute=live.
func TestLive(t *testing.T) {
	v := func(client string) Ballot { return ballotOf(client, valid, "a") }
	i := func(client string) Ballot { return ballotOf(client, invalid, "a") }
	other := func(b Ballot) Ballot { b.Config = "b"; return b }
	unknown := func(b Ballot) Ballot { b.Config = ""; return b }
	second := ballotOf("RH", none, "b")
	second.Seconds, second.Asked = true, false
	for _, c := range []struct {
		name    string
		ballots []Ballot
		want    engine.Status
		rule    Rule
	}{
		{"one client of three is wrong", []Ballot{v("GE"), v("NM"), i("BU")}, valid, OneClientWrong},
		{"in a fork's first day, too", []Ballot{v("GE"), v("NM"), near(i("BU"))}, valid, OneClientWrong},
		{"no dispute", []Ballot{v("GE"), v("NM"), v("BU")}, valid, NoRule},
		{"Holesky: most are configured wrongly",
			[]Ballot{v("GE"), v("NM"), v("BU"), other(i("RH")), other(i("EG"))}, syncing, ConfigsDiffer},
		{"one of those that accept is configured otherwise",
			[]Ballot{v("GE"), other(v("NM")), v("EG"), i("BU")}, syncing, ConfigsDiffer},
		{"two that object are", []Ballot{v("GE"), v("NM"), v("EG"), v("RH"), i("BU"), other(i("EJ"))}, syncing,
			ConfigsDiffer},
		{"one that says SYNCING may be",
			[]Ballot{v("GE"), v("NM"), v("EG"), i("BU"), other(ballotOf("RH", syncing, ""))},
			valid, OneClientWrong},
		{"a backup that seconds the objection is", []Ballot{v("GE"), v("NM"), i("BU"), second}, syncing, ConfigsDiffer},
		{"one that objects doesn't tell", []Ballot{v("GE"), v("NM"), unknown(i("BU"))}, valid, OneClientWrong},
		{"one that accepts doesn't", []Ballot{v("GE"), unknown(v("NM")), i("BU")}, valid, OneClientWrong},
		{"… and a fork is near", []Ballot{v("GE"), v("NM"), near(unknown(i("BU")))}, syncing, ConfigsUnknown},
		{"… and a fork is near, again", []Ballot{v("GE"), unknown(v("NM")), near(i("BU"))}, syncing, ConfigsUnknown},
		{"the block of those that accept says nothing", []Ballot{near(v("GE")), near(unknown(v("NM"))), i("BU")}, valid,
			OneClientWrong},
		{"nobody's configuration is known, and no fork is near",
			[]Ballot{unknown(v("GE")), unknown(v("NM")), unknown(i("BU"))}, valid, OneClientWrong},
		{"three geths have one vote", []Ballot{v("GE"), v("GE"), v("GE"), i("NM")}, syncing, NoClientQuorum},
		{"three geths and one Nethermind against Besu", []Ballot{v("GE"), v("GE"), v("GE"), v("NM"), i("BU")}, valid,
			OneClientWrong},
		{"a Nethermind objects, another accepts", []Ballot{v("GE"), v("NM"), i("NM"), v("BU")}, valid, OneClientWrong},
		{"a Nethermind objects, another accepts, and no more", []Ballot{v("GE"), v("NM"), i("NM")}, syncing,
			NoClientQuorum},
		{"two nodes", []Ballot{v("GE"), i("NM")}, syncing, NoClientQuorum},
		{"who doesn't say which client it is may be any",
			[]Ballot{v("GE"), v(""), v(""), i("BU")}, syncing, FewClients},
		{"one is silent", []Ballot{v("GE"), v("NM"), i("BU"), ballotOf("RH", none, "a")}, syncing, NoClientQuorum},
		{"INVALID has its quorum", []Ballot{v("GE"), i("NM"), i("BU")}, invalid, Condemned},
	} {
		r := rules(t, "0.6")
		r.OnDispute, r.MinClients = Live, 2
		if got := r.Decide(c.ballots); got.Status != c.want || got.Rule != c.rule {
			t.Errorf("%s: got %v by %q, want %v by %q", c.name, got.Status, got.Rule, c.want, c.rule)
		}
		r.OnDispute = Halt
		if got := r.Decide(c.ballots); got.Dispute && got.Status == valid {
			t.Errorf("%s: halt goes on", c.name)
		}
	}
	r := rules(t, "0.6")
	r.OnDispute, r.MinClients = Live, 3
	if got := r.Decide([]Ballot{v("GE"), v("NM"), i("BU")}); got.Status != syncing || got.Rule != FewClients {
		t.Errorf("two implementations where three are needed: got %v", got)
	}
	r.MinClients, r.MinValid = 2, 3
	if got := r.Decide([]Ballot{v("GE"), v("NM"), i("BU")}); got.Status != syncing || got.Rule != TooFew {
		t.Errorf("two VALIDs where --min-valid is three: got %v", got)
	}
}

// Each policy's dispute has a rule of its own, and no other verdict has one.
func TestRuleOfADispute(t *testing.T) {
	seen := map[Rule]bool{}
	random := rand.New(rand.NewPCG(7, 8))
	for range 100_000 {
		r := rules(t, []string{"0.51", "0.6", "1"}[random.IntN(3)])
		r.OnDispute, r.MinClients, r.MinValid = Policy(random.IntN(3)), 1+random.IntN(2), 1+random.IntN(3)
		b := randomBallots(random)
		v := r.Decide(b)
		seen[v.Rule] = true
		if (v.Rule != NoRule) != v.Dispute {
			t.Fatalf("%+v\n%+v: %+v", r, b, v)
		}
		if allowed := map[Policy][]Rule{
			Halt: {Condemned, Halted}, Majority: {Condemned, Outvoted, NotOutvoted, TooFew},
			Live: {Condemned, OneClientWrong, NoClientQuorum, FewClients, ConfigsDiffer, ConfigsUnknown, TooFew},
		}; v.Dispute && !slices.Contains(allowed[r.OnDispute], v.Rule) {
			t.Fatalf("%v by %q", r.OnDispute, v.Rule)
		}
	}
	for rule := range NotTheBlock {
		if !seen[rule] {
			t.Errorf("%q never came", rule)
		}
	}
}

// By the words of the contract: live answers VALID where all of it holds, and as halt does otherwise.
func TestLiveAgainstOracle(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	seen := map[bool]int{}
	for range 200_000 {
		threshold := []string{"0.51", "0.6", "2/3", "1"}[random.IntN(4)]
		r := rules(t, threshold)
		r.OnDispute, r.MinClients, r.MinValid = Live, 1+random.IntN(3), 1+random.IntN(3)
		r.ByClient = random.IntN(2) == 0
		b := randomBallots(random)
		got := r.Decide(b)
		halts := r
		halts.OnDispute = Halt
		want := halts.Decide(b).Status
		if halted := halts.Decide(b); halted.Dispute && halted.Status == syncing && goesOn(r, b) {
			want = valid
		}
		seen[want == valid && got.Dispute]++
		if got.Status != want {
			t.Fatalf("%+v\n%+v: got %v by %q, want %v", r, b, got.Status, got.Rule, want)
		}
	}
	if seen[true] < 1000 {
		t.Errorf("it goes on in %d only", seen[true])
	}
}

// goesOn is what the contract asks of live, one condition after another.
func goesOn(r Rules, ballots []Ballot) bool {
	byClient := map[string][]Ballot{}
	for i, b := range ballots {
		name := b.Client
		if name == "" {
			name = string(rune('0' + i)) // its own
		}
		byClient[name] = append(byClient[name], b)
	}
	says := func(s engine.Status) func(Ballot) bool { return func(b Ballot) bool { return b.Vote == s } }
	asked, accepting, implementations := 0, 0, 0
	for name, bs := range byClient {
		if slices.ContainsFunc(bs, func(b Ballot) bool { return b.Asked }) {
			asked++
		}
		if slices.ContainsFunc(bs, says(valid)) && !slices.ContainsFunc(bs, says(invalid)) {
			accepting++
			if name[0] > '9' {
				implementations++
			}
		}
	}
	isKnown, configs := true, map[string]bool{}
	isNear := false
	nodes := 0
	for _, b := range ballots {
		if b.Vote != valid && b.Vote != invalid {
			continue
		}
		if b.Vote == valid {
			nodes++
		}
		isNear = isNear || b.Vote == invalid && b.NearFork
		isKnown = isKnown && b.Config != ""
		if b.Config != "" {
			configs[b.Config] = true
		}
	}
	if r.ByClient {
		nodes = accepting
	}
	return r.Threshold.Reached(accepting, asked) && // 1
		implementations >= r.MinClients && // 2
		len(configs) < 2 && (isKnown || !isNear) && // 3
		nodes >= r.MinValid // 4
}

// randomBallots are up to seven voters', mostly in a dispute.
func randomBallots(random *rand.Rand) []Ballot {
	b := make([]Ballot, 2+random.IntN(6))
	for i := range b {
		b[i] = ballotOf([]string{"", "GE", "NM", "BU", "RH"}[random.IntN(5)], valid, "a")
		b[i].NearFork, b[i].Proved = random.IntN(2) == 0, random.IntN(4) > 0
		switch random.IntN(8) {
		case 0, 1:
			b[i].Vote = invalid
		case 2:
			b[i].Vote = syncing
		case 3:
			b[i].Vote, b[i].Asked = none, random.IntN(2) == 0
		}
		switch random.IntN(12) {
		case 0:
			b[i].Config = "b"
		case 1:
			b[i].Config = ""
		}
	}
	return b
}
