package main

import (
	"context"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/beacon/engine"
)

// glance is how often follow is to be called.
const glance = 250 * time.Millisecond

// follow tells of the payloads that a consensus client of somebody else's has sent since the last call. It reports
// whether there are any, and whether all is well: the last is a block that every node says VALID to.
func (s *story) follow(ctx context.Context) (well, news bool) {
	var records []record
	if err := s.net.rest(ctx, "/blocks", nil, &records); err != nil {
		if ctx.Err() == nil {
			s.fail(err)
		}
		return false, false
	}
	records = slices.DeleteFunc(records, func(r record) bool { return r.Verdict == "" }) // being judged
	s.lateVotes(records)
	for _, r := range records {
		if _, old := s.told[r.Time]; old {
			continue
		}
		news = true
		s.block(r, "")
		again := s.last.Hash == r.Hash && s.last.Verdict == r.Verdict
		switch {
		case r.Verdict == engine.VALID && !again:
			s.goesOn()
		case r.Verdict == engine.SYNCING && r.disputed():
			s.halts()
		}
		s.last = r
	}
	s.remember(records)
	return s.last.unanimous(), news
}
