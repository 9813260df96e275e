package app

import (
	"cmp"
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"executionbackup/internal/config"
)

// metrics are those of the process as a whole.
type metrics struct {
	reloads     *prometheus.CounterVec
	lastReload  prometheus.Gauge   // whether it was good
	lastSuccess prometheus.Gauge   // when
	refused     prometheus.Counter // tokens of consensus clients
	noAdmin     prometheus.Counter // and of those who would change something
	changes     *prometheus.CounterVec
	policy      *prometheus.GaugeVec
}

// newMetrics registers them. The configuration that we start with counts as loaded.
func newMetrics(r prometheus.Registerer, c *config.Config) *metrics {
	m := &metrics{
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "executionbackup_config_reloads_total",
			Help: "Reloads of the configuration, by outcome: success or failure.",
		}, []string{"outcome"}),
		lastReload: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "executionbackup_config_last_reload_successful",
			Help: "1 where the last reload of the configuration was good, or there was none; " +
				"0 where an older one is still in force.",
		}),
		lastSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "executionbackup_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration in force was loaded.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "executionbackup_jwt_refused_total",
			Help: "Requests refused for their token.",
		}),
	}
	m.noAdmin = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "executionbackup_admin_refused_total",
		Help: "Requests of the REST API that were refused for their token, or because there is none.",
	})
	m.changes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "executionbackup_admin_changes_total",
		Help: "Changes that somebody with a token asked for over the REST API, by action and outcome: done or refused.",
	}, []string{"action", "outcome"})
	m.policy = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "executionbackup_policy_info",
		Help: "Always 1; its labels say how votes become a verdict.",
	}, []string{"on_dispute", "threshold", "vote_by", "min_valid"})
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "executionbackup_build_info",
		Help: "Always 1; its labels say which ExecutionBackup runs.",
		ConstLabels: prometheus.Labels{
			"version": cmp.Or(c.Version, "unknown"), "revision": cmp.Or(c.Revision, "unknown"),
			"goversion": runtime.Version(),
		},
	}, func() float64 { return 1 })
	r.MustRegister(m.reloads, m.lastReload, m.lastSuccess, m.refused, m.noAdmin, m.changes, m.policy, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, action := range []string{
		"add_nodes", "remove_nodes", "drain_nodes", "undrain_nodes", "clear_objections", "reload", "mode",
	} {
		m.changes.WithLabelValues(action, "done") // so that the first one is an increase
		m.changes.WithLabelValues(action, "refused")
	}
	m.reloads.WithLabelValues("failure")
	m.reloads.WithLabelValues("success")
	m.loaded(c)
	return m
}

// loaded notes that a configuration is in force.
func (m *metrics) loaded(c *config.Config) {
	m.policy.Reset()
	rules := settings(c)
	words := rules.ForEvidence(0)
	m.policy.WithLabelValues(words.OnDispute, words.Threshold, words.VoteBy, strconv.Itoa(words.MinValid)).Set(1)
	m.lastReload.Set(1)
	m.lastSuccess.SetToCurrentTime()
}

// reloaded notes that a reload put a configuration in force.
func (m *metrics) reloaded(c *config.Config) {
	m.reloads.WithLabelValues("success").Inc()
	m.loaded(c)
}

// notReloaded notes that a reload found one that is no good.
func (m *metrics) notReloaded() {
	m.reloads.WithLabelValues("failure").Inc()
	m.lastReload.Set(0)
}
