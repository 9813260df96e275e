package memory

import (
	"reflect"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"pgregory.net/rapid"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// restored is what another process makes of a memory's records.
func restored(m *told) *told {
	r := &told{Memory: New(m.max), seq: m.seq}
	r.Restore(m.Records())
	for n := range 40 { // nothing came that m didn't see
		if b := m.blocks[hash(n)]; b == nil || len(left(b.marks)) == 0 {
			r.Clean([]common.Hash{hash(n)})
		}
	}
	return r
}

// knowsTwice reports whether two objections of a node begin with the same block, or one with a block that was forgotten
// and has been heard of again: they are one when they are restored.
func (m *told) knowsTwice() bool {
	for _, s := range m.nodes {
		for i, o := range s.objections {
			same := func(p *objection) bool { return p.at.hash == o.at.hash }
			if b := m.blocks[o.at.hash]; b != nil && b != o.at || slices.ContainsFunc(s.objections[:i], same) {
				return true
			}
		}
	}
	return false
}

// called are the seats of a call on a block, to which nodes say this.
func (m *told) called(n int, said map[quorum.NodeID]engine.Status, nodes ...quorum.NodeID) []quorum.Seat {
	seats := m.recall(n, nodes...)
	proved := slices.ContainsFunc(nodes, m.Qualified)
	for i := range seats {
		s := &seats[i]
		s.Voter, s.Proved, s.MayObject = true, m.Qualified(s.Node), m.MayObject(s.Node, proved)
		s.Said = said[s.Node]
		s.Ended = s.Said != none
	}
	return seats
}

func verdictOf(t interface{ Fatal(...any) }, threshold string, seats []quorum.Seat) quorum.Verdict {
	r, err := quorum.ParseRatio(threshold)
	if err != nil {
		t.Fatal(err)
	}
	rules := quorum.Rules{Threshold: r, MinValid: 1}
	p := quorum.NewPoll(rules, quorum.Clock{}, len(seats))
	p.Cast(seats)
	return rules.Decide(p.Ballots)
}

// happens is anything that can happen to a memory.
func (m *told) happens(t *rapid.T, nodes []quorum.NodeID) {
	n, who := rapid.IntRange(1, 12).Draw(t, "block"), rapid.SampledFrom(nodes).Draw(t, "node")
	status := rapid.SampledFrom([]engine.Status{valid, invalid, invalid, syncing})
	switch rapid.IntRange(0, 11).Draw(t, "event") {
	case 0, 1, 2:
		m.learn(n, max(0, n-rapid.IntRange(1, 2).Draw(t, "above")))
	case 3, 4:
		m.payload(who, n, status.Draw(t, "status"))
	case 5, 6:
		m.say(who, n, status.Draw(t, "status"))
	case 7:
		m.mute(who, n)
	case 8:
		m.doubt(who, n)
	case 9:
		m.died(who, n)
	case 10:
		m.Lapse()
	case 11:
		m.Broke(who)
	}
}

// Whatever was said, and forgotten since: after a restart nodes object to the same blocks, by the same reasons, and the
// same nodes are heard for that. INVALID comes of that only where it had come without a restart, and only where nodes
// say INVALID again. What ends an objection ends it after the restart as before.
func TestRestoredDisputes(t *testing.T) {
	nodes := []quorum.NodeID{alice, bob, carol, dave}
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		room := rapid.SampledFrom([]int{3, 5, 8, 100}).Draw(t, "room")
		m := &told{Memory: New(room)}
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			m.happens(t, nodes)
		}
		state := m.Records()
		if !reflect.DeepEqual(state, m.Records()) {
			t.Fatal("the records of one memory differ")
		}
		r := restored(m)
		if again := r.Records(); !reflect.DeepEqual(again, state) && !m.knowsTwice() {
			t.Fatalf("restored, the records are\n%+v, were\n%+v", again, state)
		}
		twice := m.knowsTwice()
		for n := range 13 {
			was, is := m.recall(n, nodes...), r.recall(n, nodes...)
			disputed := slices.ContainsFunc(was, func(s quorum.Seat) bool { return s.Objects })
			for i := range was {
				before, after := was[i].Past, is[i].Past
				if after.Read != after.Objects {
					t.Fatalf("%s on block %d: %+v wasn't read", nodes[i], n, after)
				}
				if b := r.blocks[hash(n)]; after.Objects && !before.Objects && b.objection(nodes[i]).weak() {
					continue // where it objected twice beside others, Memory keeps less than it said
				}
				if b := m.blocks[hash(n)]; twice && before.Objects && !after.Objects && b.objection(nodes[i]).weak() {
					continue // the other beside whom it stood objects on
				}
				after.Read, after.Valid, before.Valid = false, false, false
				if twice { // more is known of it then than before
					before = quorum.Past{Objects: before.Objects || after.Objects}
					after = quorum.Past{Objects: after.Objects}
				}
				if !disputed || after.Objects { // words that end with us, or that nobody asks for
					after.Accepts, before.Accepts, after.Died, before.Died = false, false, false, false
				}
				if after != before {
					t.Fatalf("%s on block %d: %+v, want %+v\n%+v", nodes[i], n, after, before, state)
				}
			}
			if !disputed {
				continue
			}
			seen["disputed"]++
			said := map[quorum.NodeID]engine.Status{}
			for _, node := range nodes {
				said[node] = rapid.SampledFrom([]engine.Status{none, valid, invalid, syncing}).Draw(t, "said")
			}
			threshold := rapid.SampledFrom([]string{"0.51", "0.6", "1"}).Draw(t, "threshold")
			with := func(seats []quorum.Seat, proved bool) []quorum.Seat {
				for i := range seats { // as when it has proved itself again
					seats[i].Proved, seats[i].MayObject = proved, proved
				}
				return seats
			}
			before := verdictOf(t, threshold, with(m.called(n, said, nodes...), true))
			after := verdictOf(t, threshold, with(r.called(n, said, nodes...), true))
			if after.Status == invalid && before.Status != invalid {
				t.Fatalf("block %d, %v at %s: INVALID, would be %v\n%+v", n, said, threshold, before, state)
			}
			if after.Status == valid && before.Status != valid {
				t.Fatalf("block %d, %v at %s: VALID, would be %v\n%+v", n, said, threshold, before, state)
			}
			seen[after.Status.String()]++
			if v := verdictOf(t, threshold, with(r.called(n, nil, nodes...), true)); v.Status != syncing || !v.Dispute {
				t.Fatalf("block %d, where nobody says a word: %+v", n, v)
			}
		}
	})
	if seen["disputed"] == 0 || seen["INVALID"] == 0 || seen["SYNCING"] == 0 {
		t.Errorf("hardly anything happened: %v", seen)
	}
}

