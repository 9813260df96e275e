package app

import (
	"log/slog"
	"sync"
	"time"
)

// refusals logs refused tokens: one in each interval at most, with how many others there were. Whoever has no token
// must not fill a disk. Safe for concurrent use.
type refusals struct {
	log *slog.Logger

	mu     sync.Mutex // guards what follows
	logged time.Time  // when a refusal was last logged
	silent int        // how many weren't logged since then
}

// refusalInterval is how long after a refusal that was logged none is.
const refusalInterval = time.Second

// add logs a refusal, unless one was logged just now.
func (r *refusals) add(reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.logged) < refusalInterval {
		r.silent++
		return
	}
	r.log.Warn("token refused", "reason", reason, "not_logged", r.silent)
	r.logged, r.silent = time.Now(), 0
}
