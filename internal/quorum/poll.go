package quorum

import (
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
)

// Poll says when a call is to be answered, and with what: seats and the time in, "answer this" or "look again at that
// time" out. All times are from the call's arrival. It remembers since when a few things hold, and no more. Whoever
// owns it guards it.
type Poll struct {
	Rules Rules
	Clock Clock
	// Forkchoice says that the call is a forkchoiceUpdated.
	Forkchoice bool
	// Builds says that it carries payload attributes: whoever says VALID has a payload id to give, and a grace for
	// that.
	Builds bool
	// NoneAlive says that no node was alive when the call began: then any status shows that there is no more to hope
	// for.
	NoneAlive bool
	// Headless says that there is no head yet, after a power cut, say: then whoever says SYNCING may be short, and one
	// VALID shows it. So a SYNCING, though it is settled, gives the others a grace to say so: the next call is asked of
	// them alone.
	Headless bool

	Ballots []Ballot // of the last look, one for each seat

	valid     since // VALID is a vote
	quorum    since // VALID has a quorum
	condemned since // the verdict is INVALID
}

// Look is what a Poll finds.
type Look struct {
	Verdict Verdict
	Done    bool          // the verdict is due
	Quorum  bool          // VALID has reached the threshold of the asked
	Next    time.Duration // when to look again though nothing comes; 0 for never, and where the verdict is due
}

// since is the time since when something holds, without a break.
type since struct {
	at    time.Duration
	holds bool
}

// note takes in whether it holds now.
func (s *since) note(holds bool, now time.Duration) {
	if holds && !s.holds {
		s.at = now
	}
	s.holds = holds
}

// NewPoll returns a poll of so many seats.
func NewPoll(r Rules, c Clock, seats int) Poll {
	return Poll{Rules: r, Clock: c, Ballots: make([]Ballot, seats)}
}

// Look decides whether the votes in hand are to be answered, at a time from the call's arrival. superseded says that
// another forkchoiceUpdated waits behind this one.
//
//   - At once, when no vote is missing that could change the result.
//   - VALID with a quorum: after the grace, or what the slot's clock leaves of it.
//   - VALID without one: after three of these.
//   - VALID beside an INVALID: after three graces, by no clock.
//   - INVALIDs that only stand from an ancestor: three graces after the call came.
//   - Otherwise voters have their timeout.
func (p *Poll) Look(now time.Duration, seats []Seat, superseded bool) (l Look) {
	p.Cast(seats)
	waiting, due := p.wait(now, seats)
	l.Verdict = p.Rules.Decide(p.Ballots)
	l.Quorum = p.Rules.hasQuorum(p.Ballots)
	p.valid.note(p.IsVote(engine.Valid), now)
	p.quorum.note(l.Quorum, now)
	p.condemned.note(l.Verdict.Status == engine.Invalid, now)

	givesWay := p.Forkchoice && superseded && p.IsVote(engine.Invalid) && !p.valid.holds && !p.condemned.holds
	if p.condemned.holds && !(waiting && p.preventable(seats)) {
		l.Next, l.Done = earlier(due, p.condemned.at+p.Clock.Grace), !latestOpen(p.Rules.Threshold, seats, p.Ballots)
	} else if !waiting || givesWay {
		l.Done = true
	} else {
		l.Next, l.Done = p.patience(due, seats, l.Verdict.Status)
	}
	if l.Done = l.Done || now >= l.Next; l.Done {
		l.Next = 0
	}
	return l
}

// QuorumAt returns when VALID had its quorum, as of the last look, if it has one. took is how long after the call the
// answer of a seat came: by that, a look that comes late makes no quorum late.
func (p *Poll) QuorumAt(took func(seat int) time.Duration) (at time.Duration, ok bool) {
	isValid := func(i int) bool { return p.Ballots[i].Vote == engine.Valid }
	for i := range p.Ballots {
		if !isValid(i) || ok && took(i) >= at {
			continue
		}
		then := slices.Clone(p.Ballots)
		for j := range then {
			if isValid(j) && took(j) > took(i) {
				then[j].Vote = engine.None
			}
		}
		if p.Rules.hasQuorum(then) {
			at, ok = took(i), true
		}
	}
	return at, ok
}

