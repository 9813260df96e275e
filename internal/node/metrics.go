package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/engine"
)

// Metrics counts the calls to nodes.
type Metrics struct {
	calls *prometheus.HistogramVec
}

// callBuckets fit what a call may take, in seconds: from 1 ms to a CL's patience.
var callBuckets = []float64{.001, .002, .005, .01, .02, .05, .1, .2, .3, .5, .75, 1, 1.5, 2, 3, 4, 6, 8}

// NewMetrics registers the metrics of a pool.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:                            "executionbackup_node_call_duration_seconds",
		Help:                            "Time that nodes took over calls, by node, method family and outcome.",
		Buckets:                         callBuckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{"node", "method", "outcome"})}
	r.MustRegister(m.calls)
	return m
}

func (m *Metrics) called(n *Node, f engine.Family, failure *Failure, took time.Duration) {
	outcome := "answer"
	if failure != nil {
		outcome = failure.Kind.String()
	}
	m.calls.WithLabelValues(n.Name(), f.String(), outcome).Observe(took.Seconds())
}
