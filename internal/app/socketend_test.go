//go:build unix

package app_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/ethereum/go-ethereum/rpc"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// While we end, a socket goes on taking calls. When nobody waits any more it is closed, with a word.
func TestSocketDrain(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	busy, idle := m.socket(t), m.socket(t)
	for _, n := range nodes {
		defer n.Script(enginetest.Rule{Method: "eth_slow", Delay: 500 * time.Millisecond, Result: `"0x1"`})()
	}
	busy.send(t, `{"jsonrpc":"2.0","id":1,"method":"eth_slow"}`)
	ended := m.stop(t)
	busy.send(t, `{"jsonrpc":"2.0","id":2,"method":"eth_chainId"}`)
	for _, want := range []string{`"id":2,"result"`, `"id":1,"result":"0x1"`} {
		if got := busy.receive(t); !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for _, s := range []socket{busy, idle} {
		if got := s.ended(t); got != websocket.StatusGoingAway {
			t.Errorf("closed with %v", got)
		}
	}
	if took := <-ended; took > 3*time.Second {
		t.Errorf("it ended after %v", took)
	}
	if lines := m.Log.Lines("cut off"); len(lines) > 0 {
		t.Errorf("logged: %s", lines)
	}
}

// Under load, too, each call that reached a node is answered; the others fail at once, and our successor has them.
func TestSocketDrainUnderLoad(t *testing.T) {
	t.Parallel()
	kept := apptest.NewSocket(t, "127.0.0.1:0")
	n := enginetest.New(t, enginetest.Client{})
	n.Script(enginetest.Rule{Method: "eth_load", Delay: 2 * time.Millisecond, Result: `"0x1"`})
	options := options(apptest.Fakes(n), nil)
	options.Listener = kept.Listener(t)
	m := &multiplexer{apptest.Start(t, options)}

	var answered atomic.Int64
	var over atomic.Bool
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			c := m.overSocket(t)
			for last := false; !last; {
				last = over.Load()
				for {
					// geth's client waits for ever for the answer to a call that it writes while it reads our goodbye.
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					err := c.CallContext(ctx, new(string), "eth_load")
					cancel()
					if err == nil {
						break
					}
					if failure, ok := err.(rpc.Error); ok {
						t.Errorf("an answer of ours: %v", failure)
						return
					}
					c.Close()
					c = m.overSocket(t)
				}
				answered.Add(1)
			}
		})
	}
	apptest.Until(t, "all call", func() bool { return answered.Load() > 100 })
	ended := m.stop(t)
	<-ended
	options.Listener = kept.Listener(t)
	next := apptest.Start(t, options)
	before := answered.Load()
	apptest.Until(t, "all call on", func() bool { return answered.Load() > before+100 })
	over.Store(true)
	callers.Wait()
	if calls := int64(len(n.CallsOf("eth_load"))); calls != answered.Load() {
		t.Errorf("%d calls reached the node, and %d were answered", calls, answered.Load())
	}
	if lines := m.Log.Lines("cut off"); len(lines) > 0 {
		t.Errorf("logged: %s", lines)
	}
	next.Stop()
}

// A call that takes for ever is cut off after ten seconds, as over HTTP.
func TestSocketDrainCutsOff(t *testing.T) {
	t.Parallel()
	n := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n), func(c *config.Config) {
		c.Nodes[0].Timeout, c.ReadTimeout = time.Minute, time.Minute
	})
	n.Script(enginetest.Rule{Method: "eth_call", Hang: true})
	s := m.socket(t)
	s.send(t, `{"jsonrpc":"2.0","id":1,"method":"eth_call"}`)
	n.Wait("eth_call", 1)
	if took := <-m.stop(t); took < 10*time.Second || took > 11*time.Second {
		t.Errorf("it ended after %v, want 10 s", took)
	}
	if got := s.ended(t); got != -1 {
		t.Errorf("closed with %v", got)
	}
	m.Log.Wait(t, "requests in flight were cut off")
}

