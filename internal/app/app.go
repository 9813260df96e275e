// Package app wires the parts together and gives them a life: New binds, Run serves until its context ends and drains,
// Reload changes what can be changed on the way.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/admin"
	"executionbackup/internal/auth"
	"executionbackup/internal/calls"
	"executionbackup/internal/config"
	"executionbackup/internal/dashboard"
	"executionbackup/internal/evidence"
	"executionbackup/internal/fleet"
	"executionbackup/internal/front"
	"executionbackup/internal/memory"
	"executionbackup/internal/node"
	"executionbackup/internal/proxy"
)

// App is a running ExecutionBackup. Addr, Reload and Settings are safe for concurrent use, with each other and with
// Run. The goroutines that Run starts have ended when it returns.
type App struct {
	config   atomic.Pointer[config.Config] // the one in force, but for what needs a start
	started  *config.Config                // the one that we started with
	log      *slog.Logger
	front    *front.Front
	listener net.Listener
	server   *http.Server
	fleet    *fleet.Fleet
	calls    *calls.Router
	evidence *evidence.Log // nil where none is kept
	metrics  *metrics
	draining atomic.Bool // we are about to end

	load      func() (*config.Config, error)
	level     *slog.LevelVar
	reloading func() (done func())
	reloads   reloads
}

// Options are what an App is made of.
type Options struct {
	Config   *config.Config
	Log      *slog.Logger
	Listener net.Listener // where we listen; nil: at the address and port of the configuration

	Load      func() (*config.Config, error) // reads the configuration again; nil: it can't be reloaded
	Level     *slog.LevelVar                 // the log's level, which a reload may change; nil: it stays
	Reloading func() (done func())           // is told when a reload begins and ends; nil: nobody is
}

// New binds the listener and builds what Run starts. A taken port is an error here.
func New(o Options) (*App, error) {
	c, log := o.Config, o.Log
	listener, err := listen(o)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	limits := front.New(front.Options{
		MaxConnections: c.MaxConnections, MaxBody: c.MaxBody, MaxInFlight: c.MaxInFlight, Metrics: registry, Log: log,
	})
	a := &App{
		log: log, front: limits, listener: limits.Listener(listener), metrics: newMetrics(registry, c),
		started: c, load: o.Load, level: o.Level, reloading: o.Reloading,
	}
	if a.load == nil {
		a.load = func() (*config.Config, error) { return nil, errNoLoad }
	}
	if a.reloading == nil {
		a.reloading = func() func() { return func() {} }
	}
	a.config.Store(c)
	if c.EvidenceDir != "" {
		program := strings.TrimSpace(c.Version + " " + c.Revision)
		a.evidence = evidence.Open(c.EvidenceDir, program, registry, log)
	}
	file, shared, err := a.openState(c, registry)
	if err != nil {
		listener.Close()
		return nil, err
	}
	a.fleet = fleet.New(fleet.Options{
		Pool: a.newPool(c, registry), Settings: settings(c), Evidence: a.evidence, State: file, Shared: shared,
		Metrics: registry, Log: log,
	})
	a.calls = calls.New(calls.Options{Fleet: a.fleet, ReplayBytes: c.ReplayBytes, Metrics: registry})
	a.serve(registry)
	return a, nil
}

// listen listens where we are told to, unless somebody does that for us.
func listen(o Options) (net.Listener, error) {
	address := net.JoinHostPort(o.Config.ListenAddr, strconv.Itoa(o.Config.Port))
	if o.Listener != nil {
		if actual := o.Listener.Addr().String(); actual != address {
			o.Log.Warn("listen-addr and port are not used: a socket was passed on to us", "address", actual,
				"not", address)
		}
		return o.Listener, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		var failed *net.OpError // says "listen tcp address" itself
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, fmt.Errorf("listen on %s: %w: choose another address with --listen-addr and --port", address, err)
	}
	return listener, nil
}

// newPool returns the pool of the configured nodes, which nobody watches yet.
func (a *App) newPool(c *config.Config, r prometheus.Registerer) *node.Pool {
	return node.NewPool(c.Nodes, node.Options{
		Memory: memory.New(memory.DefaultBlocks), Metrics: node.NewMetrics(r), Log: a.log,
		ExcludeMissed: func() bool { return a.config.Load().ExcludeMissed },
		Timings:       func() bool { return a.config.Load().NodeTimings },
	})
}

