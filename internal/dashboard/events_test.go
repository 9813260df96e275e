package dashboard

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/admin"
	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/fleet"
	"executionbackup/internal/memory"
	"executionbackup/internal/node"
	"executionbackup/internal/overview"
)

// These tests run in a bubble with a clock of its own, over connections that hold nothing: what isn't read isn't sent.

// pipes is a listener for connections within the process.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// site is a dashboard on a server with limits as the app's.
type site struct {
	*Dashboard
	t      *testing.T
	pipes  *pipes
	server *http.Server
}

// inBubble runs a test with a site of two nodes, and drains it at the end.
func inBubble(t *testing.T, test func(t *testing.T, s *site)) {
	synctest.Test(t, func(t *testing.T) {
		secret, err := auth.ParseSecret(strings.Repeat("5e", 32))
		if err != nil {
			t.Fatal(err)
		}
		var specs []config.Node
		for _, name := range []string{"n1", "n2"} {
			u := &url.URL{Scheme: "http", Host: name, User: url.UserPassword("user", "hidden")}
			specs = append(specs, config.Node{URL: u, Name: name, Secret: secret})
		}
		memory := memory.New(1)
		pool := node.NewPool(specs, node.Options{
			Memory: memory, Metrics: node.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
		})
		api := &admin.API{
			Fleet: fleet.New(fleet.Options{
				Pool: pool, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
			}),
		}
		d := New(&overview.Source{
			Started: time.Now(), API: api, Flags: func() overview.Flags { return overview.Flags{} },
			Untold: func() bool { return false },
			Reload: func() string { return "" }, Refused: func() (none overview.Refusals) { return },
		})
		mux := http.NewServeMux()
		d.Register(mux)
		s := &site{d, t, &pipes{conns: make(chan net.Conn), closed: make(chan struct{})},
			&http.Server{Handler: mux, ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute}}
		s.server.RegisterOnShutdown(d.Close)
		served := make(chan error, 1)
		go func() { served <- s.server.Serve(s.pipes) }()
		test(t, s)
		begun := time.Now()
		if err := s.server.Shutdown(t.Context()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if took := time.Since(begun); took > 2*writeLimit {
			t.Errorf("the streams held up draining for %v", took)
		}
		<-served
	})
}

// open asks for the events over a new connection.
func (s *site) open() (net.Conn, *bufio.Reader) {
	s.t.Helper()
	client, server := net.Pipe()
	s.t.Cleanup(func() { client.Close() })
	s.pipes.conns <- server
	if _, err := io.WriteString(client, "GET /events HTTP/1.1\r\nHost: eb\r\n\r\n"); err != nil {
		s.t.Fatal(err)
	}
	return client, bufio.NewReader(client)
}

// stream opens the events and returns what reads the next one.
func (s *site) stream() (next func() (event, data string)) {
	s.t.Helper()
	_, r := s.open()
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || got != "text/event-stream" {
		s.t.Fatalf("got HTTP %d, %s", response.StatusCode, got)
	}
	lines := bufio.NewReader(response.Body)
	return func() (event, data string) {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return "end", err.Error()
			}
			line = strings.TrimSpace(line)
			if text, ok := strings.CutPrefix(line, "event: "); ok {
				event = text
			}
			if text, ok := strings.CutPrefix(line, "data: "); ok {
				data = text
			}
			if line == "" {
				return event, data
			}
		}
	}
}

// A stream begins with all there is. Then it has what changed, and nothing else; and a sign of life where nothing does,
// for longer than the server lets ordinary requests last.
func TestEvents(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		next := s.stream()
		event, data := next()
		var m message
		err := json.Unmarshal([]byte(data), &m)
		if err != nil || event != "snapshot" || len(m.Nodes) != 2 ||
			fmt.Sprint(m.Order) != "[n1 n2]" || m.Status == nil {
			t.Fatalf("got %s %s, %v", event, data, err)
		}
		if strings.Contains(data, "hidden") || strings.Contains(data, "5e5e") {
			t.Errorf("a secret is shown: %s", data)
		}
		if err := s.source.API.Fleet.Pool.Drain([]string{"n2"}, true); err != nil {
			t.Fatal(err)
		}
		event, data = next()
		m = message{}
		if err := json.Unmarshal([]byte(data), &m); err != nil || event != "change" || len(m.Nodes) != 1 ||
			!strings.Contains(string(m.Nodes[0]), `"n2"`) || m.Order != nil {
			t.Errorf("got %s %s, %v", event, data, err)
		}
		if err := s.source.API.Fleet.Pool.Remove([]string{"n2"}); err != nil {
			t.Fatal(err)
		}
		if event, data = next(); event != "change" || !strings.Contains(data, `"order":["n1"]`) {
			t.Errorf("got %s %s", event, data)
		}
		alive := 0
		for begun := time.Now(); time.Since(begun) < 5*time.Minute; {
			switch event, data := next(); event {
			case "alive":
				alive++
			case "change": // the status tells ages
			default:
				t.Fatalf("got %s %s", event, data)
			}
		}
		if alive < 10 {
			t.Errorf("got %d signs of life in 5 minutes", alive)
		}
		go func() {
			time.Sleep(time.Second)
			s.Close()
		}()
		for event = ""; event != "stopping"; {
			if event, data = next(); event == "end" {
				t.Fatalf("the stream ended without a word: %s", data)
			}
		}
		if event, _ = next(); event != "end" {
			t.Errorf("after it stopped: got %s", event)
		}
	})
}

// A client that doesn't read is dropped, and holds up nobody.
func TestSlowClient(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.open() // and reads nothing
		next := s.stream()
		next()
		synctest.Wait()
		if got := s.clients.Load(); got != 2 {
			t.Fatalf("got %d clients, want 2", got)
		}
		time.Sleep(writeLimit + time.Second)
		if got := s.clients.Load(); got != 1 {
			t.Errorf("got %d clients, want the slow one dropped", got)
		}
		if event, _ := next(); event != "alive" && event != "change" {
			t.Errorf("the other one got %s", event)
		}
	})
}

// The number of streams is bounded. One that ends makes room.
func TestTooManyClients(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		first, r := s.open()
		if _, err := http.ReadResponse(r, nil); err != nil {
			t.Fatal(err)
		}
		readers := []io.Reader{r}
		for range maxClients - 1 {
			_, r := s.open()
			if _, err := http.ReadResponse(r, nil); err != nil {
				t.Fatal(err)
			}
			readers = append(readers, r)
		}
		for _, r := range readers {
			go io.Copy(io.Discard, r)
		}
		status := func() int {
			conn, r := s.open()
			defer conn.Close()
			response, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			return response.StatusCode
		}
		if got := status(); got != http.StatusServiceUnavailable {
			t.Errorf("got HTTP %d, want 503", got)
		}
		first.Close()
		time.Sleep(time.Second)
		if got := status(); got != http.StatusOK {
			t.Errorf("after one has left: got HTTP %d, want 200", got)
		}
	})
}
