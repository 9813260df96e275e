package memory

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// at is a block's payload, whose timestamp is its number.
func at(n, parent int) engine.Payload {
	return engine.Payload{Hash: hash(n), Parent: hash(parent), Timestamp: uint64(n)}
}

// disputed is a memory of another process in which alice objects to block 12, on which 13 and 14 stand, beside 11.
func disputed() State { return disputedBy(alice) }

func disputedBy(node quorum.NodeID) State {
	m := &told{Memory: New(100)}
	for n := 11; n < 15; n++ {
		m.Learn(at(n, n-1), Proven, nil)
	}
	m.payload(node, 11, valid)
	m.payload(node, 12, invalid)
	return m.Records()
}

// A block whose ancestors came while nobody watched is judged as disputed, until it has been traced to one of which it
// is known whether an objection covers it.
func TestUntraced(t *testing.T) {
	for _, c := range []struct {
		name    string
		traced  []engine.Payload // ancestors' headers, the youngest first
		missing int              // the next to be asked for; -1 where it is known what covers block 30
		objects bool
	}{
		{"nothing is known", nil, 29, true},
		{"the way doesn't reach", []engine.Payload{at(29, 28), at(28, 27)}, 27, true},
		{"a gap in the way", []engine.Payload{at(28, 27), at(27, 13)}, 29, true},
		{"a covered block", []engine.Payload{at(29, 28), at(28, 14)}, -1, true},
		{"the objected block", []engine.Payload{at(29, 12)}, -1, true},
		{"a block that was valid", []engine.Payload{at(29, 28), at(28, 11)}, -1, false},
		{"one that is older than the objection", []engine.Payload{at(29, 28), at(28, 9), at(9, 8)}, -1, false},
		{"in the other order", []engine.Payload{at(9, 8), at(28, 9), at(29, 28)}, -1, false},
		{"one as old as the objection", []engine.Payload{at(29, 28), {Hash: hash(28), Parent: hash(27), Timestamp: 12}},
			27, true},
	} {
		m := &told{Memory: New(100)}
		m.Restore(disputed())
		m.Clean([]common.Hash{hash(11)})
		if m.Untraced(hash(30), hash(29)) != hash(29) || !m.Matter(hash(30), hash(29)) {
			t.Errorf("%s: the parent isn't asked for", c.name)
		}
		m.Learn(at(30, 29), Proven, nil)
		for _, p := range c.traced {
			m.Trace(p)
		}
		want := common.Hash{}
		if c.missing >= 0 {
			want = hash(c.missing)
		}
		if got := m.Untraced(hash(30), hash(29)); got != want {
			t.Errorf("%s: missing is %x, want %x", c.name, got, want)
		}
		seat := m.recall(30, alice, bob)
		if seat[0].Objects != c.objects || seat[0].Objects && !seat[0].Read || seat[1].Objects {
			t.Errorf("%s: got %+v", c.name, seat)
		}
		if m.Learn(at(31, 30), Proven, nil); m.Untraced(hash(31), hash(30)) != want {
			t.Errorf("%s: a child isn't as its parent", c.name)
		}
		if m.Clear(alice); m.Untraced(hash(30), hash(29)) != (common.Hash{}) || m.recall(30, alice)[0].Objects {
			t.Errorf("%s: it is still missing when no objection stands", c.name)
		}
	}
}

// A block that isn't traced yet, and is new to a node that calls it VALID, shows that the node objects neither to it
// nor to what is under it. Where it turns out to be under the objection, that has ended; else it stands. What the node
// said before the objection was read may be older than it, and shows nothing.
func TestUntracedIsExecuted(t *testing.T) {
	for _, c := range []struct {
		name              string
		before            bool // the node called the block VALID before the objection was read
		on                int  // on which block its parent is
		objects, untraced bool
	}{
		{"under the objection", false, 14, false, false},
		{"beside it", false, 11, true, false},
		{"before it was read", true, 14, true, true},
	} {
		m := &told{Memory: New(100)}
		follow := func() {
			m.Learn(at(30, 29), Proven, nil)
			m.payload(alice, 30, valid)
		}
		if c.before { // something else is missing, so that the block isn't traced
			m.Restore(disputedBy(bob))
			follow()
		}
		m.Restore(disputed())
		m.Clean([]common.Hash{hash(11)})
		if !c.before {
			follow()
		}
		m.Learn(at(31, 30), Proven, nil)
		for _, n := range []int{30, 31} {
			if got := m.recall(n, alice)[0].Objects; got != c.untraced {
				t.Errorf("%s: to block %d it objects %v before that is traced", c.name, n, got)
			}
		}
		m.Trace(at(29, c.on))
		if got := m.Objections(alice) == 1; got != c.objects {
			t.Errorf("%s: it objects %v", c.name, got)
		}
		for _, n := range []int{30, 31} {
			if got := m.recall(n, alice)[0].Objects; got != c.untraced {
				t.Errorf("%s: to block %d it objects %v", c.name, n, got)
			}
		}
	}
}

