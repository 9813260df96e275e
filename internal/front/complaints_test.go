package front_test

import (
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/apptest"
	"executionbackup/internal/front"
)

// A handler that panics ends its connection alone, and the log says so as an error.
func TestPanicIsAnError(t *testing.T) {
	var log apptest.Logbook
	f := front.New(front.Options{
		MaxConnections: 10, MaxBody: 1 << 20, MaxInFlight: 4 << 20, Metrics: prometheus.NewRegistry(),
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := f.Listen(listener)
	s := f.Server(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") }))
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run() }()
	defer func() { s.Close(); <-ended }()
	if _, err := http.Get("http://" + l.Addr().String()); err == nil {
		t.Error("a call to a handler that panicked was answered")
	}
	if len(log.Lines("level=ERROR", "panic serving", "a bug")) != 1 {
		t.Errorf("the log has no error with the panic: %s", &log)
	}
}