// What happens after a restart does to what was restored what it would have done without.
func TestAfterARestore(t *testing.T) {
	nodes := []quorum.NodeID{alice, bob, carol}
	ends := 0
	rapid.Check(t, func(t *rapid.T) {
		m := chain(100, 3)
		parents := []int{0, 0, 1, 2, 2, 3, 4, 5, 6, 6}
		block, node := rapid.IntRange(1, 9), rapid.SampledFrom(nodes)
		for n := 4; n < len(parents); n++ {
			m.learn(n, parents[n])
		}
		doubts := rapid.Bool().Draw(t, "nobody has proved itself")
		for range rapid.IntRange(1, 6).Draw(t, "objections") {
			n, who := block.Draw(t, "block"), node.Draw(t, "node")
			switch {
			case doubts:
				m.doubt(who, n)
			case m.Word(dave, hash(n)) == invalid: // else nobody might hear it, which isn't kept
				m.mute(who, n)
			default:
				m.say(rapid.SampledFrom([]quorum.NodeID{who, dave}).Draw(t, "who"), n, invalid)
			}
		}
		r := restored(m)
		for range rapid.IntRange(1, 8).Draw(t, "events") {
			n, who := block.Draw(t, "block"),
				rapid.SampledFrom([]quorum.NodeID{alice, bob, carol, dave}).Draw(t, "node")
			event, fresh := rapid.IntRange(0, 5).Draw(t, "event"), rapid.Bool().Draw(t, "fresh")
			if event == 2 && len(left(r.block(hash(n)).marks)) == 0 {
				continue // what is below a block without an objection isn't kept
			}
			for _, m := range []*told{m, r} {
				c := m.call(who, n, valid)
				switch c.Fresh = fresh; event {
				case 0, 1:
					m.Keep(c)
				case 2:
					m.say(who, n, invalid)
				case 3:
					m.Clear(who)
				case 4:
					m.Lapse()
				case 5:
					m.Forget(who)
					m.Admit(who)
				}
			}
			for n := range parents {
				for _, node := range []quorum.NodeID{alice, bob, carol, dave} {
					objects := m.objects(node, n)
					if now := r.objects(node, n); now != objects {
						t.Fatalf("%s on block %d: objects %v, want %v", node, n, now, objects)
					}
					if !objects {
						ends++
					}
				}
			}
		}
	})
	if ends == 0 {
		t.Error("nothing ended")
	}
}

