package app

import (
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/auth"
	"executionbackup/internal/overview"
	"executionbackup/internal/webhook"
)

// newWebhook returns who tells --webhook-url what the source has, and names us as Prometheus would: by host and port.
func (a *App) newWebhook(source *overview.Source, r prometheus.Registerer) *webhook.Webhook {
	address := a.AdminAddr().String()
	instance, page := webhook.Instance(address), "http://"+address
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().IsUnspecified() {
		page = "http://" + instance
	}
	if a.started.TLSCertFile != "" {
		page = "https" + page[len("http"):]
	}
	return webhook.New(webhook.Options{
		URL:    func() auth.URL { return a.config.Load().Webhook },
		Alerts: func(now time.Time) []overview.Alert { return overview.Alerts(source.State(now), instance) },
		Page:   page, Version: a.started.Version, Metrics: r, Log: a.log,
	})
}
