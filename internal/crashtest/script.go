//go:build unix

package crashtest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"executionbackup/internal/enginetest"
)

// step is one call, and what the nodes do about it.
type step struct {
	what   string
	before func(*side)
	call   func(context.Context, *side) (answer string, err error)
	after  func(*side) // when it has been answered
	plain  bool        // all nodes that live say VALID to a new payload: so they prove themselves
	late   int         // the node, from 1, that has objected late by now, or ends its objection, perhaps late; 0: none
	ends   bool        // an objection ends, perhaps after the answer: nobody waits for a node that counts as syncing
}

// script makes up what happens, episode after episode: the same for the same seed.
type script struct {
	random *rand.Rand
	head   enginetest.Payload
	time   uint64 // timestamp of the last payload
	slots  int
	aside  int // the node that is drained, or dead; -1 for none
	last   int // the episode before
}

func newScript(seed uint64) *script {
	s := &script{random: rand.New(rand.NewPCG(seed, 2)), head: enginetest.Genesis(4), aside: -1}
	s.time = uint64(time.Now().Unix()) + 10 // ahead of the clock, so that none is late in its slot
	return s
}

// next returns the steps of the next episode.
func (s *script) next() []step {
	if s.slots == 0 { // all nodes prove themselves
		return append(s.plain(), s.plain()...)
	}
	s.last = (s.last + 1 + s.random.IntN(6)) % 7 // another one than before
	switch s.last {
	case 0:
		return append(s.plain(), s.build()...)
	case 1:
		return s.dispute(s.objector())
	case 2:
		return s.late(s.objector())
	case 3:
		return s.invalid()
	case 4:
		return s.reorganize()
	case 5:
		return s.drain()
	}
	return s.die()
}

// objector is a node that may object: it isn't set aside, nor n1.
func (s *script) objector() int {
	for {
		if n := 1 + s.random.IntN(len(names)-1); n != s.aside {
			return n
		}
	}
}

// child is the next payload on another.
func (s *script) child(parent enginetest.Payload) enginetest.Payload {
	s.slots++
	s.time++
	return parent.Child(func(p *enginetest.Payload) { p.Timestamp = s.time })
}

// say has a node say something to calls about a block.
func say(node int, status string, blocks ...enginetest.Payload) func(*side) {
	return func(s *side) {
		for _, b := range blocks {
			s.nodes[node].Script(enginetest.Rule{BlockHash: b.Hash(), Status: status})
		}
	}
}

func payload(p enginetest.Payload, what string) step {
	return step{
		what: fmt.Sprintf("newPayload %d (%s)", p.Number, what),
		call: func(ctx context.Context, s *side) (string, error) {
			got, err := s.client.NewPayload(ctx, p)
			return got.Status, err
		},
	}
}

func forkchoice(p enginetest.Payload, what string) step {
	return step{
		what: fmt.Sprintf("forkchoiceUpdated %d (%s)", p.Number, what),
		call: func(ctx context.Context, s *side) (string, error) {
			got, err := s.client.ForkchoiceUpdated(ctx, p, nil)
			return got.Status, err
		},
	}
}

func change(path string, node int) step {
	return step{
		what: path + " " + names[node],
		call: func(ctx context.Context, s *side) (string, error) { return s.post(ctx, path, names[node]) },
	}
}

// plain is a block that all nodes call VALID.
func (s *script) plain() []step {
	s.head = s.child(s.head)
	st := payload(s.head, "plain")
	st.plain = true
	return []step{st, forkchoice(s.head, "plain")}
}

// build has a payload built on the head, and gets it.
func (s *script) build() []step {
	head := s.head
	attributes := head.Attributes()
	begin := forkchoice(head, "with attributes")
	begin.call = func(ctx context.Context, s *side) (string, error) {
		got, err := s.client.ForkchoiceUpdated(ctx, head, attributes)
		s.id = got.PayloadID
		return fmt.Sprint(got.Status, " with an id: ", got.PayloadID != ""), err
	}
	get := step{what: "getPayload", call: func(ctx context.Context, s *side) (string, error) {
		result, err := s.client.Call(ctx, "engine_getPayloadV4", s.id)
		if _, refused := err.(*enginetest.RPCError); refused {
			return err.Error(), nil
		}
		var got struct {
			ExecutionPayload struct{ ParentHash, Timestamp, ExtraData string }
		}
		if err == nil {
			err = json.Unmarshal(result, &got)
		}
		p := got.ExecutionPayload
		right := p.ParentHash == head.Hash() && p.Timestamp == fmt.Sprintf("0x%x", attributes.Timestamp)
		return fmt.Sprintf("a payload of %s, as asked for: %t", p.ExtraData, right), err
	}}
	steps := []step{begin}
	for range 1 + s.random.IntN(3) {
		steps = append(steps, get)
	}
	return steps
}

