//go:build e2e

package live

import (
	"os"
	"syscall"
	"testing"
)

// locked does something alone on the machine: E2E_LOCK may name a file that whoever needs all of it locks with flock(1).
func locked(t testing.TB, do func()) {
	t.Helper()
	if path := os.Getenv("E2E_LOCK"); path != "" {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close() // unlocks
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
	}
	do()
}
