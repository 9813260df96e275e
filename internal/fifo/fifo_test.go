package fifo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// text has the entries, oldest first, and checks that order and values are of the same keys.
func text(t *testing.T, m *Map[string, int]) (s string) {
	t.Helper()
	n := 0
	for k, v := range m.All() {
		s += fmt.Sprint(k, v, " ")
		if got, known := m.Get(k); got != v || !known {
			t.Errorf("%s is %d, %t, and %d among all", k, got, known, v)
		}
		n++
	}
	if n != m.Len() || len(m.values) != n {
		t.Errorf("%d of %d entries, %d values", n, m.Len(), len(m.values))
	}
	return s
}

func TestMap(t *testing.T) {
	m := new(Map[string, int])
	if k, v := m.Pop(); k != "" || v != 0 || m.Len() != 0 {
		t.Errorf("of none: %q, %d", k, v)
	}
	want := func(what, entries string) {
		t.Helper()
		if got := text(t, m); got != entries {
			t.Errorf("%s: got %q, want %q", what, got, entries)
		}
	}
	for i, k := range []string{"a", "b", "c", "d"} {
		m.Put(k, i)
	}
	m.Put("a", 7)
	want("a known key keeps its age", "a7 b1 c2 d3 ")
	m.Delete(func(k string, v int) bool { return k == "c" || v == 9 })
	want("one is taken out", "a7 b1 d3 ")
	m.Put("c", 4)
	want("it comes again", "a7 b1 d3 c4 ")
	if k, v := m.Pop(); k != "a" || v != 7 {
		t.Errorf("the oldest is %s%d", k, v)
	}
	m.Trim(2)
	want("two are left", "d3 c4 ")
	m.Trim(2)
	want("and stay", "d3 c4 ")
	if _, known := m.Get("b"); known {
		t.Error("b is known")
	}
}

// Whatever comes and goes, what is left is what a list would have.
func TestMapIsAList(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	m, list := new(Map[int, int]), []int{}
	for range 20000 {
		k := random.IntN(40)
		switch random.IntN(5) {
		case 0:
			m.Delete(func(at, _ int) bool { return at == k })
			list = slices.DeleteFunc(list, func(at int) bool { return at == k })
		case 1:
			m.Trim(10)
			list = list[max(0, len(list)-10):]
		default:
			m.Put(k, -k)
			if !slices.Contains(list, k) {
				list = append(list, k)
			}
		}
		var keys []int
		for k, v := range m.All() {
			if v != -k {
				t.Fatalf("%d has %d", k, v)
			}
			keys = append(keys, k)
		}
		if !slices.Equal(keys, list) {
			t.Fatalf("got %v, want %v", keys, list)
		}
	}
	if c := cap(m.order); c > 1000 {
		t.Errorf("room for %d keys", c)
	}
}
