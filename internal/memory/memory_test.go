package memory

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"pgregory.net/rapid"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

func hash(n int) common.Hash { return common.BytesToHash([]byte{byte(n >> 16), byte(n >> 8), byte(n)}) }

const (
	none     = engine.None
	valid    = engine.Valid
	invalid  = engine.Invalid
	syncing  = engine.Syncing
	accepted = engine.Accepted
)

const (
	alice = quorum.NodeID("alice")
	bob   = quorum.NodeID("bob")
	carol = quorum.NodeID("carol")
	dave  = quorum.NodeID("dave")
	eve   = quorum.NodeID("eve")
)

// told is a memory that is told what nodes say, in calls that are sent one after the other.
type told struct {
	*Memory
	seq uint64
}

// chain returns a memory that knows blocks 1 … n, each the child of the one before.
func chain(max, n int) *told {
	m := &told{Memory: New(max)}
	for i := 1; i <= n; i++ {
		m.learn(i, i-1)
	}
	return m
}

func (m *told) learn(n, parent int) bool {
	return m.Learn(engine.Payload{Hash: hash(n), Parent: hash(parent)}, Proven, nil)
}

// call is a note of what a node says to a call that doesn't show anything new: a forkchoiceUpdated, or a payload again.
func (m *told) call(node quorum.NodeID, n int, status engine.Status) Note {
	m.seq++
	_, breaks := m.Standing(node)
	return Note{Node: node, Block: hash(n), Status: status, Reason: fmt.Sprint("reason ", n),
		Seq: m.seq, Breaks: breaks, Voter: true, MayObject: true, Proved: true, Lapses: m.Lapses()}
}

func (m *told) say(node quorum.NodeID, n int, status engine.Status) bool {
	return m.Keep(m.call(node, n, status))
}

// payload sends a node a newPayload, which it answers so.
func (m *told) payload(node quorum.NodeID, n int, status engine.Status) bool {
	c := m.call(node, n, status)
	c.Fresh = !m.WasSent(node, hash(n), 0)
	m.Sent(node, hash(n), c.Breaks)
	return m.Keep(c)
}

func (m *told) sent(node quorum.NodeID, n int) { m.Sent(node, hash(n), m.call(node, n, none).Breaks) }

func (m *told) died(node quorum.NodeID, n int) { m.Died(node, hash(n), m.call(node, n, none).Breaks) }

// broken is a note of a call under which the node has a break.
func (m *told) broken(c Note) Note {
	m.Broke(c.Node)
	c.Broke = true
	return c
}

// mute lets a node say INVALID though it may not object.
func (m *told) mute(node quorum.NodeID, n int) bool {
	c := m.call(node, n, invalid)
	c.MayObject, c.Proved = false, false
	return m.Keep(c)
}

// doubt lets a node say INVALID while nobody has proved itself.
func (m *told) doubt(node quorum.NodeID, n int) bool {
	c := m.call(node, n, invalid)
	c.Proved = false
	return m.Keep(c)
}

func (m *told) objects(node quorum.NodeID, n int) bool {
	_, stands := m.Objects(node, hash(n))
	return stands
}

// expect compares on which blocks a node objects.
func (m *told) expect(t *testing.T, name string, node quorum.NodeID, on map[int]bool) {
	t.Helper()
	for n, want := range on {
		if got := m.objects(node, n); got != want {
			t.Errorf("%s: node %s objects to block %d: %v", name, node, n, got)
		}
	}
}

func (m *told) recall(n int, nodes ...quorum.NodeID) []quorum.Seat {
	seats := make([]quorum.Seat, len(nodes))
	for i, node := range nodes {
		seats[i] = quorum.Seat{Node: node, MayVote: true, Configured: true}
	}
	m.Recall(hash(n), seats)
	return seats
}

func TestObjectionCoversDescendants(t *testing.T) {
	m := chain(100, 4)
	if !m.payload(alice, 2, invalid) {
		t.Error("nothing has changed")
	}
	if m.say(alice, 3, invalid) {
		t.Error("a child is covered already")
	}
	for _, status := range []engine.Status{syncing, accepted, none, valid, invalid} {
		m.sent(alice, 4)
		m.say(alice, 4, status)
		if !m.objects(alice, 4) {
			t.Errorf("it says %v to a grandchild: the objection has gone", status)
		}
	}
	m.learn(5, 4)
	m.learn(12, 1) // a side branch
	m.expect(t, "chain", alice, map[int]bool{1: false, 2: true, 3: true, 4: true, 5: true, 9: false, 12: false})
	if reason, _ := m.Objects(alice, hash(3)); reason != "reason 2" {
		t.Errorf("reason %q", reason)
	}
	if m.objects(bob, 3) {
		t.Error("another node's objection")
	}
	if got := m.Objections(alice); got != 1 {
		t.Errorf("%d objections", got)
	}
}

func TestObjectionEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*told)
		ends bool
	}{
		{"VALID on the block, in a forkchoiceUpdated", func(m *told) { m.say(alice, 2, valid) }, true},
		{"VALID on the block, sent again", func(m *told) { m.payload(alice, 2, valid) }, true},
		{"VALID on a child that it knew", func(m *told) { m.sent(alice, 3); m.payload(alice, 3, valid) }, false},
		{"forkchoiceUpdated on a child", func(m *told) { m.say(alice, 3, valid) }, false},
		{"VALID on a child that is new to it", func(m *told) { m.payload(alice, 3, valid) }, true},
		{"VALID on a grandchild that is new to it", func(m *told) { m.payload(alice, 4, valid) }, true},
		{"the same after a break", func(m *told) { m.Broke(alice); m.payload(alice, 4, valid) }, true},
		{"VALID on a child, which it wasn't sent for a dead line", func(m *told) {
			m.sent(alice, 3)
			m.NotSent(alice, hash(3), 0)
			m.payload(alice, 3, valid)
		}, true},
		{"VALID on the parent", func(m *told) { m.payload(alice, 1, valid) }, false},
		{"VALID on a side branch", func(m *told) { m.learn(12, 1); m.payload(alice, 12, valid) }, false},
		{"SYNCING on the block", func(m *told) { m.say(alice, 2, syncing) }, false},
		{"ACCEPTED on the block", func(m *told) { m.say(alice, 2, accepted) }, false},
		{"silence", func(m *told) { m.say(alice, 2, none) }, false},
		{"another node's VALID", func(m *told) { m.payload(bob, 2, valid); m.payload(bob, 3, valid) }, false},
		{"a VALID that was sent earlier", func(m *told) { c := m.call(alice, 2, valid); c.Seq = 0; m.Keep(c) }, false},
		{"one to a child that was sent earlier",
			func(m *told) { c := m.call(alice, 3, valid); c.Seq, c.Fresh = 0, true; m.Keep(c) }, false},
		{"a break", func(m *told) { m.Broke(alice) }, false},
		{"others prove themselves", func(m *told) { m.payload(bob, 1, valid); m.Lapse() }, false},
		{"clearing", func(m *told) { m.Clear(alice) }, true},
		{"clearing another", func(m *told) { m.Clear(bob) }, false},
		{"removal", func(m *told) { m.Forget(alice) }, true},
		{"removal of another", func(m *told) { m.Forget(bob) }, false},
	} {
		m := chain(100, 4)
		m.payload(alice, 2, invalid)
		c.end(m)
		if m.objects(alice, 4) == c.ends {
			t.Errorf("%s: it stands: %v", c.name, !c.ends)
		}
		if m.learn(5, 4); m.objects(alice, 5) == c.ends {
			t.Errorf("%s: it covers a new block: %v", c.name, !c.ends)
		}
		if got := m.Objections(alice); (got == 0) != c.ends {
			t.Errorf("%s: %d objections", c.name, got)
		}
	}
}