// A forkchoiceUpdated names its head alone: that is asked for first.
func TestUntracedHead(t *testing.T) {
	m := &told{Memory: New(100)}
	m.Restore(disputed())
	m.Clean([]common.Hash{hash(11)})
	zero := common.Hash{}
	for _, c := range []struct {
		head    int
		missing common.Hash
		objects bool
	}{{29, hash(29), true}, {11, zero, false}, {12, zero, true}, {14, zero, true}} {
		if got := m.Untraced(hash(c.head), zero); got != c.missing || m.recall(c.head, alice)[0].Objects != c.objects {
			t.Errorf("head %d: missing is %x, want %x; %+v", c.head, got, c.missing, m.recall(c.head, alice))
		}
	}
}

// In a run of its own a memory misses nothing.
func TestNothingIsMissing(t *testing.T) {
	m := &told{Memory: New(100)}
	m.payload(alice, 1, valid)
	m.say(alice, 2, invalid)
	if m.Untraced(hash(30), hash(29)) != (common.Hash{}) || m.recall(30, alice)[0].Objects {
		t.Error("a block is missing")
	}
}

// Where another process may be sent blocks, those are missing to our own objections, too.
func TestAnotherProcessMayBeSentBlocks(t *testing.T) {
	m := &told{Memory: New(100)}
	m.MayMiss()
	m.Learn(at(11, 10), Proven, nil)
	m.payload(alice, 11, valid)
	if m.Untraced(hash(30), hash(29)) != (common.Hash{}) {
		t.Error("a block is missing, though nobody objects")
	}
	m.Learn(at(12, 11), Proven, nil)
	m.payload(alice, 12, invalid)
	if m.Learn(at(13, 12), Proven, nil); m.Untraced(hash(13), hash(12)) != (common.Hash{}) {
		t.Error("a block is missing that came to us")
	}
	if m.Learn(at(14, 11), Proven, nil); m.Untraced(hash(15), hash(14)) != (common.Hash{}) {
		t.Error("a block is missing beside the objection")
	}
	if m.Untraced(hash(30), hash(29)) != hash(29) || !m.recall(30, alice)[0].Objects {
		t.Error("no block is missing")
	}
	m.Trace(at(29, 12))
	if m.Learn(at(30, 29), Proven, nil); !m.objects(alice, 30) {
		t.Error("a block that came to another process doesn't lead to the objection")
	}
}

// Payloads that aren't newer than the newest of another run count as sent.
func TestSentBefore(t *testing.T) {
	m := New(10)
	m.SawBefore(7)
	m.Saw(5)
	for timestamp, want := range map[uint64]bool{6: true, 7: true, 8: false} {
		if m.WasSent(alice, hash(1), timestamp) != want {
			t.Errorf("at %d: sent %t", timestamp, !want)
		}
	}
	if m.Newest() != 7 {
		t.Errorf("the newest is of %d", m.Newest())
	}
	if m.Saw(9); m.Newest() != 9 || m.WasSent(alice, hash(1), 9) {
		t.Error("what is sent in this run counts as sent before")
	}
}

// What was kept of another chain is dropped, and so told.
func TestDrop(t *testing.T) {
	m := &told{Memory: New(100)}
	m.NoteChanges()
	k := newKeeper()
	m.Restore(disputed())
	k.take(m.Changes())
	m.SawBefore(9)
	if len(k.objections) == 0 || len(k.blocks) == 0 {
		t.Fatal("what was restored isn't kept")
	}
	m.Learn(at(21, 20), Proven, nil)
	m.payload(bob, 21, invalid)
	m.Drop()
	m.Learn(at(15, 14), Proven, nil)
	m.Learn(at(22, 21), Proven, nil)
	if m.objects(alice, 15) || m.MayObject(alice, true) || !m.MayObject(alice, false) || m.WasSent(bob, hash(1), 9) {
		t.Error("something is left")
	}
	if !m.objects(bob, 22) {
		t.Error("what was said in this run is dropped, too")
	}
	k.take(m.Changes())
	for _, o := range k.objections {
		if o.Ended == (o.Block == hash(21)) {
			t.Errorf("kept is %+v", o)
		}
	}
	if m.Untraced(hash(30), hash(29)) != (common.Hash{}) {
		t.Error("blocks are missing")
	}
}

