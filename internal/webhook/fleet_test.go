package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/admin"
	"executionbackup/internal/auth"
	"executionbackup/internal/bubble"
	"executionbackup/internal/overview"
	"executionbackup/internal/webhook"
)

// heard are the alerts that a receiver was told of, and when: since the bubble began.
type heard struct {
	begun time.Time

	mu   sync.Mutex // guards what follows
	list []string
}

func (h *heard) RoundTrip(r *http.Request) (*http.Response, error) {
	var m webhook.Message
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range m.Alerts {
		name := strings.TrimPrefix(a.Labels["alertname"], "ExecutionBackup")
		at := time.Since(h.begun).Truncate(time.Second)
		word := fmt.Sprintf("%v %s %s %s", at, a.Status, name, a.Labels["node"])
		h.list = append(h.list, strings.TrimSpace(word))
	}
	return bubble.Answer(nil), nil
}

// All that the fleet can tell in an hour: a dispute that comes and goes and comes back, a node that is restarted, and
// one that dies and comes back. Each is told once, and once that it is over; blocks go on all the while.
func TestAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead, wrong atomic.Bool
		fakes := []*bubble.Fake{bubble.Healthy(), bubble.Healthy(), bubble.Healthy()}
		fakes[1].Status = func(_ string, n int) string {
			if wrong.Load() {
				return "INVALID"
			}
			return "VALID"
		}
		fakes[2].Refuse = dead.Load
		b := bubble.New(t, fakes, bubble.Options{})
		source := &overview.Source{
			API: &admin.API{Fleet: b.Fleet}, Name: "eb", Started: time.Now(),
			Flags:  func() overview.Flags { return overview.Flags{} },
			Untold: func() bool { return false },
			Reload: func() string { return "" }, Refused: func() overview.Refusals { return overview.Refusals{} },
		}
		url, err := auth.ParseURL("http://receiver/")
		if err != nil {
			t.Fatal(err)
		}
		receiver := &heard{begun: time.Now()}
		w := webhook.New(webhook.Options{
			URL:     func() auth.URL { return url },
			Alerts:  func(now time.Time) []overview.Alert { return overview.Alerts(source.State(now), "eb:7000") },
			Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		})
		w.Via(receiver)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.Run(ctx) })
		block := 1
		minutes := func(n int) { b.Follow(block, 30*n); block += 30 * n } // a block every two seconds
		b.Run(func() {
			minutes(1)
			wrong.Store(true)
			minutes(2)
			wrong.Store(false)
			minutes(1)
			wrong.Store(true)
			minutes(1) // 5
			wrong.Store(false)
			minutes(10)
			dead.Store(true)
			minutes(3) // 15 to 18
			dead.Store(false)
			minutes(2)
			dead.Store(true)
			minutes(10) // 20 to 30
			dead.Store(false)
			minutes(30)
		})
		stop()
		running.Wait()
		if want := []string{
			"1m1s firing Dispute", "10m58s resolved Dispute", "25m1s firing NodeDead n3", "35m0s resolved NodeDead n3",
		}; !slices.Equal(receiver.list, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(receiver.list, "\n"), strings.Join(want, "\n"))
		}
	})
}
