package app

import (
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/admin"
	"executionbackup/internal/auth"
	"executionbackup/internal/engine"
	"executionbackup/internal/overview"
)

// audit logs and counts a change that somebody asked for over the REST API, whatever became of it.
func (a *App) audit(c admin.Change) {
	outcome := "done"
	args := []any{"action", c.Action, "nodes", c.Nodes, "from", c.From, "outcome"}
	if c.Mode != "" {
		args = slices.Insert(args, 2, any("mode"), any(c.Mode))
	}
	if c.Err != nil {
		outcome = "refused"
		args = append(args, outcome, "error", engine.Excerpt(auth.Redact(c.Err.Error())))
	} else {
		args = append(args, outcome)
	}
	a.metrics.changes.WithLabelValues(c.Action, outcome).Inc()
	a.log.Info("change asked for", args...)
}

// refusals counts refused requests and logs them: one in each interval at most, with how many others there were.
// Whoever has no token must not fill a disk. Safe for concurrent use.
type refusals struct {
	log   *slog.Logger
	text  string // of the log line
	count prometheus.Counter

	mu     sync.Mutex // guards what follows
	logged time.Time  // when a refusal was last logged
	silent int        // how many weren't logged since then
	last   overview.Refusals
}

// refusalInterval is how long after a refusal that was logged none is.
const refusalInterval = time.Second

// tell returns what there is to tell of them.
func (r *refusals) tell() overview.Refusals {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// add counts a refusal and logs it, unless one was logged just now.
func (r *refusals) add(req *http.Request, reason error) {
	r.count.Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last.Count++
	r.last.Time, r.last.From, r.last.Reason = time.Now(), req.RemoteAddr, reason.Error()
	if time.Since(r.logged) < refusalInterval {
		r.silent++
		return
	}
	r.log.Warn(r.text, "from", req.RemoteAddr, "reason", reason, "not_logged", r.silent)
	r.logged, r.silent = time.Now(), 0
}
