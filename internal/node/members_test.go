package node

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"executionbackup/internal/config"
	"executionbackup/internal/engine"
)

// specs are the specifications of a pool's nodes.
func (p *Pool) specs() []config.Node {
	var specs []config.Node
	for _, n := range p.Nodes() {
		specs = append(specs, n.setup.Load().Node)
	}
	return specs
}

// A reload changes a node while it is called, and every call is made as a whole under the old or the new specification.
func TestReloadWhileCalling(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":1}`)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	p := newTestPool(t, server.Listener.Addr().String())
	n := p.Nodes()[0]
	call := &engine.Call{
		Method: engine.ParseMethod("eth_x"), Body: []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_x"}`), ID: []byte("1"),
	}
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() {
			for range 200 {
				if _, err := n.Call(t.Context(), call); err != nil {
					t.Error(err)
				}
				_ = n.Name() + n.URL() + n.Timeout(engine.Method{}).String()
			}
		})
	}
	for i := range 100 {
		specs := p.specs()
		specs[0].Name, specs[0].Timeout = fmt.Sprintf("n%d", i%2), time.Duration(i+1)*time.Second
		specs[0].DoNotUse = i%2 == 0
		p.Reload(specs)
	}
	calls.Wait()
	timeout, made := n.Timeout(engine.Method{}), connections.Load()
	if p.Nodes()[0] != n || n.Name() != "n1" || timeout != 100*time.Second || n.Status().DoNotUse || made > 2 {
		t.Errorf("%s, %v, %d connections", n.Name(), timeout, made)
	}
}

// What is set aside objects to nothing any more.
func TestDoNotUseClears(t *testing.T) {
	p := pooled(t, 2)
	n := p.Nodes()[1]
	objects(p, n.ID, blocks[0])
	specs := p.specs()
	specs[1].Timeout++
	p.Reload(specs)
	if got := p.Memory.Objections(n.ID); got != 1 {
		t.Errorf("another timeout: %d objections", got)
	}
	specs[1].DoNotUse = true
	p.Reload(specs)
	if got := p.Memory.Objections(n.ID); got != 0 || p.Nodes()[1] != n {
		t.Errorf("do-not-use: %d objections", got)
	}
	if err := p.Add(specs[1:]); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("the same once more: %v", err)
	}
}

// Who can't be removed or drained, of nodes in these states, where n4 is set aside already. The words are those listed.
func TestLastVoter(t *testing.T) {
	for _, test := range []struct{ states, words, want string }{
		{"fast fast dead", "n1", ""},
		{"fast fast dead", "n1 n3", ""},
		{"fast fast dead", "n1 n2", "the last voter that is alive can't be %s: n3 would be left, and not alive"},
		{"fast dead syncing", "n1", "the last voter that is alive can't be %s: n2, n3 would be left, and not alive"},
		{"fast dead syncing", "n2 n3 n4", ""},
		{"laggard dead dead", "n1", "the last voter that is alive can't be %s: n2, n3 would be left, and not alive"},
		{"dead dead syncing", "n3", ""},
		{"dead dead syncing", "n1 n3", ""},
		{"dead dead syncing", "n1 n2 n3", "the last voter can't be %s: no other node may vote"},
		{"fast fast fast", "n3 n2 n1", "the last voter can't be %s: no other node may vote"},
		{"fast fast fast", "n4", ""},
	} {
		for what, change := range map[string]func(*Pool, []string) error{
			"removed": (*Pool).Remove,
			"drained": func(p *Pool, words []string) error { return p.Drain(words, true) },
		} {
			p := pooled(t, 4)
			if err := p.Drain([]string{"n4"}, true); err != nil {
				t.Fatal(err)
			}
			for i, state := range strings.Fields(test.states + " fast") {
				p.Nodes()[i].become(state)
			}
			got, want := "", strings.ReplaceAll(test.want, "%s", what)
			if err := change(p, strings.Fields(test.words)); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%s: %s %s: got %q, want %q", test.states, test.words, what, got, want)
			}
		}
	}
}
