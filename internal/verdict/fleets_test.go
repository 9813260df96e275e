package verdict_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
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

// policy is a policy of the tables.
type policy struct {
	name  string
	rules quorum.Rules
}

func policies(t testing.TB) (all []policy) {
	t.Helper()
	threshold, err := quorum.ParseRatio("0.6")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []quorum.Policy{quorum.Halt, quorum.Majority, quorum.Live} {
		for _, byClient := range []bool{false, true} {
			name := "`" + p.String() + "`"
			if byClient {
				name += ", by client"
			}
			all = append(all, policy{name, quorum.Rules{
				Threshold: threshold, MinValid: 1, OnDispute: p, ByClient: byClient, MinClients: 2,
			}})
		}
	}
	return all
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
		clock: quorum.Clock{Grace: grace, LateGrace: bubble.LateGrace, AttestBy: 3 * time.Second, Slot: 12 * time.Second,
			Known: true},
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
			Node: id, Client: n.client, Config: n.config, NearFork: s.near, Configured: true, MayVote: true, Voter: true,
			MayObject: true, Proved: true, Follows: true, Due: 7500 * ms,
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

// check holds the promises, for every call: by who objects, and not by what the code makes of that.
func (s *season) check(t testing.TB, v quorum.Verdict, ballots []quorum.Ballot) {
	objecting, objectors, accepting := 0, map[string]bool{}, map[string]bool{}
	configs, unknown := map[string]bool{}, false
	for i, n := range s.nodes {
		switch {
		case s.objects[i]:
			objecting++
			objectors[n.client] = true
		case ballots[i].Vote == engine.Valid:
			accepting[n.client] = true
		default:
			continue
		}
		unknown = unknown || n.config == ""
		if n.config != "" {
			configs[n.config] = true
		}
	}
	for client := range objectors {
		delete(accepting, client)
	}
	fail := func(promise string) {
		t.Errorf("%s: %+v with %+v, of %+v: objecting %v", promise, v, s.rules, s.fleetDrawn, s.objects)
	}
	switch {
	case v.Status == engine.Invalid && (objecting < 2 || !s.rules.Threshold.Reached(objecting, len(s.nodes)) &&
		!s.rules.ByClient):
		fail("INVALID takes two nodes, and most of all")
	case v.Status == engine.Invalid && s.rules.ByClient && len(objectors) < min(2, s.clients):
		fail("INVALID by client takes two clients")
	case v.Status != engine.Valid || objecting == 0:
	case s.rules.OnDispute == quorum.Halt:
		fail("halt never answers VALID beside an objection")
	case s.rules.OnDispute == quorum.Live && (len(accepting) < 2 ||
		!s.rules.Threshold.Reached(len(accepting), s.clients)):
		fail("live goes on with most of the clients only, and two at least")
	case s.rules.OnDispute == quorum.Live && (len(configs) > 1 || s.near && unknown):
		fail("live goes on only where configurations explain nothing")
	}
}

// toll is what slots cost.
type toll struct {
	fleets    int
	wrong     int // VALID to an invalid block, INVALID to a valid one
	lost      int // SYNCING to a valid block
	proposals int // of all of these, those in which a proposal was due
	due       int // proposals
}

func (a *toll) add(b toll) {
	a.fleets += b.fleets
	a.wrong += b.wrong
	a.lost += b.lost
	a.proposals += b.proposals
	a.due += b.due
}

// costs is what it cost a fleet to hear that.
func (f *fleetDrawn) costs(heard [slots]engine.Status) toll {
	c := toll{fleets: 1}
	for slot, status := range heard {
		wrong := f.isValid(slot) && status == engine.Invalid || !f.isValid(slot) && status == engine.Valid
		lost := f.isValid(slot) && status == engine.Syncing
		if wrong {
			c.wrong++
		}
		if lost {
			c.lost++
		}
		if f.propose[slot] {
			c.due++
			if wrong || lost {
				c.proposals++
			}
		}
	}
	return c
}

// shape is what an operator knows of a fleet: a row of the second table.
func (f *fleetDrawn) shape() string {
	clients := [...]string{"", "1 client", "2 clients", "3 clients or more"}[min(3, f.clients)]
	switch n := len(f.nodes); n {
	case 2, 3:
		return fmt.Sprintf("%d, of %s", n, strings.TrimSuffix(clients, " or more"))
	default:
		return "4 to 7, of " + clients
	}
}

// tableDraws is how many fleets are drawn for each bug where the tables are computed.
const tableDraws = 400

// What each policy costs each kind of fleet with each kind of bug, and what must hold in all of them.
func TestFleets(t *testing.T) {
	all, draws := policies(t), perBug
	if testing.Short() {
		draws = 20
	}
	byBug, byShape := map[string][]toll{}, map[string]map[string][]toll{}
	var mu sync.Mutex // guards these
	var workers sync.WaitGroup
	type job struct {
		fleet *fleetDrawn
		whole bool
	}
	todo := make(chan job)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for j := range todo {
				f := j.fleet
				costs := f.compare(t, all, j.whole)
				mu.Lock()
				if f.bug == none || f.disagrees() {
					tally(byBug, bugs[f.bug], costs)
				}
				if f.disagrees() {
					tally(byBug, "", costs)
				}
				if f.bug != none {
					if byShape[f.shape()] == nil {
						byShape[f.shape()] = map[string][]toll{}
					}
					tally(byShape[f.shape()], bugs[f.bug], costs)
				}
				mu.Unlock()
			}
		})
	}
	for b := range bugs {
		for i := range draws {
			if !t.Failed() {
				todo <- job{drawFleet(bug(b), rand.New(rand.NewPCG(uint64(b), uint64(i)))), i%40 == 0}
			}
		}
	}
	close(todo)
	workers.Wait()
	if draws == tableDraws && !t.Failed() {
		document(t, all, byBug, byShape)
	}
}

