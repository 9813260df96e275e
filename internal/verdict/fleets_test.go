package verdict_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/engine"
	"executionbackup/internal/memory"
	"executionbackup/internal/quorum"
)

// Which policy is best for which nodes? Thousands of fleets are drawn, each with a bug in it, and played for 64 slots
// under each policy: quorum.Poll and memory.Memory alone, by a clock that is a number.

// shares are how many validators run each client, in percent: clientdiversity.org (supermajority.info), 21 August 2026.
var shares = []struct {
	client  string
	percent float64
}{{"NM", 42.9}, {"GE", 42.8}, {"BU", 8.4}, {"RH", 3.3}, {"EG", 2.6}}

// bug is what is wrong in a fleet, or in the world: which nodes say INVALID, which say VALID, and which are right.
type bug int

const (
	none          bug = iota
	clientRejects     // one client is wrong
	clientAccepts
	nodeRejects // and not the others of its client
	flaps       // one client objects to every n-th block, and follows the next
	lateWrong   // one client objects late
	lateRight
	forkRejects // two clients (of two: one) have another configuration than the rest, and it is wrong
	forkAccepts
)

// bugs are their names in the table.
var bugs = [...]string{
	none:          "none",
	clientRejects: "one client calls a valid block INVALID",
	clientAccepts: "one client calls an invalid block VALID",
	nodeRejects:   "one node calls a valid block INVALID",
	flaps:         "one client objects to every n-th block (n: 2 to 8), and follows the next",
	lateWrong:     "one client objects 1.5 to 3 s after the others, and is wrong",
	lateRight:     "… and is right: the others share a bug",
	forkRejects:   "two clients are configured wrongly at a fork: they call a valid block INVALID",
	forkAccepts:   "… they call an invalid block VALID",
}

// slots is how long a fleet is played. The bug shows in one of the first four, and the chain goes on with that block.
const slots = 64

// nodeDrawn is a node of a fleet that was drawn.
type nodeDrawn struct {
	client, config string // config: "" where it isn't known
	takes          time.Duration
	rejects        bool // it is among those that say INVALID
}

// fleetDrawn is a fleet, and what happens to it.
type fleetDrawn struct {
	bug     bug
	nodes   []nodeDrawn
	clients int           // how many implementations
	first   int           // the slot in which the bug shows
	every   int           // where it flaps
	late    time.Duration // how long after its time the first objection comes
	near    bool          // a fork is near
	forgets bool          // whoever objects says SYNCING to what follows, as some clients do
	propose [slots]bool
}

func drawFleet(b bug, r *rand.Rand) *fleetDrawn {
	f := &fleetDrawn{bug: b, first: r.IntN(4), every: 2 + r.IntN(7), near: r.IntN(10) == 0, forgets: r.IntN(3) == 0}
	var clients []string
	for range 2 + r.IntN(6) {
		n := nodeDrawn{client: drawClient(r), config: "a", takes: time.Duration(20+r.IntN(380)) * ms}
		if !slices.Contains(clients, n.client) {
			clients = append(clients, n.client)
		}
		f.nodes = append(f.nodes, n)
	}
	f.clients = len(clients)
	r.Shuffle(len(clients), func(i, j int) { clients[i], clients[j] = clients[j], clients[i] })
	wrong := clients[:1]
	switch b {
	case lateWrong, lateRight:
		f.late = time.Duration(1500+r.IntN(1500)) * ms
	case forkRejects, forkAccepts:
		wrong, f.near = clients[:max(1, min(2, len(clients)-1))], true
	}
	broken := r.IntN(len(f.nodes))
	for i := range f.nodes {
		n := &f.nodes[i]
		isWrong := slices.Contains(wrong, n.client)
		switch b {
		case none:
		case nodeRejects:
			n.rejects = i == broken
		case clientAccepts, forkAccepts:
			n.rejects = !isWrong
		default:
			n.rejects = isWrong
		}
		if isWrong && (b == forkRejects || b == forkAccepts) {
			n.config = "b"
		}
		if r.IntN(10) == 0 {
			n.config = ""
		}
	}
	for i := range f.propose {
		f.propose[i] = r.IntN(32) == 0
	}
	return f
}

func drawClient(r *rand.Rand) string {
	at := r.Float64() * 100
	for _, s := range shares {
		if at -= s.percent; at < 0 {
			return s.client
		}
	}
	return shares[0].client
}

// disagrees reports whether nodes come to say different things.
func (f *fleetDrawn) disagrees() bool {
	differs := func(n nodeDrawn) bool { return n.rejects != f.nodes[0].rejects }
	return slices.ContainsFunc(f.nodes, differs)
}

// isValid reports whether the block of a slot is really valid.
func (f *fleetDrawn) isValid(slot int) bool {
	return slot < f.first || f.bug != clientAccepts && f.bug != forkAccepts && f.bug != lateRight
}

// says is what a node says to the block of a slot.
func (f *fleetDrawn) says(node, slot int) engine.Status {
	switch {
	case !f.nodes[node].rejects || slot < f.first || f.bug == flaps && (slot-f.first)%f.every != 0:
		return engine.Valid
	case f.forgets && f.bug != flaps && slot > f.first:
		return engine.Syncing
	}
	return engine.Invalid
}

