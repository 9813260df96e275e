package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
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
	Took    int64 // microseconds, as all times there
	Votes   []vote
}

type vote struct {
	Node   string
	Status string // "" where nothing has come yet
	Took   int64
}

// said reports whether a node's answer was a status.
func (v vote) said() bool { return slices.Contains(statuses, v.Status) }

var statuses = []string{engine.VALID, engine.INVALID, engine.SYNCING, engine.ACCEPTED}

// story tells what happens to the blocks, and counts.
type story struct {
	net    *network
	screen *screen
	method string               // of the last newPayload
	halted bool                 // a dispute is under way
	open   map[time.Time]record // not all nodes have answered; by the time of the call

	produced, missed, failed, waited int // blocks; slots without one; calls; slots of a dispute
	slowest                          record
	votes                            map[string]map[string]int // by node and status; "" = no answer
}

func newStory(net *network, screen *screen) *story {
	s := &story{net: net, screen: screen, open: make(map[time.Time]record), votes: make(map[string]map[string]int)}
	for _, name := range nodeNames {
		s.votes[name] = make(map[string]int)
	}
	return s
}

// tell shows what became of a slot, and returns how many there have been.
func (s *story) tell(ctx context.Context, slot slot) int {
	var records []record
	if err := s.net.rest(ctx, http.MethodGet, "/blocks", &records); err != nil && ctx.Err() == nil {
		s.fail("GET /blocks: " + err.Error())
	}
	s.tellLate(records)
	if slot.sendErr != nil {
		s.fail(slot.sendErr.Error())
	}
	r, found := last(records, slot.payload.Hash)
	if found {
		s.tellBlock(r, slot.txs)
	}
	var status *geth.StatusError
	switch {
	case slot.err == nil:
		s.produced++
		if s.halted {
			s.screen.line("%s", s.screen.paint(green, "    the dispute is over: the chain goes on"))
			s.halted = false
		}
		if r.Took > s.slowest.Took {
			s.slowest = r
		}
	case errors.As(slot.err, &status) && status.Status.Status == engine.SYNCING && disputed(r, s.halted):
		s.waited++
		if !s.halted {
			s.screen.line("%s", s.screen.paint(red, "    halted: the nodes disagree, so the consensus client must not act on the block (c clears objections)"))
			s.halted = true
		}
	default:
		s.missed++
		s.fail("slot missed: " + slot.err.Error())
	}
	return s.produced + s.waited + s.missed
}

// fail shows a call that failed.
func (s *story) fail(text string) {
	s.failed++
	s.screen.line("%s", s.screen.paint(red, cut("    "+text)))
}

// disputed reports whether a node objects to a payload, now or since before.
func disputed(r record, halted bool) bool {
	return halted || slices.ContainsFunc(r.Votes, func(v vote) bool { return v.Status == engine.INVALID })
}

// last returns the latest record of a block.
func last(records []record, hash common.Hash) (record, bool) {
	for _, r := range slices.Backward(records) {
		if r.Hash == hash {
			return r, true
		}
	}
	return record{}, false
}

// tellBlock shows a block in one line: what the consensus client heard, and what each node said.
func (s *story) tellBlock(r record, txs int) {
	s.method = s.tellFork(r.Method)
	var b strings.Builder
	fmt.Fprintf(&b, "#%-4d %s %2d txs  %s %-8s", r.Number, shortHash(r.Hash), txs, s.verdict(r.Verdict), milliseconds(r.Took))
	for _, v := range r.Votes {
		fmt.Fprintf(&b, " │ %s %s", v.Node, s.answer(v))
		switch {
		case v.said():
			s.votes[v.Node][v.Status]++
		case v.Status == "":
			s.open[r.Time] = r
		default:
			s.votes[v.Node][""]++
		}
	}
	s.screen.line("%s", strings.TrimRight(b.String(), " "))
}

// tellFork says that a fork has brought another method.
func (s *story) tellFork(method string) string {
	if s.method != "" && s.method != method {
		s.screen.line("%s", s.screen.paint(bold, "    a fork: from now on "+method))
	}
	return method
}

// tellLate shows the answers that came after their line.
func (s *story) tellLate(records []record) {
	for _, r := range records {
		before, waiting := s.open[r.Time]
		if !waiting {
			continue
		}
		missing := false
		for i, v := range r.Votes {
			if v.Status == "" {
				missing = true
				continue
			}
			if before.Votes[i].Status == "" {
				s.votes[v.Node][v.Status]++
				s.screen.line("%s", s.screen.paint(dim, cut(fmt.Sprintf("    late for #%d: %s %s, %s", r.Number, v.Node, v.Status, milliseconds(v.Took)))))
			}
		}
		s.open[r.Time] = r
		if !missing {
			delete(s.open, r.Time)
		}
	}
}

func (s *story) verdict(v string) string {
	shade := yellow
	switch v {
	case engine.VALID:
		shade = green
	case engine.INVALID:
		shade = red
	}
	return s.screen.paint(shade, fmt.Sprintf("%-8s", v))
}

// answer is a node's part of a line.
func (s *story) answer(v vote) string {
	switch {
	case v.said() && v.Status == engine.VALID:
		return fmt.Sprintf("%-8s%7s", v.Status, milliseconds(v.Took))
	case v.said():
		return s.screen.paint(yellow, fmt.Sprintf("%-8s", v.Status)) + fmt.Sprintf("%7s", milliseconds(v.Took))
	case v.Status == "":
		return s.screen.paint(dim, fmt.Sprintf("%-15s", "…"))
	case v.Status == "dead":
		return s.screen.paint(red, fmt.Sprintf("%-15s", "dead"))
	}
	return s.screen.paint(red, fmt.Sprintf("%-15s", "failed"))
}

func milliseconds(us int64) string {
	if us < 10_000 {
		return fmt.Sprintf("%.1f ms", float64(us)/1000)
	}
	return fmt.Sprintf("%d ms", us/1000)
}

// end sums up. Where blocks were counted, it is an error if one was missed or a call failed.
func (s *story) end(counted bool) error {
	s.screen.line("")
	s.screen.line("%d blocks produced, %d missed, %d slots halted by a dispute, %d calls failed; slowest verdict %s (#%d)",
		s.produced, s.missed, s.waited, s.failed, milliseconds(s.slowest.Took), s.slowest.Number)
	for _, name := range nodeNames {
		var parts []string
		for _, status := range slices.Sorted(maps.Keys(s.votes[name])) {
			parts = append(parts, fmt.Sprintf("%d %s", s.votes[name][status], cmp.Or(status, "without an answer")))
		}
		s.screen.line("  %s  %s", name, strings.Join(parts, ", "))
	}
	if counted && (s.missed > 0 || s.failed > 0) {
		return fmt.Errorf("%d blocks were missed, %d calls failed", s.missed, s.failed)
	}
	return nil
}
