package proxy

import "sync"

// forkchoices tells each forkchoiceUpdated when another waits behind it. Safe for concurrent use.
type forkchoices struct {
	mu   sync.Mutex
	last chan struct{}
}

// next is the turn of another one: the channel of the one before it is closed, and its own returned.
func (f *forkchoices) next() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last != nil {
		close(f.last)
	}
	f.last = make(chan struct{})
	return f.last
}
