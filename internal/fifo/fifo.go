// Package fifo has a map that knows the age of its entries: for what is bounded, and of which the oldest goes first.
package fifo

import (
	"iter"
	"slices"
)

// Map is a map whose keys are in the order in which they came. The zero value is empty. It has no bound of its own: its
// owner takes out what is too much. Not safe for concurrent use.
type Map[K comparable, V any] struct {
	values map[K]V
	order  []K // oldest first
}

// Len returns how many entries there are.
func (m *Map[K, V]) Len() int { return len(m.order) }

// Get returns the value of a key, and whether there is one.
func (m *Map[K, V]) Get(k K) (v V, known bool) {
	v, known = m.values[k]
	return v, known
}

// Put sets the value of a key. A new one is the youngest; one that is known keeps its age.
func (m *Map[K, V]) Put(k K, v V) {
	if m.values == nil {
		m.values = make(map[K]V)
	}
	if _, known := m.values[k]; !known {
		m.order = append(m.order, k)
	}
	m.values[k] = v
}

// Pop takes out the oldest entry and returns it; zero values where there is none.
func (m *Map[K, V]) Pop() (k K, v V) {
	if len(m.order) == 0 {
		return k, v
	}
	k, m.order = m.order[0], m.order[1:]
	v = m.values[k]
	delete(m.values, k)
	return k, v
}

// Trim takes out the oldest entries until no more than max are left.
func (m *Map[K, V]) Trim(max int) {
	for m.Len() > max {
		m.Pop()
	}
}

// Delete takes out the entries for which is holds. It looks at all of them.
func (m *Map[K, V]) Delete(is func(K, V) bool) {
	m.order = slices.DeleteFunc(m.order, func(k K) bool {
		gone := is(k, m.values[k])
		if gone {
			delete(m.values, k)
		}
		return gone
	})
}

// All returns the entries, oldest first. They are not to be changed meanwhile.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, k := range m.order {
			if !yield(k, m.values[k]) {
				return
			}
		}
	}
}
