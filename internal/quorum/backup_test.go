package quorum

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"executionbackup/internal/engine"
)

// A backup that isn't needed: nobody waits for it, and it has no vote; but where one INVALID lacks a second, it is
// waited for like a voter, and its INVALID is that.
func TestBackup(t *testing.T) {
	v, b := voter, backup
	restarted := func(s Seat) Seat { s.MayObject, s.Proved = false, false; return s }
	objects := func(s Seat) Seat { s.Objects, s.Direct = true, true; return s }
	accepts := func(s Seat) Seat { s.Valid, s.Accepts = true, true; return s }
	recants := func(s Seat) Seat { s.Recants = true; return s }
	syncs := func(s Seat) Seat { s.Follows = false; return s }
	for _, c := range []scenario{
		{name: "it isn't waited for", seats: seats(v(), b()), events: script(10, 0, says(valid)),
			at: 10 * ms, want: valid},
		{name: "nor where voters are", seats: seats(v(), v(), b()),
			events: script(10, 0, says(valid), 300, 1, says(valid)), at: 300 * ms, want: valid},
		{name: "its VALID is no vote", seats: seats(v(), b()), events: script(10, 1, says(valid), 20, 0, says(syncing)),
			at: 20 * ms, want: syncing},
		{name: "nor is its INVALID", seats: seats(v(), b()), events: script(10, 1, says(invalid), 20, 0, says(valid)),
			at: 20 * ms, want: valid},
		{name: "it is no answer where there is no other", seats: seats(v(), b()), events: script(10, 1, says(valid)),
			at: timeout, want: none},
		{name: "what it objected to before rests", seats: seats(v(), objects(b())), events: script(20, 0, says(valid)),
			at: 20 * ms, want: valid},

		{name: "the second INVALID", seats: seats(v(), b()),
			events: script(10, 0, says(invalid), 3000, 1, says(invalid)), at: 3000 * ms, want: invalid},
		{name: "it came first", seats: seats(v(), b()), events: script(5, 1, says(invalid), 10, 0, says(invalid)),
			at: 10 * ms, want: invalid},
		{name: "it says VALID", seats: seats(v(), b()), events: script(10, 0, says(invalid), 400, 1, says(valid)),
			at: 400 * ms, want: syncing},
		{name: "it says SYNCING", seats: seats(v(), b()), events: script(10, 0, says(invalid), 400, 1, says(syncing)),
			at: 400 * ms, want: syncing},
		{name: "it hangs", seats: seats(v(), b()), events: script(10, 0, says(invalid)), at: timeout, want: syncing},
		{name: "it dies", seats: seats(v(), b()), events: script(10, 0, says(invalid), 50, 1, dies), at: 50 * ms,
			want: syncing},
		{name: "it is syncing", seats: seats(v(), syncs(b())), events: script(10, 0, says(invalid)), at: 10 * ms,
			want: syncing},
		{name: "it has restarted", seats: seats(v(), restarted(b())), events: script(10, 0, says(invalid)), at: 10 * ms,
			want: syncing},
		{name: "it called the block VALID before", seats: seats(v(), accepts(b())),
			events: script(10, 0, says(invalid), 20, 1, says(syncing)), at: 20 * ms, want: syncing},
		{name: "two voters say INVALID", seats: seats(v(), v(), b()),
			events: script(10, 0, says(invalid), 20, 1, says(invalid)), at: 20 * ms, want: invalid},
		{name: "its latestValidHash isn't waited for", threshold: "0.7", seats: seats(v(), v(), objects(b())),
			events: script(10, 0, names(1), 20, 1, names(1)), at: 20 * ms, want: invalid},
		{name: "it might prevent INVALID", threshold: "0.7", seats: seats(v(), v(), recants(b())),
			events: script(10, 0, says(invalid), 20, 1, says(invalid)), at: 20 * ms, want: invalid},
		{name: "beside a SYNCING", seats: seats(v(), v(), b()),
			events: script(10, 0, says(invalid), 20, 1, says(syncing), 100, 2, says(invalid)),
			at:     100 * ms, want: invalid},
		{name: "beside a VALID it has three graces", seats: seats(v(), v(), b()),
			events: script(10, 0, says(invalid), 20, 1, says(valid)), at: 1520 * ms, want: syncing},
		{name: "and then it counts", seats: seats(v(), v(), b()),
			events: script(10, 0, says(invalid), 20, 1, says(valid), 1500, 2, says(invalid)),
			at:     1500 * ms, want: invalid},
		{name: "unless it hung before", seats: seats(v(), v(), b()),
			events: script(0, 2, lags, 10, 0, says(invalid), 20, 1, says(valid)), at: 20 * ms, want: syncing},
		{name: "two that no voter joins", seats: seats(v(), b(), b()),
			events: script(5, 1, says(invalid), 6, 2, says(invalid), 20, 0, says(valid)), at: 20 * ms, want: valid},
		{name: "nor one that lacks the block", seats: seats(v(), b(), b()),
			events: script(5, 1, says(invalid), 6, 2, says(invalid), 20, 0, says(syncing)), at: 20 * ms, want: syncing},
		{name: "though it counts if it is there", seats: seats(v(), v(), b()),
			events: script(5, 2, says(invalid), 10, 0, says(invalid), 20, 1, says(valid)), at: 10 * ms, want: invalid},
		{name: "a majority needs no backup", set: majority, seats: seats(v(), v(), b()),
			events: script(10, 2, says(invalid), 20, 0, says(valid), 30, 1, says(valid)), at: 30 * ms, want: valid},
		{name: "nor does --min-valid count it", set: two, seats: seats(v(), b()),
			events: script(10, 1, says(valid), 20, 0, says(valid)), at: 20 * ms, want: syncing},
	} {
		c.run(t)
	}
}

