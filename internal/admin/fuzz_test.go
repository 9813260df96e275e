package admin

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/fleet"
	"executionbackup/internal/memory"
	"executionbackup/internal/node"
)

// FuzzChange tries bodies on what changes the nodes. The answer is the report or a JSON error, and there is always a
// voter left.
func FuzzChange(f *testing.F) {
	for i, body := range []string{
		`{"nodes":["http://b:1"]}`, `{"nodes":["a:1"]}`,
		`{"nodes":["http://b:1#name=b#timeout=7#do-not-use#jwt-secret=s"]}`,
		`{"nodes":[]}`, `{"nodes":[7]}`, `{"Nodes":["http://c:1"],"nodes":null}`,
		`{"nodes":["http://b:1","http://b:1/"]}`, `[`, ``,
	} {
		f.Add(i%len(changes), body)
	}
	secret, err := auth.ParseSecret(strings.Repeat("ab", 32))
	if err != nil {
		f.Fatal(err)
	}
	defaults := config.NodeDefaults{
		Secret: secret, Timeout: time.Second, ReadFile: func(string) ([]byte, error) { return nil, os.ErrNotExist },
	}
	f.Fuzz(func(t *testing.T, which int, body string) {
		api, mux := newAPI(t, defaults)
		r := httptest.NewRequestWithContext(t.Context(), "POST", changes[uint(which)%uint(len(changes))],
			strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%q: %v in %q", body, err, w.Body)
		}
		if _, failed := answer["error"]; failed != (w.Code != http.StatusOK) {
			t.Fatalf("%q: HTTP %d %q", body, w.Code, w.Body)
		}
		voters := 0
		for _, n := range api.Fleet.Pool.Nodes() {
			if s := n.Status(); s.MayVote() {
				voters++
			}
		}
		if voters == 0 {
			t.Fatalf("%q leaves no voter", body)
		}
	})
}

var changes = []string{"/add_nodes", "/remove_nodes", "/drain_nodes", "/undrain_nodes", "/clear_objections"}

// newAPI is an open API before two nodes that nobody calls.
func newAPI(t *testing.T, defaults config.NodeDefaults) (*API, *http.ServeMux) {
	var specs []config.Node
	for _, url := range []string{"http://a:1", "http://z:1#do-not-use"} {
		spec, err := config.ParseNode(url, defaults)
		if err != nil {
			t.Fatal(err)
		}
		specs = append(specs, spec)
	}
	registry, log := prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	pool := node.NewPool(specs, node.Options{
		Memory: memory.New(16), Metrics: node.NewMetrics(registry), Log: log,
	})
	api := &API{
		Fleet:    fleet.New(fleet.Options{Pool: pool, Metrics: registry, Log: log}),
		Defaults: func() config.NodeDefaults { return defaults },
		Token:    func() auth.AdminToken { return auth.AdminToken{} },
		Open:     func() bool { return true },
		Audit:    func(Change) {},
		Refused:  func(*http.Request, error) {},
	}
	mux := http.NewServeMux()
	api.Register(mux)
	return api, mux
}
