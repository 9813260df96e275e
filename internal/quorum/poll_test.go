package quorum

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
)

const (
	ms      = time.Millisecond
	grace   = 500 * ms
	timeout = 7500 * ms
)

// voter is the seat of an alive node that may object and has proved itself.
func voter() Seat {
	return Seat{
		Configured: true, MayVote: true, Voter: true, MayObject: true, Proved: true, Follows: true, Due: timeout,
	}
}

func laggard() Seat { s := voter(); s.Laggard = true; return s }

func spent() Seat { s := laggard(); s.Spent = true; return s }

func unproved() Seat { s := voter(); s.Proved = false; return s }

func muted() Seat { s := unproved(); s.MayObject = false; return s }

// syncingNode is a node that isn't a voter, because others are alive.
func syncingNode() Seat {
	return Seat{Configured: true, MayVote: true, Follows: false, Proved: true, Due: timeout}
}

// objector stands by an INVALID to an ancestor.
func objector() Seat { s := voter(); s.Objects = true; return s }

// fresh is an objector whose VALID to this call would end that.
func fresh() Seat { s := objector(); s.Recants = true; return s }

// backup is one that isn't needed.
func backup() Seat { s := voter(); s.Voter, s.Rests, s.Follows = false, true, true; return s }

// event is something that happens to a seat.
type event struct {
	at   time.Duration
	seat int
	what func(*Seat)
}

func says(s engine.Status) func(*Seat) {
	return func(seat *Seat) { seat.Said, seat.Ended = s, true }
}

func hash(n int) common.Hash { return common.BytesToHash([]byte{byte(n)}) }

func names(n int) func(*Seat) {
	return func(seat *Seat) {
		h := hash(n)
		seat.Said, seat.Ended, seat.LatestValid = invalid, true, &h
	}
}

func fails(seat *Seat) { seat.Ended = true } // an error, a 502, a malformed answer

func errs(seat *Seat) { seat.Ended, seat.Error = true, new(-32602) }

func dies(seat *Seat) { seat.Ended, seat.Dead = true, true }

func lags(seat *Seat) { seat.Laggard = true }

// run puts the events to a poll, in their order, and looks whenever it asks for that. It returns when it was answered.
func run(p Poll, seats []Seat, events []event, superseded time.Duration) (at time.Duration, status engine.Status) {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
	now := time.Duration(0)
	for range 1000 {
		for len(events) > 0 && events[0].at <= now {
			events[0].what(&seats[events[0].seat])
			events = events[1:]
		}
		l := p.Look(now, seats, superseded > 0 && now >= superseded)
		if l.Done {
			return now, l.Verdict.Status
		}
		next := l.Next
		if next > 0 && next <= now {
			panic("it asks for a look in the past")
		}
		if len(events) > 0 && (next == 0 || events[0].at < next) {
			next = events[0].at
		}
		if superseded > now && (next == 0 || superseded < next) {
			next = superseded
		}
		if next == 0 {
			panic("it waits for nothing")
		}
		now = next
	}
	panic("it never answers")
}

type scenario struct {
	name      string
	seats     []Seat
	events    []event
	threshold string        // 0.6 unless given
	at        time.Duration // when it is answered
	want      engine.Status
	set       func(*Poll)
	// superseded is when another forkchoiceUpdated waits behind this one; 0 for never.
	superseded time.Duration
}

func (c scenario) run(t *testing.T) {
	t.Helper()
	threshold := c.threshold
	if threshold == "" {
		threshold = "0.6"
	}
	p := NewPoll(rules(t, threshold), Clock{Grace: grace}, len(c.seats))
	if c.set != nil {
		c.set(&p)
	}
	at, status := run(p, c.seats, c.events, c.superseded)
	if at != c.at || status != c.want {
		t.Errorf("%s: got %q after %v, want %q after %v", c.name, status, at, c.want, c.at)
	}
}

func forkchoice(p *Poll) { p.Forkchoice = true }
func headless(p *Poll)   { p.Headless = true }
func noneAlive(p *Poll)  { p.NoneAlive = true }
func majority(p *Poll)   { p.Rules.OnDispute = Majority }
func two(p *Poll)        { p.Rules.MinValid = 2 }
func byClient(p *Poll)   { p.Rules.ByClient = true }

func seats(s ...Seat) []Seat { return s }

// at makes the event list: what each seat does, and when; a nil does nothing.
func script(whats ...any) (events []event) {
	for i := 0; i < len(whats); i += 3 {
		events = append(events, event{time.Duration(whats[i].(int)) * ms, whats[i+1].(int), whats[i+2].(func(*Seat))})
	}
	return events
}

// "At once when the missing votes can no longer change the result."
func TestAtOnce(t *testing.T) {
	v := voter
	for _, c := range []scenario{
		{name: "V V V", seats: seats(v(), v(), v()),
			events: script(10, 0, says(valid), 20, 1, says(valid), 30, 2, says(valid)), at: 30 * ms, want: valid},
		{name: "I I: a third changes nothing", seats: seats(v(), v(), v()),
			events: script(10, 0, says(invalid), 20, 1, says(invalid)), at: 20 * ms, want: invalid},
		{name: "V I: nor here, at 0.7", seats: seats(v(), v(), v()),
			events:    script(10, 0, says(valid), 20, 1, says(invalid)),
			threshold: "0.7", at: 20 * ms, want: syncing},
		{name: "V I, two asked", seats: seats(v(), v()), events: script(10, 0, says(valid), 20, 1, says(invalid)),
			at: 20 * ms, want: syncing},
		{name: "all fail", seats: seats(v(), v()), events: script(10, 0, fails, 20, 1, dies), at: 20 * ms, want: none},
		{name: "nobody that votes", seats: seats(syncingNode()), at: 0, want: none},
		{name: "a syncing node is not waited for", seats: seats(v(), syncingNode()), events: script(10, 0, says(valid)),
			at: 10 * ms, want: valid},
		{name: "a dead node costs nothing", seats: seats(v(), v(), v()),
			events: script(0, 2, dies, 10, 0, says(valid), 20, 1, says(valid)), at: 20 * ms, want: valid},
		{name: "two unproved INVALIDs, whatever the third says", seats: seats(unproved(), unproved(), unproved()),
			events: script(10, 0, says(invalid), 20, 1, says(invalid)), at: 20 * ms, want: syncing},
		{name: "an error that enough may agree on is waited for", seats: seats(unproved(), unproved(), unproved()),
			events: script(10, 0, errs, 20, 1, says(invalid), 300, 2, errs), at: 300 * ms, want: syncing},
		{name: "one that can't be the answer any more isn't",
			seats:  seats(unproved(), unproved(), unproved(), unproved()),
			events: script(10, 0, errs, 20, 1, says(invalid), 30, 2, says(invalid)), at: 30 * ms, want: syncing},
		{name: "failures that are no errors aren't either", seats: seats(unproved(), unproved(), unproved()),
			events: script(10, 0, fails, 20, 1, says(invalid)), at: 20 * ms, want: syncing},
		{name: "the last one dies", seats: seats(v(), v()),
			events: script(10, 0, says(valid), 300, 1, dies), at: 300 * ms, want: valid},
		{name: "an objection from before is a vote already", seats: seats(v(), objector()),
			events: script(10, 0, says(valid)), at: 10 * ms, want: syncing},
	} {
		c.run(t)
	}
}