// What ends an objection says so: then the primary is to be elected anew.
func TestKeepSaysWhatChanged(t *testing.T) {
	m := chain(100, 4)
	for i, c := range []struct {
		did, want bool
	}{
		{m.payload(alice, 1, valid), false},
		{m.say(alice, 2, syncing), false},
		{m.mute(bob, 2), false},
		{m.payload(alice, 2, invalid), true},
		{m.say(alice, 2, invalid), false},
		{m.mute(carol, 2), true},
		{m.say(alice, 2, valid), true},
		{m.payload(bob, 4, valid), true}, // it said INVALID to block 2
		{m.payload(carol, 3, syncing), false},
	} {
		if c.did != c.want {
			t.Errorf("%d: changed %v", i, c.did)
		}
	}
	m = chain(100, 2)
	m.payload(alice, 1, invalid)
	m.mute(bob, 2)
	if !m.objects(alice, 2) || m.objects(bob, 2) {
		t.Fatal("bob is seconded by an objection to the parent")
	}
	if !m.say(alice, 2, invalid) || !m.objects(bob, 2) {
		t.Error("bob's objection begins, though alice's doesn't: nothing has changed")
	}
}

// The last definite word is that of the last call sent, in whatever order the answers come.
func TestLastWord(t *testing.T) {
	for _, c := range []struct {
		first, second engine.Status // in the order of sending
		want          engine.Status
	}{
		{valid, invalid, invalid}, {invalid, valid, valid}, {valid, syncing, valid}, {invalid, syncing, invalid},
		{syncing, valid, valid}, {none, invalid, invalid}, {invalid, accepted, invalid}, {none, none, none},
	} {
		for _, late := range []bool{false, true} {
			m := chain(100, 2)
			notes := []Note{m.call(alice, 1, c.first), m.call(alice, 1, c.second)}
			if late {
				slices.Reverse(notes)
			}
			for _, n := range notes {
				m.Keep(n)
			}
			if got := m.Word(alice, hash(1)); got != c.want {
				t.Errorf("%v, %v (the first comes last: %v): got %v", c.first, c.second, late, got)
			}
			if got := m.objects(alice, 2); got != (c.want == invalid) {
				t.Errorf("%v, %v (the first comes last: %v): it objects: %v", c.first, c.second, late, got)
			}
		}
	}
	// A VALID to a new payload doesn't take back an INVALID to the same that was sent later.
	m := chain(100, 2)
	early := m.call(alice, 2, valid)
	early.Fresh = true
	m.say(alice, 2, invalid)
	m.Keep(early)
	if !m.objects(alice, 2) || !m.Qualified(alice) {
		t.Error("the later INVALID is gone, or the VALID proves nothing")
	}
	// It takes back an INVALID to a block below it that was sent earlier, in whatever order they are noted.
	for _, later := range []bool{false, true} {
		for _, reversed := range []bool{false, true} {
			m := chain(100, 3)
			objection, follows := m.call(alice, 1, invalid), m.call(alice, 3, valid)
			if follows.Fresh = true; later {
				objection.Seq, follows.Seq = follows.Seq, objection.Seq
			}
			notes := []Note{objection, follows}
			if reversed {
				slices.Reverse(notes)
			}
			for _, n := range notes {
				m.Keep(n)
			}
			if m.objects(alice, 2) != later {
				t.Errorf("INVALID, VALID (sent later: %v, noted reversed: %v): it objects: %v", later, reversed, !later)
			}
		}
	}
	// An INVALID that can't be heard is forgotten with a VALID that was sent later, only.
	for _, late := range []bool{false, true} {
		m := chain(100, 2)
		notes := []Note{m.call(alice, 2, invalid), m.call(alice, 2, valid)}
		notes[0].MayObject, notes[0].Proved = false, false
		if late {
			notes[0].Seq, notes[1].Seq = notes[1].Seq, notes[0].Seq
		}
		for _, n := range notes {
			m.Keep(n)
		}
		m.say(bob, 2, invalid)
		if m.objects(alice, 2) != late {
			t.Errorf("a muted INVALID, a VALID (which was sent first: %v): it objects: %v", late, !late)
		}
	}
}

// Of two INVALIDs that can't be heard the one that was sent later counts.
func TestLastUnheard(t *testing.T) {
	m := chain(100, 2)
	var notes []Note
	for _, status := range []engine.Status{invalid, valid, invalid} {
		c := m.call(alice, 2, status)
		c.MayObject, c.Proved = false, false
		notes = append(notes, c)
	}
	m.Keep(notes[2])
	m.Keep(notes[0])
	m.Keep(notes[1])
	m.say(bob, 2, invalid)
	if !m.objects(alice, 2) {
		t.Error("the VALID that was sent before it ended it")
	}
}

func TestStandingValid(t *testing.T) {
	m := chain(100, 2)
	m.say(alice, 1, valid)
	m.say(alice, 1, syncing)
	m.say(alice, 1, none)
	if s := m.recall(1, alice)[0]; s.Past != (quorum.Past{Valid: true, Accepts: true}) {
		t.Errorf("got %+v", s.Past)
	}
	if s := m.recall(2, alice)[0]; s.Past != (quorum.Past{}) {
		t.Errorf("it covers the child: %+v", s.Past)
	}
	if s := m.recall(77, alice)[0]; s.Past != (quorum.Past{}) {
		t.Errorf("unknown block: %+v", s.Past)
	}
}

// After our start and after a break, a node has proved itself once it has said VALID to a payload it was never sent, in
// a call that was sent after that.
func TestQualified(t *testing.T) {
	m := chain(100, 9)
	expect := func(why string, want bool) {
		t.Helper()
		if m.Qualified(alice) != want {
			t.Errorf("%s: qualified %v", why, !want)
		}
	}
	m.payload(alice, 1, invalid)
	m.payload(alice, 2, syncing)
	expect("INVALID and SYNCING", false)
	m.payload(alice, 2, valid)
	expect("VALID to what it was sent before", false)
	m.say(alice, 3, valid)
	expect("VALID to a forkchoiceUpdated", false)
	m.payload(bob, 4, valid)
	expect("another's VALID", false)
	m.payload(alice, 4, valid)
	expect("VALID to a new payload", true)
	m.Broke(alice)
	expect("a break", false)
	m.payload(alice, 4, valid)
	expect("it has that block on disk", false)
	before := m.call(alice, 5, valid)
	before.Fresh = true
	m.Broke(alice)
	m.Keep(before)
	expect("a payload sent before the second break", false)
	m.payload(alice, 6, valid)
	expect("a new one", true)
	if _, breaks := m.Standing(alice); breaks != 2 {
		t.Errorf("%d breaks", breaks)
	}
	m.Forget(alice)
	expect("forgotten", false)
}

