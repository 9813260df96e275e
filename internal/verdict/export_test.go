package verdict

// Checks has a place for each payload that may be checked at once.
func (b *Bench) Checks() chan struct{} { return b.checks }
