package node

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
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
		specs = append(specs, config.Node{URL: u, Name: fmt.Sprintf("n%d", i+1), Secret: secret, Timeout: 5 * time.Second})
	}
	p := NewPool(specs, Options{
		Memory: quorum.NewMemory(100), Metrics: NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(func() {
		for _, n := range p.Nodes() {
			n.close()
		}
	})
	return p
}

// answering is a node that answers every call with the same.
func answering(t *testing.T, status, body string) *wired {
	return newWired(t, func(_ int, c net.Conn, requests *bufio.Reader) {
		for request(requests) {
			fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
		}
	})
}

// An answer has to have its call's id, and one that has another ends the connection: what comes next may be this call's.
// A result that comes with an HTTP error is none.
func TestWhatAnswersACall(t *testing.T) {
	t.Parallel()
	const ok = "200 OK"
	long := `"` + strings.Repeat("x", 2*streamFrom) + `"`
	const malformed = "malformed answer: it has another call's id"
	for _, test := range []struct{ id, status, answer, want string }{
		{`1`, ok, `{"jsonrpc":"2.0","id":1,"result":1}`, ""},
		{`1`, ok, `{"result":1, "id" : 1 }`, ""},
		{`"a\/b"`, ok, `{"jsonrpc":"2.0","id":"a/b","result":1}`, ""},
		{`1`, ok, `{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"x"}}`, ""},
		{`1`, ok, `{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"x"}}`, ""},
		{`1`, ok, `{"jsonrpc":"2.0","error":{"code":-1,"message":"x"}}`, ""},
		{`1`, ok, `{"jsonrpc":"2.0","id":2,"error":{"code":-1,"message":"x"}}`, malformed},
		{`1`, ok, `{"jsonrpc":"2.0","id":2,"result":1}`, malformed},
		{`1`, ok, `{"jsonrpc":"2.0","id":"1","result":1}`, malformed},
		{`"1"`, ok, `{"jsonrpc":"2.0","id":1,"result":1}`, malformed},
		{`1`, ok, `{"jsonrpc":"2.0","id":null,"result":1}`, malformed},
		{`1`, ok, `{"jsonrpc":"2.0","result":1}`, malformed},
		{`1`, ok, `{"jsonrpc":"2.0","id":1,"result":` + long + `}`, ""},
		{`1`, ok, `{"jsonrpc":"2.0","result":` + long + `,"id":1}`, ""},
		{`1`, ok, `{"jsonrpc":"2.0","id":2,"result":` + long + `}`, malformed},
		{`1`, ok, `{"jsonrpc":"2.0","result":` + long + `,"id":2}`, malformed},
		{`1`, ok, `{"jsonrpc":"2.0","result":` + long + `}`, malformed},
		{`1`, "503 Service Unavailable", `{"jsonrpc":"2.0","id":1,"result":1}`, "HTTP 503 instead of an answer"},
		{`1`, "400 Bad Request", `{"jsonrpc":"2.0","id":1,"result":` + long + `}`, "HTTP 400 instead of an answer"},
		{`1`, "400 Bad Request", `{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"x"}}`, ""},
		{`1`, "500 Internal Server Error", `{"jsonrpc":"2.0","id":2,"error":{"code":-1,"message":"x"}}`, malformed},
		{`1`, "401 Unauthorized", "stale token", `it refuses our token (HTTP 401): "stale token": is the secret the node's own, and the clock right?`},
		{`1`, "401 Unauthorized", "", `it refuses our token (HTTP 401): is the secret the node's own, and the clock right?`},
		{`1`, "403 Forbidden", "invalid host specified\n", `it refuses us (HTTP 403): "invalid host specified"`},
		{`1`, "403 Forbidden", "", `it refuses us (HTTP 403)`},
		{`1`, "403 Forbidden", "JWT expired", `it refuses our token (HTTP 403): "JWT expired": is the secret the node's own, and the clock right?`},
	} {
		for _, streamed := range []bool{false, true} {
			server := answering(t, test.status, test.answer)
			n := newTestPool(t, server.Addr().String()).Nodes()[0]
			call := []byte(`{"jsonrpc":"2.0","method":"eth_x","params":[{"id":7}],"id":` + test.id + `}`)
			make := func() (err error) {
				if streamed {
					_, err = n.Stream(t.Context(), engine.Other, call, func(r io.Reader) error {
						_, err := io.Copy(io.Discard, r)
						return err
					})
				} else {
					_, err = n.Call(t.Context(), engine.Other, call)
				}
				return err
			}
			got := ""
			if err := make(); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("%s, %.80s, streamed %t: got %q, want %q", test.status, test.answer, streamed, got, test.want)
			}
			make()
			if again := server.connections() > 1; again != (test.want == malformed) && !strings.Contains(test.want, "refuses") {
				t.Errorf("%s, %.80s, streamed %t: another connection: %t", test.status, test.answer, streamed, again)
			}
		}
	}
}

// Whoever answers another call has perhaps done so on all connections.
func TestOtherAnswersEndAllConnections(t *testing.T) {
	t.Parallel()
	answers := make(chan string)
	server := newWired(t, func(_ int, c net.Conn, requests *bufio.Reader) {
		for request(requests) {
			body := <-answers
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})
	n := newTestPool(t, server.Addr().String()).Nodes()[0]
	call := func(ctx context.Context) error {
		_, err := n.Call(ctx, engine.Other, []byte(`{"jsonrpc":"2.0","id":5,"method":"eth_x"}`))
		return err
	}
	done := make(chan error)
	for range 2 {
		go func() { done <- call(t.Context()) }()
	}
	for range 2 {
		answers <- `{"jsonrpc":"2.0","id":5,"result":1}`
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	go func() { done <- call(t.Context()) }()
	answers <- `{"jsonrpc":"2.0","id":6,"result":1}`
	if err := <-done; err == nil {
		t.Error("another call's answer is taken")
	}
	if idle := len(n.transport.(*transport).idle); idle > 0 {
		t.Errorf("%d connections are kept", idle)
	}
}

// Only engine calls and our own make a node dead.
func TestWhatMakesANodeDead(t *testing.T) {
	t.Parallel()
	closed := newWired(t, nil)
	closed.Close()
	body := []byte(`{"jsonrpc":"2.0","id":1,"method":"x"}`)
	for _, test := range []struct {
		call func(*Node) error
		dead bool
	}{
		{func(n *Node) error { _, err := n.Call(t.Context(), engine.Other, body); return err }, false},
		{func(n *Node) error { _, err := n.Call(t.Context(), engine.SendRawTransaction, body); return err }, false},
		{func(n *Node) error { _, err := n.Call(t.Context(), engine.NewPayload, body); return err }, true},
		{func(n *Node) error { _, err := n.Call(t.Context(), engine.OtherEngine, body); return err }, true},
		{func(n *Node) error { _, err := n.Ask(t.Context(), "eth_syncing", "[]"); return err }, true},
	} {
		n := newTestPool(t, closed.Addr().String()).Nodes()[0]
		if err := test.call(n); err == nil || err.Error() != "no connection: connection refused" {
			t.Errorf("got %v", err)
		}
		if s := n.Status(); s.Reachable() == test.dead {
			t.Errorf("it is %s, want dead: %t", s.State, test.dead)
		}
	}
}
