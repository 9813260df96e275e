package app

import (
	"cmp"
	"net"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/auth"
	"executionbackup/internal/overview"
	"executionbackup/internal/webhook"
)

// newWebhook returns who tells --webhook-url what the source has, and names us as Prometheus would: by host and port.
func (a *App) newWebhook(source *overview.Source, r prometheus.Registerer) *webhook.Webhook {
	host, port, _ := net.SplitHostPort(a.AdminAddr().String())
	instance := net.JoinHostPort(cmp.Or(source.Name, host), port)
	page := "http://" + a.AdminAddr().String()
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
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