// patience is when the votes in hand, which don't make an INVALID that nobody can prevent, are answered though others
// are missing, of which the first is due at a time. settled says that these can't change the result.
func (p *Poll) patience(due time.Duration, seats []Seat, status engine.Status) (at time.Duration, settled bool) {
	objection, fresh := p.objection(seats)
	// What else than the status the missing answers could change: an error in its place, or another payload id.
	soleWait := p.Clock.soleWait(p.valid.at)
	if objection {
		soleWait = soleGraces * p.Clock.Grace
	}
	openBeside := !p.valid.holds && p.mayFail(seats) || p.Builds && status == engine.Valid
	switch {
	case !p.condemned.holds && !openBeside && p.settled(seats):
		return earlier(due, p.Clock.Grace), !p.Headless || status != engine.Syncing || objection
	case p.quorum.holds:
		return earlier(due, min(p.valid.at+soleWait, p.quorum.at+p.Clock.wait(p.quorum.at))), false
	case p.valid.holds:
		return earlier(due, p.valid.at+soleWait), false
	case objection && !fresh:
		return earlier(due, soleWait), false
	}
	return due, false
}

// earlier is the earlier of the time when an answer is due, 0 where none is, and another time.
func earlier(due, other time.Duration) time.Duration {
	if due == 0 || other < due {
		return other
	}
	return due
}

// IsVote reports whether a status was somebody's vote at the last look.
func (p *Poll) IsVote(s engine.Status) bool {
	return slices.ContainsFunc(p.Ballots, func(b Ballot) bool { return b.Vote == s })
}

// objection reports whether INVALID is somebody's vote, and whether one of these was said to this block itself.
func (p *Poll) objection(seats []Seat) (stands, fresh bool) {
	for i := range seats {
		if s := &seats[i]; p.Ballots[i].Vote == engine.Invalid {
			stands, fresh = true, fresh || s.Said == engine.Invalid || s.Direct
		}
	}
	return stands, fresh
}

// Cast makes the ballots of the seats, as they are now.
func (p *Poll) Cast(seats []Seat) { fill(p.Ballots, seats) }

// wait finds whose answers are waited for, and when the first of these is due.
func (p *Poll) wait(now time.Duration, seats []Seat) (waiting bool, due time.Duration) {
	valid, status := false, false // one of the asked gave it
	for i := range seats {
		valid = valid || p.Ballots[i].Asked && p.Ballots[i].Vote == engine.Valid
		status = status || p.Ballots[i].Asked && seats[i].Said != engine.None
	}
	hopeless := valid || p.NoneAlive && status
	lacksSecond := p.IsVote(engine.Invalid) // or it might be settled
	for i := range seats {
		s := &seats[i]
		limit := s.Due
		little := s.Laggard || s.Spent && p.Forkchoice
		if little && s.Spent {
			limit = min(limit, soleGraces*p.Clock.Grace)
		}
		s.open = s.MayVote && s.waited(lacksSecond) && now < limit && !(little && hopeless)
		if s.open && (due == 0 || limit < due) {
			due = limit
		}
		waiting = waiting || s.open
	}
	return waiting, due
}

// waited reports whether the node's answer could be a vote that it hasn't given yet: that of a voter, or one with which
// a standing objector that can be reached would end its objection; or where an INVALID lacks a second one, that of a
// backup.
func (s *Seat) waited(lacksSecond bool) bool {
	switch {
	case s.Ended || s.Dead:
		return false
	case s.Rests:
		return lacksSecond && s.Follows
	case s.Objects:
		return s.Recants && s.Follows
	}
	return s.Voter
}

// AgreedError returns the code of the JSON-RPC error that the threshold of the asked give.
func AgreedError(threshold Ratio, seats []Seat, ballots []Ballot) (code int, ok bool) {
	code, same, asked := mostFailed(seats, ballots)
	return code, threshold.Reached(same, asked) && same > 0
}

// mostFailed returns the code that most of the asked give, how many these are, and how many are asked.
func mostFailed(seats []Seat, ballots []Ballot) (code, same, asked int) {
	for i := range ballots {
		if ballots[i].Asked {
			asked++
		}
	}
	code, same = most(seats, func(i int) *int {
		if !ballots[i].Asked {
			return nil
		}
		return seats[i].Error
	})
	return code, same, asked
}

// most returns what most of the seats give, the first of those that are given as often, and how many give it. A seat
// that gives nothing has nil.
func most[T comparable](seats []Seat, given func(i int) *T) (value T, count int) {
	for i := range seats {
		this, n := given(i), 0
		if this == nil {
			continue
		}
		for j := range seats {
			if other := given(j); other != nil && *other == *this {
				n++
			}
		}
		if n > count {
			value, count = *this, n
		}
	}
	return value, count
}

// mayFail reports whether an error may still be the answer: the missing nodes together with those that gave it would be
// enough.
func (p *Poll) mayFail(seats []Seat) bool {
	_, same, asked := mostFailed(seats, p.Ballots)
	for i := range seats {
		if seats[i].open && !seats[i].Rests {
			same++
		}
	}
	return p.Rules.Threshold.Reached(same, asked)
}