// "What was read is not said": of restored objections comes INVALID only when two nodes have proved themselves in this
// run, and have said INVALID in it.
func TestOnlyWhatIsSaidCondemns(t *testing.T) {
	both := map[quorum.NodeID]engine.Status{alice: invalid, bob: invalid}
	prove := func(m *told, nodes ...quorum.NodeID) {
		for _, node := range nodes {
			m.payload(node, 20, valid) // a side branch
		}
	}
	for _, c := range []struct {
		name string
		do   func(*told)
		on   int
		said map[quorum.NodeID]engine.Status
		want engine.Status
	}{
		{"nothing said", func(*told) {}, 3, nil, syncing},
		{"proved, nothing said", func(m *told) { prove(m, alice, bob) }, 3, nil, syncing},
		{"proved, SYNCING", func(m *told) { prove(m, alice, bob) }, 3,
			map[quorum.NodeID]engine.Status{alice: syncing, bob: syncing}, syncing},
		{"said, not proved", func(*told) {}, 3, both, syncing},
		{"one says so", func(m *told) { prove(m, alice, bob) }, 3,
			map[quorum.NodeID]engine.Status{alice: invalid}, syncing},
		{"one has proved itself", func(m *told) { prove(m, alice) }, 3, both, syncing},
		{"proved, and said", func(m *told) { prove(m, alice, bob) }, 3, both, invalid},
		{"said on the block, and proved later", func(m *told) {
			m.say(alice, 2, invalid)
			m.say(bob, 2, invalid)
			prove(m, alice, bob)
		}, 4, nil, invalid},
		{"said on a child: that covers what is below", func(m *told) {
			prove(m, alice, bob)
			m.say(alice, 3, invalid)
			m.say(bob, 3, invalid)
		}, 4, nil, invalid},
		{"and not what is above", func(m *told) {
			prove(m, alice, bob)
			m.say(alice, 3, invalid)
			m.say(bob, 3, invalid)
		}, 2, nil, syncing},
		{"said when it might not object", func(m *told) {
			m.Broke(alice)
			m.mute(alice, 2)
			m.say(bob, 2, invalid)
			prove(m, alice, bob)
		}, 3, nil, syncing},
	} {
		m := chain(100, 4)
		m.learn(20, 1)
		for _, node := range []quorum.NodeID{alice, bob} {
			m.payload(node, 1, valid)
			m.payload(node, 2, invalid)
		}
		r := restored(m)
		r.learn(20, 1)
		c.do(r)
		seats := r.called(c.on, c.said, alice, bob, carol)
		seats[2].Said = none // and carol hangs
		if v := verdictOf(t, "0.6", seats); v.Status != c.want || v.Dispute != (c.want == syncing) {
			t.Errorf("%s: got %+v, want %v\n%+v", c.name, v, c.want, seats)
		}
		if !r.objects(alice, 4) || !r.objects(bob, 4) {
			t.Errorf("%s: the dispute has ended", c.name)
		}
	}
}

// An INVALID that was only read isn't one of the share that INVALID needs either, but is in the denominator.
func TestWhatIsReadIsNoShare(t *testing.T) {
	m := chain(100, 3)
	for _, node := range []quorum.NodeID{alice, bob, carol} {
		m.payload(node, 1, valid)
		m.payload(node, 2, invalid)
	}
	r := restored(m)
	for _, node := range []quorum.NodeID{alice, bob, carol, dave} {
		r.payload(node, 1, valid)
	}
	for _, c := range []struct {
		carol engine.Status
		want  engine.Status
	}{{none, syncing}, {syncing, syncing}, {invalid, invalid}} {
		said := map[quorum.NodeID]engine.Status{alice: invalid, bob: invalid, carol: c.carol, dave: valid}
		if v := verdictOf(t, "0.6", r.called(3, said, alice, bob, carol, dave)); v.Status != c.want || !v.Dispute {
			t.Errorf("carol says %v: got %+v, want %v", c.carol, v, c.want)
		}
	}
}

// Who had proved itself may object until a break; who hadn't is muted, though nobody has proved itself in this run.
// Where nothing was kept, all may object until somebody has.
func TestTrustIsRestored(t *testing.T) {
	m := chain(100, 2)
	m.payload(alice, 1, valid)
	m.payload(bob, 1, valid)
	m.Broke(bob)
	r := restored(m)
	r.learn(1, 0)
	if r.Qualified(alice) || !r.MayObject(alice, false) || !r.MayObject(alice, true) {
		t.Error("alice had proved itself: it may object, and hasn't proved itself in this run")
	}
	if r.MayObject(bob, false) || r.MayObject(carol, false) {
		t.Error("bob and carol hadn't proved themselves, and may object")
	}
	if again := restored(r); !again.MayObject(alice, false) || again.MayObject(bob, false) {
		t.Error("the next restart forgets who had proved itself")
	}
	c := r.call(alice, 1, invalid)
	c.Proved = false
	late := c
	if r.Keep(c); !r.objects(alice, 1) {
		t.Error("alice's INVALID is no objection")
	}
	if r.Lapse(); !r.objects(alice, 1) {
		t.Error("it lapses, as if it were in doubt")
	}
	r.Clear(alice)
	r.Broke(alice)
	if r.MayObject(alice, true) || !r.MayObject(alice, false) || !r.MayObject(bob, false) {
		t.Error("after the break of all who were trusted it isn't as it is without a restart")
	}
	late.Broke = true
	if r.Keep(late); r.objects(alice, 1) {
		t.Error("what was called before the break makes an objection after it")
	}
	r.payload(alice, 1, valid)
	if !r.Qualified(alice) || !r.MayObject(alice, true) {
		t.Error("it doesn't prove itself again")
	}
	first := &told{Memory: New(8)}
	first.Restore(State{})
	if !first.MayObject(alice, false) || first.MayObject(alice, true) {
		t.Error("nothing was kept: all may object until somebody has proved itself")
	}
	m.Forget(alice)
	if s := m.Records(); slices.ContainsFunc(s.Trust, func(t Trust) bool { return t.Node == alice }) {
		t.Error("a node that is removed is kept")
	}
}

