//go:build race

package verdict_test

// Under the race detector all takes ten times as long. A few blocks and fleets show a race, if there is one; the tables
// aren't compared then.
const (
	following = 12
	perBug    = 20
)
