package state

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"
)

// Degraded says why the shared store is as good as absent now; "" where all is well.
func (s *Shared) Degraded() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.degraded
}

// degrade lets nobody wait any longer, until recover.
func (s *Shared) degrade(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.degraded == "" {
		s.o.Log.Warn("the shared state is degraded: the other instance knows less of us", "reason", reason)
	}
	s.degraded = reason
	s.settle()
}

// tooSlow is for an answer that is missing still.
func (s *Shared) tooSlow() {
	s.mu.Lock()
	s.slow = true
	known := s.degraded != ""
	s.mu.Unlock()
	if !known {
		s.degrade("no answer within " + s.times.slow.String())
	}
}

// recovered ends a degradation after a round in which all went well, and in time.
func (s *Shared) recovered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.degraded != "" && !s.slow {
		s.degraded = ""
		s.o.Log.Info("the shared state is in order again")
	}
}

// failed degrades for an error, unless it is only our own end.
func (s *Shared) failed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		s.degrade(reason(err))
	}
}

// reason says what an error means to an operator.
func reason(err error) string {
	var timeout net.Error
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer"
	case redis.HasErrorPrefix(err, "OOM"):
		return "full: writes are refused (maxmemory)"
	case redis.HasErrorPrefix(err, "READONLY"):
		return "writes are refused: it is a read-only replica"
	case errors.As(err, &op):
		return "can't be reached: " + op.Err.Error()
	}
	return err.Error()
}

// refuse counts a value that isn't ours, and says so once an episode: until there was none for ten minutes.
func (s *Shared) refuse(name string, err error) {
	s.metrics.refused.Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.refused) > 10*time.Minute {
		s.o.Log.Error("ignored what stands in the shared state: somebody else writes there",
			"key", s.space+name, "err", err)
	}
	s.refused = time.Now()
}

type sharedMetrics struct{ refused, losses prometheus.Counter }

func newSharedMetrics(r prometheus.Registerer, s *Shared) sharedMetrics {
	gauge := func(name, help string, value func() float64) {
		promauto.With(r).NewGaugeFunc(prometheus.GaugeOpts{Name: "executionbackup_shared_state_" + name, Help: help},
			func() float64 {
				s.mu.Lock()
				defer s.mu.Unlock()
				return value()
			})
	}
	gauge("degraded", "1 while the shared state is gone, slow, full, or lost what stood there.", func() float64 {
		if s.degraded != "" {
			return 1
		}
		return 0
	})
	gauge("pending", "Records that changed here and aren't in the shared state yet.",
		func() float64 { return float64(len(s.changed)) })
	gauge("records", "Records that are kept alive in the shared state by this instance.",
		func() float64 { return float64(len(s.held)) })
	gauge("peers", "Other instances whose marker stands in the shared state.",
		func() float64 { return float64(s.peers) })
	counter := func(name, help string) prometheus.Counter {
		return promauto.With(r).NewCounter(
			prometheus.CounterOpts{Name: "executionbackup_shared_state_" + name + "_total", Help: help})
	}
	return sharedMetrics{
		refused: counter("refused", "Values in the shared state that were ignored: forged, or of another secret."),
		losses: counter("losses",
			"How often the shared state was flushed, restarted, failed over or evicted records, and was written anew."),
	}
}
