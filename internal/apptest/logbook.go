package apptest

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Logbook keeps what is written to it, and lets a test wait for a line. Its zero value is ready to use. It is safe for
// concurrent use.
type Logbook struct {
	mu      sync.Mutex
	text    bytes.Buffer
	closed  bool
	changed chan struct{} // closed at the next change; nil while nobody waits for one
}

// Write takes more of the log.
func (l *Logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell()
	return l.text.Write(b)
}

// Close says that nothing more will come, so that nobody waits for it.
func (l *Logbook) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell()
	l.closed = true
	return nil
}

// tell wakes those who wait. The caller holds l.mu.
func (l *Logbook) tell() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// String is all that has been written.
func (l *Logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Lines returns the lines that contain all of the words.
func (l *Logbook) Lines(words ...string) (lines []string) {
	for line := range strings.Lines(l.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			lines = append(lines, line)
		}
	}
	return lines
}

// Wait returns once a line contains all of the words, and fails the test if none comes.
func (l *Logbook) Wait(t testing.TB, words ...string) {
	t.Helper()
	l.until(t, fmt.Sprintf("%q", words), func() bool { return len(l.Lines(words...)) > 0 })
}

// Match waits for a pattern and returns what its group matched, "" if it has none.
func (l *Logbook) Match(t testing.TB, pattern string) (group string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	l.until(t, pattern, func() bool {
		found := re.FindStringSubmatch(l.String())
		if len(found) > 1 {
			group = found[1]
		}
		return found != nil
	})
	return group
}

// URL waits for an ExecutionBackup to say where it listens.
func (l *Logbook) URL(t testing.TB) string {
	t.Helper()
	return "http://" + l.Match(t, `msg=listening address=(\S+)`)
}

// until returns once the log has something.
func (l *Logbook) until(t testing.TB, what string, has func() bool) {
	t.Helper()
	timeout := time.After(Patience)
	for {
		closed, changed := l.next() // before the look, so that nothing is missed that comes after it
		if has() {
			return
		}
		if closed {
			t.Fatalf("it ended without %s: %s", what, l)
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("not logged within %v: %s: %s", Patience, what, l)
		}
	}
}

// next is closed at the next change, unless the log has been closed.
func (l *Logbook) next() (closed bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.closed, l.changed
}
