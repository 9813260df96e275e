package fleet

// ReviewPair is reviewPair, for tests in which nobody runs Keep.
func (f *Fleet) ReviewPair() { f.reviewPair() }

// Sent returns how many records are remembered as shared.
func (f *Fleet) Sent() int {
	f.saver.mu.Lock()
	defer f.saver.mu.Unlock()
	return len(f.saver.sent)
}
