package evidence

import "github.com/prometheus/client_golang/prometheus"

// metrics counts evidence.
type metrics struct{ events *prometheus.CounterVec }

func newMetrics(r prometheus.Registerer, l *Log) *metrics {
	m := &metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "executionbackup_evidence_records_total",
		Help: "Cases and later records of evidence, by outcome: written, failed (the directory), " +
			"dropped (too many at once).",
	}, []string{"outcome"})}
	for _, outcome := range []string{"written", "failed", "dropped"} {
		m.events.WithLabelValues(outcome)
	}
	files := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "executionbackup_evidence_files",
		Help: "Files of evidence that are kept: one for each objected block.",
	}, func() float64 { return float64(len(l.Entries())) })
	bytes := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "executionbackup_evidence_bytes",
		Help: "Size of the files of evidence that are kept.",
	}, func() float64 {
		total := int64(0)
		for _, e := range l.Entries() {
			total += e.Size
		}
		return float64(total)
	})
	r.MustRegister(m.events, files, bytes)
	return m
}
