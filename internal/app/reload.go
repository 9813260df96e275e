package app

import (
	"errors"
	"os"
	"sync"
	"time"

	"executionbackup/internal/admin"
	"executionbackup/internal/config"
)

// reloads are what became of them. They come one after another.
type reloads struct {
	running sync.Mutex // held while one is under way

	mu    sync.Mutex // guards what follows
	count int
	last  *admin.Reload // nil where there was none
}

// Reload reads the configuration again and puts it in force, without dropping a call; a bad one changes nothing. by
// says who wants it, for the log and GET /config. Reloads come one after another. Safe for concurrent use.
func (a *App) Reload(by string) admin.Reload {
	a.reloads.running.Lock()
	defer a.reloads.running.Unlock()
	defer a.reloading()()
	outcome := admin.Reload{Time: time.Now().UTC(), By: by, Changed: []string{}, NextStart: []string{}}
	c, err := a.load()
	if err != nil {
		outcome.Error = err.Error()
		a.metrics.notReloaded()
		a.log.Error("configuration not reloaded: the old one stays in force", "by", by, "error", err)
	} else {
		a.use(c, &outcome)
	}
	a.reloads.mu.Lock()
	defer a.reloads.mu.Unlock()
	a.reloads.count++
	a.reloads.last = &outcome
	return outcome
}

// use makes c the configuration in force, as far as that goes without a start, and notes what is other than before.
func (a *App) use(c *config.Config, outcome *admin.Reload) {
	old := *a.config.Load()
	old.Nodes = a.fleet.Pool.Specs() // some may have come or gone over the REST API
	inForce := config.InForce(a.started, c)
	for _, change := range config.Changes(&old, inForce) {
		outcome.Changed = append(outcome.Changed, change.String())
	}
	for _, change := range config.Changes(inForce, c) {
		outcome.NextStart = append(outcome.NextStart, change.String())
	}
	a.config.Store(inForce)
	a.next.Store(c)
	a.front.CheckSockets()
	if a.level != nil {
		a.level.Set(inForce.LogLevel)
	}
	a.fleet.Pool.Reload(inForce.Nodes)
	a.fleet.Reload(settings(inForce))
	a.fleet.SaveAll() // nodes that were removed, or don't vote any more
	a.metrics.reloaded(inForce)
	a.log.Info("configuration reloaded", "by", outcome.By, "changes", len(outcome.Changed))
	for _, change := range outcome.Changed {
		a.log.Info("setting changed", "change", change)
	}
	for _, change := range outcome.NextStart {
		a.log.Warn("a setting changes at the next start only", "change", change)
	}
	if !old.OpenAdmin {
		a.warnOfOpen(inForce)
	}
	a.warnOfLive()
}

// errNoLoad is what becomes of a reload where nobody said how to read the configuration.
var errNoLoad = errors.New("the configuration can't be read again")

// reloadFailure is why the last reload failed; "" where it didn't, or there was none.
func (a *App) reloadFailure() string {
	a.reloads.mu.Lock()
	defer a.reloads.mu.Unlock()
	if a.reloads.last == nil {
		return ""
	}
	return a.reloads.last.Error
}

// Settings returns the settings in force, and how the last reload went.
func (a *App) Settings() admin.Settings {
	c, next := a.config.Load(), a.next.Load().Values()
	s := admin.Settings{PID: os.Getpid(), File: c.File, Settings: make(map[string]admin.Setting)}
	for i, v := range c.Values() {
		setting := admin.Setting{Value: v.Text, From: v.From}
		if v.Text != next[i].Text {
			setting.NextStart = &next[i].Text
		}
		s.Settings[v.YAML()] = setting
	}
	a.reloads.mu.Lock()
	defer a.reloads.mu.Unlock()
	s.Reloads, s.LastReload = a.reloads.count, a.reloads.last
	return s
}