// "INVALID, when no voter or laggard that is still missing could prevent it by saying VALID."
func TestInvalidAtOnce(t *testing.T) {
	v := voter
	geth := func(s Seat) Seat { s.Client = "GE"; return s }
	nethermind := func(s Seat) Seat { s.Client = "NM"; return s }
	for _, c := range []scenario{
		{name: "a third node can't", seats: seats(v(), v(), v()),
			events: script(5, 0, says(invalid), 9, 1, says(invalid)), at: 9 * ms, want: invalid},
		{name: "two laggards can", seats: seats(v(), v(), laggard(), laggard()),
			events: script(5, 0, says(invalid), 9, 1, says(invalid), 700, 2, says(valid), 710, 3, says(valid)),
			at:     700 * ms, want: syncing},
		{name: "and if they don't, they are waited for", seats: seats(v(), v(), laggard(), laggard()),
			events: script(5, 0, says(invalid), 9, 1, says(invalid), 900, 2, says(invalid)),
			at:     900 * ms, want: invalid},
		{name: "the geth that is missing can", set: byClient,
			seats:  seats(geth(v()), geth(v()), geth(v()), nethermind(v())),
			events: script(5, 0, says(invalid), 6, 1, says(invalid), 7, 3, says(invalid), 800, 2, says(valid)),
			at:     800 * ms, want: syncing},
		{name: "the geth that is missing agrees", set: byClient,
			seats:  seats(geth(v()), geth(v()), geth(v()), nethermind(v())),
			events: script(5, 0, says(invalid), 6, 1, says(invalid), 7, 3, says(invalid), 800, 2, says(invalid)),
			at:     800 * ms, want: invalid},
		{name: "the geth that is missing hangs", set: byClient,
			seats:  seats(geth(v()), geth(v()), geth(v()), nethermind(v())),
			events: script(5, 0, says(invalid), 6, 1, says(invalid), 7, 3, says(invalid)), at: timeout, want: invalid},
		{name: "a superseded call gives no INVALID that can be prevented",
			set:        func(p *Poll) { p.Rules.ByClient, p.Forkchoice = true, true },
			superseded: 100 * ms,
			seats:      seats(geth(v()), geth(v()), geth(v()), nethermind(v())),
			events:     script(5, 0, says(invalid), 6, 1, says(invalid), 7, 3, says(invalid), 800, 2, says(valid)),
			at:         800 * ms, want: syncing},
		{name: "an objector that could end it", seats: seats(v(), fresh()),
			events: script(5, 0, says(invalid), 400, 1, says(valid)), at: 400 * ms, want: syncing},
		{name: "one that has just come back, and is no voter yet",
			seats:  seats(v(), func() Seat { s := fresh(); s.Voter = false; return s }()),
			events: script(5, 0, says(invalid), 400, 1, says(valid)), at: 400 * ms, want: syncing},
		{name: "an objector that could end it, and doesn't", seats: seats(v(), fresh()),
			events: script(5, 0, says(invalid), 400, 1, says(syncing)), at: 400 * ms, want: invalid},
		{name: "nobody is left to say VALID", seats: seats(v(), objector()),
			events: script(5, 0, says(invalid)), at: 5 * ms, want: invalid},
	} {
		c.run(t)
	}
}

// "VALID": a grace from the quorum.
func TestGraceFromTheQuorum(t *testing.T) {
	v := voter
	for _, c := range []scenario{
		{name: "two of three", seats: seats(v(), v(), v()), events: script(10, 0, says(valid), 60, 1, says(valid)),
			at: 560 * ms, want: valid},
		{name: "it objects within the grace", seats: seats(v(), v(), v()),
			events: script(10, 0, says(valid), 60, 1, says(valid), 559, 2, says(invalid)), at: 559 * ms, want: syncing},
		{name: "three of four", seats: seats(v(), v(), v(), v()),
			events: script(10, 0, says(valid), 60, 1, says(valid), 80, 2, says(valid)), at: 580 * ms, want: valid},
		{name: "the quorum comes late", seats: seats(v(), v(), v()),
			events: script(10, 0, says(valid), 1400, 1, says(valid)), at: 1510 * ms, want: valid},
		{name: "nobody is late", seats: seats(v(), v(), v()),
			events: script(3000, 0, says(valid), 3010, 1, says(valid)), at: 3510 * ms, want: valid},
		{name: "another becomes a laggard: the quorum is there", seats: seats(v(), v(), v(), v()),
			events: script(10, 0, says(valid), 20, 1, says(valid), 100, 2, lags), at: 600 * ms, want: valid},
		{name: "a majority of VALID beside an INVALID: nothing can change it", set: majority,
			seats:  seats(v(), v(), v(), v(), v()),
			events: script(10, 0, says(valid), 20, 1, says(valid), 30, 2, says(invalid), 40, 3, says(valid)),
			at:     40 * ms, want: valid},
		{name: "not timed out", seats: seats(v(), v(), v()), events: script(7490, 0, says(valid), 7491, 1, says(valid)),
			at: timeout, want: valid},
	} {
		c.run(t)
	}
}