// completion is a way for a missing answer to turn out.
type completion struct {
	recant bool          // those that stand by an INVALID end it
	said   engine.Status // what the others say
	dies   bool          // the node does
}

// completions are the ways for all missing answers to turn out that reach two statuses wherever any two ways do.
var completions = []completion{
	{recant: true, said: engine.None},
	{recant: true, said: engine.Valid},
	{said: engine.Invalid},
	{said: engine.Syncing},
}

// liveCompletions are the ways for each of them. Under Live who says something matters, too, and not only how many do.
var liveCompletions = append(slices.Clone(completions), completion{dies: true})

// maxOpen is how many missing answers are looked at in every way, under Live: 5⁴ in all. With more of them the verdict
// counts as open.
const maxOpen = 4

// settled reports whether the answers that are waited for can no longer change the verdict's status. The seats are left
// as they were.
func (p *Poll) settled(seats []Seat) bool {
	open := make([]*Seat, 0, 8) // on the stack, as a rule
	for i := range seats {
		if seats[i].open {
			open = append(open, &seats[i])
		}
	}
	ways, each := completions, p.Rules.OnDispute == Live
	count := len(ways)
	if each {
		if len(open) > maxOpen {
			return false
		}
		ways, count = liveCompletions, 1
		for range open {
			count *= len(ways)
		}
	}
	var first engine.Status
	settled := true
	for n := 0; n < count && settled; n++ {
		way := n
		for _, s := range open {
			s.complete(ways[way%len(ways)])
			if each {
				way /= len(ways)
			}
		}
		fill(p.Ballots, seats)
		status, _ := p.Rules.status(p.Rules.tally(p.Ballots), p.Ballots)
		if n == 0 {
			first = status
		}
		settled = status == first
	}
	for _, s := range open {
		s.Said, s.Dead = engine.None, false
	}
	fill(p.Ballots, seats)
	return settled
}

// complete lets a missing answer turn out in a way.
func (s *Seat) complete(c completion) {
	s.Dead = c.dies
	switch {
	case s.Objects && c.recant:
		s.Said = engine.Valid
	case s.Valid && c.said == engine.Syncing: // that would be a VALID, and silence is none
		s.Said = engine.None
	default:
		s.Said = c.said
	}
}

// preventable reports whether a voter or a laggard whose answer is missing could prevent INVALID by saying VALID. The
// seats are left as they were.
func (p *Poll) preventable(seats []Seat) bool {
	missing := func(s *Seat) bool {
		return !s.Ended && !s.Dead && !s.Rests && (s.Voter || s.Recants && s.Follows)
	}
	for i := range seats {
		if missing(&seats[i]) {
			seats[i].Said = engine.Valid
		}
	}
	fill(p.Ballots, seats)
	prevented := !p.Rules.condemned(p.Rules.tally(p.Ballots))
	for i := range seats {
		if missing(&seats[i]) {
			seats[i].Said = engine.None
		}
	}
	fill(p.Ballots, seats)
	return prevented
}

// LatestValid returns the block that at least the threshold of the INVALID voters name as the latest valid one.
func LatestValid(threshold Ratio, seats []Seat, ballots []Ballot) (hash common.Hash, ok bool) {
	hash, named, voters := mostNamed(seats, ballots)
	return hash, threshold.Reached(named, voters) && named > 0
}

// mostNamed returns the block that most INVALID voters name, how many that are, and how many voters there are.
func mostNamed(seats []Seat, ballots []Ballot) (hash common.Hash, named, voters int) {
	for i := range ballots {
		if ballots[i].Vote == engine.Invalid {
			voters++
		}
	}
	hash, named = most(seats, func(i int) *common.Hash {
		if ballots[i].Vote != engine.Invalid || seats[i].Said != engine.Invalid {
			return nil
		}
		return seats[i].LatestValid
	})
	return hash, named, voters
}

// latestOpen reports whether missing answers could still change what LatestValid returns.
func latestOpen(threshold Ratio, seats []Seat, ballots []Ballot) bool {
	_, named, voters := mostNamed(seats, ballots)
	missing, joining := 0, 0 // those that stand by an INVALID are among the voters already
	for i := range seats {
		if s := &seats[i]; s.MayVote && !s.Rests && (s.Voter || s.Objects) && !s.Ended && !s.Dead {
			missing++
			if ballots[i].Vote != engine.Invalid {
				joining++
			}
		}
	}
	if threshold.Reached(named, voters) {
		return !threshold.Reached(named, voters+joining)
	}
	return threshold.Reached(named+missing, voters+joining)
}
