package node

import "executionbackup/internal/health"

// Electorate is what the nodes that may vote are together: it decides who of them does.
type Electorate struct{ Alive, Reachable bool }

// Add takes in a node in this state.
func (e *Electorate) Add(mayVote bool, s health.State) {
	e.Alive = e.Alive || mayVote && s == health.Alive
	e.Reachable = e.Reachable || mayVote && s != health.Dead
}

// Has reports whether a node in this state votes: the alive ones do, or the reachable ones where none is alive, or all where
// none can be reached.
func (e Electorate) Has(mayVote bool, s health.State) bool {
	return mayVote && (s == health.Alive || !e.Alive && (s != health.Dead || !e.Reachable))
}