func tally(to map[string][]toll, name string, costs []toll) {
	if to[name] == nil {
		to[name] = make([]toll, len(costs))
	}
	for i, c := range costs {
		to[name][i].add(c)
	}
}

// compare plays a fleet under all policies, and holds what must be between them. Of the policies, the odd ones vote by
// client. whole has every slot played.
func (f *fleetDrawn) compare(t testing.TB, all []policy, whole bool) (costs []toll) {
	heard := make([][slots]engine.Status, len(all))
	for i, p := range all {
		heard[i] = f.play(t, p.rules, f.first+2+2*f.repeats())
		if whole && heard[i] != f.play(t, p.rules, slots) {
			t.Errorf("it doesn't come again after %d slots: %+v", f.repeats(), f)
		}
		costs = append(costs, f.costs(heard[i]))
	}
	for slot := range slots {
		for byClient := range 2 {
			halt, majority, live := heard[byClient][slot], heard[2+byClient][slot], heard[4+byClient][slot]
			fail := func(promise string) {
				t.Errorf("%s: halt %q, majority %q, live %q in slot %d of %+v", promise, halt, majority, live, slot, f)
			}
			switch {
			case f.bug == none && (halt != engine.Valid || majority != engine.Valid || live != engine.Valid):
				fail("without a bug all is VALID")
			case (halt == engine.Invalid) != (live == engine.Invalid) ||
				(halt == engine.Invalid) != (majority == engine.Invalid):
				fail("no policy changes what is INVALID")
			case halt == engine.Valid && (live != engine.Valid || majority != engine.Valid):
				fail("where halt goes on, all go on")
			case live == engine.Valid && heard[3][slot] == engine.Syncing && f.late == 0: // or that waited for the late one
				fail("where live goes on, a majority by client goes on")
			case f.clients < 3 && live != halt:
				fail("with fewer than three clients, live is halt")
			case (f.bug == forkAccepts || f.bug == forkRejects) && live != halt:
				fail("where configurations differ, live is halt")
			}
		}
	}
	return costs
}

// document writes the two tables.
func document(t *testing.T, all []policy, byBug map[string][]toll, byShape map[string]map[string][]toll) {
	t.Helper()
	names := []string{""}
	for _, p := range all {
		names = append(names, p.name)
	}
	names[0] = "bug"
	table := head(names...)
	for _, b := range bugs {
		table += row(cells(b, byBug[b])...)
	}
	proposals := []string{"proposals lost, of all that were due"}
	for _, c := range byBug[""] {
		proposals = append(proposals, fmt.Sprintf("%.0f %%", 100*float64(c.proposals)/float64(c.due)))
	}
	documented(t, "policies by bug", table+row(proposals...))

	names[0] = "nodes"
	table = head(names...)
	for _, shape := range slices.Sorted(maps.Keys(byShape)) {
		table += row(cells(shape, slices.Collect(maps.Values(byShape[shape]))...)...)
	}
	documented(t, "policies by fleet", table)
}

// cells are a row: slots answered wrongly, and lost, of 64, on the average of fleets, and then of these averages.
func cells(name string, averaged ...[]toll) []string {
	cells := []string{name}
	for policy := range averaged[0] {
		var wrong, lost []float64
		for _, costs := range averaged {
			c := costs[policy]
			wrong = append(wrong, float64(c.wrong)/float64(c.fleets))
			lost = append(lost, float64(c.lost)/float64(c.fleets))
		}
		cells = append(cells, fmt.Sprintf("%.1f / %.1f", mean(wrong), mean(lost)))
	}
	return cells
}

// mean is the same in whatever order the values come.
func mean(values []float64) (sum float64) {
	slices.Sort(values)
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