// "Without such a quorum … at most three graces, whatever is missing … from the first VALID in hand."
func TestThreeGracesFromTheFirstValid(t *testing.T) {
	missing := map[string]func(*Seat){"hangs": nil, "an error": fails, "SYNCING": says(syncing), "dies": dies,
		"ACCEPTED": says(accepted)}
	for _, threshold := range []string{"0.6", "0.7", "1"} {
		for a, first := range missing {
			for b, second := range missing {
				v := voter
				events := script(100, 0, says(valid))
				want := valid
				for i, what := range []func(*Seat){first, second} {
					if what != nil {
						events = append(events, event{time.Duration(40+10*i) * ms, i + 1, what})
					}
				}
				s := seats(v(), v(), v(), v()) // and the fourth hangs
				quiet := func(s string) bool { return s == "SYNCING" || s == "ACCEPTED" }
				if quiet(a) && quiet(b) && threshold == "0.6" {
					want = syncing // two of three votes
				}
				scenario{name: fmt.Sprintf("VALID, one hangs, one %s, one %s, at %s", a, b, threshold),
					seats: s, events: events, threshold: threshold, at: 1600 * ms, want: want}.run(t)
			}
		}
	}
	v := voter
	for _, c := range []scenario{
		{name: "one of two", seats: seats(v(), v()), events: script(10, 0, says(valid)), at: 1510 * ms, want: valid},
		{name: "min-valid 2", set: two, seats: seats(v(), v(), v()), events: script(10, 0, says(valid)),
			at: 1510 * ms, want: syncing},
		{name: "V S, one hangs", seats: seats(v(), v(), v()), events: script(10, 0, says(valid), 20, 1, says(syncing)),
			at: 1510 * ms, want: valid},
		{name: "S first", seats: seats(v(), v(), v()), events: script(10, 0, says(syncing), 200, 1, says(valid)),
			at: 1700 * ms, want: valid},
		{name: "a VALID that stands, and SYNCING now",
			seats:  seats(func() Seat { s := v(); s.Valid = true; return s }(), v()),
			events: script(10, 0, says(syncing)), at: 1510 * ms, want: valid},
		{name: "VALID, one dies, one hangs; the dead one leaves the asked", seats: seats(v(), v(), v()),
			events: script(10, 0, says(valid), 300, 1, dies), at: 1510 * ms, want: valid},
		{name: "two VALID of three asked, where one of four has died", seats: seats(v(), v(), v(), v()),
			events: script(10, 0, says(valid), 20, 1, says(valid), 300, 3, dies), at: 800 * ms, want: valid},
		{name: "a forkchoiceUpdated with another behind it waits no less", set: forkchoice, superseded: 20 * ms,
			seats: seats(v(), v()), events: script(10, 0, says(valid)), at: 1510 * ms, want: valid},
	} {
		c.run(t)
	}
}

