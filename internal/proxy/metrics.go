package proxy

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/engine"
)

// Metrics counts what the CL was told, and why.
type Metrics struct {
	inFlight       prometheus.Gauge
	verdicts       *prometheus.HistogramVec
	disputes       *prometheus.CounterVec
	lateObjections prometheus.Counter
	hashChecks     *prometheus.CounterVec
	replays        prometheus.Counter
	proposals      *prometheus.CounterVec
	proposalValue  prometheus.Gauge
	gain           prometheus.Counter
	offers         *prometheus.GaugeVec
	candidates     *prometheus.CounterVec
	blobs          *prometheus.CounterVec
	blobsMerged    prometheus.Counter
}

// NewMetrics registers the metrics of a proxy.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "executionbackup_requests_in_flight",
			Help: "HTTP requests of consensus clients that are being answered.",
		}),
		verdicts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                            "executionbackup_verdict_duration_seconds",
			Help:                            "Time until the consensus client had its verdict, by method family and status.",
			Buckets:                         []float64{.001, .002, .005, .01, .02, .05, .1, .2, .3, .5, .75, 1, 1.5, 2, 3, 4, 6, 8},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"method", "status"}),
		disputes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "executionbackup_disputes_total",
			Help: "Calls in which the votes of nodes conflicted, by method family.",
		}, []string{"method"}),
		lateObjections: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "executionbackup_late_objections_total",
			Help: "INVALID votes that came after the consensus client had another answer.",
		}),
		hashChecks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "executionbackup_hash_checks_total",
			Help: "Payloads whose block hash was checked without a node, by outcome.",
		}, []string{"outcome"}),
	}
	m.replays = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "executionbackup_replays_total",
		Help: "Times that a node was brought up to the head with kept payloads.",
	})
	m.proposals = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "executionbackup_proposals_total",
		Help: "Payloads asked for, by outcome: best, wrong_fee_recipient, doubtful (all were), none.",
	}, []string{"outcome"})
	m.proposalValue = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "executionbackup_proposal_value_eth",
		Help: "Value of the last payload that was proposed.",
	})
	m.gain = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "executionbackup_proposal_gain_eth_total",
		Help: "What proposals were worth more than the primary's own payloads.",
	})
	m.offers = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "executionbackup_node_payload_value_eth",
		Help: "Value of the last payload that a node built.",
	}, []string{"node"})
	m.candidates = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "executionbackup_candidates_total",
		Help: "What became of the payloads that nodes were asked for, by node and outcome: taken, outbid, out (not what was asked for, or objected to), wrong_fee_recipient, none (no payload).",
	}, []string{"node", "outcome"})
	m.blobs = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "executionbackup_blobs_total",
		Help: "Blobs that a consensus client asked for, by outcome: found or missing.",
	}, []string{"outcome"})
	m.blobsMerged = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "executionbackup_blob_answers_merged_total",
		Help: "Answers with blobs that were put together from several nodes'.",
	})
	r.MustRegister(m.blobs, m.blobsMerged)
	r.MustRegister(m.proposals, m.proposalValue, m.gain, m.offers, m.candidates)
	r.MustRegister(m.inFlight, m.verdicts, m.disputes, m.lateObjections, m.hashChecks, m.replays)
	return m
}

func (m *Metrics) decided(f engine.Family, s engine.Status, took time.Duration) {
	m.verdicts.WithLabelValues(f.String(), outcome(s)).Observe(took.Seconds())
}

func (m *Metrics) checked(r blockhash.Result) {
	outcome := "skipped"
	switch r.Outcome {
	case blockhash.Match:
		outcome = "match"
	case blockhash.Invalid:
		outcome = "invalid"
	}
	m.hashChecks.WithLabelValues(outcome).Inc()
}

// answeredBlobs counts what an answer to getBlobs has.
func (m *Metrics) answeredBlobs(l *listing) {
	found := 0
	for _, e := range l.merged {
		if !e.gap {
			found++
		}
	}
	m.blobs.WithLabelValues("found").Add(float64(found))
	m.blobs.WithLabelValues("missing").Add(float64(int(l.shape.size) - found))
	if _, single := l.source(); l.merged != nil && !single {
		m.blobsMerged.Inc()
	}
}