// Under --vote-by=client a backup's INVALID is one of its client's, and its VALID keeps the client from condemning.
func TestBackupOfAClient(t *testing.T) {
	geth := func(s Seat) Seat { s.Client = "GE"; return s }
	besu := func(s Seat) Seat { s.Client = "BU"; return s }
	v, b := voter, backup
	for _, c := range []scenario{
		{name: "two clients", seats: seats(geth(v()), besu(b())),
			events: script(10, 0, says(invalid), 20, 1, says(invalid)), at: 20 * ms, want: invalid},
		{name: "one client has no second", seats: seats(geth(v()), geth(b())),
			events: script(10, 0, says(invalid), 20, 1, says(invalid)), at: 20 * ms, want: invalid},
		{name: "its own backup says VALID", seats: seats(geth(v()), besu(v()), geth(b())),
			events: script(5, 2, says(valid), 10, 0, says(invalid), 20, 1, says(invalid)), at: 10 * ms, want: syncing},
		{name: "a backup alone is no vote of its client", seats: seats(geth(v()), besu(b())),
			events: script(10, 1, says(invalid), 20, 0, says(valid)), at: 20 * ms, want: valid},
	} {
		c.set = byClient
		c.run(t)
	}
}

// Everybody answers within a grace, and nobody is late: the answer is the same whatever the order. (Only where no
// backup says VALID, since nobody waits for that.)
func TestOrderOfBackupsIsNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	bad := 0
	for round := 0; round < 20_000 && bad < 3; round++ {
		n := 2 + r.IntN(3)
		seats := make([]Seat, n)
		for i := range seats {
			s := voter()
			if i > 0 && r.IntN(2) == 0 {
				s = backup()
			}
			if r.IntN(5) == 0 {
				s.Objects, s.Direct = true, r.IntN(2) == 0
			}
			s.Client = []string{"geth", "besu"}[r.IntN(2)]
			s.Fork, s.NearFork = []string{"", "a", "a", "b"}[r.IntN(4)], r.IntN(2) == 0
			seats[i] = s
		}
		says2 := make([]int, n)
		for i := range says2 {
			says2[i] = r.IntN(3)
			if seats[i].Rests && says2[i] == 0 {
				says2[i] = 1
			}
		}
		rs := rules(t, []string{"0.6", "0.51", "0.7", "1"}[r.IntN(4)])
		rs.ByClient, rs.OnDispute, rs.MinValid = r.IntN(3) == 0, Policy(r.IntN(3)), 1
		heard := map[string]string{}
		for range 6 {
			var events []event
			order := ""
			for at, i := range r.Perm(n) {
				what := []func(*Seat){says(valid), says(invalid), says(syncing)}[says2[i]]
				events = append(events, event{time.Duration(10*(at+1)) * ms, i, what})
				order += string(rune('0' + i))
			}
			p := NewPoll(rs, Clock{Grace: grace}, n)
			_, status := run(p, slices.Clone(seats), events, 0)
			heard[status.String()] = order
		}
		if len(heard) > 1 {
			bad++
			t.Errorf("rules %+v: %v, they say %v (0 VALID, 1 INVALID, 2 SYNCING)\n%+v", rs, heard, says2, seats)
		}
	}
}

// No INVALID without two that have proved themselves, and none without a voter's.
func TestInvalidNeedsTwo(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	all := []engine.Status{none, valid, invalid, syncing}
	for range 100_000 {
		n := 2 + r.IntN(4)
		seats := make([]Seat, n)
		for i := range seats {
			s := voter()
			if i > 0 && r.IntN(2) == 0 {
				s = backup()
			}
			s.Proved = r.IntN(2) == 0
			s.MayObject = s.Proved || r.IntN(2) == 0
			if r.IntN(6) == 0 {
				s.Objects, s.Direct = true, r.IntN(2) == 0
			}
			s.Said, s.Ended = all[r.IntN(4)], true
			seats[i] = s
		}
		p := NewPoll(rules(t, "0.6"), Clock{Grace: grace}, n)
		p.Cast(seats)
		if v := p.Rules.Decide(p.Ballots); v.Status != invalid {
			continue
		}
		proved, voterInvalid := 0, false
		for i := range seats {
			s := &seats[i]
			inv := s.Said == invalid || s.Objects && !s.Rests
			if inv && s.Proved {
				proved++
			}
			voterInvalid = voterInvalid || inv && !s.Rests
		}
		if proved < 2 {
			t.Fatalf("INVALID on %d proved: %+v", proved, seats)
		}
		if !voterInvalid {
			t.Fatalf("INVALID on backups alone, which have no vote: %+v", seats)
		}
	}
}
