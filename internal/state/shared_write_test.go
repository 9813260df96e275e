package state

import (
	"fmt"
	"testing"
)

// offline returns an instance that has entered the chain, and a server that nobody has started.
func offline(t *testing.T) *instance {
	t.Helper()
	i := newInstance(t, "redis://127.0.0.1:1", "a", nil)
	t.Cleanup(func() { i.client.Close() })
	i.Enter("1", "0xgenesis")
	i.Shared.enter()
	return i
}

// TestChangesGoFirst writes what changed before what is only renewed, and neither in one piece.
func TestChangesGoFirst(t *testing.T) {
	i := offline(t)
	for n := range 1000 {
		key := fmt.Sprint("old", n)
		i.held[key] = Record{1, []byte("v")}
		i.view.again[key] = struct{}{}
	}
	i.Put(Records{"new": {1, []byte("v")}, "gone": {1, []byte("v")}})
	i.Put(Records{"gone": {}})
	picked := i.pick()
	if _, is := picked["new"]; !is || len(picked) != batch {
		t.Errorf("picked %d records, the new one among them: %v", len(picked), is)
	}
	for n := range 5 {
		i.Put(Records{fmt.Sprint("large", n): {1, make([]byte, maxValue)}})
	}
	if picked = i.pick(); len(picked) > 3 {
		t.Errorf("picked %d records of a megabyte", len(picked))
	}
}

// TestStubbornForger writes over a forged value once, and over another that stands there then when it's time to look.
func TestStubbornForger(t *testing.T) {
	i := offline(t)
	done := i.Put(Records{"k": {1, []byte("v")}})
	i.view.again["k"] = struct{}{}
	i.opposed("k", "forged", nil)
	if picked := i.pick(); len(picked) != 1 || i.view.forged["k"] != "forged" {
		t.Errorf("after the first: %v, over %q", picked, i.view.forged["k"])
	}
	select {
	case <-done:
		t.Error("the caller waits no longer")
	default:
	}
	i.opposed("k", "forged anew", nil)
	if picked := i.pick(); len(picked) != 0 || i.view.forged["k"] != "forged anew" {
		t.Errorf("after the second: %v, over %q", picked, i.view.forged["k"])
	}
	<-done
	i.renewals()
	if picked := i.pick(); len(picked) != 1 {
		t.Errorf("at the next look: %v", picked)
	}
}
