package catchup

import (
	"log/slog"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/memory"
	"executionbackup/internal/node"
)

// newFleet is one of two nodes that nobody calls.
func newFleet() *fleet.Fleet {
	specs := []config.Node{
		{URL: &url.URL{Scheme: "http", Host: "n1:8551"}, Name: "n1"},
		{URL: &url.URL{Scheme: "http", Host: "n2:8551"}, Name: "n2"},
	}
	registry, log := prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	pool := node.NewPool(specs, node.Options{
		Memory: memory.New(memory.DefaultBlocks), Metrics: node.NewMetrics(registry), Log: log,
	})
	return fleet.New(fleet.Options{Pool: pool, Metrics: registry, Log: log})
}

// A payload under which a node died twice isn't fed to it again for ten minutes.
func TestDeadlyPayloadIsNotFed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		c := New(f, 128<<20, prometheus.NewRegistry())
		n := f.Pool.Nodes()[1]
		var way []step
		for i := range uint64(2) {
			block := common.Hash{byte(7 + i)}
			way = append(way, step{Call: &engine.Call{Block: block, Payload: engine.Payload{Hash: block, Number: 7 + i}}})
		}
		for died, want := range []bool{false, false, true} {
			if died > 0 {
				c.Died(n.ID, way[1].Block)
			}
			if got := c.deadly(n, way) != nil; got != want {
				t.Errorf("after %d deaths: withheld %t", died, got)
			}
		}
		if c.deadly(f.Pool.Nodes()[0], way) != nil {
			t.Error("it is withheld from another node, too")
		}
		time.Sleep(10 * time.Minute) // the bubble's clock
		if err := c.deadly(n, way); err != nil {
			t.Errorf("after ten minutes: %v", err)
		}
	})
}