// While nobody has proved itself all may object. That lapses when another has, unless the objector has.
func TestLapse(t *testing.T) {
	m := chain(100, 9)
	m.doubt(alice, 2)
	m.doubt(alice, 4)
	m.doubt(bob, 2)
	m.Lapse()
	if m.objects(alice, 5) || m.objects(bob, 5) {
		t.Error("lapsed, and stands")
	}
	m.doubt(alice, 2)
	m.doubt(bob, 2)
	m.learn(5, 4)
	m.expect(t, "in doubt", alice, map[int]bool{2: true, 5: true})
	m.payload(bob, 1, valid) // block 1 is no descendant
	m.Lapse()
	m.expect(t, "bob has proved itself", bob, map[int]bool{2: true, 5: true})
	m.expect(t, "bob has proved itself", alice, map[int]bool{2: false, 5: false})
	if m.Objections(alice) != 0 || m.Objections(bob) != 1 {
		t.Errorf("%d and %d objections", m.Objections(alice), m.Objections(bob))
	}
	if m.Word(alice, hash(2)) != none {
		t.Errorf("word %v", m.Word(alice, hash(2)))
	}
	m.Broke(bob)
	m.Lapse()
	if !m.objects(bob, 5) {
		t.Error("an objection that was confirmed lapses after a break")
	}
	// What is said in doubt by one that has proved itself before the answer comes is none in doubt.
	m = chain(100, 3)
	c := m.call(alice, 3, invalid)
	c.Proved = false
	m.payload(alice, 1, valid)
	m.Keep(c)
	m.Broke(alice)
	m.Lapse()
	if !m.objects(alice, 3) {
		t.Error("it lapses")
	}
	// What is said in doubt to a call from before, and noted only after, has lapsed with the rest.
	m = chain(100, 3)
	c = m.call(alice, 2, invalid)
	c.Proved = false
	m.payload(bob, 1, valid)
	m.Lapse()
	if m.Keep(c); m.objects(alice, 3) || m.Word(alice, hash(2)) != none {
		t.Error("noted late, and stands")
	}
	// A word in doubt below another becomes an objection in doubt, or one that stands.
	for _, proves := range []bool{false, true} {
		m := chain(100, 4)
		m.doubt(alice, 1)
		m.doubt(alice, 3)
		if proves {
			m.payload(alice, 9, valid)
		}
		m.say(alice, 1, valid)
		m.expect(t, "below", alice, map[int]bool{1: false, 2: false, 3: true, 4: true})
		if m.Lapse(); m.objects(alice, 4) != proves {
			t.Errorf("below: it stands %v", !proves)
		}
	}
}

// A node that may not object is seconded by one that may and says INVALID to the same block; and only by that.
func TestSecond(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*told)
		want bool
	}{
		{"alone", func(m *told) { m.mute(alice, 2) }, false},
		{"seconded before", func(m *told) { m.say(bob, 2, invalid); m.mute(alice, 2) }, true},
		{"seconded after", func(m *told) { m.mute(alice, 2); m.say(bob, 2, invalid) }, true},
		{"with children between", func(m *told) { m.mute(alice, 2); m.learn(22, 2); m.say(bob, 2, invalid) }, true},
		{"on the parent", func(m *told) { m.mute(alice, 2); m.say(bob, 1, invalid) }, false},
		{"on the child", func(m *told) { m.mute(alice, 2); m.say(bob, 3, invalid) }, false},
		{"on the parent, and the block",
			func(m *told) { m.say(bob, 1, invalid); m.say(bob, 2, invalid); m.mute(alice, 2) },
			true},
		{"by one that may not either", func(m *told) { m.mute(alice, 2); m.mute(bob, 2) }, false},
		{"by one in doubt", func(m *told) { m.mute(alice, 2); m.doubt(bob, 2) }, false},
		{"a break since the call was sent", func(m *told) { m.Keep(m.broken(m.call(alice, 2, invalid))) }, false},
		{"a break since the answer came", func(m *told) { c := m.call(alice, 2, invalid); m.Broke(alice); m.Keep(c) },
			true},
		{"a break, while nobody has proved itself", func(m *told) {
			c := m.call(alice, 2, invalid)
			c.Proved = false
			m.Keep(m.broken(c))
		}, true},
		{"a break, and it is seconded", func(m *told) {
			m.say(bob, 2, invalid)
			m.Keep(m.broken(m.call(alice, 2, invalid)))
		}, true},
		{"by its own later one", func(m *told) { m.mute(alice, 2); m.mute(alice, 2) }, false},
		{"by one that takes it back", func(m *told) { m.say(bob, 2, invalid); m.mute(alice, 2); m.say(bob, 2, valid) },
			false},
		{"by one that follows again",
			func(m *told) { m.say(bob, 2, invalid); m.mute(alice, 2); m.payload(bob, 3, valid) },
			false},
		{"by two, of which one takes it back", func(m *told) {
			m.say(bob, 2, invalid)
			m.mute(alice, 2)
			m.say(carol, 2, invalid)
			m.say(bob, 2, valid)
		}, true},
		{"by one that is removed", func(m *told) { m.mute(alice, 2); m.say(bob, 2, invalid); m.Forget(bob) }, false},
		{"by one that is cleared", func(m *told) { m.mute(alice, 2); m.say(bob, 2, invalid); m.Clear(bob) }, false},
		{"it takes it back", func(m *told) { m.mute(alice, 2); m.say(alice, 2, valid); m.say(bob, 2, invalid) }, false},
		{"it takes it back after",
			func(m *told) { m.mute(alice, 2); m.say(bob, 2, invalid); m.say(alice, 2, valid) }, false},
		{"it follows again", func(m *told) { m.mute(alice, 2); m.say(bob, 2, invalid); m.payload(alice, 3, valid) },
			false},
		{"it has followed again",
			func(m *told) { m.mute(alice, 2); m.payload(alice, 3, valid); m.say(bob, 2, invalid) },
			false},
		{"it has followed, while the other had taken it back", func(m *told) {
			m.mute(alice, 2)
			m.say(bob, 2, invalid)
			m.say(bob, 2, valid)
			m.payload(alice, 3, valid)
			m.say(bob, 2, invalid)
		}, false},
		{"it takes it back, while the other had", func(m *told) {
			m.mute(alice, 2)
			m.say(bob, 2, invalid)
			m.say(bob, 2, valid)
			m.say(alice, 2, valid)
			m.say(bob, 2, invalid)
		}, false},
		{"it stood by it before its break", func(m *told) {
			m.say(alice, 2, invalid)
			m.Broke(alice)
			m.mute(alice, 2)
			m.say(bob, 2, invalid)
			m.Clear(bob)
		}, true},
		{"it stood by it before its break, below another that ends", func(m *told) {
			m.say(alice, 1, invalid)
			m.say(alice, 2, invalid)
			m.Broke(alice)
			m.mute(alice, 2)
			m.say(bob, 2, invalid)
			m.Clear(bob)
			m.say(alice, 1, valid)
		}, true},
		{"it stood by it before its break, and is seconded", func(m *told) {
			m.say(alice, 2, invalid)
			m.say(bob, 2, invalid)
			m.Broke(alice)
			m.mute(alice, 2)
			m.Clear(bob)
		}, true},
		{"it is cleared", func(m *told) { m.mute(alice, 2); m.Clear(alice); m.say(bob, 2, invalid) }, false},
		{"it is removed", func(m *told) { m.mute(alice, 2); m.Forget(alice); m.say(bob, 2, invalid) }, false},
		{"it is no voter", func(m *told) {
			c := m.call(alice, 2, invalid)
			c.Voter, c.MayObject = false, false
			m.Keep(c)
			m.say(bob, 2, invalid)
			m.Keep(c)
		}, false},
	} {
		m := chain(100, 4)
		c.do(m)
		for _, n := range []int{2, 3, 4} {
			if got := m.objects(alice, n); got != c.want {
				t.Errorf("%s: it objects to %d: %v", c.name, n, got)
			}
		}
	}
	// Until it is seconded it is no word: a VALID stands.
	m := chain(100, 2)
	m.say(alice, 2, valid)
	m.mute(alice, 2)
	if got := m.Word(alice, hash(2)); got != valid {
		t.Errorf("word %v", got)
	}
	m.say(bob, 2, invalid)
	if got := m.Word(alice, hash(2)); got != invalid {
		t.Errorf("seconded: word %v", got)
	}
}

