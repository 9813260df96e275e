package fleet

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Namespace is before the name of every metric of ours.
const Namespace = "executionbackup"

// Outcomes registers a counter by one label, all of whose values are there from the start: an alert that looks for an
// increase would miss the first event otherwise.
func Outcomes(r prometheus.Registerer, name, help, label string, values ...string) *prometheus.CounterVec {
	opts := prometheus.CounterOpts{Namespace: Namespace, Name: name, Help: help}
	c := promauto.With(r).NewCounterVec(opts, []string{label})
	for _, v := range values {
		c.WithLabelValues(v)
	}
	return c
}
