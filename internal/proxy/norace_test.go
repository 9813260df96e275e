//go:build !race

package proxy

const checks = "1000"
