package verdict

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/node"
)

// metrics count what the CL was told, and why.
type metrics struct {
	verdicts   *prometheus.HistogramVec
	slowest    *prometheus.HistogramVec
	hashChecks *prometheus.CounterVec
	unknown    *prometheus.CounterVec
	asked      prometheus.Histogram // when in the slot
	answered   prometheus.Histogram // when in the slot
	overdue    prometheus.Counter
	offset     prometheus.Gauge
	builds     prometheus.Counter
	triedVotes *prometheus.CounterVec
}

// newMetrics registers the metrics of a bench.
func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		verdicts: node.Durations(r, "verdict_duration_seconds",
			"Time until the consensus client had its verdict, by method family and status (error: there was none).",
			"method", "status"),
		slowest: node.Durations(r, "slowest_reply_duration_seconds",
			"Time until the last node had answered or failed, by method family: "+
				"what the consensus client would have waited for all.",
			"method"),
		asked: slotTimes(r, "payload_slot_seconds",
			"When in a payload's slot the consensus client sent newPayload: what its network took, and it itself."),
		answered: slotTimes(r, "verdict_slot_seconds",
			"When in a payload's slot the consensus client had its answer to newPayload."),
		overdue: promauto.With(r).NewCounter(prometheus.CounterOpts{
			Namespace: fleet.Namespace, Name: "overdue_verdicts_total",
			Help: "VALID to newPayload after --attest-by, later than the waiting rules want it, though VALID had its " +
				"quorum before.",
		}),
		offset: promauto.With(r).NewGauge(prometheus.GaugeOpts{
			Namespace: fleet.Namespace, Name: "clock_offset_seconds",
			Help: "How far our clock is behind, negative, where payloads keep coming from the future; else 0.",
		}),
		hashChecks: fleet.Outcomes(r, "hash_checks_total",
			"Payloads whose block hash was checked without a node, by outcome: match, invalid, "+
				"skipped (a version or field that we don't know).",
			"outcome", "match", "invalid", "skipped"),
		unknown: fleet.Outcomes(r, "unknown_statuses_total",
			"Statuses of a fork to come, which count as SYNCING, by word (other: one that we have never heard of).",
			"word", append(statusWords[:], "other")...),
		builds: promauto.With(r).NewCounter(prometheus.CounterOpts{
			Namespace: fleet.Namespace, Name: "builds_total",
			Help: "Builds that consensus clients began: forkchoiceUpdated calls that they got a payload id for.",
		}),
		triedVotes: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
			Namespace: fleet.Namespace, Name: "shadow_votes_total",
			Help: "VALIDs and INVALIDs of nodes that are tried (#shadow), which have no vote, by what they said and " +
				"what the consensus client heard of us.",
		}, []string{"node", "status", "verdict"}),
	}
	// The first INVALID ever is an increase, which an alert sees, only where there was a 0 before.
	for _, s := range []engine.Status{engine.Valid, engine.Invalid} {
		m.verdicts.WithLabelValues(engine.NewPayload.String(), s.String())
	}
	return m
}

// slotBuckets are times in a slot, in seconds: fine where attestations are due.
var slotBuckets = append(prometheus.LinearBuckets(.25, .25, 16), 5, 6, 8, 12, 24)

// slotTimes registers a histogram of times in a slot, in seconds.
func slotTimes(r prometheus.Registerer, name, help string) prometheus.Histogram {
	return promauto.With(r).NewHistogram(prometheus.HistogramOpts{
		Namespace: fleet.Namespace, Name: name, Help: help, Buckets: slotBuckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	})
}

// ended notes that every node has answered a call, or failed.
func (m *metrics) ended(f engine.Family, took time.Duration) {
	m.slowest.WithLabelValues(f.String()).Observe(took.Seconds())
}

// decided notes what the CL heard, and how long after its call.
func (m *metrics) decided(f engine.Family, s engine.Status, took time.Duration) {
	m.verdicts.WithLabelValues(f.String(), heard(s)).Observe(took.Seconds())
}

// tried counts what a node said that is tried, beside what the CL heard.
func (m *metrics) tried(name string, said, ours engine.Status) {
	m.triedVotes.WithLabelValues(name, said.String(), heard(ours)).Inc()
}

// checked counts a check of a payload's content.
func (m *metrics) checked(r blockhash.Result) {
	m.hashChecks.WithLabelValues(r.Outcome.String()).Inc()
}

// statusWords bounds the labels of statuses that we don't know: what comes after these is counted together.
var statusWords = [...]string{"MISSING_STATE", "INCLUSION_LIST_UNSATISFIED"}

// unknownStatus counts a status that we don't know.
func (m *metrics) unknownStatus(word string) {
	if !slices.Contains(statusWords[:], word) {
		word = "other"
	}
	m.unknown.WithLabelValues(word).Inc()
}
