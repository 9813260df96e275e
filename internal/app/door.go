package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/admin"
	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/dashboard"
	"executionbackup/internal/front"
	"executionbackup/internal/overview"
	"executionbackup/internal/proxy"
)

// door is a port of ours with what answers there.
type door struct {
	*front.Listener
	server *front.Server
	done   chan struct{} // closed when no connection is accepted any more
	// failure is why that is so, where nobody closed it. It is good from then on.
	failure error
}

// serve serves until the door is closed, or fails.
func (d *door) serve() {
	defer close(d.done)
	if err := d.server.Run(); err != nil {
		d.failure = fmt.Errorf("serve %s: %w", d.Addr(), err)
	}
}

// closed closes the door: no connection is accepted any more when it returns. Those that are open stay.
func (d *door) closed() {
	d.Close()
	<-d.done
}

// end waits lastRest for the requests in flight, and closes the connections.
func (d *door) end(ctx context.Context, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, lastRest)
	defer cancel()
	if err := d.server.Shutdown(ctx); err != nil {
		log.Warn("requests in flight were cut off", "error", err)
		d.server.Close()
	}
}

// doors are all that are there.
func (a *App) doors() []*door {
	if a.admin == nil {
		return []*door{a.calls}
	}
	return []*door{a.calls, a.admin}
}

// adminDoor is where the page, metrics and the REST API are.
func (a *App) adminDoor() *door {
	if a.admin == nil {
		return a.calls
	}
	return a.admin
}

// listen listens where we are told to. At the consensus client's address somebody else may do that for us.
func (a *App) listen(o Options) error {
	address := net.JoinHostPort(o.Config.ListenAddr, strconv.Itoa(o.Config.Port))
	l := o.Listener
	if l == nil {
		var err error
		if l, err = listenAt(address); err != nil {
			return fmt.Errorf("%w: choose another address with --listen-addr and --port", err)
		}
	} else if actual := l.Addr().String(); actual != address {
		o.Log.Warn("listen-addr and port are not used: a socket was passed on to us", "address", actual, "not", address)
	}
	a.calls = &door{Listener: a.front.Listen(l), done: make(chan struct{})}
	if o.Config.AdminAddr == "" {
		return nil
	}
	l, err := listenAt(o.Config.AdminAddr)
	if err != nil {
		a.close()
		return fmt.Errorf("--admin-addr: %w", err)
	}
	a.admin = &door{Listener: a.front.ListenAdmin(l), done: make(chan struct{})}
	return nil
}

// close closes the doors of an app that isn't to run.
func (a *App) close() {
	for _, d := range a.doors() {
		d.Close()
	}
}

// listenAt listens at a host and a port. 0.0.0.0 is IPv4 alone; :: is both, or IPv4 where the machine has no IPv6.
func listenAt(address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	network, at := "tcp", address
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		network = "tcp4"
	} else if ip == netip.IPv6Unspecified() {
		at = ":" + port
	}
	l, err := net.Listen(network, at)
	if err != nil {
		var failed *net.OpError // says "listen tcp address" itself
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}

// serverTLS is how both doors speak TLS; nil where they don't.
func serverTLS(c *config.Config, log *slog.Logger) (*tls.Config, error) {
	if c.TLSCertFile == "" {
		return nil, nil
	}
	secured, err := front.TLS(func() (*tls.Certificate, error) {
		return config.ReadKeyPair(c.TLSCertFile, c.TLSKeyFile, nil)
	}, log)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert-file: %w", err)
	}
	return secured, nil
}

// serve puts together what answers: the consensus client's calls, the REST API and the page.
func (a *App) serve(registry *prometheus.Registry) {
	refused := refusals{log: a.log, text: "request of the REST API refused", count: a.metrics.noAdmin}
	api := &admin.API{
		Fleet: a.fleet, Metrics: registry, Ready: a.ready,
		Defaults: func() config.NodeDefaults { return a.config.Load().NodeDefaults() },
		Token:    func() auth.AdminToken { return a.config.Load().AdminToken },
		Open:     func() bool { return a.config.Load().OpenAdmin },
		Settings: a.Settings, Reload: a.Reload, Audit: a.audit, Refused: refused.add,
	}
	host, _ := os.Hostname() // "" where the system doesn't tell
	source := &overview.Source{API: api, Name: host, Version: a.started.Version, Started: time.Now(),
		Reload: a.reloadFailure, Refused: a.tokens.tell, Untold: func() bool { return a.webhook.Failing() },
		Flags: func() overview.Flags { return commandFlags(a.config.Load(), a.adminDoor().Addr()) },
	}
	a.webhook = a.newWebhook(source, registry)
	page := dashboard.New(source)
	mux := http.NewServeMux()
	requests, sockets := a.callsHandlers(registry)
	mux.Handle("POST /{$}", requests)
	a.calls.server = a.front.Server(a.calls.Listener, withSockets(sockets, mux))
	if a.admin != nil {
		api.RegisterHealth(mux)
		mux.HandleFunc("/", elsewhere)
		mux = http.NewServeMux()
		a.admin.server = a.front.Server(a.admin.Listener, mux)
	}
	api.Register(mux)
	source.Register(mux)
	page.Register(mux)
	a.adminDoor().server.RegisterOnShutdown(page.Close)
}

// callsHandlers answer the consensus client's calls: one per request, or over a WebSocket connection.
func (a *App) callsHandlers(registry *prometheus.Registry) (requests, sockets http.Handler) {
	calls := proxy.New(proxy.Options{
		Calls: a.router, Session: a.fleet.Controller, MaxBody: a.config.Load().MaxBody, Metrics: registry,
	})
	secret := func() auth.Secret { return a.config.Load().JWTSecret }
	requests = auth.Handler(secret, time.Now, a.tokens.add, a.front.Handler(calls))
	sockets = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header["Origin"] != nil {
			http.Error(w, "not for browsers: a consensus client sends no Origin", http.StatusForbidden)
			return
		}
		known := secret()
		messages := front.Messages{
			Answer: calls.Answer, Refuse: calls.Refuse, Trusted: func() bool { return secret() == known },
		}
		serve := func(w http.ResponseWriter, r *http.Request) { a.front.ServeSocket(w, r, messages) }
		verify := auth.Handler(func() auth.Secret { return known }, time.Now, a.tokens.add, http.HandlerFunc(serve))
		verify.ServeHTTP(w, r)
	})
	return requests, sockets
}

// withSockets lets through to sockets who asks for a WebSocket connection, and everybody else to next.
func withSockets(sockets, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/" && wantsSocket(r) {
			sockets.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// wantsSocket reports whether a request asks for a WebSocket connection, be it in the right way or not.
func wantsSocket(r *http.Request) bool {
	for _, protocols := range r.Header["Upgrade"] {
		for p := range strings.SplitSeq(protocols, ",") {
			if strings.EqualFold(strings.TrimSpace(p), "websocket") {
				return true
			}
		}
	}
	return false
}

// elsewhere answers at the consensus client's port for what isn't there.
func elsewhere(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "not found: the page, metrics and the REST API are at --admin-addr", http.StatusNotFound)
}
