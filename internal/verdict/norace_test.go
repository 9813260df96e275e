//go:build !race

package verdict_test

const (
	following = tableFollowing // how many blocks follow the one in dispute
	perBug    = tableDraws     // how many fleets are drawn for each bug
)
