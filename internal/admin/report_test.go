package admin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/admin"
	"executionbackup/internal/bubble"
	"executionbackup/internal/config"
)

// moody is a fake whose ways can be changed while it is called.
type moody struct {
	*bubble.Fake
	delay   atomic.Int64 // of every answer
	refuses atomic.Bool
}

func newMoody(delay time.Duration) *moody {
	m := &moody{Fake: new(bubble.Fake)}
	m.delay.Store(int64(delay))
	m.Delay = func(string, int) time.Duration { return time.Duration(m.delay.Load()) }
	m.Refuse = m.refuses.Load
	return m
}

func (m *moody) RoundTrip(r *http.Request) (*http.Response, error) { return m.Fake.RoundTrip(r) }

// reported is what GET /metrics says.
func reported(t *testing.T, b *bubble.Bubble) (r admin.Report) {
	t.Helper()
	mux, w := http.NewServeMux(), httptest.NewRecorder()
	(&admin.API{Fleet: b.Fleet}).Register(mux)
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// The three lists are those of the original, with URLs as they were given. A node that answers nothing is dead there
// after ten seconds, and nowhere else.
func TestReport(t *testing.T) {
	fakes := []*moody{newMoody(30 * time.Millisecond), newMoody(10 * time.Millisecond), newMoody(20 * time.Millisecond)}
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, fakes, bubble.Options{})
		var specs []config.Node
		for i := range fakes {
			specs = append(specs, bubble.Spec(t, i+1))
		}
		specs[0].URL.Path = "/"
		specs[2].DoNotUse = true
		b.Fleet.Pool.Reload(specs)
		b.Run(func() {
			is := func(when string, want admin.Report) {
				t.Helper()
				if got := reported(t, b); !reflect.DeepEqual(got, want) {
					t.Errorf("%s:\n got %+v\nwant %+v", when, got, want)
				}
			}
			const n1, n2, n3 = "http://n1:8551/", "http://n2:8551", "http://n3:8551"
			all := admin.Report{
				ResponseTimes: map[string]int64{n1: 30_000, n2: 10_000, n3: 20_000},
				AliveNodes:    []string{n2, n1}, SyncingNodes: []string{n3}, DeadNodes: []string{}, PrimaryNode: n2,
			}
			time.Sleep(5 * time.Second)
			is("the fastest is first", all)

			fakes[0].delay.Store(int64(bubble.Forever))
			time.Sleep(8 * time.Second)
			is("one that answers nothing for eight seconds", all)
			time.Sleep(4 * time.Second)
			is("and for ten", admin.Report{
				ResponseTimes: map[string]int64{n2: 10_000, n3: 20_000},
				AliveNodes:    []string{n2}, SyncingNodes: []string{n3}, DeadNodes: []string{n1}, PrimaryNode: n2,
			})
			if s := b.Fleet.Pool.Nodes()[0].Status(); !s.Reachable() || !s.Called() {
				t.Error("it is dead elsewhere, too")
			}
			fakes[0].delay.Store(0)
			time.Sleep(3 * time.Second)
			if got := reported(t, b).DeadNodes; len(got) > 0 {
				t.Errorf("it answers again, and is dead: %s", got)
			}

			for _, f := range fakes {
				f.refuses.Store(true)
			}
			time.Sleep(3 * time.Second)
			is("all are dead", admin.Report{
				ResponseTimes: map[string]int64{}, AliveNodes: []string{}, SyncingNodes: []string{},
				DeadNodes: []string{n1, n2, n3}, PrimaryNode: n1,
			})
		})
	})
}
