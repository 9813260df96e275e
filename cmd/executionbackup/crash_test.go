//go:build unix

package main

import (
	"os"
	"testing"
	"time"

	"executionbackup/internal/crashtest"
)

// What outlives a kill -9. The whole of it is in e2e/hostile.
func TestCrashes(t *testing.T) {
	crashtest.Run(t, crashtest.Options{
		Command: []string{os.Args[0]}, Env: []string{runMain, "EXECUTIONBACKUP_LISTEN_ADDR=127.0.0.1"},
		Slots: 30, Kills: 12, Seed: uint64(time.Now().UnixNano()),
	})
}