// Whatever records hold: the memory keeps its bounds, and what they name that isn't there makes no objection.
func TestRestoreOfStrangeRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		block, node := rapid.IntRange(0, 6), rapid.SampledFrom([]quorum.NodeID{alice, bob, carol, ""})
		var s State
		for range rapid.IntRange(0, 8).Draw(t, "blocks") {
			b := Block{Hash: hash(block.Draw(t, "hash")), Parent: hash(block.Draw(t, "parent")),
				Proof: Proof(rapid.IntRange(0, 9).Draw(t, "proof"))}
			for range rapid.IntRange(0, 3).Draw(t, "marks") {
				b.Marks = append(b.Marks, Mark{node.Draw(t, "node"), hash(block.Draw(t, "of")),
					rapid.Uint64Range(0, 3).Draw(t, "number")})
			}
			s.Blocks = append(s.Blocks, b)
		}
		for range rapid.IntRange(0, 8).Draw(t, "objections") {
			o := Objection{Node: node.Draw(t, "node"), Block: hash(block.Draw(t, "block")),
				Provisional: rapid.Bool().Draw(t, "provisional"), Seconded: rapid.Bool().Draw(t, "seconded")}
			o.Number, o.Ended = rapid.Uint64Range(0, 3).Draw(t, "number"), rapid.Bool().Draw(t, "ended")
			s.Objections = append(s.Objections, o)
		}
		m := &told{Memory: New(4)}
		m.Restore(s)
		if len(m.blocks) > 4 || len(m.order)-m.oldest != len(m.blocks) {
			t.Fatalf("%d blocks, %d in order", len(m.blocks), len(m.order)-m.oldest)
		}
		for node, standing := range m.nodes {
			for _, o := range standing.objections {
				if o.covers == 0 || o.node != node {
					t.Fatalf("%+v covers nothing", o)
				}
			}
		}
		for n := range 7 {
			if v := verdictOf(t, "0.6", m.called(n, nil, alice, bob, carol)); v.Status == invalid {
				t.Fatalf("block %d: INVALID", n)
			}
			m.payload(alice, n, engine.Status(rapid.IntRange(0, 4).Draw(t, "status")))
			m.learn(10+n, n)
		}
		m.Records()
	})
}

// A break that another process has seen takes a node's proof, and its say, until it proves itself anew: also where
// nobody has proved itself here.
func TestDistrust(t *testing.T) {
	m := chain(100, 4)
	m.payload(alice, 1, valid)
	m.Distrust(alice)
	m.Distrust(bob)
	for _, node := range []quorum.NodeID{alice, bob} {
		if m.Qualified(node) || m.MayObject(node, false) || m.MayObject(node, true) {
			t.Errorf("%s may object", node)
		}
	}
	if !m.MayObject(carol, false) {
		t.Error("carol may not object")
	}
	if m.payload(alice, 2, valid); !m.Qualified(alice) || !m.MayObject(alice, true) {
		t.Error("alice doesn't prove herself anew")
	}
}

// After breaks of all nodes it is as in a process that was never stopped: all may object until somebody has proved
// itself.
func TestBreaksOfAllAfterARestart(t *testing.T) {
	m := chain(100, 2)
	m.payload(alice, 1, valid)
	m.payload(bob, 1, valid)
	r := restored(m)
	for _, m := range []*told{m, r} {
		m.Broke(alice)
		m.Broke(bob)
	}
	for _, node := range []quorum.NodeID{alice, bob, carol} {
		if m.MayObject(node, false) != r.MayObject(node, false) || m.MayObject(node, true) != r.MayObject(node, true) {
			t.Errorf("%s: with a restart it is otherwise than without", node)
		}
	}
}