// "INVALID beside no VALID, where rule 2 isn't met yet", and what follows it.
func TestWaitingBesideInvalid(t *testing.T) {
	v := voter
	own := func() Seat { s := objector(); s.Own, s.Direct = true, true; return s }
	brief := func(s Seat) Seat { s.Due = 3 * time.Second; return s }
	known := func(s Seat) Seat { s.Read = true; return s }
	for _, c := range []scenario{
		{name: "voters have their timeout", seats: seats(v(), v(), v()),
			events: script(10, 0, says(invalid)), at: timeout, want: syncing},
		{name: "each its own", seats: seats(v(), brief(v()), v()),
			events: script(10, 0, says(invalid), 6000, 2, says(invalid)), at: 6 * time.Second, want: invalid},
		{name: "each its own: then the rest can't complete it", seats: seats(v(), brief(v()), brief(v()), v()),
			threshold: "0.7",
			events:    script(10, 0, says(invalid)), at: 3 * time.Second, want: syncing},
		{name: "laggards, too", seats: seats(v(), laggard()), events: script(10, 0, says(invalid)),
			at: timeout, want: syncing},
		{name: "a laggard completes it", seats: seats(v(), laggard()),
			events: script(10, 0, says(invalid), 2000, 1, says(invalid)), at: 2 * time.Second, want: invalid},
		{name: "a laggard that used up its time: three graces from the call", seats: seats(v(), spent()),
			events: script(10, 0, says(invalid)), at: 1500 * ms, want: syncing},
		{name: "as soon as a VALID is in hand: three graces from it", seats: seats(v(), v(), v(), v()),
			events: script(10, 0, says(invalid), 2000, 1, says(valid)), at: 3500 * ms, want: syncing},
		{name: "the VALID came first", seats: seats(v(), v(), v(), v()),
			events: script(10, 0, says(valid), 200, 1, says(invalid)), at: 1510 * ms, want: syncing},
		{name: "a VALID that comes after the INVALID, with the others completing it",
			seats:  seats(v(), v(), v(), v(), v()),
			events: script(10, 0, says(invalid), 20, 1, says(valid), 900, 2, says(invalid), 1000, 3, says(invalid)),
			at:     1000 * ms, want: invalid},
		{name: "INVALIDs that only stand from an ancestor: three graces from the call",
			seats: seats(objector(), v(), v()),
			at:    1500 * ms, want: syncing},
		{name: "with a VALID: three graces from that", seats: seats(objector(), v(), v(), v()),
			events: script(1400, 1, says(valid)), at: 2900 * ms, want: syncing},
		{name: "it stands by an INVALID to this very block", seats: seats(own(), v(), v()), at: timeout, want: syncing},
		{name: "it stands by one to an ancestor, and has said it to this block, too", at: timeout, want: syncing,
			seats: seats(func() Seat { s := objector(); s.Direct = true; return s }(), v(), v())},
		{name: "a standing one and a new one", seats: seats(objector(), v(), v(), v()),
			events: script(10, 1, says(invalid)), at: timeout, want: syncing},
		{name: "two that were read, and can't be said again: no INVALID, whatever the third says",
			seats: seats(known(objector()), known(objector()), v()), at: 0, want: syncing},
		{name: "two that were read are said again", seats: seats(known(fresh()), known(fresh()), v()),
			events: script(10, 0, says(invalid), 20, 1, says(invalid)), at: 20 * ms, want: invalid},
		{name: "two that stand, and nobody could prevent it: a grace for its latestValidHash",
			seats: seats(objector(), objector(), v()), at: grace, want: invalid},
		{name: "the same, where all have answered", seats: seats(objector(), objector(), v()),
			events: script(10, 0, says(syncing), 20, 1, says(invalid)), at: 20 * ms, want: invalid},
		{name: "a forkchoiceUpdated waits until another waits behind it", set: forkchoice, superseded: 900 * ms,
			seats: seats(v(), v(), v()), events: script(10, 0, says(invalid)), at: 900 * ms, want: syncing},
		{name: "also where the INVALIDs only stand", set: forkchoice, superseded: 900 * ms,
			seats: seats(objector(), v(), v()), at: 900 * ms, want: syncing},
		{name: "not beside a VALID", set: forkchoice, superseded: 900 * ms,
			seats: seats(v(), v(), v(), v()), events: script(10, 0, says(valid), 20, 1, says(invalid)),
			at: 1510 * ms, want: syncing},
		{name: "not where no INVALID is in hand", set: forkchoice, superseded: 900 * ms,
			seats: seats(v(), v()), events: script(10, 0, says(syncing)), at: timeout, want: syncing},
		{name: "a newPayload has none behind it", superseded: 900 * ms,
			seats: seats(v(), v(), v()), events: script(10, 0, says(invalid)), at: timeout, want: syncing},
		{name: "SYNCING only: the timeout", seats: seats(v(), v()), events: script(10, 0, says(syncing)),
			at: timeout, want: syncing},
		{name: "SYNCING of two of three", threshold: "0.7", seats: seats(v(), v(), v()),
			events: script(10, 0, says(syncing), 20, 1, says(syncing)), at: timeout, want: syncing},
		{name: "SYNCING of two of three, at 0.6: at once", seats: seats(v(), v(), v()),
			events: script(10, 0, says(syncing), 20, 1, says(syncing)), at: 20 * ms, want: syncing},
		{name: "the same before there is a head: a grace", set: headless, seats: seats(v(), v(), v()),
			events: script(10, 0, says(syncing), 20, 1, says(syncing)), at: grace, want: syncing},
		{name: "within which the third is heard", set: headless, seats: seats(v(), v(), v()),
			events: script(10, 0, says(syncing), 20, 1, says(syncing), 300, 2, says(valid)),
			at:     300 * ms, want: syncing},
		{name: "a dispute isn't waited for so", set: headless, seats: seats(v(), v(), v()), threshold: "0.7",
			events: script(10, 0, says(valid), 20, 1, says(invalid)), at: 20 * ms, want: syncing},
		{name: "nor a VALID that is settled", set: func(p *Poll) { p.Headless, p.Rules.OnDispute = true, Majority },
			seats:  seats(v(), v(), v(), v(), v()),
			events: script(10, 0, says(valid), 20, 1, says(valid), 30, 2, says(valid)), at: 30 * ms, want: valid},
		{name: "nor a VALID", set: headless, seats: seats(v(), v()),
			events: script(10, 0, says(valid), 20, 1, says(valid)), at: 20 * ms, want: valid},
		{name: "nothing", seats: seats(v(), v()), at: timeout, want: none},
		{name: "a standing objector that was sent what is new to it is waited for", seats: seats(v(), v(), fresh()),
			events: script(10, 0, says(valid), 20, 1, says(valid), 1200, 2, says(valid)), at: 1200 * ms, want: valid},
		{name: "for three graces", seats: seats(v(), v(), fresh()),
			events: script(10, 0, says(valid), 20, 1, says(valid)), at: 1510 * ms, want: syncing},
		{name: "one that can't be reached isn't",
			seats:  seats(v(), v(), func() Seat { s := fresh(); s.Voter, s.Follows = false, false; return s }()),
			events: script(10, 0, says(valid), 20, 1, says(valid)), at: 20 * ms, want: syncing},
		{name: "one that was sent it before isn't", seats: seats(v(), v(), objector()),
			events: script(10, 0, says(valid), 20, 1, says(valid)), at: 20 * ms, want: syncing},
	} {
		c.run(t)
	}
}

