package budget

import (
	"math"
	"sync"
	"testing"
)

func TestBudget(t *testing.T) {
	b := New(10)
	for _, step := range []struct {
		take int64
		ok   bool
		used int64
	}{{10, true, 10}, {1, false, 10}, {0, true, 10}, {math.MaxInt64, false, 10}} {
		if ok := b.Take(step.take); ok != step.ok || b.Used() != step.used {
			t.Errorf("take %d: %t, used %d", step.take, ok, b.Used())
		}
	}
	b.Give(4)
	if !b.Take(4) || b.Take(1) || new(Budget).Take(1) {
		t.Error("the room isn't what was given back")
	}
}

// However many take at once, no more is taken than there is.
func TestBudgetConcurrently(t *testing.T) {
	b := New(100)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10_000 {
				if b.Take(30) {
					if b.Used() > 100 {
						t.Error("more than there is")
					}
					b.Give(30)
				}
			}
		})
	}
	all.Wait()
	if b.Used() != 0 {
		t.Errorf("%d bytes are left", b.Used())
	}
}
