//go:build race

package bubble

// Under the race detector a stream takes ten times as long. Races show in a few of them.
const checks = "100"
