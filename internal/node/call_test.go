package node

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/memory"
)

// newTestPool returns a pool, which nobody watches, of nodes at the addresses. Their names are n1, n2, ….
func newTestPool(t *testing.T, addresses ...string) *Pool {
	t.Helper()
	secret, err := auth.ParseSecret(strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	var specs []config.Node
	for i, address := range addresses {
		u := &url.URL{Scheme: "http", Host: address}
		specs = append(specs, config.Node{
			URL: u, Name: fmt.Sprintf("n%d", i+1), Secret: secret, Timeout: 5 * time.Second,
		})
	}
	p := NewPool(specs, Options{
		Memory: memory.New(100), Metrics: NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(func() {
		for _, n := range p.Nodes() {
			n.close()
		}
	})
	return p
}

// Only engine calls and our own make a node dead.
func TestWhatMakesANodeDead(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	of := func(f engine.Family) *engine.Call {
		body := []byte(`{"jsonrpc":"2.0","id":1,"method":"x"}`)
		return &engine.Call{Method: engine.Method{Name: "x", Family: f}, Body: body, ID: []byte("1")}
	}
	for _, test := range []struct {
		call func(*Node) error
		dead bool
	}{
		{func(n *Node) error { _, err := n.Call(t.Context(), of(engine.Other)); return err }, false},
		{func(n *Node) error { _, err := n.Call(t.Context(), of(engine.SendRawTransaction)); return err }, false},
		{func(n *Node) error { _, err := n.Call(t.Context(), of(engine.NewPayload)); return err }, true},
		{func(n *Node) error { _, err := n.Call(t.Context(), of(engine.OtherEngine)); return err }, true},
		{func(n *Node) error { _, err := n.ask(t.Context(), "eth_syncing", "[]"); return err }, true},
	} {
		n := newTestPool(t, closed.Listener.Addr().String()).Nodes()[0]
		if err := test.call(n); err == nil || err.Error() != "no connection: connection refused" {
			t.Errorf("got %v", err)
		}
		if s := n.Status(); s.Reachable() == test.dead {
			t.Errorf("it is %s, want dead: %t", s.State, test.dead)
		}
	}
}
