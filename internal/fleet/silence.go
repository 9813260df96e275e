package fleet

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// silence is the time since the CL last made a newPayload or forkchoiceUpdated, to us or, as far as we have heard, to
// the other instance of a pair: one that is passive for a reason isn't left alone. Safe for concurrent use.
type silence struct {
	mu    sync.Mutex
	since time.Time // the last call, or our start
}

// observe registers the metric. The silence begins now.
func (s *silence) observe(r prometheus.Registerer) {
	s.since = time.Now()
	promauto.With(r).NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: Namespace, Name: "silence_seconds",
		Help: "How long the consensus client has sent neither newPayload nor forkchoiceUpdated, to this instance or " +
			"to the other of its pair; since our start where it hasn't spoken yet.",
	}, func() float64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return time.Since(s.since).Seconds()
	})
}

// end notes a call.
func (s *silence) end(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = latest(s.since, at)
}
