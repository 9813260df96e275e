package state

import "github.com/prometheus/client_golang/prometheus"

// fileMetrics tell how a File is.
type fileMetrics struct {
	bytes    prometheus.Gauge
	failures prometheus.Counter
	writes   prometheus.Histogram
}

func newFileMetrics(r prometheus.Registerer, f *File) *fileMetrics {
	m := &fileMetrics{
		bytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "executionbackup_state_bytes",
			Help: "Size of the log in the state directory.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "executionbackup_state_failures_total",
			Help: "Attempts to open, write or sync the state directory that failed, and records that were refused.",
		}),
		writes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "executionbackup_state_write_duration_seconds",
			Help:    "How long it took until changes of the state were on disk: a write and its fsync.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12), // to 1 s
		}),
	}
	degraded := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "executionbackup_state_degraded",
		Help: "1 while state isn't kept in the state directory, so that disputes would not outlive a restart.",
	}, func() float64 {
		if f.Degraded() != "" {
			return 1
		}
		return 0
	})
	if r != nil {
		r.MustRegister(m.bytes, m.failures, m.writes, degraded)
	}
	return m
}