// dispute has a node object to a block, and forget that when it has said so. It ends in one of the ways in which that
// can end.
func (s *script) dispute(node int) []step {
	disputed := s.child(s.head)
	first := payload(disputed, names[node]+" objects")
	first.before = say(node, "INVALID", disputed)
	first.after = say(node, "SYNCING", disputed)
	return append([]step{first}, s.goOn(node, disputed)...)
}

// late has a node object to a block when we have called it VALID.
func (s *script) late(node int) []step {
	disputed := s.child(s.head)
	first := payload(disputed, names[node]+" is late")
	first.before = func(s *side) {
		s.held = s.nodes[node].Script(enginetest.Rule{BlockHash: disputed.Hash(), Status: "INVALID", Hang: true})
	}
	objects := step{
		what: names[node] + " objects late", late: node + 1,
		call:  func(ctx context.Context, s *side) (string, error) { return "", s.release(ctx, node) },
		after: say(node, "SYNCING", disputed),
	}
	return append([]step{first, objects}, s.goOn(node, disputed)...)
}

// goOn goes on after a block that a node objects to.
func (s *script) goOn(node int, disputed enginetest.Payload) (steps []step) {
	steps = append(steps, forkchoice(disputed, "disputed"))
	top := disputed
	for range s.random.IntN(4) {
		top = s.child(top)
		p := payload(top, "on a disputed one")
		p.before = say(node, "SYNCING", top)
		steps = append(steps, p, forkchoice(top, "on a disputed one"))
	}
	switch s.random.IntN(4) {
	case 0: // the node calls the block VALID after all
		end := forkchoice(disputed, names[node]+" says VALID")
		end.before, end.ends, end.late = say(node, "VALID", disputed), true, node+1
		s.head = top
		return append(append(steps, end), s.plain()...)
	case 1: // the node calls a new payload on top of it VALID
		s.head = top
		end := s.plain()
		end[0].ends, end[0].late = true, node+1
		return append(append(steps, end...), s.plain()...)
	case 2: // the operator takes it back
		s.head = top
		return append(append(steps, change("/clear_objections", node)), s.plain()...)
	}
	return append(append(steps, s.plain()...), s.plain()...) // it is left, on the chain before it
}

// invalid has a block that enough nodes call INVALID, and that is left.
func (s *script) invalid() []step {
	bad := s.child(s.head)
	under := s.child(bad)
	first, then := payload(bad, "invalid"), payload(under, "on an invalid one")
	first.before = func(side *side) {
		for n := 1; n < len(names); n++ {
			if n != s.aside {
				say(n, "INVALID", bad)(side)
				say(n, "SYNCING", under)(side)
			}
		}
	}
	steps := append(s.plain(), first, then)
	s.time++ // so that what follows is newer
	steps = append(steps, s.plain()...)
	if s.random.IntN(2) == 0 {
		for n := 1; n < len(names); n++ {
			steps = append(steps, change("/clear_objections", n))
		}
	}
	return steps
}

// reorganize leaves a branch for another one.
func (s *script) reorganize() []step {
	fork := s.head
	steps := append(s.plain(), s.plain()...)
	old := s.head
	s.head = fork
	steps = append(append(steps, s.plain()...), s.plain()...)
	if s.random.IntN(2) == 0 { // and back
		s.head = old
		steps = append(append(steps, forkchoice(old, "back")), s.plain()...)
	}
	return steps
}

// drain does something else while a node is drained.
func (s *script) drain() []step {
	if s.aside >= 0 {
		return s.plain()
	}
	s.aside = len(names) - 1
	node := s.aside
	steps := append([]step{change("/drain_nodes", node)}, s.next()...)
	steps = append(append(steps, change("/undrain_nodes", node)), s.plain()...)
	s.aside = -1
	return steps
}

// die does something else while a node is dead.
func (s *script) die() []step {
	if s.aside >= 0 {
		return s.plain()
	}
	s.aside = len(names) - 1
	node := s.aside
	steps := append(s.plain(), s.plain()...)
	steps[0].before = func(s *side) { s.nodes[node].Close() }
	steps = append(steps, s.next()...)
	back := step{
		what:   names[node] + " comes back",
		before: func(s *side) { s.nodes[node].Reopen() },
		call: func(ctx context.Context, s *side) (string, error) {
			return "", s.client.Read(ctx, "/recheck", nil)
		},
	}
	steps = append(append(steps, back), s.plain()...)
	s.aside = -1
	return append(steps, s.plain()...)
}
