package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/geth"
)

// record is what GET /blocks says about one newPayload.
type record struct {
	Time    time.Time
	Method  string
	Number  uint64
	Hash    common.Hash
	Verdict string
	Took    int64 // microseconds
	Dispute bool
	Votes   []vote
}

// vote is what one node answered.
type vote struct {
	Node   string
	Status string // "" where nothing has come yet, something in words where it is no status
	Took   int64  // microseconds
}

var statuses = []string{engine.VALID, engine.INVALID, engine.SYNCING, engine.ACCEPTED}

// given reports whether the node answered with a status.
func (v vote) given() bool { return slices.Contains(statuses, v.Status) }

// disputed reports whether a node objects to the block, in time or late.
func (r record) disputed() bool {
	return r.Dispute || slices.ContainsFunc(r.Votes, func(v vote) bool { return v.Status == engine.INVALID })
}

// unanimous reports whether every node has called the block VALID.
func (r record) unanimous() bool {
	return !slices.ContainsFunc(r.Votes, func(v vote) bool { return v.Status != engine.VALID })
}

// story tells what becomes of the blocks, and counts.
type story struct {
	net    *network
	screen *screen
	told   map[time.Time]record // by the time of the call
	last   record
	halted bool // by a dispute

	produced, missed int // blocks; slots without one, though there was no dispute
	disputes         int // slots without a block in one
	failed           int // calls
	slowest          record
	votes            map[string]int // by node and status
}

func newStory(net *network, screen *screen) *story {
	return &story{net: net, screen: screen, told: make(map[time.Time]record), votes: make(map[string]int)}
}

// tell tells about a slot, and reports whether all is well: a block that every node says VALID to.
func (s *story) tell(ctx context.Context, now slot) bool {
	var records []record
	if err := s.net.rest(ctx, "/blocks", nil, &records); err != nil {
		s.fail(err)
	}
	s.lateVotes(records)
	txs := fmt.Sprintf("%d txs", now.txs)
	if now.txs == 1 {
		txs = "1 tx"
	}
	for _, r := range records {
		if _, old := s.told[r.Time]; !old {
			s.block(r, fmt.Sprintf("  %-5s", txs))
		}
	}
	s.remember(records)
	s.outcome(now)
	return now.err == nil && s.last.unanimous()
}

// lateVotes tells what has come to blocks that have been told.
func (s *story) lateVotes(records []record) {
	late := make(map[string][]string)
	for _, r := range records {
		before, old := s.told[r.Time]
		if !old {
			continue
		}
		for i, v := range r.Votes {
			if before.Votes[i].Status == "" && v.Status != "" {
				late[v.Node] = append(late[v.Node],
					fmt.Sprintf("#%d %s after %s", r.Number, v.Status, milliseconds(v.Took)))
			}
		}
	}
	for _, name := range nodeNames {
		if len(late[name]) > 0 {
			s.screen.remark(dim, append([]string{name + ", late:"}, late[name]...)...)
		}
	}
}

// block writes the line of a newPayload, with what else is known of the block.
func (s *story) block(r record, known string) {
	if s.last.Method != "" && s.last.Method != r.Method {
		s.screen.remark(bold, "a fork: from now on "+r.Method)
	}
	line := fmt.Sprintf("#%-4d %s%s  %s %7s",
		r.Number, shortHash(r.Hash), known, s.status(r.Verdict), milliseconds(r.Took))
	for _, v := range r.Votes {
		line += fmt.Sprintf("   %s %s", v.Node, s.cell(v))
	}
	s.screen.write(line)
	if r.Took > s.slowest.Took {
		s.slowest = r
	}
}

// cell is a node's vote with its time, or what it does instead of voting.
func (s *story) cell(v vote) string {
	if v.given() {
		return fmt.Sprintf("%s %7s", s.status(v.Status), milliseconds(v.Took))
	}
	i := slices.Index(nodeNames[:], v.Node)
	word := s.net.nodes[i].gate.now().String()
	switch {
	case word != "":
	case v.Status == "":
		word = "…"
	case v.Status == "dead":
		word = "not back yet"
	default:
		word = "no answer"
	}
	return s.screen.paint(dim, fmt.Sprintf("%-15s", word))
}

// status is a status in its width and colour.
func (s *story) status(status string) string {
	shade := map[string]colour{engine.VALID: green, engine.INVALID: red}[status]
	return s.screen.paint(cmp.Or(shade, yellow), fmt.Sprintf("%-7s", status))
}

// remember keeps what has been told, as long as it is reported, and counts the votes that are new.
func (s *story) remember(records []record) {
	told := make(map[time.Time]record, len(records))
	for _, r := range records {
		told[r.Time] = r
		before := s.told[r.Time]
		for i, v := range r.Votes {
			if v.given() && (before.Votes == nil || before.Votes[i].Status == "") {
				s.votes[v.Node+v.Status]++
			}
		}
		s.last = r
	}
	s.told = told
}

// outcome counts a slot, and tells where the chain halts and goes on.
func (s *story) outcome(now slot) {
	status, refused := errors.AsType[*geth.StatusError](now.err)
	switch {
	case now.err == nil:
		s.goesOn()
	case refused && status.Status.Status == engine.SYNCING && s.last.disputed():
		s.halts("It asks again in every slot.")
	default:
		s.missed++
		s.screen.remark(red, "missed a block:", now.err.Error())
	}
	if now.err != nil && !refused {
		s.failed++
	}
	if now.sendErr != nil {
		s.fail(now.sendErr)
	}
}

// goesOn counts a block.
func (s *story) goesOn() {
	s.produced++
	if s.halted {
		s.screen.remark(bold, "the dispute is over: the chain goes on")
	}
	s.halted = false
}

// halts counts a block that no verdict lets the consensus client act on.
func (s *story) halts(advice ...string) {
	s.disputes++
	if !s.halted {
		s.screen.remark(bold, append([]string{
			"halted: dispute. Any of the nodes may be right, so the consensus client must not act on the block.",
		}, advice...)...)
	}
	s.halted = true
}

// fail counts and tells a call that has failed.
func (s *story) fail(err error) {
	s.failed++
	s.screen.remark(red, "a call failed:", err.Error())
}

// enough reports whether a number of blocks, where it isn't 0, has been made or missed.
func (s *story) enough(blocks int) bool { return blocks > 0 && s.produced+s.missed >= blocks }

// end sums up.
func (s *story) end() {
	counts := fmt.Sprintf("%d blocks, %d missed, %d failed calls; %d slots halted by a dispute",
		s.produced, s.missed, s.failed, s.disputes)
	if s.net.foreign { // what it missed it doesn't tell us
		counts = fmt.Sprintf("%d blocks; %d payloads halted by a dispute", s.produced, s.disputes)
	}
	s.screen.write("")
	s.screen.line("%s; slowest verdict %s (#%d)", counts, milliseconds(s.slowest.Took), s.slowest.Number)
	for _, name := range nodeNames {
		line := "  " + name
		for _, status := range statuses {
			if n := s.votes[name+status]; n > 0 {
				line += fmt.Sprintf("  %d %s", n, status)
			}
		}
		s.screen.write(line)
	}
}

func milliseconds(µs int64) string {
	return fmt.Sprintf("%d ms", (µs+999)/1000)
}
