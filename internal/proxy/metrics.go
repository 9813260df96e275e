package proxy

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/engine"
	"executionbackup/internal/node"
)

// Metrics counts what the CL was told, and why.
type Metrics struct {
	inFlight       prometheus.Gauge
	verdicts       *prometheus.HistogramVec
	slowest        *prometheus.HistogramVec
	disputes       *prometheus.CounterVec
	lateObjections prometheus.Counter
	hashChecks     *prometheus.CounterVec
	unknown        *prometheus.CounterVec
	replays        *prometheus.CounterVec
	builds         prometheus.Counter
	proposals      *prometheus.CounterVec
	proposalValue  prometheus.Gauge
	gain           prometheus.Counter
	offers         *prometheus.GaugeVec
	candidates     *prometheus.CounterVec
	blobRequests   prometheus.Counter
	blobs          *prometheus.CounterVec
	blobsMerged    prometheus.Counter
}

// NewMetrics registers the metrics of a proxy.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		inFlight: gauge("requests_in_flight", "HTTP requests of consensus clients that are being answered."),
		verdicts: durations("verdict_duration_seconds", "Time until the consensus client had its verdict, by method family and status (error: there was none).",
			"method", "status"),
		slowest: durations("slowest_reply_duration_seconds", "Time until the last node had answered or failed, by method family: what the consensus client would have waited for all.",
			"method"),
		disputes: counters("disputes_total", "Calls in which the votes of nodes conflicted, by method family; GetPayload: an objection to a payload before it is proposed.",
			"method", "NewPayload", "ForkchoiceUpdated", "GetPayload"),
		lateObjections: counter("late_objections_total", "INVALID votes that came after the consensus client had another answer."),
		hashChecks: counters("hash_checks_total", "Payloads whose block hash was checked without a node, by outcome: match, invalid, skipped (a version or field that we don't know).",
			"outcome", "match", "invalid", "skipped"),
		unknown: counters("unknown_statuses_total", "Statuses of a fork to come, which count as SYNCING, by word (other: one that we have never heard of).",
			"word", append(statusWords[:], "other")...),
		replays: counters("replays_total", "Times that a node was brought up to the head with kept payloads, by outcome: success or failed.",
			"outcome", "success", "failed"),
		builds: counter("builds_total", "Builds that consensus clients began: forkchoiceUpdated calls that they got a payload id for."),
		proposals: counters("proposals_total", "Payloads asked for, by outcome: best, wrong_fee_recipient, doubtful (all were), none.",
			"outcome", "best", "wrong_fee_recipient", "doubtful", "none"),
		proposalValue: gauge("proposal_value_eth", "Value of the last payload that was proposed."),
		gain:          counter("proposal_gain_eth_total", "What proposals were worth more than the primary's own payloads."),
		offers: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + "node_payload_value_eth", Help: "Value of the last payload that a node built."},
			[]string{"node"}),
		candidates: prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + "candidates_total",
			Help: "What became of the payloads that nodes were asked for, by node and outcome: taken, outbid, out (not what was asked for, or objected to), wrong_fee_recipient, none (no payload).",
		}, []string{"node", "outcome"}),
		blobRequests: counter("blob_requests_total", "Calls for blobs (getBlobs) that were answered."),
		blobs:        counters("blobs_total", "Blobs that a consensus client asked for, by outcome: found or missing.", "outcome", "found", "missing"),
		blobsMerged:  counter("blob_answers_merged_total", "Answers with blobs that were put together from several nodes'."),
	}
	r.MustRegister(m.inFlight, m.verdicts, m.slowest, m.disputes, m.lateObjections, m.hashChecks, m.unknown, m.replays)
	r.MustRegister(m.builds, m.proposals, m.proposalValue, m.gain, m.offers, m.candidates, m.blobRequests, m.blobs, m.blobsMerged)
	return m
}

const prefix = "executionbackup_"

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + name, Help: help})
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
}

// counters is a counter with one label. All of its values are there from the start: an alert that looks for an increase
// would miss the first event otherwise.
func counters(name, help, label string, values ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, []string{label})
	for _, v := range values {
		c.WithLabelValues(v)
	}
	return c
}

// durations is a histogram from 1 ms to a CL's patience.
func durations(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: prefix + name, Help: help, Buckets: node.CallBuckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}, labels)
}

// forget drops the metrics under a name that is no node's any more.
func (m *Metrics) forget(name string) {
	is := prometheus.Labels{"node": name}
	m.offers.DeletePartialMatch(is)
	m.candidates.DeletePartialMatch(is)
}

// ended notes that every node has answered a call, or failed.
func (m *Metrics) ended(f engine.Family, took time.Duration) {
	m.slowest.WithLabelValues(f.String()).Observe(took.Seconds())
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

// statusWords bounds the labels of statuses that we don't know: what comes after these is counted together.
var statusWords = [...]string{"MISSING_STATE", "INCLUSION_LIST_UNSATISFIED"}

func (m *Metrics) unknownStatus(word string) {
	if !slices.Contains(statusWords[:], word) {
		word = "other"
	}
	m.unknown.WithLabelValues(word).Inc()
}

// answeredBlobs counts what an answer to getBlobs has.
func (m *Metrics) answeredBlobs(l *listing) {
	m.blobRequests.Inc()
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