// season is a fleet while it is played under a policy.
type season struct {
	*fleetDrawn
	rules  quorum.Rules
	clock  quorum.Clock
	words  *memory.Memory
	now    time.Duration // since the beginning
	seq    uint64
	seats  []quorum.Seat
	busy   []time.Duration // until when each node has something to do
	flight []reply         // the earliest first
	// objects says who objects to the block that is judged: by the promise, not by the memory.
	objects []bool
}

// reply is an answer on its way.
type reply struct {
	at    time.Duration
	node  int
	block int // the slot of it
	seq   uint64
	fresh bool // it is an answer to newPayload
}

// repeats is after how many slots all comes again, once the bug has shown: it needn't be played a second time.
func (f *fleetDrawn) repeats() int {
	if f.bug == flaps {
		return f.every
	}
	return 1
}

// play plays a fleet under a policy, and returns what the consensus client hears of each slot's block: those of so many
// slots, after which all comes again.
func (f *fleetDrawn) play(t testing.TB, r quorum.Rules, played int) (heard [slots]engine.Status) {
	s := &season{
		fleetDrawn: f, rules: r, words: memory.New(2 * slots), seats: make([]quorum.Seat, len(f.nodes)),
		busy: make([]time.Duration, len(f.nodes)), objects: make([]bool, len(f.nodes)),
		clock: quorum.Clock{
			Grace: grace, LateGrace: bubble.LateGrace, AttestBy: 3 * time.Second, Slot: 12 * time.Second, Known: true,
		},
	}
	for slot := -1; slot < played; slot++ { // they prove themselves in the one before
		begins := time.Duration(slot+1) * s.clock.Slot
		s.takeUntil(begins)
		s.now = begins + time.Second
		status, forkchoice := s.ask(t, slot, true), s.ask(t, slot, false)
		if status == engine.Valid || forkchoice == engine.Invalid {
			status = forkchoice
		}
		if slot >= 0 {
			heard[slot] = status
		}
	}
	for slot := played; slot < slots; slot++ {
		heard[slot] = heard[slot-f.repeats()]
	}
	return heard
}

// ask plays a newPayload, or a forkchoiceUpdated, of the block of a slot.
func (s *season) ask(t testing.TB, slot int, payload bool) engine.Status {
	s.seq++
	hash := bubble.Hash(slot + 2)
	begun := s.now
	s.clock.Asked = begun - time.Duration(slot+1)*s.clock.Slot
	if payload {
		s.words.Learn(engine.Payload{
			Hash: hash, Parent: bubble.Hash(slot + 1), Number: uint64(slot + 2), Timestamp: uint64(12 * (slot + 2)),
		}, memory.Proven, nil)
	}
	for i, n := range s.nodes {
		id := quorum.NodeID(rune('a' + i))
		s.seats[i] = quorum.Seat{
			Node: id, Client: n.client, Fork: n.config, NearFork: s.near, Configured: true, MayVote: true,
			Voter: true, MayObject: true, Proved: true, Follows: true, Due: 7500 * ms,
		}
		takes := n.takes
		switch {
		case !payload:
			takes = 5 * ms
		case slot == s.first && n.rejects:
			takes += s.late
		}
		if payload {
			s.words.Sent(id, hash, 0)
		}
		s.busy[i] = max(s.busy[i], s.now) + takes
		s.flight = append(s.flight, reply{s.busy[i], i, slot, s.seq, payload})
	}
	slices.SortStableFunc(s.flight, func(a, b reply) int { return cmp.Compare(a.at, b.at) })
	poll := quorum.NewPoll(s.rules, s.clock, len(s.nodes))
	poll.Forkchoice = !payload
	for {
		s.words.Recall(hash, s.seats)
		for i := range s.seats {
			s.seats[i].Recants = payload || s.seats[i].Own
		}
		look := poll.Look(s.now-begun, s.seats, false)
		if look.Done {
			s.check(t, look.Verdict, poll.Ballots)
			return look.Verdict.Status
		}
		if next := begun + look.Next; look.Next > 0 && (len(s.flight) == 0 || next < s.flight[0].at) {
			s.now = next
			continue
		}
		s.take()
	}
}

// takeUntil takes in what comes until a time.
func (s *season) takeUntil(at time.Duration) {
	for len(s.flight) > 0 && s.flight[0].at <= at {
		s.take()
	}
}

// take takes in the next answer.
func (s *season) take() {
	a := s.flight[0]
	s.flight = s.flight[1:]
	s.now = a.at
	status := s.says(a.node, a.block)
	s.words.Keep(memory.Note{
		Node: s.seats[a.node].Node, Block: bubble.Hash(a.block + 2), Status: status, Seq: a.seq, Voter: true,
		MayObject: true, Proved: true, Fresh: a.fresh,
	})
	switch { // an objection binds what follows, until its node follows
	case status == engine.Invalid:
		s.objects[a.node] = true
	case a.fresh && status == engine.Valid:
		s.objects[a.node] = false
	}
	if a.seq == s.seq {
		s.seats[a.node].Said, s.seats[a.node].Ended = status, true
	}
}
