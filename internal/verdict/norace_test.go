//go:build !race

package verdict_test

// perBug is how many fleets are drawn for each bug.
const perBug = tableDraws
