package quorum

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
)

func hash(n int) common.Hash { return common.BytesToHash([]byte{byte(n >> 16), byte(n >> 8), byte(n)}) }

const alice, bob = NodeID(1), NodeID(2)

// chain returns a memory that knows blocks 1 … n, each the child of the one before.
func chain(max, n int) *Memory {
	m := NewMemory(max)
	for i := 1; i <= n; i++ {
		m.Learn(hash(i), hash(i-1))
	}
	return m
}

func TestObjectionCoversDescendants(t *testing.T) {
	m := chain(100, 4)
	if got := m.RecordPayload(alice, hash(2), invalid, "bad root", true); got != invalid {
		t.Fatalf("the objection itself: %v", got)
	}
	for _, status := range []engine.Status{syncing, accepted, valid, invalid, none} {
		if got := m.Record(alice, hash(4), status, "", true); got != invalid {
			t.Errorf("grandchild, %v: got %v, want INVALID", status, got)
		}
	}
	m.Learn(hash(5), hash(4))
	for n, want := range map[int]bool{1: false, 2: true, 3: true, 5: true, 9: false} {
		if _, got := m.Objection(alice, hash(n)); got != want {
			t.Errorf("block %d: objection %v", n, got)
		}
	}
	if reason, _ := m.Objection(alice, hash(3)); reason != "bad root" {
		t.Errorf("reason %q", reason)
	}
	if _, stands := m.Objection(bob, hash(3)); stands {
		t.Error("another node's objection")
	}
}

func TestObjectionEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*Memory)
		ends bool
	}{
		{"VALID on the block", func(m *Memory) { m.Record(alice, hash(2), valid, "", true) }, true},
		{"VALID on a child", func(m *Memory) { m.Record(alice, hash(3), valid, "", true) }, false},
		{"SYNCING on the block", func(m *Memory) { m.Record(alice, hash(2), syncing, "", true) }, false},
		{"another node's VALID", func(m *Memory) { m.Record(bob, hash(2), valid, "", true) }, false},
		{"a break", func(m *Memory) { m.Broke(alice) }, false},
		{"clearing", func(m *Memory) { m.Clear(alice) }, true},
		{"clearing another", func(m *Memory) { m.Clear(bob) }, false},
		{"removal", func(m *Memory) { m.Forget(alice) }, true},
	} {
		m := chain(100, 3)
		m.Record(alice, hash(2), invalid, "", true)
		c.end(m)
		if _, stands := m.Objection(alice, hash(3)); stands == c.ends {
			t.Errorf("%s: objection stands: %v", c.name, stands)
		}
	}
}

func TestStandingValid(t *testing.T) {
	m := chain(100, 2)
	m.Record(alice, hash(1), valid, "", true)
	for status, want := range map[engine.Status]engine.Status{syncing: valid, accepted: valid, none: none, valid: valid} {
		if got := m.Record(alice, hash(1), status, "", true); got != want {
			t.Errorf("%v after VALID: got %v, want %v", status, got, want)
		}
	}
	if got := m.Record(alice, hash(2), syncing, "", true); got != syncing {
		t.Errorf("a VALID doesn't cover children: got %v", got)
	}
}

// After our start and after a break, a node's INVALID counts once it has said VALID to something it was never sent.
func TestQualified(t *testing.T) {
	m := chain(100, 5)
	say := func(n int, status engine.Status) engine.Status {
		m.Sent(alice, hash(n))
		return m.RecordPayload(alice, hash(n), status, "", m.Qualified(alice))
	}
	if got := say(1, invalid); got != none {
		t.Errorf("INVALID at start: got %v, want no vote", got)
	}
	say(2, syncing)
	if m.Qualified(alice) {
		t.Error("qualified by SYNCING")
	}
	say(2, valid)
	if got := say(3, invalid); got != invalid {
		t.Errorf("INVALID of a qualified node: got %v", got)
	}
	m.Broke(alice)
	say(2, valid) // it has that block on disk
	if m.Qualified(alice) {
		t.Error("qualified by a VALID to what it had been sent before the break")
	}
	m.Record(alice, hash(4), valid, "", false) // forkchoiceUpdated proves nothing
	if m.Qualified(alice) {
		t.Error("qualified by forkchoiceUpdated")
	}
	if _, stands := m.Objection(alice, hash(3)); !stands {
		t.Error("the objection from before the break is gone")
	}
	m.Sent(alice, hash(4))
	m.Broke(alice)
	say(4, valid)
	if m.Qualified(alice) {
		t.Error("qualified by a payload sent before the second break")
	}
	say(5, valid)
	if !m.Qualified(alice) {
		t.Error("not qualified by a VALID to a new payload")
	}
}

// A dispute outlives the memory of its beginning, and the memory stays bounded.
func TestEviction(t *testing.T) {
	const max = 16
	m := NewMemory(max)
	m.Learn(hash(1), hash(0))
	m.Record(alice, hash(1), invalid, "root", true)
	for i := 2; i < 10*max; i++ {
		m.Learn(hash(i), hash(i-1))
		if reason, stands := m.Objection(alice, hash(i)); !stands || reason != "root" {
			t.Fatalf("block %d: objection %v, %q", i, stands, reason)
		}
		if len(m.blocks) > max {
			t.Fatalf("%d blocks", len(m.blocks))
		}
	}
	if got := m.Objections(alice); got != 1 {
		t.Errorf("%d objections, want 1", got)
	}
	if len(m.order)-m.head != max || cap(m.order) > 8*max {
		t.Errorf("order holds %d of %d", len(m.order)-m.head, cap(m.order))
	}
}

func TestCircleOfParents(t *testing.T) {
	m := NewMemory(8)
	m.Learn(hash(1), hash(2))
	m.Learn(hash(2), hash(1))
	m.Record(alice, hash(3), invalid, strings.Repeat("x", 1<<20), true)
	if _, stands := m.Objection(alice, hash(1)); stands {
		t.Error("objection found in a circle")
	}
	if reason, _ := m.Objection(alice, hash(3)); len(reason) != maxReason {
		t.Errorf("reason of %d bytes kept", len(reason))
	}
}

func BenchmarkRecordInDispute(b *testing.B) {
	for _, length := range []int{1, 100, DefaultBlocks} {
		b.Run(fmt.Sprint(length), func(b *testing.B) {
			m := chain(DefaultBlocks, length)
			m.Record(alice, hash(1), invalid, "", true)
			for b.Loop() {
				m.RecordPayload(alice, hash(length), syncing, "", true)
			}
		})
	}
}
