package app

import (
	"log/slog"
	"sync"
	"time"
)

// refusals logs refused tokens, one in a while and how many there were between: whoever has no token must not fill a
// disk.
type refusals struct {
	log *slog.Logger

	mu     sync.Mutex
	logged time.Time
	silent int
}

const refusalInterval = time.Second

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
