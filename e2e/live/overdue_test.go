//go:build e2e

package live

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

// overdueMetric counts the VALID verdicts of newPayload that went out later than the slot's clock allows, though VALID
// had its quorum in time. It begins at 0 with every process.
const overdueMetric = "executionbackup_overdue_verdicts_total"

// tally is a counter of ExecutionBackup over all of its processes.
type tally struct {
	mu    sync.Mutex
	lives map[int]float64 // by the number of the process: the counter, as it was read last
}

// note keeps what a process's counter is.
func (c *tally) note(life int, value float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lives == nil {
		c.lives = map[int]float64{}
	}
	c.lives[life] = max(c.lives[life], value)
}

// total is how much has been counted in all lives.
func (c *tally) total() (sum float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, value := range c.lives {
		sum += value
	}
	return sum
}

// readOverdue brings the tally of overdue verdicts up to date.
func (m *multiplexer) readOverdue() error {
	ctx, cancel := limited()
	defer cancel()
	_, life := m.current()
	value, err := m.ReadMetric(ctx, overdueMetric)
	if err != nil {
		return err
	}
	if _, now := m.current(); now == life { // else nobody knows whose it was; it will be read again
		m.overdue.note(life, value)
	}
	return nil
}

// wantOverdue fails the test where there is no such counter: what isn't counted looks like none.
func (m *multiplexer) wantOverdue(t testing.TB) {
	t.Helper()
	got := m.REST(t, http.MethodGet, "/metrics?format=prometheus", "")
	if !strings.Contains(got.Body, "\n# TYPE "+overdueMetric+" counter\n") {
		t.Fatalf("ExecutionBackup has no counter %s", overdueMetric)
	}
}
