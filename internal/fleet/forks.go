package fleet

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/forks"
)

// forkMetrics tells Prometheus of the nodes' forks at the moment it asks.
type forkMetrics struct{ fleet *Fleet }

var (
	nextForkDesc = prometheus.NewDesc("executionbackup_next_fork_seconds",
		"How long until the next fork that any node knows of. There is none where no node does.", nil, nil)
	nextForkInfoDesc = prometheus.NewDesc("executionbackup_next_fork_info",
		"Always 1; its label says which fork is next.", []string{"fork_id"}, nil)
	forkDifferenceDesc = prometheus.NewDesc("executionbackup_fork_config_difference",
		"1 for each field of a node's fork configuration that differs from that of most others.",
		[]string{"node", "field"}, nil)
	forkReadyDesc = nodeDesc("fork_ready", "1 where a node knows the next fork as it is known, 0 where it says "+
		"otherwise. There is none where it hasn't told.")
	forkKnownDesc = nodeDesc("fork_config_known", "1 where a node has told its present fork configuration.")
)

// Describe implements prometheus.Collector.
func (c forkMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		nextForkDesc, nextForkInfoDesc, forkDifferenceDesc, forkReadyDesc, forkKnownDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c forkMetrics) Collect(ch chan<- prometheus.Metric) {
	report, nodes := c.fleet.Pool.Forks(), c.fleet.Pool.Nodes()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	isNext := report.Next.State == forks.Known
	if isNext {
		gauge(nextForkDesc, max(0, report.Next.Until(time.Now()).Seconds()))
		gauge(nextForkInfoDesc, 1, report.Next.ForkID)
	}
	for i := range report.Nodes {
		nf := &report.Nodes[i]
		if !slices.Contains(nodes, nf.Node) { // it has been removed since
			continue
		}
		name := nf.Node.Name()
		gauge(forkKnownDesc, one(nf.Config.Current.State == forks.Known), name)
		if s := nf.Node.Status(); s.Drained {
			continue // it has been set aside: its forks concern nobody
		}
		if knows, known := nf.Knows(report.Next); isNext && known {
			gauge(forkReadyDesc, one(knows), name)
		}
		for _, d := range nf.Differences {
			gauge(forkDifferenceDesc, 1, name, d.Field)
		}
	}
}