// A reload closes the sockets whose secret doesn't count any more, and no others.
func TestSocketReload(t *testing.T) {
	t.Parallel()
	n := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n), nil)
	with := func(change func(*apptest.Options)) *config.Config {
		o := options(apptest.Fakes(n), nil)
		o.Settings["port"] = "0"
		change(&o)
		return apptest.Configuration(t, o)
	}
	s := m.socket(t)
	m.Reload(with(func(o *apptest.Options) { o.Settings["grace"] = "123" }))
	m.FailToReload(errors.New("as the test wants it"))
	n.Script(enginetest.Rule{Method: "eth_slow", Delay: 300 * time.Millisecond, Result: `"0x1"`})
	s.send(t, `{"jsonrpc":"2.0","id":1,"method":"eth_slow"}`)
	n.Wait("eth_slow", 1)
	other := append([]byte{1}, m.Secret[1:]...)
	m.Reload(with(func(o *apptest.Options) { o.Secret = other }))
	if got := s.receive(t); got != `{"jsonrpc":"2.0","id":1,"result":"0x1"}` {
		t.Errorf("a call in flight: %s", got)
	}
	if got := s.ended(t); got != websocket.StatusPolicyViolation {
		t.Errorf("closed with %v", got)
	}
	m.Log.Wait(t, "WebSocket connection is closed")
	if _, _, err := websocket.Dial(t.Context(), m.CL.URL, nil); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("got %v", err)
	}
	m.Secret = other
	s = m.socket(t)
	s.send(t, `{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}`)
	s.receive(t)
}

// wss:// is ws:// where the port speaks TLS, the end, too.
func TestSocketOverTLS(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m, _ := secured(t, apptest.Fakes(nodes...), enginetest.NewCertificate(t), 1)
	s := m.socket(t)
	chain := enginetest.Chain(4, 1, enginetest.Pad(1<<20))
	message, err := calling(chain[0])
	if err != nil {
		t.Fatal(err)
	}
	s.send(t, message)
	if got := s.receive(t); !strings.Contains(got, `"VALID"`) {
		t.Errorf("got %s", got)
	}
	m.stop(t)
	if got := s.ended(t); got != websocket.StatusGoingAway {
		t.Errorf("closed with %v", got)
	}
}

// 32 MB go through in both directions, and geth's client, which takes ten seconds at most to send, takes 4 MB. It runs
// alone: others would find the machine busy.
func TestSocketLargeMessages(t *testing.T) {
	n := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n), func(c *config.Config) { c.ReadTimeout = apptest.Patience })
	large := strings.Repeat("x", 4<<20)
	n.Script(enginetest.Rule{Method: "eth_large", Result: `"` + large + `"`})
	var got string
	if err := m.overSocket(t).CallContext(t.Context(), &got, "eth_large", large); err != nil || got != large {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	large = strings.Repeat("x", 32<<20)
	n.Script(enginetest.Rule{Method: "eth_larger", Result: `"` + large + `"`})
	s := m.socket(t)
	s.send(t, `{"jsonrpc":"2.0","id":1,"method":"eth_larger","params":["`+large+`"]}`)
	if got := s.receive(t); got != `{"jsonrpc":"2.0","id":1,"result":"`+large+`"}` {
		t.Errorf("%d bytes", len(got))
	}
	for _, method := range []string{"eth_large", "eth_larger"} {
		if calls := n.CallsOf(method); len(calls) != 1 {
			t.Errorf("%s was made %d times", method, len(calls))
		}
	}
}

// What is too large is an error of its call: geth's client has it under its id, and the socket stays. So does it where
// a node breaks off in the middle of a large answer.
func TestSocketStays(t *testing.T) {
	t.Parallel()
	n := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n), func(c *config.Config) { c.MaxBody = 1 << 20 })
	c := m.overSocket(t)
	err := c.CallContext(t.Context(), nil, "eth_call", strings.Repeat("x", 5<<20))
	if err == nil || !strings.Contains(err.Error(), "--max-body is 1048576 bytes") {
		t.Errorf("a large call: %v", err)
	}
	large := `"` + strings.Repeat("x", 8<<20) + `"`
	n.Script(enginetest.Rule{Method: "eth_large", Result: large, Fault: enginetest.ResetMidway})
	var failure rpc.Error
	if err := c.CallContext(t.Context(), nil, "eth_large"); !errors.As(err, &failure) {
		t.Errorf("an answer that broke off: %v", err)
	}
	if err := c.CallContext(t.Context(), new(string), "eth_chainId"); err != nil {
		t.Error(err)
	}
	s := m.socket(t) // which writes ids last, as some do
	s.send(t, `{"jsonrpc":"2.0","method":"eth_call","params":["`+strings.Repeat("x", 5<<20)+`"],"id":7}`)
	if got := s.receive(t); !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":`) {
		t.Errorf("got %.200s", got)
	}
}