// "Laggards": waited for only until a VALID of one that is asked is in hand.
func TestWaitingForLaggards(t *testing.T) {
	v := voter
	once := func() Seat { s := v(); s.Spent = true; return s }
	for _, c := range []scenario{
		{name: "not beside a VALID", seats: seats(v(), laggard()), events: script(10, 0, says(valid)),
			at: 10 * ms, want: valid},
		{name: "nor for an objection", seats: seats(v(), v(), laggard()),
			events: script(10, 0, says(valid), 20, 1, says(valid)), at: 20 * ms, want: valid},
		{name: "beside SYNCING to the timeout", seats: seats(v(), laggard()),
			events: script(10, 0, says(syncing), 6000, 1, says(valid)), at: 6 * time.Second, want: valid},
		{name: "beside an error", seats: seats(v(), laggard()), events: script(10, 0, fails, 6000, 1, says(valid)),
			at: 6 * time.Second, want: valid},
		{name: "one that used up its time: three graces", seats: seats(v(), spent()),
			events: script(10, 0, says(syncing)), at: 1500 * ms, want: syncing},
		{name: "all lag: as nobody did, until one says VALID", seats: seats(laggard(), laggard(), laggard()),
			events: script(700, 0, says(valid)), at: 700 * ms, want: valid},
		{name: "a VALID of a syncing node is none of one that is asked", seats: seats(v(), laggard(), syncingNode()),
			events: script(5, 2, says(valid), 10, 0, says(syncing), 2000, 1, says(valid)),
			at:     2 * time.Second, want: valid},
		{name: "an INVALID doesn't end it", seats: seats(v(), laggard(), laggard()),
			events: script(1, 0, says(invalid), 700, 1, says(valid)), at: 700 * ms, want: syncing},
		{name: "one that becomes a laggard", seats: seats(v(), v()), events: script(10, 0, says(valid), 100, 1, lags),
			at: 100 * ms, want: valid},
		{name: "no node is alive: any status", set: noneAlive, seats: seats(v(), laggard()),
			events: script(10, 0, says(syncing)), at: 10 * ms, want: syncing},
		{name: "no node is alive: an INVALID, too", set: noneAlive, seats: seats(v(), laggard(), laggard()),
			events: script(10, 0, says(invalid)), at: 10 * ms, want: syncing},
		{name: "no node is alive: not an error", set: noneAlive, seats: seats(v(), laggard()),
			events: script(10, 0, fails, 3000, 1, says(syncing)), at: 3 * time.Second, want: syncing},
		{name: "no node is alive: not a muted INVALID", set: noneAlive, seats: seats(muted(), laggard()),
			events: script(10, 0, says(invalid), 3000, 1, says(valid)), at: 3 * time.Second, want: valid},
		{name: "one that used up its time once, in a forkchoiceUpdated", set: forkchoice, seats: seats(v(), once()),
			events: script(10, 0, says(syncing)), at: 1500 * ms, want: syncing},
		{name: "the same in a newPayload", seats: seats(v(), once()), events: script(10, 0, says(syncing)),
			at: timeout, want: syncing},
		{name: "the same beside a VALID", set: forkchoice, seats: seats(v(), once()),
			events: script(10, 0, says(valid)), at: 10 * ms, want: valid},
	} {
		c.run(t)
	}
}

// "An INVALID whose latestValidHash the missing answers could still change waits one grace for them."
func TestWaitingForTheLatestValid(t *testing.T) {
	v := voter
	for _, c := range []scenario{
		{name: "no name yet: the third could make it two of three", seats: seats(v(), v(), v()),
			events: script(10, 0, names(7), 20, 1, names(8)), at: 520 * ms, want: invalid},
		{name: "it comes", seats: seats(v(), v(), v()),
			events: script(10, 0, names(7), 20, 1, names(8), 300, 2, names(8)), at: 300 * ms, want: invalid},
		{name: "two of two, and two of three are enough", seats: seats(v(), v(), v()),
			events: script(10, 0, names(7), 20, 1, names(7)), at: 20 * ms, want: invalid},
		{name: "three of three, and three of four are enough", seats: seats(v(), v(), v(), v()),
			events: script(10, 0, names(7), 20, 1, names(7), 30, 2, names(7)), at: 30 * ms, want: invalid},
		{name: "an objector that may still name it, too", threshold: "0.7", seats: seats(v(), v(), objector()),
			events: script(10, 0, names(7), 20, 1, names(7)), at: 520 * ms, want: invalid},
		{name: "a laggard that isn't waited for beside a VALID may still name it, too",
			seats: seats(v(), v(), v(), laggard()), threshold: "0.51",
			events: script(10, 0, names(7), 20, 1, names(8), 30, 2, names(8)), at: 530 * ms, want: invalid},
		{name: "two of three, two missing: it could sink below", seats: seats(v(), v(), v(), v(), v()),
			events: script(10, 0, names(7), 20, 1, names(7), 30, 2, names(8)), at: 530 * ms, want: invalid},
		{name: "no two can agree any more", seats: seats(v(), v(), v()),
			events: script(10, 0, says(invalid), 20, 1, says(invalid)), at: 20 * ms, want: invalid},
		{name: "an objector whose VALID could prevent INVALID is waited for in any case", threshold: "0.7",
			seats:  seats(v(), v(), fresh()),
			events: script(10, 0, names(7), 20, 1, names(7)), at: timeout, want: invalid},
	} {
		c.run(t)
	}
}

// latestOpen says yes exactly where an answer that is missing could change what LatestValid returns.
func TestLatestOpen(t *testing.T) {
	ways := []func(*Seat){fails, says(valid), says(invalid), names(1), names(2), names(3)}
	starts := []func(*Seat){
		func(*Seat) {},
		func(s *Seat) { s.Laggard = true },
		func(s *Seat) { *s = fresh() },
		func(s *Seat) { *s = objector() },
		func(s *Seat) { *s = objector(); s.Ended = true },
		says(valid), says(invalid), names(1), names(2),
	}
	seen := map[bool]int{}
	for _, threshold := range []string{"0.51", "0.6", "2/3", "0.7", "1"} {
		r := rules(t, threshold).Threshold
		for n := 1; n <= 4; n++ {
			sequences(n, starts, func(choice []func(*Seat)) {
				s, b := make([]Seat, n), make([]Ballot, n)
				for i := range s {
					s[i] = voter()
					choice[i](&s[i])
				}
				outcomes := map[string]bool{}
				var complete func(i int)
				complete = func(i int) {
					if i == n {
						fill(b, s)
						h, ok := LatestValid(r, s, b)
						if !ok {
							h = common.Hash{}
						}
						outcomes[h.Hex()] = true
						return
					}
					if s[i].Ended {
						complete(i + 1)
						return
					}
					was := s[i]
					for _, way := range ways {
						way(&s[i])
						complete(i + 1)
						s[i] = was
					}
				}
				complete(0)
				fill(b, s)
				got, want := latestOpen(r, s, b), len(outcomes) > 1
				seen[want]++
				if got != want {
					t.Fatalf("%+v at %s: open %v, want %v: %v", s, threshold, got, want, outcomes)
				}
			})
		}
	}
	if seen[true] == 0 || seen[false] == 0 {
		t.Error("one of the answers never came")
	}
}

