package apptest

import (
	"sync"
	"sync/atomic"
	"testing"
)

// CallOn makes a call again and again, of which none may fail. done returns when one has been answered that was begun
// after it; it is called at the end of the test at the latest.
func CallOn(t testing.TB, call func() error) (done func()) {
	var over atomic.Bool
	var calling sync.WaitGroup
	calling.Go(func() {
		for last := false; !last; {
			last = over.Load()
			if err := call(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	done = func() { over.Store(true); calling.Wait() }
	t.Cleanup(done)
	return done
}
