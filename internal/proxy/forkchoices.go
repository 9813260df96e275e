package proxy

// forkchoices tells each forkchoiceUpdated when another waits behind it. Its owner guards it.
type forkchoices struct{ last chan struct{} }

// next is the turn of another one: the channel of the one before it is closed, and its own returned.
func (f *forkchoices) next() <-chan struct{} {
	if f.last != nil {
		close(f.last)
	}
	f.last = make(chan struct{})
	return f.last
}
