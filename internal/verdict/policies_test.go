package verdict_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

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
			case live == engine.Valid && heard[3][slot] == engine.Syncing && f.late == 0: // or it waited for the late
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
