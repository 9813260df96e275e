package quorum

import "testing"

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
		{name: "nobody waits for it beside a VALID", seats: seats(v(), v(), b()),
			events: script(10, 0, says(invalid), 20, 1, says(valid)), at: 20 * ms, want: syncing},
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
