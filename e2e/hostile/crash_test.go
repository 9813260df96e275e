//go:build e2e

package hostile

import (
	"testing"
	"time"

	"executionbackup/internal/crashtest"
)

// 200 kills, each up to 50 ms after an answer, in a script of 300 slots without a pause.
func TestCrashes(t *testing.T) {
	crashtest.Run(t, crashtest.Options{
		Command: []string{command}, Slots: 300, Kills: 200, Seed: uint64(time.Now().UnixNano()),
	})
}
