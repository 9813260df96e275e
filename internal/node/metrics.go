package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"executionbackup/internal/engine"
	"executionbackup/internal/wire"
)

// Metrics counts the calls to nodes.
type Metrics struct {
	calls    *prometheus.HistogramVec
	statuses *prometheus.CounterVec
}

// callBuckets fit what a call may take, in seconds: from 1 ms to a CL's patience.
var callBuckets = []float64{.001, .002, .005, .01, .02, .05, .1, .2, .3, .5, .75, 1, 1.5, 2, 3, 4, 6, 8}

// Durations registers a histogram from 1 ms to a CL's patience, in seconds.
func Durations(r prometheus.Registerer, name, help string, labels ...string) *prometheus.HistogramVec {
	return promauto.With(r).NewHistogramVec(prometheus.HistogramOpts{
		Name:                            "executionbackup_" + name,
		Help:                            help,
		Buckets:                         callBuckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, labels)
}

// NewMetrics registers the metrics of a pool.
func NewMetrics(r prometheus.Registerer) *Metrics {
	return &Metrics{
		calls: Durations(r, "node_call_duration_seconds",
			"Time that nodes took over calls, by node, method family and outcome.", "node", "method", "outcome"),
		statuses: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
			Name: "executionbackup_node_statuses_total",
			Help: "Payload statuses that nodes answered with, by node, method family and status.",
		}, []string{"node", "method", "status"}),
	}
}

// called counts a call to a node.
func (m *Metrics) called(n *Node, f engine.Family, failure *wire.Failure, took time.Duration) {
	outcome := "answer"
	if failure != nil {
		outcome = failure.Kind.String()
	}
	n.Count(func() { m.calls.WithLabelValues(n.Name(), f.String(), outcome).Observe(took.Seconds()) })
}

// Said counts a payload status.
func (n *Node) Said(f engine.Family, s engine.Status) {
	n.Count(func() { n.pool.Metrics.statuses.WithLabelValues(n.Name(), f.String(), s.String()).Inc() })
}

// Count calls do, which counts something of the node, unless the node has been removed: then its metrics are gone, and
// a call that is still under way must not bring them back.
func (n *Node) Count(do func()) {
	n.counting.RLock()
	defer n.counting.RUnlock()
	if !n.removed {
		do()
	}
}

// forget drops the metrics under a name that is no node's any more.
func (m *Metrics) forget(name string) {
	is := prometheus.Labels{"node": name}
	m.calls.DeletePartialMatch(is)
	m.statuses.DeletePartialMatch(is)
}
