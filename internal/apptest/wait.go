package apptest

import (
	"errors"
	"testing"
	"time"

	"executionbackup/internal/enginetest"
)

// Patience is how long tests wait for what should happen soon. It is enough for a busy machine, and says nothing of how
// soon: a test that is about that measures the time, or gives Within a limit of its own.
const Patience = enginetest.Patience

// longestPause is the longest between two questions of Try.
const longestPause = 50 * time.Millisecond

// Until asks again and again until something holds, and returns how long that took. It fails the test if it doesn't
// hold within Patience.
func Until(t testing.TB, what string, holds func() bool) time.Duration {
	t.Helper()
	return Within(t, Patience, what, holds)
}

// Within is Until with another limit.
func Within(t testing.TB, limit time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	return Try(t, limit, func() error {
		if !holds() {
			return errors.New(what)
		}
		return nil
	})
}

// Try is Within for what says by itself why it doesn't hold yet: it tries until there is no error, and fails the test
// with the last one. It tries again soon at first, and later every longestPause.
func Try(t testing.TB, limit time.Duration, try func() error) time.Duration {
	t.Helper()
	begun := time.Now()
	for pause := time.Millisecond; ; pause = min(2*pause, longestPause) {
		err := try()
		took := time.Since(begun)
		if err == nil {
			return took
		}
		if took > limit {
			t.Fatalf("not within %v: %v", limit, err)
		}
		<-time.After(pause)
	}
}
