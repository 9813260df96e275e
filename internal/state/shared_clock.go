package state

import "time"

// setClock takes in what the server's clock said between two times of ours. A quick answer tells more of it than a slow
// one; but clocks drift.
func (s *Shared) setClock(said, asked, answered time.Time) {
	took := answered.Sub(asked)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clock.read.IsZero() || took <= s.clock.took || answered.Sub(s.clock.read) > clockLasts {
		s.clock = serverClock{offset: said.Sub(asked.Add(took / 2)), took: took, read: answered}
	}
}

// serverClock is by how much the server's clock is ahead of ours, and how well that is known.
type serverClock struct {
	offset, took time.Duration
	read         time.Time
}

// clockLasts is how long a reading of the server's clock is better than a new one that took longer.
const clockLasts = time.Minute

// Offset is by how much the store's clock is ahead of ours; 0 where that isn't known. Whoever compares times with
// another instance compares the store's.
func (s *Shared) Offset() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.offset
}
