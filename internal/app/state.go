package app

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/config"
	"executionbackup/internal/state"
)

// openState opens where what outlives us is kept. An error says what is wrong with the configuration: a directory that
// can't be used, or a server that isn't there, is none.
func (a *App) openState(c *config.Config, r prometheus.Registerer) (
	file *state.File, shared *state.Shared, err error) {
	if c.StateDir != "" {
		file = state.Open(c.StateDir, state.FileOptions{
			Log: a.log, Metrics: r, Found: func(records state.Records) { a.fleet.Found(records) },
		})
	}
	if c.StateURL == "" {
		return file, nil, nil
	}
	shared, err = state.OpenShared(state.SharedOptions{
		URL: c.StateURL, Prefix: c.StatePrefix, User: c.StateUser, PasswordFile: c.StatePasswordFile,
		CAFile: c.StateCAFile, Key: c.JWTSecret.Derive("executionbackup shared state 1"), Run: rand.Text(),
		Read:  func(records state.Records) { a.fleet.Read(records) },
		Peers: func(notes map[string][]byte) { a.fleet.Heard(notes) },
		Log:   a.log, Metrics: r,
	})
	if err != nil {
		return nil, nil, config.Invalid{Err: fmt.Errorf("--state-url: %w", err)}
	}
	return file, shared, nil
}

// lastWrite bounds how long the end waits for a disk, or for a server, that hangs.
const lastWrite = time.Second

// startSaving is fleet.StartSaving, and says what isn't kept.
func (a *App) startSaving() (stop func()) {
	if !a.fleet.Keeps() {
		a.log.Info("no --state-dir: a restart of ours forgets drains, builds and what nodes object to. " +
			"From the second payload on an objector that hasn't proved itself is ignored then")
	}
	if a.config.Load().StateURL != "" {
		for _, n := range a.fleet.Pool.Nodes() {
			if n.SharedID() == "" {
				a.log.Warn("this node is of this machine alone, and not shared with another instance: give both the "+
					"same #name=", "node", n.Name())
			}
		}
	}
	stopSaving := a.fleet.StartSaving()
	return func() {
		if !stopSaving(lastWrite) {
			a.log.Error("what changed last may be lost: the disk of --state-dir hangs")
		}
	}
}
