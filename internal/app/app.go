// Package app wires the parts together and gives them a life: New binds, Run serves until its context ends and drains,
// Reload changes what can be changed on the way.
package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/calls"
	"executionbackup/internal/config"
	"executionbackup/internal/evidence"
	"executionbackup/internal/fleet"
	"executionbackup/internal/front"
	"executionbackup/internal/memory"
	"executionbackup/internal/node"
	"executionbackup/internal/tracing"
	"executionbackup/internal/webhook"
)

// App is a running ExecutionBackup. Addr, Reload and Settings are safe for concurrent use, with each other and with
// Run. The goroutines that Run starts have ended when it returns.
type App struct {
	config   atomic.Pointer[config.Config] // the one in force
	started  *config.Config                // the one that we started with
	next     atomic.Pointer[config.Config] // the one that we would start with
	log      *slog.Logger
	front    *front.Front
	calls    *door // of the consensus client
	admin    *door // of the page, metrics and the REST API; nil where they are at calls
	fleet    *fleet.Fleet
	router   *calls.Router
	evidence *evidence.Log   // nil where none is kept
	tracer   *tracing.Tracer // nil where nothing is traced
	webhook  *webhook.Webhook
	metrics  *metrics
	draining atomic.Bool // we are about to end

	load      func() (*config.Config, error)
	level     *slog.LevelVar
	reloading func() (done func())
	reloads   reloads
	tokens    refusals // of consensus clients
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

// New binds the ports and builds what Run starts. A taken port is an error here, and a certificate that is no good.
func New(o Options) (_ *App, err error) {
	c, log := o.Config, o.Log
	secured, err := serverTLS(c, log)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	a := &App{
		log: log, metrics: newMetrics(registry, c), started: c, load: o.Load, level: o.Level, reloading: o.Reloading,
	}
	a.tokens = refusals{log: log, text: "token refused", count: a.metrics.refused}
	if a.load == nil {
		a.load = func() (*config.Config, error) { return nil, errNoLoad }
	}
	if a.reloading == nil {
		a.reloading = func() func() { return func() {} }
	}
	a.config.Store(c)
	a.next.Store(c)
	a.front = front.New(front.Options{
		MaxConnections: c.MaxConnections, MaxBody: c.MaxBody, MaxInFlight: c.MaxInFlight, TLS: secured,
		Metrics: registry, Log: log,
	})
	if err := a.listen(o); err != nil {
		return nil, err
	}
	if c.EvidenceDir != "" {
		program := strings.TrimSpace(c.Version + " " + c.Revision)
		a.evidence = evidence.Open(c.EvidenceDir, program, registry, log)
	}
	file, shared, err := a.openState(c, registry)
	if err != nil {
		a.close()
		return nil, err
	}
	a.fleet = fleet.New(fleet.Options{
		Pool: a.newPool(c, registry), Settings: settings(c), Evidence: a.evidence, State: file, Shared: shared,
		Metrics: registry, Log: log,
	})
	a.tracer = tracing.Open(tracing.Options{Version: c.Version, Metrics: registry, Log: log})
	a.router = calls.New(calls.Options{
		Fleet: a.fleet, ReplayBytes: c.ReplayBytes, Metrics: registry, Tracer: a.tracer,
	})
	a.serve(registry)
	return a, nil
}

// newPool returns the pool of the configured nodes, which nobody watches yet.
func (a *App) newPool(c *config.Config, r prometheus.Registerer) *node.Pool {
	return node.NewPool(c.Nodes, node.Options{
		Memory: memory.New(memory.DefaultBlocks), Metrics: node.NewMetrics(r), Log: a.log,
		ExcludeMissed: func() bool { return a.config.Load().ExcludeMissed },
		Timings:       func() bool { return a.config.Load().NodeTimings },
	})
}

// settings are what of a configuration the fleet goes by.
func settings(c *config.Config) fleet.Settings {
	return fleet.Settings{
		Rules: c.Rules, ForkWindow: c.ForkWindow,
		Times:      fleet.Times{Grace: c.Grace, LateGrace: c.LateGrace, AttestBy: c.AttestBy, Slot: c.Slot},
		BuildGrace: c.BuildGrace, CrossCheck: c.CrossCheck,
		ReadTimeout: c.ReadTimeout, AllowNamespaces: c.AllowNamespaces, Mode: c.Mode, ShadowNode: c.ShadowNode,
	}
}

// Addr is where the consensus client calls.
func (a *App) Addr() net.Addr { return a.calls.Addr() }

// AdminAddr is where the page, metrics and the REST API are: at Addr, unless --admin-addr says otherwise.
func (a *App) AdminAddr() net.Addr { return a.adminDoor().Addr() }

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
	if a.admin != nil {
		a.log.Info("page, metrics and REST API", "address", a.AdminAddr().String())
	}
	if c.FirstNodeSecret {
		a.log.Info("no --jwt-secret: the consensus client must use the first node's", "node", c.Nodes[0].Name)
	}
	a.warnOfOpen(c)
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
	parts.Go(func() { a.webhook.Run(watching) })
	serving, failed := context.WithCancel(ctx)
	defer failed()
	for _, d := range a.doors() {
		parts.Go(func() { d.serve(); failed() })
	}
	<-serving.Done()
	a.drain()
	stopSaving()
	stopWatching()
	parts.Wait()
	for _, d := range a.doors() {
		if d.failure != nil {
			return d.failure
		}
	}
	return nil
}

// warnOfOpen warns where anyone may change something.
func (a *App) warnOfOpen(c *config.Config) {
	if c.OpenAdmin {
		a.log.Warn("--open-admin: whoever can connect may add and remove voters")
	}
}

// warnOfLive warns where --on-dispute=live promises more than the nodes allow.
func (a *App) warnOfLive() {
	if why := a.fleet.HaltsAnyway(); why != "" {
		a.log.Warn("--on-dispute=live can do no more than halt with these nodes", "reason", why)
	}
}