// INVALIDs on many blocks of a line end together, those on other lines stay.
func TestRecanting(t *testing.T) {
	m := chain(100, 6)
	m.learn(14, 3) // 1 2 3 4 5 6, and 14 15 beside 4
	m.learn(15, 14)
	m.learn(7, 6)
	for _, n := range []int{2, 3, 5, 15} {
		m.payload(alice, n, invalid)
	}
	if got := m.Objections(alice); got != 1 {
		t.Fatalf("%d objections", got)
	}
	m.payload(alice, 7, valid)
	m.expect(t, "followed to 7", alice, map[int]bool{
		2: false, 3: false, 4: false, 5: false, 6: false, 7: false, 14: false, 15: true,
	})
	if got := m.Objections(alice); got != 1 {
		t.Errorf("%d objections", got)
	}
	for n, want := range map[int]engine.Status{2: none, 3: none, 5: none, 7: valid, 15: invalid} {
		if got := m.Word(alice, hash(n)); got != want {
			t.Errorf("word on %d: %v", n, got)
		}
	}
	m.learn(16, 15)
	m.payload(alice, 16, valid)
	if m.Objections(alice) != 0 || m.objects(alice, 16) {
		t.Error("and it follows on the side branch, too")
	}

	// A VALID on the block where it began leaves what it said to descendants.
	m = chain(100, 6)
	m.learn(13, 2)
	m.payload(alice, 2, invalid)
	m.payload(alice, 4, invalid)
	m.payload(alice, 13, invalid)
	m.say(alice, 2, valid)
	m.expect(t, "VALID on 2", alice, map[int]bool{2: false, 3: false, 4: true, 5: true, 6: true, 13: true})
	if got := m.Objections(alice); got != 2 {
		t.Errorf("%d objections", got)
	}
	if reason, _ := m.Objects(alice, hash(6)); reason != "reason 4" {
		t.Errorf("reason %q", reason)
	}
	// A VALID that only repeats what it was sent doesn't end what stands above; what it said to the block itself ends.
	m = chain(100, 4)
	m.payload(alice, 2, invalid)
	m.payload(alice, 3, invalid)
	m.payload(alice, 3, valid)
	m.expect(t, "VALID on 3", alice, map[int]bool{2: true, 3: true, 4: true})
	m.say(alice, 2, valid)
	m.expect(t, "VALID on 2", alice, map[int]bool{2: false, 3: false, 4: false})
}

// An INVALID marks the descendants that are known already; a parent that is learnt late gives its marks on.
func TestLateMarks(t *testing.T) {
	m := &told{Memory: New(100)}
	m.learn(3, 2)
	m.learn(4, 3)
	m.learn(14, 3)
	m.payload(alice, 1, invalid)
	m.expect(t, "not yet known to be above", alice, map[int]bool{1: true, 2: false, 3: false, 4: false})
	m.learn(2, 1)
	m.expect(t, "learnt after its children", alice, map[int]bool{1: true, 2: true, 3: true, 4: true, 14: true})
	m.payload(bob, 3, invalid)
	m.expect(t, "after its descendants", bob, map[int]bool{1: false, 2: false, 3: true, 4: true, 14: true})
	// An objection that turns out to be above another takes its place.
	m = &told{Memory: New(100)}
	m.learn(3, 2)
	m.payload(alice, 3, invalid)
	m.payload(alice, 1, invalid)
	if got := m.Objections(alice); got != 2 {
		t.Errorf("apart: %d objections", got)
	}
	m.learn(2, 1)
	if got := m.Objections(alice); got != 1 {
		t.Errorf("on one line: %d objections", got)
	}
	m.payload(alice, 1, valid)
	m.expect(t, "the upper ends alone", alice, map[int]bool{1: false, 2: false, 3: true})
	m.learn(4, 3)
	m.payload(alice, 4, valid)
	m.expect(t, "and the lower", alice, map[int]bool{3: false, 4: false})
}

func TestRecall(t *testing.T) {
	m := chain(100, 5)
	m.say(bob, 2, valid)
	m.payload(alice, 2, invalid)
	m.payload(alice, 4, invalid)
	m.died(carol, 3)
	for n, want := range map[int][3]quorum.Past{
		1: {},
		2: {{Objects: true, Reason: "reason 2", Own: true, Direct: true}, {Valid: true, Accepts: true}, {Died: true}},
		3: {{Objects: true, Reason: "reason 2"}, {Accepts: true}, {Died: true}},
		4: {{Objects: true, Reason: "reason 2", Direct: true}, {Accepts: true}, {Died: true}},
		5: {{Objects: true, Reason: "reason 2"}, {Accepts: true}, {Died: true}},
	} {
		for i, s := range m.recall(n, alice, bob, carol) {
			if s.Past != want[i] {
				t.Errorf("block %d, node %d: got %+v, want %+v", n, i+1, s.Past, want[i])
			}
		}
	}
	// What was known of the seats goes.
	old := []quorum.Seat{{Node: alice, Past: quorum.Past{Objects: true, Accepts: true}}}
	if m.Recall(hash(77), old); old[0].Past != (quorum.Past{}) {
		t.Errorf("got %+v", old[0].Past)
	}
	// Of a node that doesn't vote nobody need know better.
	seats := []quorum.Seat{{Node: alice}, {Node: bob, MayVote: true}}
	m.Recall(hash(3), seats)
	if seats[1].Accepts {
		t.Error("heard for the objection of a drained node")
	}
	// One that objects itself doesn't accept, whatever it said above.
	m.say(bob, 4, invalid)
	if s := m.recall(5, alice, bob)[1]; !s.Objects || s.Accepts {
		t.Errorf("got %+v", s.Past)
	}
	if s := m.recall(3, alice, bob)[1]; s.Objects || !s.Accepts {
		t.Errorf("got %+v", s.Past)
	}
	// Who said VALID to a block between the two accepts the rest, and so does who said so later, or had before.
	m = chain(100, 6)
	m.say(bob, 3, valid)
	m.payload(alice, 2, invalid)
	m.say(carol, 4, valid)
	for i, s := range m.recall(6, alice, bob, carol)[1:] {
		if !s.Accepts {
			t.Errorf("%d: %+v", i, s.Past)
		}
	}
	// What it said to a block that is joined later.
	m.say(dave, 20, valid)
	m.died(eve, 20)
	m.learn(20, 6)
	m.learn(21, 20)
	for _, n := range []int{20, 21} {
		if s := m.recall(n, alice, dave, eve); !s[0].Objects || !s[1].Accepts || !s[2].Died {
			t.Errorf("%d: %+v", n, s)
		}
	}
	// An objection that ends leaves no traces.
	m.say(alice, 2, valid)
	if s := m.recall(6, alice, bob, carol); s[0].Past != (quorum.Past{}) || s[1].Past != (quorum.Past{}) {
		t.Errorf("%+v", s)
	}
}

// What counts on a block outlives the memory of its beginning.
func TestRecallAfterEviction(t *testing.T) {
	m := chain(8, 2)
	m.say(bob, 2, valid)
	m.died(carol, 2)
	m.payload(alice, 2, invalid)
	m.mute(dave, 2)
	for n := 3; n < 50; n++ {
		m.learn(n, n-1)
		for i, s := range m.recall(n, alice, bob, carol, dave) {
			if got := [3]bool{s.Objects, s.Accepts, s.Died}; got != [3]bool{i == 0 || i == 3, i == 1, i == 2} {
				t.Fatalf("block %d, seat %d: %+v", n, i, s.Past)
			}
		}
	}
	m.Clear(alice)
	if m.objects(alice, 49) || m.objects(dave, 49) {
		t.Error("it stands after its end")
	}
}

