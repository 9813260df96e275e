//go:build race

package verdict_test

// Under the race detector a fleet takes ten times as long. Few of them show a race, if there is one.
const perBug = 20