// What the VALIDs are counted from ends with them.
func TestSinceResets(t *testing.T) {
	v := voter
	object := func(s *Seat) { s.Objects = true }
	end := func(s *Seat) { s.Objects = false }
	for _, c := range []scenario{
		{name: "the VALID turns out to be an objector's; three graces run from the next",
			seats:  seats(v(), v(), v(), v()),
			events: script(10, 0, says(valid), 400, 0, object, 1000, 1, says(valid)), at: 2500 * ms, want: syncing},
		{name: "a quorum ends, and comes again", seats: seats(v(), v(), v()),
			events: script(10, 0, says(valid), 20, 1, says(valid), 300, 1, object, 400, 1, end),
			at:     900 * ms, want: valid},
	} {
		c.run(t)
	}
	var s since
	s.note(true, 5*ms)
	s.note(true, 6*ms)
	if s.at != 5*ms || !s.holds {
		t.Errorf("it moves: %v", s)
	}
	s.note(false, 7*ms)
	s.note(true, 8*ms)
	if s.at != 8*ms {
		t.Errorf("it doesn't begin again: %v", s)
	}
}

// A Look leaves the seats as they were, and says when to look again.
func TestLookLeavesTheSeats(t *testing.T) {
	s := seats(voter(), voter(), voter())
	s[0].Said, s[0].Ended = valid, true
	p := NewPoll(rules(t, "0.6"), Clock{Grace: grace}, len(s))
	l := p.Look(10*ms, s, false)
	if l.Done || l.Next != 1510*ms || l.Quorum {
		t.Errorf("got %+v", l)
	}
	for i := range s[1:] {
		if s[i+1].Said != none || s[i+1].Dead || s[i+1].Ended || p.Ballots[i+1].Vote != none {
			t.Errorf("seat %d: %+v", i+1, s[i+1])
		}
	}
	s[1].Said, s[1].Ended = valid, true
	if l := p.Look(20*ms, s, false); !l.Quorum || l.Next != 520*ms {
		t.Errorf("got %+v", l)
	}
}

// random seats of every kind, some of which have answered.
func randomSeat(random *rand.Rand) Seat {
	s := voter()
	s.Client = []string{"", "GE", "NM"}[random.IntN(3)]
	s.Fork, s.NearFork = []string{"", "a", "a", "b"}[random.IntN(4)], random.IntN(2) == 0
	switch random.IntN(11) {
	case 7, 8:
		s.Voter, s.Rests = false, true
		s.Proved = random.IntN(3) > 0
		s.MayObject = s.Proved || random.IntN(2) == 0
		s.Follows = random.IntN(4) > 0
		s.Objects, s.Direct = random.IntN(4) == 0, random.IntN(2) == 0
	case 0:
		s.Proved = false
	case 1:
		s.Proved, s.MayObject = false, false
	case 2:
		s.Laggard = true
	case 3:
		s.Objects, s.Recants = true, random.IntN(2) == 0
		s.Own = random.IntN(2) == 0
		s.Direct = s.Own || random.IntN(2) == 0
		s.Read = random.IntN(3) == 0
	case 4:
		s.Valid, s.Accepts = true, true
	case 5:
		s.Accepts, s.Died = random.IntN(2) == 0, random.IntN(2) == 0
	case 6:
		s.Voter, s.MayObject = false, false
		s.Objects, s.Own, s.Direct, s.Recants = true, true, true, random.IntN(2) == 0
		s.Read = random.IntN(3) == 0
	}
	s.Laggard = s.Laggard || random.IntN(4) == 0
	if random.IntN(2) == 0 {
		s.Ended = true
		s.Said = engine.Status(random.IntN(5))
		s.Dead = s.Said == none && random.IntN(2) == 0
	}
	return s
}

// statuses is what the verdict may come to: over every way for the missing answers to turn out.
func statuses(r Rules, seats []Seat, b []Ballot, seen map[engine.Status]bool) {
	for i := range seats {
		if !seats[i].open {
			continue
		}
		was := seats[i]
		seats[i].open = false
		for _, said := range []engine.Status{none, valid, invalid, syncing, accepted} {
			seats[i].Said = said
			statuses(r, seats, b, seen)
		}
		seats[i].Said, seats[i].Dead = none, true
		statuses(r, seats, b, seen)
		seats[i] = was
		return
	}
	fill(b, seats)
	seen[r.Decide(b).Status] = true
}

// polls calls f with polls of up to four seats, under every policy.
func polls(t *testing.T, n int, f func(p *Poll, seats []Seat)) {
	random := rand.New(rand.NewPCG(5, 6))
	for range n {
		r := rules(t, []string{"0.51", "0.6", "2/3", "1"}[random.IntN(4)])
		r.OnDispute, r.ByClient, r.MinValid = Policy(random.IntN(3)), random.IntN(2) == 0, 1+random.IntN(2)
		r.MinClients = 1 + random.IntN(2)
		s := make([]Seat, 1+random.IntN(4))
		for i := range s {
			s[i] = randomSeat(random)
		}
		p := NewPoll(r, Clock{Grace: grace}, len(s))
		p.Cast(s)
		if waiting, _ := p.wait(0, s); waiting {
			f(&p, s)
		}
	}
}

// Settled says yes exactly where no way for the missing answers to turn out changes the status.
func TestSettledAgainstBruteForce(t *testing.T) {
	seen := map[bool]int{}
	polls(t, 40_000, func(p *Poll, s []Seat) {
		outcomes := map[engine.Status]bool{}
		statuses(p.Rules, s, make([]Ballot, len(s)), outcomes)
		want := len(outcomes) == 1
		seen[want]++
		if got := p.settled(s); got != want {
			t.Fatalf("%+v\n%+v: settled %v, want %v (%v)", p.Rules, s, got, want, outcomes)
		}
	})
	if seen[true] < 1000 || seen[false] < 1000 {
		t.Errorf("one of the answers hardly came: %v", seen)
	}
}