// A dispute outlives the memory of its beginning, and the memory stays bounded.
func TestEviction(t *testing.T) {
	const max = 16
	m := &told{Memory: New(max)}
	m.learn(1, 0)
	m.payload(alice, 1, invalid)
	for i := 2; i < 10*max; i++ {
		m.learn(i, i-1)
		if reason, stands := m.Objects(alice, hash(i)); !stands || reason != "reason 1" {
			t.Fatalf("block %d: objection %v, %q", i, stands, reason)
		}
		m.sent(alice, i)
		if len(m.blocks) > max {
			t.Fatalf("%d blocks", len(m.blocks))
		}
	}
	if got := m.Objections(alice); got != 1 {
		t.Errorf("%d objections, want 1", got)
	}
	if len(m.order)-m.oldest != max || cap(m.order) > 8*max {
		t.Errorf("order holds %d of %d", len(m.order)-m.oldest, cap(m.order))
	}
	m.payload(alice, 10*max, valid) // not known to be a descendant
	if m.learn(10*max, 10*max-1); !m.objects(alice, 10*max) {
		t.Error("it ends with a block that wasn't known to be below")
	}
	m.learn(10*max+1, 10*max)
	if m.payload(alice, 10*max+1, valid); m.objects(alice, 10*max+1) || m.Objections(alice) != 0 {
		t.Error("the end is gone with the beginning")
	}
	// What nothing is known of any more ends: an objection on a dead branch doesn't stay for ever.
	for i := range 5 * max {
		m.learn(1000+i, 900)
		m.payload(alice, 1000+i, invalid)
		if n := m.Objections(alice); n > max {
			t.Fatalf("%d objections", n)
		}
	}
	for i := range 5 * max {
		m.learn(2000+i, 2000+i-1)
	}
	if n := m.Objections(alice); n != 0 {
		t.Errorf("%d objections to nothing", n)
	}
	// What hangs on a block goes with it, and its children live on.
	for hash, b := range m.blocks {
		if b.parent != nil && m.blocks[b.parent.hash] != b.parent || b.hash != hash {
			t.Errorf("block %v hangs on one that is gone", hash)
		}
	}
	if small := (&told{Memory: New(0)}); !small.learn(2, 1) || len(small.blocks) != 2 {
		t.Errorf("a memory of nothing holds %d", len(small.blocks))
	}
	// The oldest go, also while they are the parent of what comes.
	m = &told{Memory: New(3)}
	m.learn(2, 1)
	m.payload(alice, 1, invalid)
	m.learn(3, 2)
	m.learn(13, 1)
	if !m.objects(alice, 13) {
		t.Error("a block whose parent is forgotten with it inherits nothing")
	}
}

func TestCircleOfParents(t *testing.T) {
	m := chain(8, 0)
	m.learn(1, 2)
	m.learn(2, 1)
	m.learn(3, 3)
	if m.objects(alice, 1) || m.Descends(hash(1), hash(9)) || !m.Descends(hash(1), hash(2)) {
		t.Error("found in a circle")
	}
	m.payload(alice, 1, invalid)
	m.payload(bob, 2, invalid)
	m.payload(alice, 3, invalid)
	m.expect(t, "circle", alice, map[int]bool{1: true, 2: true, 3: true})
	early := m.call(bob, 2, valid)
	early.Seq, early.Fresh = 0, true
	m.Keep(early)
	m.payload(alice, 2, valid)
	m.expect(t, "circle", alice, map[int]bool{1: false, 2: false, 3: true})
	m.Learn(engine.Payload{Hash: hash(4), Parent: hash(5)}, First, digestOf(1))
	m.Learn(engine.Payload{Hash: hash(5), Parent: hash(4)}, First, digestOf(1))
	m.payload(bob, 4, invalid)
	m.Learn(engine.Payload{Hash: hash(4), Parent: hash(1)}, Proven, digestOf(2))
	m.expect(t, "a circle that was false", bob, map[int]bool{4: true, 5: true}) // by block 2
	for i := range 20 {
		m.learn(100+i, 100+i-1)
	}
}

func TestLongReason(t *testing.T) {
	m := chain(8, 3)
	c := m.call(alice, 3, invalid)
	c.Reason = strings.Repeat("x", 1<<20)
	m.Keep(c)
	if reason, _ := m.Objects(alice, hash(3)); len(reason) != maxReason {
		t.Errorf("reason of %d bytes kept", len(reason))
	}
}

func digestOf(n byte) func() Digest { return func() Digest { return Digest{n} } }

// Which content stands for a hash: the one that is proven; else the one that a voter called VALID first; else the
// first.
func TestProof(t *testing.T) {
	type claim struct {
		proof  Proof
		digest byte
		stands bool
	}
	for _, c := range []struct {
		name   string
		claims []claim
	}{
		{"the first stays", []claim{{First, 1, true}, {First, 2, false}, {First, 1, true}}},
		{"one that was called VALID displaces it",
			[]claim{{First, 1, true}, {Voted, 2, true}, {First, 1, false}, {First, 2, true}, {Voted, 1, false},
				{Voted, 2, true}}},
		{"a VALID later to the first makes it sure",
			[]claim{{First, 1, true}, {Voted, 1, true}, {Voted, 2, false}, {First, 1, true}}},
		{"the proven displaces what was voted",
			[]claim{{Voted, 1, true}, {Proven, 2, true}, {Voted, 1, false}, {First, 1, false}, {Proven, 2, true}}},
		{"what was voted is proven", []claim{{Voted, 1, true}, {Proven, 1, true}, {Voted, 2, false}}},
		{"the proven stays", []claim{{Proven, 1, true}, {First, 2, false}, {Voted, 2, false}}},
	} {
		m := New(8)
		if m.Known(hash(2)) {
			t.Error("known before")
		}
		for i, claim := range c.claims {
			p := engine.Payload{Hash: hash(2), Parent: hash(1)}
			if got := m.Learn(p, claim.proof, digestOf(claim.digest)); got != claim.stands {
				t.Errorf("%s: claim %d: stands %v", c.name, i, got)
			}
		}
		if !m.Known(hash(2)) || m.Known(hash(1)) {
			t.Errorf("%s: known %v, the parent %v", c.name, m.Known(hash(2)), m.Known(hash(1)))
		}
	}
	m := New(8)
	m.Sent(alice, hash(3), 0)
	if m.Known(hash(3)) {
		t.Error("known because it was sent")
	}
}

// A content that is displaced goes with all that hung on it.
func TestDisplaced(t *testing.T) {
	m := chain(100, 1)
	m.learn(12, 0)
	m.payload(alice, 12, invalid)
	// A forgery that claims block 3, on a bad parent.
	m.Learn(engine.Payload{Hash: hash(3), Parent: hash(12)}, First, digestOf(1))
	m.payload(bob, 3, invalid)
	m.payload(carol, 3, valid)
	m.learn(4, 3)
	m.learn(5, 4)
	m.payload(alice, 5, invalid)
	m.payload(bob, 5, invalid)
	m.expect(t, "before", alice, map[int]bool{3: true, 4: true, 5: true})
	m.expect(t, "before", bob, map[int]bool{3: true, 4: true, 5: true})
	m.payload(carol, 1, invalid)
	if !m.Learn(engine.Payload{Hash: hash(3), Parent: hash(1)}, Proven, digestOf(2)) {
		t.Fatal("the real one doesn't stand")
	}
	m.expect(t, "after", alice, map[int]bool{1: false, 12: true, 3: false, 4: false, 5: true})
	m.expect(t, "after", bob, map[int]bool{3: false, 4: false, 5: true})
	m.expect(t, "after", carol, map[int]bool{1: true, 3: true, 4: true, 5: true})
	if m.Word(carol, hash(3)) != none || m.WasSent(carol, hash(3), 0) || !m.Descends(hash(5), hash(1)) ||
		m.Descends(hash(5), hash(12)) {
		t.Error("something of the forgery is left")
	}
	// The proven one keeps its parent, whoever claims its hash with another.
	m.Learn(engine.Payload{Hash: hash(3), Parent: hash(12)}, First, digestOf(1))
	m.Learn(engine.Payload{Hash: hash(3), Parent: hash(12)}, Voted, digestOf(1))
	if m.Descends(hash(3), hash(12)) || !m.Descends(hash(3), hash(1)) {
		t.Error("the parent has changed")
	}
}

