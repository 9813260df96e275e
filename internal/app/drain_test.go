//go:build unix

package app_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// held makes the nodes hold newPayloads, and one call wait for them. It is answered when release has been called.
func (m *multiplexer) held(t *testing.T, p enginetest.Payload, nodes ...*enginetest.Node) (
	answered <-chan enginetest.Status, release func(),
) {
	t.Helper()
	var ends []func()
	had := make(map[*enginetest.Node]int)
	for _, n := range nodes {
		had[n] = len(n.CallsOf("engine_newPayload"))
		ends = append(ends, n.Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: p.Hash(), Hang: true}))
	}
	answered = later(func() enginetest.Status { return m.newPayload(t, p) })
	for _, n := range nodes {
		n.Wait("engine_newPayload", had[n]+1)
	}
	return answered, func() {
		for _, end := range ends {
			end()
		}
	}
}

// stop begins the end, and returns when that has begun. ended gets how long it took.
func (m *multiplexer) stop(t *testing.T) (ended <-chan time.Duration) {
	t.Helper()
	begun := time.Now()
	ended = later(func() time.Duration { m.Stop(); return time.Since(begun) })
	m.Log.Wait(t, "msg=draining")
	return ended
}

// Whoever waits for an answer when the end begins gets it, over either protocol, and so does who calls meanwhile: over
// a connection that was open before, which that answer ends, and over a new one. Only load balancers are sent away.
func TestDrainAnswers(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			nodes := three(t)
			m := start(t, apptest.Fakes(nodes...), nil)
			if protocol == "HTTP/2" {
				transport := &http.Transport{Protocols: new(http.Protocols)}
				transport.Protocols.SetUnencryptedHTTP2(true)
				t.Cleanup(transport.CloseIdleConnections)
				m.HTTP = &http.Client{Transport: transport}
			}
			chain := enginetest.Chain(4, 2, nil)
			m.hears(t, "VALID", "engine_newPayload", chain[0])
			answered, release := m.held(t, chain[1], nodes...)
			ended := m.stop(t)
			for range 10 {
				m.hears(t, "VALID", "engine_forkchoiceUpdated", chain[0])
			}
			if err := m.IsReady(t.Context()); err == nil || !strings.Contains(err.Error(), "HTTP 503: draining") {
				t.Errorf("/readyz: %v", err)
			}
			release()
			if got := <-answered; got.Status != "VALID" {
				t.Errorf("got %+v", got)
			}
			if took := <-ended; took > 2*time.Second {
				t.Errorf("it ended after %v, though nobody waited any more", took)
			}
			if _, err := net.Dial("tcp", m.App.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("after the end: %v", err)
			}
			if lines := m.Log.Lines("cut off"); len(lines) > 0 {
				t.Errorf("logged: %s", lines)
			}
		})
	}
}

// While we end, an answer is the last one on its connection, so that few are left that may bring a call when we close
// them.
func TestDrainRetiresConnections(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	chain := enginetest.Chain(4, 2, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	answered, release := m.held(t, chain[1], nodes...)
	over := func() (kept bool) {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(c httptrace.GotConnInfo) { kept = c.Reused },
		})
		if _, err := m.ForkchoiceUpdated(ctx, chain[0], nil); err != nil {
			t.Fatal(err)
		}
		return kept
	}
	over() // a connection beside that of the held call
	if !over() {
		t.Error("a connection isn't kept")
	}
	ended := m.stop(t)
	if !over() {
		t.Error("a kept connection was closed without an answer")
	}
	if over() {
		t.Error("a connection is kept while we end")
	}
	release()
	<-answered
	<-ended
}

// A node that still works on a call which the CL has its answer to is waited for.
func TestDrainWaitsForStragglers(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), func(c *config.Config) { c.Grace = 50 * time.Millisecond })
	nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Delay: 500 * time.Millisecond})
	m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 1, nil)[0])
	if calls := nodes[2].CallsOf("engine_newPayload"); len(calls) != 1 || calls[0].Ended > 0 {
		t.Fatalf("n3 is no straggler: %+v", calls)
	}
	m.Stop()
	if c := nodes[2].WaitEnded("engine_newPayload", 1)[0]; c.Gone {
		t.Error("n3's call was given up")
	}
}

