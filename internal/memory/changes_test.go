package memory

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"pgregory.net/rapid"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// keeper has records as somebody keeps them who hears of changes only.
type keeper struct {
	blocks     map[common.Hash]Block
	objections map[ofNode]Objection
	trust      map[quorum.NodeID]Trust
}

func newKeeper() *keeper {
	return &keeper{map[common.Hash]Block{}, map[ofNode]Objection{}, map[quorum.NodeID]Trust{}}
}

func (k *keeper) take(s State) {
	for _, b := range s.Blocks {
		if k.blocks[b.Hash] = b; len(b.Marks) == 0 {
			delete(k.blocks, b.Hash)
		}
	}
	for _, o := range s.Objections {
		name := ofNode{o.Node, o.Block}
		if k.objections[name] = o; o.Number == 0 {
			delete(k.objections, name)
		}
	}
	for _, t := range s.Trust {
		if k.trust[t.Node] = t; t.Gone {
			delete(k.trust, t.Node)
		}
	}
}

func (o Objection) name() ofNode { return ofNode{o.Node, o.Block} }

func (k *keeper) state() State {
	s := State{
		Blocks:     slices.Collect(maps.Values(k.blocks)),
		Objections: slices.Collect(maps.Values(k.objections)),
		Trust:      slices.Collect(maps.Values(k.trust)),
	}
	slices.SortFunc(s.Blocks, func(a, b Block) int { return a.Hash.Cmp(b.Hash) })
	s.sort()
	return s
}

// byHash are records without the order of the blocks, which somebody who hears of changes doesn't know where all are
// of one time.
func byHash(s State) State {
	slices.SortFunc(s.Blocks, func(a, b Block) int { return a.Hash.Cmp(b.Hash) })
	return s
}

// Whatever happens, and whenever changes are taken: what was taken comes to the records. Only marks of objections that
// are over may be left in it, which nobody takes for standing ones.
func TestChanges(t *testing.T) {
	nodes := []quorum.NodeID{alice, bob, carol, dave}
	stale := 0
	rapid.Check(t, func(t *rapid.T) {
		m := &told{Memory: New(rapid.SampledFrom([]int{3, 5, 8, 100}).Draw(t, "room"))}
		m.NoteChanges()
		k := newKeeper()
		forgotten, again := make(map[ofNode]bool), false
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			who := rapid.SampledFrom(nodes).Draw(t, "who")
			before := m.Records()
			switch rapid.IntRange(0, 12).Draw(t, "operator") {
			case 0:
				m.Clear(who)
			case 1:
				m.Forget(who)
				m.Admit(who)
			case 2:
				k.take(m.Changes())
			default:
				m.happens(t, nodes)
				if changed, _ := m.Unsaved(); !changed && !reflect.DeepEqual(before.Blocks, m.Records().Blocks) {
					t.Fatalf("nothing is said to have changed:\n%+v\n%+v", before, m.Records())
				}
				for _, o := range m.Records().Objections {
					same := func(b Objection) bool { return reflect.DeepEqual(b, o) }
					if !slices.ContainsFunc(before.Objections, same) && !m.changes.objections[o.name()] {
						t.Fatalf("it isn't said to have changed: %+v", o)
					}
				}
			}
			for _, o := range m.Records().Objections {
				again = again || forgotten[o.name()]
				isKnown := func(b Objection) bool { return b.name() == o.name() }
				before.Objections = slices.DeleteFunc(before.Objections, isKnown)
			}
			for _, o := range before.Objections {
				forgotten[o.name()] = true
			}
		}
		k.take(m.Changes())
		if changed, ended := m.Unsaved(); changed || ended {
			t.Fatal("changes are left when they have been taken")
		}
		want, got := byHash(m.Records()), k.state()
		for i := range got.Blocks { // marks of objections that are over
			b := &got.Blocks[i]
			b.Marks = slices.DeleteFunc(slices.Clone(b.Marks), func(mark Mark) bool {
				o := k.objections[ofNode{mark.Node, mark.Block}]
				return o.Ended || o.Number != mark.Number
			})
		}
		covered := slices.DeleteFunc(got.Blocks, func(b Block) bool { return len(b.Marks) == 0 })
		stale += len(k.blocks) - len(covered)
		got.Blocks = covered
		for i := range got.Blocks {
			if b := &got.Blocks[i]; !slices.ContainsFunc(covered, func(p Block) bool { return p.Hash == b.Parent }) {
				b.Parent = common.Hash{} // no objection covers it any more
			}
		}
		if again { // and has its number again: what the first covered is under it, but no longer known to the memory
			got.Blocks, want.Blocks = nil, nil
		}
		if got = byHash(got); !same(got, want) {
			t.Fatalf("taken are\n%+v\nthe records are\n%+v", got, want)
		}
	})
	if stale == 0 {
		t.Error("no objection ended that had covered a block")
	}
}