func TestMatter(t *testing.T) {
	m := chain(100, 3)
	if m.Matter(hash(3), hash(2)) || m.Matter(hash(9), hash(8)) {
		t.Error("nothing was said")
	}
	m.say(bob, 3, valid)
	if !m.Matter(hash(3), hash(2)) || m.Matter(hash(4), hash(3)) {
		t.Error("a VALID matters on the block alone")
	}
	m.payload(alice, 2, invalid)
	if !m.Matter(hash(4), hash(3)) || m.Matter(hash(2), hash(1)) != true || m.Matter(hash(12), hash(1)) {
		t.Error("an objection matters on what is below")
	}
	m.Clear(alice)
	if m.Matter(hash(4), hash(3)) {
		t.Error("it has ended")
	}
}

func TestForget(t *testing.T) {
	m := chain(100, 3)
	m.payload(alice, 1, valid)
	m.payload(alice, 2, invalid)
	m.payload(bob, 1, valid)
	m.Forget(alice)
	if m.Word(alice, hash(1)) != none || m.Word(alice, hash(2)) != none || m.WasSent(alice, hash(1), 0) ||
		m.Qualified(alice) || m.objects(alice, 3) {
		t.Error("something of alice is left")
	}
	if s := m.recall(1, alice)[0]; s.Past != (quorum.Past{}) {
		t.Errorf("got %+v", s.Past)
	}
	if m.Word(bob, hash(1)) != valid || !m.Qualified(bob) || !m.WasSent(bob, hash(1), 0) {
		t.Error("bob is forgotten, too")
	}
	m.payload(carol, 2, invalid)
	m.payload(carol, 3, invalid)
	m.Forget(carol)
	// What it still says to calls under way is no word.
	m.payload(alice, 1, valid)
	m.payload(alice, 2, invalid)
	m.died(alice, 3)
	m.sent(alice, 3)
	if m.Word(alice, hash(1)) != none || m.Word(alice, hash(2)) != none || m.Objections(alice) != 0 ||
		m.WasSent(alice, hash(3), 0) || m.Matter(hash(4), hash(3)) {
		t.Error("alice is back")
	}
	// Clearing takes back INVALIDs, and nothing else.
	m.payload(bob, 2, invalid)
	m.say(bob, 3, invalid)
	m.Clear(bob)
	if m.Word(bob, hash(2)) != none || m.Word(bob, hash(3)) != none || m.Word(bob, hash(1)) != valid ||
		!m.Qualified(bob) || !m.WasSent(bob, hash(2), 0) {
		t.Error("clearing")
	}
	m.say(bob, 2, valid)
	if m.objects(bob, 3) {
		t.Error("what was cleared comes back")
	}
}

// A node that is added again is the same node: it starts empty, and can say words. What it says to calls from before
// its removal stays nobody's word.
func TestAdmit(t *testing.T) {
	m := chain(100, 4)
	m.payload(bob, 2, invalid)
	m.payload(alice, 1, valid)
	m.payload(alice, 2, valid)
	m.died(alice, 3)
	said, objected := m.call(alice, 3, valid), m.call(alice, 4, invalid)
	said.Fresh = true
	m.Forget(alice)
	m.Admit(alice)
	for name, stale := range map[string]func(){
		"nothing": func() {},
		"Keep":    func() { m.Keep(said); m.Keep(objected) },
		"Sent":    func() { m.Sent(alice, hash(4), said.Breaks) },
		"Died":    func() { m.Died(alice, hash(4), said.Breaks) },
		"Prove":   func() { m.Prove(alice, said.Breaks) },
	} {
		stale()
		if m.Qualified(alice) || m.Objections(alice) != 0 || m.WasSent(alice, hash(4), 0) {
			t.Errorf("%s: it has a word, or has proved itself, or been sent something", name)
		}
		for n := 1; n <= 4; n++ {
			if s := m.recall(n, bob, alice)[1]; s.Past != (quorum.Past{}) {
				t.Errorf("%s: on block %d: %+v", name, n, s.Past)
			}
		}
	}
	m.payload(alice, 4, valid)
	if !m.Qualified(alice) || m.Word(alice, hash(4)) != valid {
		t.Error("added again, it says no words")
	}
	m.NotSent(alice, hash(4), said.Breaks)
	if !m.WasSent(alice, hash(4), 0) {
		t.Error("a call from before its removal takes back what it was sent since")
	}
	_, breaks := m.Standing(alice)
	m.Admit(alice) // it is there
	if proved, same := m.Standing(alice); !proved || same != breaks {
		t.Error("admitted though it is there, it loses something")
	}
	m.Forget(alice)
	if m.Prove(alice, breaks); m.Qualified(alice) {
		t.Error("it proves itself while it is removed")
	}
}

func TestDescends(t *testing.T) {
	m := chain(1000, 400)
	for _, c := range []struct {
		hash, ancestor int
		want           bool
	}{{9, 9, true}, {9, 1, true}, {1, 9, false}, {300, 44, true}, {300, 43, false}, {999, 1, false}} {
		if got := m.Descends(hash(c.hash), hash(c.ancestor)); got != c.want {
			t.Errorf("%d of %d: %v", c.hash, c.ancestor, got)
		}
	}
}

// model is a Memory that walks: it has no marks, and forgets nothing.
type model struct {
	parent    map[int]int
	words     map[int]map[quorum.NodeID]word
	qualified map[quorum.NodeID]bool
	breaks    map[quorum.NodeID]uint64
	admitted  map[quorum.NodeID]uint64 // how many breaks it had had when it was added again
	sent      map[int]map[quorum.NodeID]bool
	followed  map[quorum.NodeID][2]int // the last block that it executed, and the call
	mixed     bool                     // a node has objected in doubt that stands by another INVALID
}

func newModel() *model {
	return &model{
		parent: map[int]int{}, words: map[int]map[quorum.NodeID]word{}, sent: map[int]map[quorum.NodeID]bool{},
		qualified: map[quorum.NodeID]bool{}, breaks: map[quorum.NodeID]uint64{}, admitted: map[quorum.NodeID]uint64{},
		followed: map[quorum.NodeID][2]int{},
	}
}

func (m *model) line(n int) (line []int) {
	for {
		line = append(line, n)
		up, known := m.parent[n]
		if !known {
			return line
		}
		n = up
	}
}

func (m *model) set(n int, node quorum.NodeID, w word) {
	if m.words[n] == nil {
		m.words[n] = map[quorum.NodeID]word{}
	}
	m.words[n][node] = w
}

// lead: another says INVALID to the block, and may.
func (m *model) lead(n int, node quorum.NodeID) bool {
	for other, w := range m.words[n] {
		if other != node && w.status == invalid && !w.weak() {
			return true
		}
	}
	return false
}

func (m *model) counts(n int, node quorum.NodeID) bool {
	w := m.words[n][node]
	return w.status == invalid && (!w.seconded || m.lead(n, node))
}

func (m *model) objects(n int, node quorum.NodeID) bool {
	return slices.ContainsFunc(m.line(n), func(n int) bool { return m.counts(n, node) })
}

// stands reports whether a node objects that needs no other for that.
func (m *model) stands(n int, node quorum.NodeID) bool {
	return slices.ContainsFunc(m.line(n), func(n int) bool {
		w := m.words[n][node]
		return w.status == invalid && !w.weak()
	})
}

func (m *model) lapse() {
	for n, words := range m.words {
		for node, w := range words {
			if w.provisional && !m.qualified[node] {
				m.set(n, node, word{seq: w.seq, died: w.died})
			}
		}
	}
}

