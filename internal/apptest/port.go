package apptest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

var givenPorts sync.Map // by FreePort

// FreePort is a port of 127.0.0.1 that nobody has now, another one at each call. It is below those that systems give
// out by themselves: nothing takes it while its owner is down for a while.
func FreePort(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(10_000 + rand.IntN(10_000))
		if _, given := givenPorts.LoadOrStore(port, true); given {
			continue
		}
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}