// The same for plain voters, every mix of them.
func TestSettledOfPlainVoters(t *testing.T) {
	const missing = engine.Status(99)
	for _, threshold := range []string{"0.51", "0.6", "2/3", "1"} {
		for mode := range 12 {
			r := rules(t, threshold)
			r.OnDispute, r.ByClient, r.MinValid = Policy(mode%3), mode/3%2 == 0, 1+mode/6
			for n := 1; n <= 4; n++ {
				sequences(n, []engine.Status{missing, none, valid, invalid, syncing}, func(said []engine.Status) {
					s := make([]Seat, n)
					for i := range s {
						s[i] = voter()
						s[i].Client = []string{"GE", "GE", "NM", ""}[i]
						if s[i].Ended = said[i] != missing; s[i].Ended {
							s[i].Said = said[i]
						}
					}
					p := NewPoll(r, Clock{Grace: grace}, n)
					for i := range s {
						s[i].open = !s[i].Ended
					}
					outcomes := map[engine.Status]bool{}
					statuses(r, s, make([]Ballot, n), outcomes)
					if got, want := p.settled(s), len(outcomes) == 1; got != want {
						t.Fatalf("%v at %s, %+v: settled %v, want %v (%v)", said, threshold, r, got, want, outcomes)
					}
				})
			}
		}
	}
}

// Without any one of the completions settled would be wrong.
func TestEveryCompletionIsNeeded(t *testing.T) {
	all := completions
	defer func() { completions = all }()
	for n := range all {
		completions = slices.Delete(slices.Clone(all), n, n+1)
		wrong := 0
		polls(t, 10_000, func(p *Poll, s []Seat) {
			if p.Rules.OnDispute == Live {
				return // it has its own
			}
			without := p.settled(s)
			completions = all
			with := p.settled(s)
			completions = slices.Delete(slices.Clone(all), n, n+1)
			if without != with {
				wrong++
			}
		})
		if wrong == 0 {
			t.Errorf("completion %+v changes nothing", all[n])
		}
	}
}