func (m *model) keep(n int, c Note) {
	if c.Breaks < m.admitted[c.Node] {
		return
	}
	w := m.words[n][c.Node]
	switch c.Status {
	case valid:
		if c.Fresh && c.Breaks == m.breaks[c.Node] {
			m.qualified[c.Node] = true
			for _, words := range m.words {
				if w, ok := words[c.Node]; ok {
					w.provisional, w.unheard = false, 0
					words[c.Node] = w
				}
			}
			w = m.words[n][c.Node]
		}
		if w.seq <= c.Seq {
			said := word{status: valid, seq: c.Seq, died: w.died}
			if w.unheard > c.Seq {
				said.unheard = w.unheard
			}
			m.set(n, c.Node, said)
		}
		if c.Fresh && int(c.Seq) > m.followed[c.Node][1] {
			m.followed[c.Node] = [2]int{n, int(c.Seq)}
		}
		if c.Fresh {
			for _, up := range m.line(n) {
				if w := m.words[up][c.Node]; w.status == invalid && w.seq <= c.Seq {
					m.set(up, c.Node, word{seq: w.seq, died: w.died})
				}
			}
		}
	case invalid:
		if c.Proved && c.Broke {
			c.MayObject, c.Proved = false, false
		}
		if w.seq > c.Seq || !c.Voter && !c.MayObject {
			return
		}
		if f := m.followed[c.Node]; f[1] > int(c.Seq) && slices.Contains(m.line(f[0]), n) {
			return
		}
		if !c.MayObject && w.status != invalid && !m.lead(n, c.Node) {
			w.unheard = max(w.unheard, c.Seq)
			m.set(n, c.Node, w)
			return
		}
		said := word{status: invalid, seq: c.Seq, died: w.died, seconded: !c.MayObject,
			provisional: c.MayObject && !c.Proved && !m.qualified[c.Node]}
		if w.status == invalid && said.weak() {
			said.provisional, said.seconded = w.provisional, w.seconded
		}
		m.set(n, c.Node, said)
		for node, w := range m.words[n] {
			if w.unheard > 0 && m.lead(n, node) {
				m.set(n, node, word{status: invalid, seq: w.unheard, seconded: true, died: w.died})
			}
		}
	}
}

// elsewhere reports whether a node has said such an INVALID to another block.
func (m *model) elsewhere(n int, node quorum.NodeID, such func(word) bool) bool {
	for other, words := range m.words {
		if other != n && such(words[node]) {
			return true
		}
	}
	return false
}

// Whatever nodes say, in whatever order it and the blocks come: the marks say what a walk over the ancestors would.
func TestMemoryAgainstModel(t *testing.T) {
	const blocks = 10
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		m, walk := New(1000), newModel()
		nodes := []quorum.NodeID{alice, bob, carol}
		parents := make([]int, blocks)
		for n := 1; n < blocks; n++ {
			parents[n] = rapid.IntRange(max(0, n-3), n-1).Draw(t, "parent")
		}
		seq := uint64(100)
		block := rapid.IntRange(1, blocks-1)
		node := rapid.SampledFrom(nodes)
		keep := func(status engine.Status) func(*rapid.T) {
			return func(t *rapid.T) {
				c := Note{Node: node.Draw(t, "node"), Status: status}
				n := block.Draw(t, "block")
				seq += 10
				c.Block, c.Seq, c.Breaks = hash(n), seq, walk.breaks[c.Node]
				if rapid.IntRange(0, 4).Draw(t, "late") == 0 {
					c.Seq -= uint64(rapid.IntRange(1, 99).Draw(t, "by"))
				}
				if rapid.IntRange(0, 9).Draw(t, "broken") == 0 && c.Breaks > 0 {
					c.Breaks--
					c.Broke = true
				}
				anyone := false
				for _, q := range walk.qualified {
					anyone = anyone || q
				}
				if anyone {
					m.Lapse()
					walk.lapse()
				}
				c.Proved, c.Lapses = walk.qualified[c.Node], m.Lapses()
				c.Voter = rapid.IntRange(0, 5).Draw(t, "voter") > 0
				c.MayObject = c.Voter && (c.Proved || !anyone)
				// Where a node that needs another has objected twice on a line, less is kept than a walk would find.
				broken := c.Broke
				if status == invalid && (!c.Proved || broken) && walk.elsewhere(n, c.Node, func(w word) bool {
					return w.seconded || w.unheard > 0 || w.status == invalid && (!c.MayObject || broken)
				}) {
					return
				}
				walk.mixed = walk.mixed || status == invalid && !c.Proved &&
					walk.elsewhere(n, c.Node, func(w word) bool { return w.status == invalid && !w.weak() })
				if rapid.IntRange(0, 1).Draw(t, "payload") == 0 {
					c.Fresh = !walk.sent[n][c.Node]
					m.Sent(c.Node, c.Block, c.Breaks)
					if walk.sent[n] == nil {
						walk.sent[n] = map[quorum.NodeID]bool{}
					}
					walk.sent[n][c.Node] = walk.sent[n][c.Node] || c.Breaks >= walk.admitted[c.Node]
				}
				m.Keep(c)
				walk.keep(n, c)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"learn": func(t *rapid.T) {
				n := block.Draw(t, "block")
				m.Learn(engine.Payload{Hash: hash(n), Parent: hash(parents[n])}, Proven, nil)
				walk.parent[n] = parents[n]
			},
			"valid":     keep(valid),
			"invalid":   keep(invalid),
			"objection": keep(invalid),
			"syncing":   keep(syncing),
			"break": func(t *rapid.T) {
				node := node.Draw(t, "node")
				m.Broke(node)
				walk.qualified[node] = false
				walk.breaks[node]++
			},
			"clear": func(t *rapid.T) {
				node := node.Draw(t, "node")
				if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
					return
				}
				m.Clear(node)
				for n, words := range walk.words {
					if w, ok := words[node]; ok && w.status == invalid {
						walk.set(n, node, word{seq: w.seq, died: w.died})
					} else if ok {
						w.unheard = 0
						walk.set(n, node, w)
					}
				}
			},
			"forget": func(t *rapid.T) {
				node := node.Draw(t, "node")
				if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
					return
				}
				m.Forget(node)
				for _, words := range walk.words {
					delete(words, node)
				}
				for _, sent := range walk.sent {
					delete(sent, node)
				}
				delete(walk.qualified, node)
				delete(walk.followed, node)
				m.Admit(node)
				walk.breaks[node]++
				walk.admitted[node] = walk.breaks[node]
			},
			"": func(t *rapid.T) {
				for n := range blocks {
					seats := make([]quorum.Seat, len(nodes))
					for i, node := range nodes {
						seats[i] = quorum.Seat{Node: node, MayVote: true}
					}
					m.Recall(hash(n), seats)
					for i, node := range nodes {
						w, objects := walk.words[n][node], walk.objects(n, node)
						if _, got := m.Objects(node, hash(n)); got != objects || seats[i].Objects != objects {
							t.Fatalf("node %s on block %d of %v: objects %v, and %+v; want %v\n%+v",
								node, n, walk.parent, got, seats[i].Past, objects, walk.words)
						}
						if got := m.Word(node, hash(n)); got != w.status {
							t.Fatalf("node %s on block %d: word %v, want %v", node, n, got, w.status)
						}
						direct := objects && w.status == invalid
						if seats[i].Direct != direct || seats[i].Valid != (w.status == valid) {
							t.Fatalf("node %s on block %d: %+v, want %v, %+v", node, n, seats[i].Past, direct, w)
						}
						if m.Qualified(node) != walk.qualified[node] {
							t.Fatalf("node %s: qualified %v", node, !walk.qualified[node])
						}
						// Who has called a block VALID, from this up to where an objection begins, is heard. (One that
						// began in doubt, above another of the same node, doesn't show.)
						accepts := w.status == valid
						for _, up := range walk.line(n) {
							objected := slices.ContainsFunc(nodes, func(o quorum.NodeID) bool {
								return walk.stands(up, o)
							})
							accepts = accepts || objected && !objects && walk.words[up][node].status == valid
						}
						if accepts && !seats[i].Accepts && !walk.mixed {
							t.Fatalf("node %s on block %d: doesn't accept %+v", node, n, seats[i].Past)
						}
						switch {
						case objects:
							seen["objects"]++
						case accepts && w.status != valid:
							seen["accepts"]++
						}
					}
				}
				// All that is kept is of use: nothing that is over, and nothing that covers no block.
				for node, s := range m.nodes {
					for _, o := range s.objections {
						covers := 0
						for _, b := range m.blocks {
							if slices.Contains(b.marks, o) {
								covers++
							}
						}
						if o.over() || o.node != node || o.covers != covers || covers == 0 {
							t.Fatalf("node %s: %+v covers %d", node, o, covers)
						}
					}
				}
			},
		})
	})
	if seen["objects"] == 0 || seen["accepts"] == 0 {
		t.Errorf("hardly anything happened: %v", seen)
	}
}