// serve puts together what answers on our port: the consensus client's door, the REST API and the page.
func (a *App) serve(registry *prometheus.Registry) {
	mux := http.NewServeMux()
	door := proxy.New(proxy.Options{
		Calls: a.calls, Session: a.fleet.Controller, MaxBody: a.config.Load().MaxBody, Metrics: registry,
	})
	clients := refusals{log: a.log, text: "token refused", count: a.metrics.refused}
	admins := refusals{log: a.log, text: "request of the REST API refused", count: a.metrics.noAdmin}
	secret := func() auth.Secret { return a.config.Load().JWTSecret }
	mux.Handle("POST /{$}", auth.Handler(secret, time.Now, clients.add, a.front.Handler(door)))
	api := &admin.API{
		Fleet: a.fleet, Metrics: registry, Ready: a.ready,
		Defaults: func() config.NodeDefaults { return a.config.Load().NodeDefaults() },
		Token:    func() auth.AdminToken { return a.config.Load().AdminToken },
		Open:     func() bool { return a.config.Load().OpenAdmin },
		Settings: a.Settings, Reload: a.Reload, Audit: a.audit, Refused: admins.add,
	}
	api.Register(mux)
	page := dashboard.New(api)
	page.Register(mux)
	a.server = a.front.Server(mux)
	a.server.RegisterOnShutdown(page.Close)
}

// settings are what of a configuration the fleet goes by.
func settings(c *config.Config) fleet.Settings {
	return fleet.Settings{
		Rules: c.Rules, ForkWindow: c.ForkWindow,
		Times:      fleet.Times{Grace: c.Grace, LateGrace: c.LateGrace, AttestBy: c.AttestBy, Slot: c.Slot},
		BuildGrace: c.BuildGrace, CrossCheck: c.CrossCheck,
		ReadTimeout: c.ReadTimeout, AllowNamespaces: c.AllowNamespaces,
	}
}

// Addr is where the app listens.
func (a *App) Addr() net.Addr { return a.listener.Addr() }

// ready says why no calls are taken, or nil.
func (a *App) ready() error {
	if a.draining.Load() {
		return errors.New("draining")
	}
	if !a.fleet.Pool.IsReady() {
		return errors.New("the first probe of the nodes has not ended")
	}
	return nil
}

// Run serves until ctx ends, and then until nobody waits for us any more (drain). An error says that serving failed.
func (a *App) Run(ctx context.Context) error {
	c := a.config.Load()
	a.log.Info("listening", "address", a.Addr().String(), "nodes", len(c.Nodes))
	if c.FirstNodeSecret {
		a.log.Info("no --jwt-secret: the consensus client must use the first node's", "node", c.Nodes[0].Name)
	}
	if c.OpenAdmin {
		a.log.Warn("--open-admin: whoever can connect may add and remove voters")
	}
	stopSaving := a.startSaving()
	watching, stopWatching := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(a.fleet.Pool.Start(watching)) // before the first request: it may ask for a recheck
	parts.Go(func() {
		select {
		case <-a.fleet.Pool.Ready(): // the nodes have told who they are, as far as they can be reached
			a.warnOfLive()
		case <-watching.Done():
		}
	})
	if a.evidence != nil {
		parts.Go(func() { a.evidence.Run(watching) })
	}
	var failure error
	accepting := make(chan struct{}) // closed when no connection is accepted any more
	parts.Go(func() {
		defer close(accepting)
		if err := a.server.Serve(a.listener); !errors.Is(err, net.ErrClosed) {
			failure = fmt.Errorf("serve: %w", err)
		}
	})
	select {
	case <-ctx.Done():
	case <-accepting:
	}
	a.drain(accepting)
	stopSaving()
	stopWatching()
	parts.Wait()
	return failure
}

// warnOfLive warns where --on-dispute=live promises more than the nodes allow.
func (a *App) warnOfLive() {
	if why := a.fleet.HaltsAnyway(); why != "" {
		a.log.Warn("--on-dispute=live can do no more than halt with these nodes", "reason", why)
	}
}