// Who is asked, who is heard, and whose status is a vote.
func TestFill(t *testing.T) {
	type seat = Seat
	with := func(s Seat, fs ...func(*Seat)) Seat {
		for _, f := range fs {
			f(&s)
		}
		return s
	}
	said := func(s Seat, status engine.Status) Seat { s.Said, s.Ended = status, true; return s }
	ballot := func(vote engine.Status, asked, heard bool) Ballot {
		return Ballot{Configured: true, Vote: vote, Asked: asked, Heard: heard, Proved: true}
	}
	un := func(b Ballot) Ballot { b.Proved = false; return b }
	stands := func(b Ballot) Ballot { b.Stands = true; return b }
	restarted := func(s *seat) { s.MayObject, s.Proved = false, false }
	seconds := func(b Ballot) Ballot { b.Seconds = true; return b }
	unsaid := func(b Ballot) Ballot { b.Read, b.Proved = true, false; return b }
	beside := said(voter(), valid) // a prompt voter
	objects := func(s *Seat) { s.Objects = true }
	wasRead := func(s *Seat) { s.Read = true }
	for _, c := range []struct {
		name string
		seat seat
		with []seat
		want Ballot
	}{
		{"a voter that is silent", voter(), nil, ballot(none, true, true)},
		{"a voter that gave an error", said(voter(), none), nil, ballot(none, true, true)},
		{"a voter's VALID", said(voter(), valid), nil, ballot(valid, true, true)},
		{"a voter's ACCEPTED", said(voter(), accepted), nil, ballot(accepted, true, true)},
		{"a voter's INVALID", said(voter(), invalid), nil, ballot(invalid, true, true)},
		{"a voter found dead", with(voter(), dies), nil, ballot(none, false, false)},
		{"a backup that rests", said(backup(), valid), nil, stands(ballot(none, false, true))},
		{"it says SYNCING", said(backup(), syncing), nil, ballot(none, false, false)},
		{"it says INVALID", said(backup(), invalid), nil, seconds(ballot(none, false, true))},
		{"it objected before", with(backup(), objects), nil, ballot(none, false, false)},
		{"it has restarted", with(said(backup(), invalid), restarted), nil, un(ballot(none, false, false))},
		{"and one that may says the same", with(said(backup(), invalid), restarted), []seat{said(voter(), invalid)},
			un(seconds(ballot(none, false, true)))},
		{"one that hasn't proved itself", said(unproved(), invalid), nil, un(ballot(invalid, true, true))},
		{"one that may not object", said(muted(), invalid), nil, un(ballot(none, false, false))},
		{"it says VALID", said(muted(), valid), nil, un(ballot(valid, true, true))},
		{"it hasn't answered", muted(), nil, un(ballot(none, true, true))},
		{"seconded by one that may", said(muted(), invalid), []seat{said(voter(), invalid)},
			un(ballot(invalid, true, true))},
		{"by one that stands by its INVALID to the block", said(muted(), invalid),
			[]seat{with(voter(), func(s *Seat) { s.Objects, s.Direct = true, true })}, un(ballot(invalid, true, true))},
		{"not by one that takes that back", said(muted(), invalid),
			[]seat{said(with(voter(), func(s *Seat) {
				s.Objects, s.Own, s.Direct, s.Recants = true, true, true, true
			}), valid)},
			un(ballot(none, false, false))},
		{"not by one that stands by an INVALID to an ancestor", said(muted(), invalid), []seat{objector()},
			un(ballot(none, false, false))},
		{"not by a drained one", said(muted(), invalid),
			[]seat{with(voter(), func(s *Seat) {
				s.MayVote, s.Voter, s.MayObject, s.Objects, s.Direct = false, false, false,
					true, true
			})}, un(ballot(none, false, false))},
		{"not by one that may not either", said(muted(), invalid), []seat{said(muted(), invalid)},
			un(ballot(none, false, false))},
		{"not by a syncing node", said(muted(), invalid), []seat{said(syncingNode(), invalid)},
			un(ballot(none, false, false))},
		{"it may not object now, and stands by what it said before", with(said(muted(), invalid), objects), nil,
			un(ballot(invalid, true, true))},
		{"muted, and its VALID stands: it is heard", with(said(muted(), invalid), func(s *Seat) { s.Accepts = true }),
			[]seat{beside}, stands(un(ballot(none, false, true)))},
		{"a laggard without a status", laggard(), []seat{beside}, ballot(none, false, true)},
		{"a laggard with one", said(laggard(), syncing), []seat{beside}, ballot(syncing, true, true)},
		{"a laggard's INVALID", said(laggard(), invalid), []seat{beside}, ballot(invalid, true, true)},
		{"a laggard that gave an error", said(laggard(), none), []seat{beside}, ballot(none, false, true)},
		{"a laggard found dead", with(laggard(), dies), []seat{beside}, ballot(none, false, false)},
		{"a laggard, no prompt voter left", laggard(), []seat{laggard(), with(voter(), dies)},
			ballot(none, true, true)},
		{"a laggard beside a muted one that has answered", laggard(), []seat{said(muted(), invalid)},
			ballot(none, true, true)},
		{"a laggard beside a standing objector that doesn't vote", laggard(), []seat{with(syncingNode(), objects)},
			ballot(none, true, true)},
		{"a laggard, beside another with a status", laggard(), []seat{said(laggard(), valid)},
			ballot(none, true, true)},
		{"a dead laggard, no prompt voter left", with(laggard(), dies), nil, ballot(none, false, false)},
		{"a muted laggard, no prompt voter left",
			with(said(muted(), invalid), func(s *Seat) { s.Laggard, s.Accepts = true, true }), nil,
			stands(un(ballot(none, false, true)))},
		{"a syncing node", syncingNode(), []seat{beside}, ballot(none, false, false)},
		{"a syncing node's VALID", said(syncingNode(), valid), []seat{beside}, stands(ballot(none, false, true))},
		{"a syncing node's SYNCING", said(syncingNode(), syncing), []seat{beside}, ballot(none, false, false)},
		{"a syncing node's INVALID", said(syncingNode(), invalid), []seat{beside}, ballot(none, false, false)},
		{"a syncing node's INVALID beside a voter's", said(syncingNode(), invalid), []seat{said(voter(), invalid)},
			ballot(none, false, false)},
		{"a syncing node's objection", with(said(syncingNode(), syncing), objects), []seat{beside},
			ballot(invalid, true, true)},
		{"a dead node's objection", with(with(voter(), dies), objects), []seat{beside}, ballot(invalid, true, true)},
		{"a dead node's VALID stands", with(with(voter(), dies), func(s *Seat) { s.Accepts, s.Valid = true, true }),
			[]seat{beside}, stands(ballot(none, false, true))},
		{"a syncing node's VALID stands", with(syncingNode(),
			func(s *Seat) { s.Accepts, s.Valid, s.Said = true, true, syncing }), []seat{beside},
			stands(ballot(none, false, true))},
		{"a node that died under it", with(with(voter(), dies), func(s *Seat) { s.Died = true }), []seat{beside},
			ballot(none, false, true)},
		{"a VALID that stands, SYNCING now",
			with(said(voter(), syncing), func(s *Seat) { s.Valid, s.Accepts = true, true }),
			nil, stands(ballot(valid, true, true))},
		{"ACCEPTED now", with(said(voter(), accepted), func(s *Seat) { s.Valid, s.Accepts = true, true }), nil,
			stands(ballot(valid, true, true))},
		{"nothing now", with(said(voter(), none), func(s *Seat) { s.Valid, s.Accepts = true, true }), nil,
			stands(ballot(none, true, true))},
		{"an objection, VALID now", said(objector(), valid), nil, ballot(invalid, true, true)},
		{"an objection, VALID now to what is new to it", said(fresh(), valid), nil, ballot(valid, true, true)},
		{"an objection, SYNCING now to what is new to it", said(fresh(), syncing), nil, ballot(invalid, true, true)},
		{"an objection that was read, and nothing now", with(objector(), wasRead), nil,
			unsaid(ballot(invalid, true, true))},
		{"SYNCING now", said(with(objector(), wasRead), syncing), nil, unsaid(ballot(invalid, true, true))},
		{"INVALID now", said(with(objector(), wasRead), invalid), nil, ballot(invalid, true, true)},
		{"INVALID now, and it may not object", said(with(muted(), objects, wasRead), invalid), nil,
			unsaid(ballot(invalid, true, true))},
		{"VALID now to what is new to it", said(with(fresh(), wasRead), valid), nil, ballot(valid, true, true)},
		{"drained", with(said(voter(), invalid),
			func(s *Seat) { s.MayVote, s.Voter, s.Objects, s.Accepts, s.Died = false, false, true, true, true }), nil,
			Ballot{Configured: true}},
		{"do-not-use", Seat{Said: valid, Past: Past{Objects: true, Accepts: true}}, nil, Ballot{}},
	} {
		all := append([]seat{c.seat}, c.with...)
		for turn := range 2 { // whoever stands first
			b := make([]Ballot, len(all))
			fill(b, all)
			if got := b[turn*(len(all)-1)]; got != c.want {
				t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
			}
			slices.Reverse(all)
		}
	}
}

func TestLatestValid(t *testing.T) {
	name := func(n int) Seat { s := voter(); names(n)(&s); return s }
	quiet := func() Seat { s := voter(); says(invalid)(&s); return s }
	for _, c := range []struct {
		name  string
		seats []Seat
		want  int
		ok    bool
	}{
		{"all", seats(name(7), name(7)), 7, true},
		{"two of three", seats(name(7), name(8), name(7)), 7, true},
		{"one of two", seats(name(7), name(8)), 0, false},
		{"one of two, the other names none", seats(name(7), quiet()), 0, false},
		{"one that stands by its INVALID is a voter", seats(name(7), objector()), 0, false},
		{"none", seats(quiet(), quiet()), 0, false},
		{"muted ones don't count",
			seats(name(7), name(7), name(7), func() Seat { s := muted(); names(8)(&s); return s }()),
			7, true},
		{"nobody", nil, 0, false},
	} {
		b := make([]Ballot, len(c.seats))
		fill(b, c.seats)
		h, ok := LatestValid(rules(t, "0.6").Threshold, c.seats, b)
		if ok != c.ok || ok && h != hash(c.want) {
			t.Errorf("%s: got %v, %v", c.name, h, ok)
		}
	}
}
