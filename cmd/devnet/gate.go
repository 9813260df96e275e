package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// mode is how a node behaves.
type mode int

const (
	works mode = iota
	stopped
	hangs // takes calls in and doesn't answer
	lies  // says INVALID to a newPayload that it finds VALID
)

// String returns the word for a node that doesn't vote, or "".
func (m mode) String() string { return [...]string{stopped: "stopped", hangs: "hangs", lies: ""}[m] }

// gate is the address at which ExecutionBackup finds a node. The node itself is behind it. It is here that a node hangs
// and lies, and that nothing listens while it is stopped.
type gate struct {
	address string
	client  http.Client

	// What set alone uses.
	server  *http.Server // nil while nothing listens
	serving sync.WaitGroup

	// Whoever passes a call on holds it for reading, so that set returns when none is on its way any more.
	mu      sync.RWMutex
	mode    mode
	changed chan struct{} // closed when the mode changes
	target  string        // URL of the node's Engine API
}

// newGate listens on a port of this machine, 0 for any that is free. Until lead it leads nowhere.
func newGate(port int) (*gate, error) {
	g := &gate{address: net.JoinHostPort(localhost, strconv.Itoa(port)), changed: make(chan struct{})}
	g.client.Timeout = 10 * time.Second // longer than any timeout of ExecutionBackup
	g.client.Transport = &http.Transport{DisableCompression: true}
	return g, g.listen()
}

func (g *gate) listen() error {
	listener, err := net.Listen("tcp", g.address)
	if err != nil {
		return err
	}
	g.address = listener.Addr().String()
	g.server = &http.Server{Handler: g}
	g.serving.Go(func() { g.server.Serve(listener) })
	return nil
}

func (g *gate) url() string { return "http://" + g.address }

// lead makes the gate lead to a node.
func (g *gate) lead(target string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.target = target
}

// now returns the present mode.
func (g *gate) now() mode {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.mode
}

// set changes the mode. Only one goroutine may do that. After set(stopped) no call is under way on the node.
func (g *gate) set(m mode) error {
	switch {
	case m == stopped && g.server != nil:
		g.server.Close() // breaks its connections
		g.serving.Wait()
		g.server = nil
		g.client.CloseIdleConnections()
	case m != stopped && g.server == nil:
		if err := g.listen(); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mode = m
	close(g.changed)
	g.changed = make(chan struct{})
	return nil
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body) // to its end, or the server wouldn't notice that the caller has gone
	if err != nil {
		return
	}
	answer, header, err := g.pass(r.Context(), r.Header, body)
	if err != nil {
		panic(http.ErrAbortHandler) // what a process leaves behind that has ended
	}
	w.Header().Set("Content-Type", header.Get("Content-Type"))
	w.Write(answer)
}

// pass waits until the gate doesn't hang and passes the call on.
func (g *gate) pass(ctx context.Context, header http.Header, body []byte) ([]byte, http.Header, error) {
	g.mu.RLock()
	for g.mode == hangs {
		changed := g.changed
		g.mu.RUnlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
		g.mu.RLock()
	}
	defer g.mu.RUnlock()
	if g.mode == stopped || g.target == "" {
		return nil, nil, fmt.Errorf("nothing is behind %s", g.address)
	}
	// A node finishes what it has begun, though the caller may hang up.
	request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, g.target,
		bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	request.Header = header.Clone()
	response, err := g.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if g.mode == lies && isNewPayload(body) {
		answer = lie(answer)
	}
	return answer, response.Header, err
}

func isNewPayload(body []byte) bool {
	var call struct{ Method string }
	return json.Unmarshal(body, &call) == nil && strings.HasPrefix(call.Method, "engine_newPayload")
}

// lie turns VALID into INVALID in an answer as geth writes it.
func lie(answer []byte) []byte {
	if truth := []byte(`"status":"VALID"`); bytes.Contains(answer, truth) {
		answer = bytes.Replace(answer, truth, []byte(`"status":"INVALID"`), 1)
		answer = bytes.Replace(answer, []byte(`"validationError":null`), []byte(`"validationError":"a lie"`), 1)
	}
	return answer
}
