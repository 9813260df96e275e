// Package budget bounds how many bytes may be in memory for one purpose.
package budget

import "sync/atomic"

// Budget is a sum of bytes with a bound. The zero value has no room. Safe for concurrent use.
type Budget struct {
	used atomic.Int64
	max  int64
}

// New returns an empty budget of max bytes.
func New(max int64) *Budget { return &Budget{max: max} }

// Take takes n bytes, or nothing where there is no room for them.
func (b *Budget) Take(n int64) bool {
	for {
		used := b.used.Load()
		if n > b.max-used {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// Give gives n taken bytes back.
func (b *Budget) Give(n int64) { b.used.Add(-n) }

// Used is how many bytes are taken.
func (b *Budget) Used() int64 { return b.used.Load() }

// Max is the bound.
func (b *Budget) Max() int64 { return b.max }