// With little room it forgets, and stays whole: within its bounds, nothing hangs on what is gone, and on a line that is
// known an objection covers all below it.
func TestSmallMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &told{Memory: New(rapid.IntRange(2, 6).Draw(t, "room"))}
		block := rapid.IntRange(1, 12)
		node := rapid.SampledFrom([]quorum.NodeID{alice, bob, carol})
		t.Repeat(map[string]func(*rapid.T){
			"learn": func(t *rapid.T) {
				n := block.Draw(t, "block")
				m.Learn(engine.Payload{Hash: hash(n), Parent: hash(block.Draw(t, "parent"))},
					rapid.SampledFrom([]Proof{First, Voted, Proven}).Draw(t, "proof"),
					digestOf(byte(rapid.IntRange(0, 2).Draw(t, "digest"))))
			},
			"payload": func(t *rapid.T) {
				m.payload(node.Draw(t, "node"), block.Draw(t, "block"),
					engine.Status(rapid.IntRange(0, 4).Draw(t, "status")))
			},
			"say": func(t *rapid.T) {
				m.say(node.Draw(t, "node"), block.Draw(t, "block"),
					engine.Status(rapid.IntRange(0, 4).Draw(t, "status")))
			},
			"mute":  func(t *rapid.T) { m.mute(node.Draw(t, "node"), block.Draw(t, "block")) },
			"doubt": func(t *rapid.T) { m.doubt(node.Draw(t, "node"), block.Draw(t, "block")) },
			"lapse": func(*rapid.T) { m.Lapse() },
			"died":  func(t *rapid.T) { m.died(node.Draw(t, "node"), block.Draw(t, "block")) },
			"broke": func(t *rapid.T) { m.Broke(node.Draw(t, "node")) },
			"": func(t *rapid.T) {
				if len(m.blocks) > m.max || len(m.order)-m.oldest != len(m.blocks) {
					t.Fatalf("%d blocks of %d, %d in order", len(m.blocks), m.max, len(m.order)-m.oldest)
				}
				for _, b := range m.blocks {
					if p := b.parent; p != nil {
						if m.blocks[p.hash] != p {
							t.Fatalf("block %v hangs on one that is gone", b.hash)
						}
						for _, o := range p.marks {
							if o.stands() && b.objection(o.node) == nil {
								t.Fatalf("an objection to block %v doesn't cover %v", p.hash, b.hash)
							}
						}
					}
					for c := b.child; c != nil; c = c.sibling {
						if m.blocks[c.hash] != c || c.parent != b {
							t.Fatalf("on block %v hangs one that is gone", b.hash)
						}
					}
					for i, o := range b.marks {
						if at := o.at; m.blocks[at.hash] != at && (at.parent != nil || at.child != nil) {
							t.Fatalf("block %v is gone, and holds others", at.hash)
						}
						if slices.ContainsFunc(b.marks[:i],
							func(p *objection) bool { return p.node == o.node && !p.over() && !o.over() }) {
							t.Fatalf("two marks of node %s", o.node)
						}
					}
				}
				for _, s := range m.nodes {
					if len(s.objections) > m.max {
						t.Fatalf("%d objections in %d blocks", len(s.objections), m.max)
					}
				}
			},
		})
	})
}

// On a block in a dispute, which began so many blocks ago. It may not grow.
func BenchmarkRecall(b *testing.B) {
	for _, length := range []int{1, 100, DefaultBlocks - 2} {
		b.Run(fmt.Sprint(length), func(b *testing.B) {
			m := chain(DefaultBlocks, length)
			m.payload(alice, 1, invalid)
			m.payload(bob, 1, valid)
			seats := []quorum.Seat{
				{Node: alice, MayVote: true}, {Node: bob, MayVote: true}, {Node: carol, MayVote: true},
			}
			b.ReportAllocs()
			for b.Loop() {
				m.Recall(hash(length), seats)
			}
			if !seats[0].Objects || !seats[1].Accepts {
				b.Fatal(seats)
			}
		})
	}
}

// A payload on the head, learnt and called VALID, where so many blocks are known; and where there is an objection on a
// side branch, or on the chain.
func BenchmarkPayload(b *testing.B) {
	for _, c := range []struct {
		name   string
		length int
		object int
	}{{"none/1", 1, 0}, {"none/8000", 8000, 0}, {"side/8000", 8000, 9000}, {"chain/100", 100, 1},
		{"chain/8000", 8000, 1}} {
		b.Run(c.name, func(b *testing.B) {
			m := chain(DefaultBlocks, c.length)
			if c.object > c.length {
				m.learn(c.object, c.length/2)
			}
			if c.object > 0 {
				m.payload(alice, c.object, invalid)
			}
			seats := []quorum.Seat{
				{Node: alice, MayVote: true}, {Node: bob, MayVote: true}, {Node: carol, MayVote: true},
			}
			n := 1 << 20
			m.learn(n, c.length)
			b.ReportAllocs()
			for b.Loop() {
				n++
				m.learn(n, n-1)
				m.payload(bob, n, valid)
				m.Recall(hash(n), seats)
			}
		})
	}
}

// An INVALID to each of many blocks in a line, first to last. It may not grow with how many there are.
func BenchmarkInvalidToAll(b *testing.B) {
	for _, length := range []int{100, 8000} {
		b.Run(fmt.Sprint(length), func(b *testing.B) {
			m := chain(DefaultBlocks, length)
			m.payload(alice, 1, invalid)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n = n%length + 1
				m.say(alice, n, invalid)
			}
			if m.Objections(alice) != 1 {
				b.Fatal(m.Objections(alice))
			}
		})
	}
}

// Whose VALID stands under the objection of a backup is heard only where that objection is counted.
func TestWhoIsHeardBesideABackup(t *testing.T) {
	m := chain(20, 3)
	m.say(alice, 2, invalid)
	m.say(bob, 2, valid)
	for _, c := range []struct {
		rests bool
		said  engine.Status
		want  bool
	}{{false, none, true}, {true, none, false}, {true, valid, false}, {true, invalid, true}} {
		seats := []quorum.Seat{
			{Node: alice, MayVote: true, Rests: c.rests, Said: c.said}, {Node: bob, MayVote: true},
		}
		m.Recall(hash(3), seats)
		if got := seats[1].Accepts; got != c.want {
			t.Errorf("%+v: heard %v", c, got)
		}
	}
}

// What a node was sent before it lost its vote, it has been sent, also where that is noted only later; and what didn't
// reach it, it hasn't.
func TestSilencedNodeWasSentPayloads(t *testing.T) {
	m := chain(100, 2)
	m.sent(alice, 2)
	_, breaks := m.Standing(alice)
	m.Silence(alice)
	m.Sent(alice, hash(1), breaks)
	m.NotSent(alice, hash(2), breaks)
	for n, want := range map[int]bool{1: true, 2: false} {
		if got := m.WasSent(alice, hash(n), 0); got != want {
			t.Errorf("block %d was sent: %v", n, got)
		}
	}
}