// same reports whether records are equal; no marks and no nodes are equal, however they are written.
func same(a, b State) bool {
	equal := func(a, b any, n, m int) bool { return n == 0 && m == 0 || reflect.DeepEqual(a, b) }
	return equal(a.Blocks, b.Blocks, len(a.Blocks), len(b.Blocks)) &&
		equal(a.Objections, b.Objections, len(a.Objections), len(b.Objections)) &&
		equal(a.Trust, b.Trust, len(a.Trust), len(b.Trust))
}

// Nobody notes changes that nobody takes.
func TestChangesAreNotNoted(t *testing.T) {
	m := chain(100, 3)
	m.payload(alice, 1, valid)
	m.payload(alice, 2, invalid)
	if changed, ended := m.Unsaved(); changed || ended {
		t.Error("changes are noted")
	}
}

// record is an objection of alice's to block 2, as another process tells of it.
func record(number uint64, ended bool) State {
	s := State{Objections: []Objection{{Node: alice, Block: hash(2), Number: number, Ended: ended}}}
	if !ended {
		mark := []Mark{{alice, hash(2), number}}
		s.Blocks = []Block{{Hash: hash(2), Proof: Proven, Timestamp: 2, Marks: mark}}
	}
	return s
}

// Two processes tell each other what stands: whatever the order and however often, both come to the greatest number,
// and in a tie to the end.
func TestNumbersDecide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := chain(100, 5), chain(100, 5)
		both := []*told{a, b}
		for _, m := range both {
			m.NoteChanges()
			m.payload(alice, 1, valid)
		}
		sent := []State{} // that are on their way, or may come again
		for range rapid.IntRange(1, 25).Draw(t, "events") {
			m := rapid.SampledFrom(both).Draw(t, "process")
			switch rapid.IntRange(0, 4).Draw(t, "event") {
			case 0:
				m.say(alice, 2, invalid)
			case 1:
				m.say(alice, 2, valid)
			case 2:
				m.Clear(alice)
			case 3:
				sent = append(sent, m.Changes())
			case 4:
				if len(sent) > 0 {
					m.Restore(rapid.SampledFrom(sent).Draw(t, "sent"))
				}
			}
		}
		for _, m := range both {
			sent = append(sent, m.Changes())
		}
		for _, s := range rapid.Permutation(sent).Draw(t, "order") {
			for _, m := range both {
				m.Restore(s)
			}
		}
		number := func(m *told) Objection { return m.objectionRecord(ofNode{alice, hash(2)}) }
		if x, y := number(a), number(b); x.Number != y.Number || x.Ended != y.Ended {
			t.Fatalf("one has %+v, the other %+v", x, y)
		}
		if stands := !number(a).Ended; a.objects(alice, 5) != stands || b.objects(alice, 5) != stands {
			t.Fatalf("objects: %t and %t, want %t", a.objects(alice, 5), b.objects(alice, 5), stands)
		}
	})
}

// What another process tells of an objection changes what stands here only where it is later.
func TestRestoreWhileRunning(t *testing.T) {
	for _, c := range []struct {
		name  string
		told  []State
		want  bool // alice objects to the block's descendants
		then  engine.Status
		after bool // likewise, when she has said that to the block
	}{
		{"nothing", nil, false, none, false},
		{"an objection", []State{record(1, false)}, true, none, true},
		{"an objection, and she takes it back", []State{record(1, false)}, true, valid, false},
		{"its end, too", []State{record(1, false), record(1, true)}, false, none, false},
		{"its end comes first", []State{record(1, true), record(1, false)}, false, none, false},
		{"the next one", []State{record(1, false), record(1, true), record(2, false)}, true, none, true},
		{"the next one comes first", []State{record(2, false), record(1, true), record(1, false)}, true, valid, false},
		{"she says it herself after the end", []State{record(1, true)}, false, invalid, true},
		{"a later end", []State{record(3, true), record(2, false)}, false, invalid, true},
	} {
		m := chain(100, 5)
		m.payload(alice, 1, valid)
		for _, s := range c.told {
			m.Restore(s)
		}
		if got := m.objects(alice, 5); got != c.want {
			t.Errorf("%s: objects %t, want %t", c.name, got, c.want)
		}
		if m.say(alice, 2, c.then); m.objects(alice, 5) != c.after {
			t.Errorf("%s: then she objects %t, want %t", c.name, !c.after, c.after)
		}
	}
}
