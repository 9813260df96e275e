package state

import "slices"

// waiter is somebody who waits until a change is where he wants it.
type waiter struct {
	change uint64
	want   Want
	done   chan struct{}
}

// Want says how far a change is to come before its Put is done.
type Want uint8

const (
	Soon    Want = iota // nobody waits
	Written             // handed to the operating system: it outlives us, but no power cut
	Synced              // on disk
)

// closed is for who needn't wait.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Overdue says that somebody has waited too long for a Put: we are degraded until a write has gone through again.
func (f *File) Overdue() {
	if f.Degraded() == "" {
		f.degrade("a write takes too long")
		f.nudge()
	}
}

// Degraded says why records aren't kept at the moment. It is "" where they are.
func (f *File) Degraded() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.degraded
}

// degrade gives up keeping records until all of them have been written again, and lets go whoever waits.
func (f *File) degrade(reason string) {
	f.mu.Lock()
	first := f.degraded == ""
	f.degraded, f.whole, f.queue = reason, true, nil
	for _, w := range f.waiters {
		close(w.done)
	}
	f.waiters = nil
	f.mu.Unlock()
	if first {
		f.log.Error("state isn't kept: disputes would not outlive a restart", "dir", f.dir, "reason", reason)
	}
}

// recovered notes that a turn went well. Whoever degraded us in the meantime wants another one.
func (f *File) recovered() {
	f.mu.Lock()
	again := f.degraded != "" && !f.whole
	if again {
		f.degraded = ""
	}
	f.mu.Unlock()
	if again {
		f.log.Info("state is kept again", "dir", f.dir)
	}
}

// reach lets go those whose changes, up to this one, are where they want them.
func (f *File) reach(want Want, change uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := Written; w <= want; w++ {
		f.reached[w] = max(f.reached[w], change)
	}
	f.waiters = slices.DeleteFunc(f.waiters, func(w waiter) bool {
		if f.reached[w.want] < w.change {
			return false
		}
		close(w.done)
		return true
	})
}
