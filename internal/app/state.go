package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/config"
	"executionbackup/internal/state"
)

// openState opens where what outlives us is kept. An error says what is wrong with the configuration: a directory that
// can't be used, or a server that isn't there, is none.
func (a *App) openState(c *config.Config, r prometheus.Registerer) (err error) {
	if c.StateDir != "" {
		a.state = state.Open(c.StateDir, state.FileOptions{
			Log: a.log, Metrics: r, Found: func(records state.Records) { a.fleet.Found(records) },
		})
	}
	if c.StateURL == "" {
		return nil
	}
	a.shared, err = state.OpenShared(state.SharedOptions{
		URL: c.StateURL, Prefix: c.StatePrefix, User: c.StateUser, PasswordFile: c.StatePasswordFile,
		CAFile: c.StateCAFile, Key: c.JWTSecret.Derive("executionbackup shared state 1"), Run: rand.Text(),
		Read:  func(records state.Records) { a.fleet.Read(records) },
		Peers: func(notes map[string][]byte) { a.fleet.Heard(notes) },
		Log:   a.log, Metrics: r,
	})
	if err != nil {
		return fmt.Errorf("--state-url: %w", err)
	}
	return nil
}

// lastWrite bounds how long the end waits for a disk, or for a server, that hangs.
const lastWrite = time.Second

// save saves what outlives us until stop is called, which waits until all is saved; but not for a disk that hangs: the
// process ends, and with it what still waits.
func (a *App) save() (stop func()) {
	if a.state == nil && a.shared == nil {
		a.log.Info("no --state-dir: a restart of ours forgets drains, builds and what nodes object to. " +
			"From the second payload on an objector that hasn't proved itself is ignored then")
	}
	if a.shared != nil {
		for _, n := range a.fleet.Pool.Nodes() {
			if n.SharedID() == "" {
				a.log.Warn("this node is of this machine alone, and not shared with another instance: give both the "+
					"same #name=", "node", n.Name())
			}
		}
	}
	if !a.fleet.Keeps() {
		return func() {}
	}
	writing, stopWriting := context.WithCancel(context.Background())
	taking, stopTaking := context.WithCancel(writing)
	var writers, taker sync.WaitGroup
	if a.state != nil {
		writers.Go(func() { a.state.Run(writing) })
	}
	if a.shared != nil {
		writers.Go(func() { a.shared.Run(writing) })
	}
	taker.Go(func() { a.fleet.Keep(taking) })
	return func() {
		stopTaking()
		taker.Wait()
		stopWriting()
		written := make(chan struct{})
		go func() {
			writers.Wait()
			close(written)
		}()
		select {
		case <-written:
		case <-time.After(lastWrite):
			a.log.Error("what changed last may be lost: the disk of --state-dir hangs")
		}
	}
}
