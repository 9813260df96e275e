//go:build !race

package bubble

const checks = "1000"