// A node that hangs is waited for as long as --drain says. Meanwhile a CL calls on and on, and has its answers; those
// that come when we no longer accept it has from who serves the socket after us.
func TestDrainWithAHungNode(t *testing.T) {
	t.Parallel()
	const drain = 700 * time.Millisecond
	socket := apptest.NewSocket(t, "127.0.0.1:0")
	nodes := three(t)
	options := options(apptest.Fakes(nodes...), func(c *config.Config) {
		c.Grace, c.Drain = 50*time.Millisecond, drain
	})
	options.Listener = socket.Listener(t)
	m := &multiplexer{apptest.Start(t, options)}
	nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Hang: true})
	chain := enginetest.Chain(4, 1, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])

	ended := m.stop(t)
	if err := m.IsReady(t.Context()); err == nil || !strings.Contains(err.Error(), "HTTP 503: draining") {
		t.Errorf("/readyz: %v", err)
	}
	done := apptest.CallOn(t, func() error {
		got, err := m.ForkchoiceUpdated(t.Context(), chain[0], nil)
		if err == nil && got.Status != "VALID" {
			err = fmt.Errorf("got %+v", got)
		}
		return err
	})
	if took := <-ended; took < drain || took > drain+2*time.Second {
		t.Errorf("it ended after %v, want %v", took, drain)
	}
	options.Listener = socket.Listener(t)
	apptest.Start(t, options)
	done()
}

// A CL that always has a call in flight holds up the end for ten seconds at most. Each of its calls is answered, the
// last ones by our successor.
func TestDrainWithoutAPause(t *testing.T) {
	t.Parallel()
	socket := apptest.NewSocket(t, "127.0.0.1:0")
	n := enginetest.New(t, enginetest.Client{})
	options := options(apptest.Fakes(n), nil)
	options.Listener = socket.Listener(t)
	m := &multiplexer{apptest.Start(t, options)}

	// Six at a time, which never end together.
	var done []func()
	for i, takes := range []time.Duration{307, 353, 401, 449, 503, 557} {
		method := fmt.Sprint("eth_call", i)
		n.Script(enginetest.Rule{Method: method, Delay: takes * time.Millisecond, Result: `"0x1"`})
		done = append(done, apptest.CallOn(t, func() error { _, err := m.Call(t.Context(), method); return err }))
		n.Wait(method, 1)
	}
	if took := <-m.stop(t); took < 9*time.Second || took > 10500*time.Millisecond {
		t.Errorf("it ended after %v, want 10 s at most", took)
	}
	if lines := m.Log.Lines("cut off"); len(lines) > 0 {
		t.Errorf("logged: %s", lines)
	}
	options.Listener = socket.Listener(t)
	apptest.Start(t, options)
	for _, done := range done {
		done()
	}
}

// A call that takes for ever is cut off after ten seconds.
func TestDrainCutsOff(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), func(c *config.Config) {
		for i := range c.Nodes {
			c.Nodes[i].Timeout = time.Minute
		}
		c.ReadTimeout = time.Minute
	})
	for _, n := range nodes {
		n.Script(enginetest.Rule{Method: "eth_call", Hang: true})
	}
	answered := later(func() error { _, err := m.Call(t.Context(), "eth_call"); return err })
	apptest.Until(t, "the call has arrived", func() bool {
		return slices.ContainsFunc(nodes, func(n *enginetest.Node) bool { return len(n.CallsOf("eth_call")) > 0 })
	})
	if took := <-m.stop(t); took < 10*time.Second || took > 11*time.Second {
		t.Errorf("it ended after %v, want 10 s", took)
	}
	if err := <-answered; err == nil {
		t.Error("the call was answered")
	}
	m.Log.Wait(t, "requests in flight were cut off")
}

// A request of the REST API doesn't hold up the end for long.
func TestDrainCutsOffREST(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	nodes[2].WaitEnded("eth_config", 1) // the last question of the first probe
	nodes[2].Script(enginetest.Rule{Hang: true})
	had := len(nodes[2].Calls())
	answered := later(func() error { _, err := m.Ask(t.Context(), "GET", "/recheck", ""); return err })
	nodes[2].Wait("", had+1)
	if took := <-m.stop(t); took > 3*time.Second {
		t.Errorf("it ended after %v", took)
	}
	if err := <-answered; err == nil {
		t.Error("the request was answered, so nothing is shown")
	}
	m.Log.Wait(t, "requests in flight were cut off")
}
