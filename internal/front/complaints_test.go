package front

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// lockedBuffer is a log that is written while it is read.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// A handler that panics ends its connection alone, and the log says so as an error.
func TestPanicIsAnError(t *testing.T) {
	var text lockedBuffer
	f := New(Options{
		MaxConnections: 10, MaxBody: 1 << 20, MaxInFlight: 4 << 20, Metrics: prometheus.NewRegistry(),
		Log: slog.New(slog.NewTextHandler(&text, nil)),
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := f.Listen(listener)
	s := f.Server(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") }))
	go s.Run()
	defer s.Close()
	if _, err := http.Get("http://" + l.Addr().String()); err == nil {
		t.Error("a call to a handler that panicked was answered")
	}
	if got := text.text(); !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "a bug") {
		t.Errorf("the log has %q, want an error with the panic", got)
	}
}
