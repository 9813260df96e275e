package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/auth"
	"executionbackup/internal/overview"
)

// stage is a Webhook on a simulated clock, with what it is about and who it tells.
type stage struct {
	*Webhook
	t     *testing.T
	begun time.Time
	log   strings.Builder

	mu     sync.Mutex // guards what follows
	url    auth.URL
	alerts string
	looks  int
	answer string   // of the receiver: ok, fail, refuse, or hang
	heard  []string // what it was sent, and when
}

// play runs a Webhook in a bubble until the test has ended, and waits for its end.
func play(t *testing.T, test func(s *stage)) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, begun: time.Now(), url: parseURL(t, "http://first/hunter2"), answer: "ok"}
		s.Webhook = New(Options{
			URL: func() auth.URL { s.mu.Lock(); defer s.mu.Unlock(); return s.url },
			Alerts: func(time.Time) []overview.Alert {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.looks++
				return alertsOf(t, s.alerts)
			},
			Page: "http://eb:7000", Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(&s.log, nil)),
		})
		s.sender.client.Transport = s
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.Run(ctx); close(ended) }()
		test(s)
		before := time.Now()
		stop()
		<-ended
		if took := time.Since(before); took > lastWord {
			t.Errorf("the end took %v", took)
		}
		if strings.Contains(s.log.String(), "hunter2") {
			t.Errorf("the log has a secret: %s", &s.log)
		}
	})
}

// RoundTrip plays the receiver.
func (s *stage) RoundTrip(r *http.Request) (*http.Response, error) {
	var m Message
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	answer := s.answer
	s.heard = append(s.heard, fmt.Sprintf("%v %s %s: %s", time.Since(s.begun), r.URL.Host, answer, words(&m)))
	s.mu.Unlock()
	code := map[string]int{"ok": 200, "fail": 503, "refuse": 400}[answer]
	if code == 0 {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

// now sets what there is to tell, and how the receiver is, and lets so much time go by.
func (s *stage) now(alerts, answer string, pass time.Duration) {
	s.mu.Lock()
	s.alerts, s.answer = alerts, answer
	s.mu.Unlock()
	time.Sleep(pass) // of the bubble
	synctest.Wait()
}

// wants compares what was sent since the last time.
func (s *stage) wants(heard ...string) {
	s.t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got, want := strings.Join(s.heard, "\n"), strings.Join(heard, "\n"); got != want {
		s.t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	s.heard = nil
}

// counts compares the metrics.
func (s *stage) counts(sent, failed float64) {
	s.t.Helper()
	families, err := s.Metrics.(*prometheus.Registry).Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "executionbackup_webhook_messages_total" {
		s.t.Fatalf("%v: %v", families, err)
	}
	got := make(map[string]float64)
	for _, m := range families[0].GetMetric() {
		got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
	}
	if got["sent"] != sent || got["failed"] != failed {
		s.t.Errorf("got %v, want %v sent, %v failed", got, sent, failed)
	}
}

// A receiver that fails twice, hangs, and comes back hears of each event once, and once that it is over.
func TestEachOnce(t *testing.T) {
	play(t, func(s *stage) {
		s.now("", "ok", 10500*time.Millisecond)
		s.wants()
		s.now("Dispute", "fail", 3*time.Second)
		s.now("Dispute", "ok", time.Minute)
		s.wants(
			"11s first fail: firing Dispute: firing",
			"13s first fail: firing Dispute: firing",
			"21s first ok: firing Dispute: firing",
		)
		s.counts(1, 0)
		s.now("Dispute, Dead a", "hang", 31*time.Second) // 73.5 s
		s.wants(
			"1m14s first hang: firing Dead: a firing",
			"1m26s first hang: firing Dead: a firing",
			"1m44s first hang: firing Dead: a firing",
		)
		s.now("Dispute, Dead a", "ok", 8*time.Second+time.Minute/2)
		if s.wants(); !s.Failing() {
			t.Error("it doesn't say that nobody is told")
		}
		s.now("Dispute, Dead a", "ok", 32*time.Second)
		s.wants("2m54s first ok: firing Dead: a firing")
		s.counts(2, 1)
		if s.Failing() {
			t.Error("it says that nobody is told")
		}
		s.now("", "ok", quiet)
		s.wants("7m54s first ok: resolved Dispute: resolved", "7m54s first ok: resolved Dead: a resolved")
		s.now("", "ok", time.Hour)
		s.wants()
		s.counts(4, 1)
		if lines := strings.Count(s.log.String(), "\n"); lines != 5 {
			t.Errorf("%d lines: %s", lines, &s.log)
		}
	})
}

// While the receiver hangs, what happens is seen; and what refuses one message hears others.
func TestLooksGoOn(t *testing.T) {
	play(t, func(s *stage) {
		s.now("Dispute", "hang", 1500*time.Millisecond)
		s.now("Dead a", "hang", 2*time.Second) // for a moment, while the other message hangs
		s.now("Dispute", "ok", time.Minute)
		s.wants("1s first hang: firing Dispute: firing", "13s first ok: firing Dispute: firing",
			"13s first ok: firing Dead: a firing")
		s.now("Dispute, Slow", "refuse", time.Minute)
		s.now("Dispute, Slow, Dead b", "refuse", time.Second)
		s.wants("1m4s first refuse: firing Slow: firing", "2m4s first refuse: firing Dead: b firing",
			"2m4s first refuse: firing Slow: firing")
		s.now("Dispute, Slow, Dead b", "ok", 2*time.Minute)
		s.wants("3m4s first ok: firing Dead: b firing", "3m4s first ok: firing Slow: firing")
		if lines := strings.Count(s.log.String(), "can't be told"); lines != 1 {
			t.Errorf("%d lines say that nobody is told: %s", lines, &s.log)
		}
	})
}

// A reload in the middle of a message gives it up: the new receiver is told of what fires. Without one nobody looks.
func TestReload(t *testing.T) {
	play(t, func(s *stage) {
		use := func(url string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.url = parseURL(t, url)
		}
		s.now("Dispute", "hang", 1500*time.Millisecond)
		use("http://second/x")
		s.now("Dispute", "ok", time.Minute)
		s.wants("1s first hang: firing Dispute: firing", "2s second ok: firing Dispute: firing")
		use("")
		s.now("", "ok", time.Second)
		looks := s.looks
		s.now("Dispute", "ok", time.Hour)
		s.wants()
		if s.looks != looks {
			t.Errorf("%d looks for nobody", s.looks-looks)
		}
		use("http://third/x")
		s.now("Dispute", "ok", time.Minute)
		s.wants("1h1m3s third ok: firing Dispute: firing")
		s.counts(2, 0)
	})
}

// At the end what is under way has a second to arrive, and what has happened since the last look isn't looked for.
func TestEnd(t *testing.T) {
	play(t, func(s *stage) { s.now("Dispute", "hang", 5*time.Second) })
	play(t, func(s *stage) { s.now("Dispute", "fail", 2*time.Second) })
	play(t, func(s *stage) { s.now("Dispute", "ok", 500*time.Millisecond) })
	var last *stage
	play(t, func(s *stage) {
		last = s
		s.now("Dispute, Dead a, Slow", "hang", 11500*time.Millisecond) // in the pause after the first try
		s.wants("1s first hang: firing Dispute: firing")
		s.now("Dispute, Dead a, Slow", "ok", 600*time.Millisecond)
	})
	if len(last.heard) != 3 { // at 13 s, which is 900 ms after the end
		t.Errorf("heard %q", last.heard)
	}
}