// What a node has executed before it objected ends nothing when it says VALID to that again, as a restarted client does
// to all that it has on disk: be the objection read, or said in this run.
func TestUntracedIsSaidAgain(t *testing.T) {
	for _, read := range []bool{true, false} {
		m := &told{Memory: New(100)}
		m.MayMiss()
		m.Restore(disputedBy(bob)) // something else is missing, so that the block isn't traced
		m.Learn(at(30, 29), Proven, nil)
		m.payload(alice, 30, valid)
		if read {
			m.Restore(disputed())
		} else {
			m.Learn(at(12, 11), Proven, nil)
			m.payload(alice, 12, invalid)
		}
		m.Broke(alice)
		m.payload(alice, 30, valid)
		if !m.recall(30, alice)[0].Objects {
			t.Errorf("read %v: it doesn't object before the block is traced", read)
		}
		m.Trace(at(29, 12))
		if m.Objections(alice) != 1 || !m.objects(alice, 30) {
			t.Errorf("read %v: the objection has ended", read)
		}
	}
}

// What a node has executed before an objection was read doesn't end that, whatever it ends besides; nor where the node
// says so here too, late; nor where what was read goes on with what the node had said here.
func TestUntracedEndsNothingThatIsRead(t *testing.T) {
	for _, c := range []struct {
		name       string
		here, late bool // the node objects here: to block 10 before all else; to block 12, in a call from before
		again      bool // it objects to block 12 here, and to another instance again
	}{
		{name: "it is read"},
		{name: "under another", here: true},
		{name: "said late", late: true},
		{name: "said again", again: true},
	} {
		m := &told{Memory: New(100)}
		m.MayMiss()
		m.Restore(disputedBy(bob))
		m.Learn(at(10, 9), Proven, nil)
		if c.here {
			m.payload(alice, 10, invalid)
		}
		if c.again {
			m.payload(alice, 12, invalid)
		}
		late := m.call(alice, 12, invalid)
		m.Learn(at(30, 29), Proven, nil)
		m.payload(alice, 30, valid)
		there := disputed()
		if c.again {
			there.Objections[0].Number++
			for i := range there.Blocks {
				there.Blocks[i].Marks[0].Number++
			}
		}
		m.Restore(there)
		if c.late {
			m.Keep(late)
		}
		for _, p := range []engine.Payload{at(29, 14), at(12, 11), at(11, 10)} {
			m.Trace(p)
		}
		if !m.objects(alice, 12) || !m.objects(alice, 30) {
			t.Errorf("%s: it has ended", c.name)
		}
		if m.objects(alice, 10) {
			t.Errorf("%s: what was said before stands", c.name)
		}
	}
}

// A node that has executed a block, and says INVALID again since then to one that its objection covers, may object to
// the block by that: this is no objection of its own as long as the other one stands.
func TestUntracedAndSaidAgainBelow(t *testing.T) {
	m := &told{Memory: New(100)}
	m.Restore(disputedBy(bob)) // something else is missing
	m.MayMiss()
	for n := 22; n < 24; n++ {
		m.Learn(at(n, n-1), Proven, nil)
	}
	m.payload(alice, 22, invalid)
	m.Learn(at(30, 29), Proven, nil)
	m.payload(alice, 30, valid)
	if m.recall(30, alice)[0].Objects {
		t.Error("it objects to what it has executed")
	}
	m.payload(alice, 23, invalid)
	if !m.recall(30, alice)[0].Objects {
		t.Error("it doesn't object")
	}
	if m.Trace(at(29, 23)); m.objects(alice, 22) || !m.objects(alice, 30) {
		t.Error("the second INVALID doesn't stand alone")
	}
}

// That a node objects to a block which isn't traced doesn't say that no other does: the block is asked for on, and is
// as disputed as before when that objection has ended. So are its children.
func TestUntracedUnderAnObjection(t *testing.T) {
	m := &told{Memory: New(100)}
	m.Restore(disputed())
	m.Clean([]common.Hash{hash(11)})
	m.Learn(at(30, 29), Proven, nil)
	m.payload(bob, 30, invalid)
	m.Learn(at(31, 30), Proven, nil)
	for _, ended := range []bool{false, true} {
		if ended {
			m.say(bob, 30, valid)
		}
		for _, n := range []int{30, 31} {
			if !m.recall(n, alice)[0].Objects || m.Untraced(hash(n), hash(n-1)) != hash(29) {
				t.Errorf("the other has ended %v: block %d is taken to be traced", ended, n)
			}
		}
	}
	if m.Trace(at(29, 14)); !m.objects(alice, 31) || m.Untraced(hash(31), hash(30)) != (common.Hash{}) {
		t.Error("the block isn't under the objection")
	}
}
