// Package enginetest plays both sides of the Engine API in tests. Node is an execution client on 127.0.0.1 that is
// healthy until a Rule says otherwise, CL is a consensus client, and Payload is what they talk about.
//
//	node := enginetest.New(t, enginetest.Client{})
//	cl := enginetest.NewCL(t, node.URL, node.Secret)
//	chain := enginetest.Chain(4, 2, nil)
//
//	cl.NewPayload(t.Context(), chain[0]) // VALID
//
//	node.Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: chain[1].Hash(), Status: "INVALID"})
//	cl.NewPayload(t.Context(), chain[1]) // INVALID
//
// It shares no code with what it tests: its tokens, its JSON-RPC and its block hashes are its own or go-ethereum's.
package enginetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// Node is one execution client. It is safe for concurrent use, and closed when its test ends.
type Node struct {
	URL        string // http://127.0.0.1:port
	Secret     []byte // 32 bytes; a call whose token was minted with another secret gets a 401
	SecretFile string // holds Secret in hex

	t        testing.TB
	upstream string       // URL of the real client; empty for a node that plays one itself
	http     *http.Client // towards upstream
	serial   int64        // tells the payload ids and the payloads of nodes apart

	power sync.Mutex // guards stop; never held together with mu
	addr  string
	stop  func() // nil while closed

	connections atomic.Int64

	mu         sync.Mutex
	changed    chan struct{} // closed and replaced whenever calls changes
	calls      []*Call
	violations []string
	rules      []*script
	client     Client
	chain      chain
	builds     map[string]build  // by payload id
	buildIDs   map[string]string // by head and payload attributes: the same request gets the same id
}

var serials atomic.Int64

// New starts a node that plays a healthy, synced client with a secret of its own.
func New(t testing.TB, client Client) *Node {
	secret := make([]byte, 32)
	rand.Read(secret)
	return start(t, "", secret, client)
}

// Proxy starts a node that passes every call on to a real client, whose secret it shares, and lies where a rule says
// so. A rule with a Status changes the status only: the real client has executed the call. A rule whose answer doesn't
// need the real client (Error, Result, Reply, Reset, Hangup) keeps the call from it.
func Proxy(t testing.TB, url string, secret []byte) *Node {
	return start(t, url, secret, Client{})
}

func start(t testing.TB, upstream string, secret []byte, client Client) *Node {
	t.Helper()
	file := filepath.Join(t.TempDir(), "jwt.hex")
	if err := os.WriteFile(file, []byte(hex.EncodeToString(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	n := &Node{
		Secret:     secret,
		SecretFile: file,
		t:          t,
		upstream:   upstream,
		http:       &http.Client{Transport: &http.Transport{DisableCompression: true}},
		serial:     serials.Add(1),
		changed:    make(chan struct{}),
		client:     client.withDefaults(),
		builds:     map[string]build{},
		buildIDs:   map[string]string{},
	}
	n.chain = newChain(n.client.Genesis)
	n.Reopen()
	n.URL = "http://" + n.addr
	t.Cleanup(func() {
		n.Close()
		n.http.CloseIdleConnections()
	})
	return n
}

// Close ends the node as kill -9 does: running calls get no answer, connections break, new ones are refused. It returns
// when every call has ended. Closing a closed node does nothing.
func (n *Node) Close() {
	n.power.Lock()
	defer n.power.Unlock()
	if n.stop != nil {
		n.stop()
		n.stop = nil
	}
}

// Reopen starts a closed node again, on the same port, with the rules, records and blocks that it had.
func (n *Node) Reopen() {
	n.t.Helper()
	n.power.Lock()
	defer n.power.Unlock()
	if n.stop != nil {
		return
	}
	listener, err := listen(n.addr)
	if err != nil {
		n.t.Fatalf("open node: %v", err)
	}
	n.addr = listener.Addr().String()
	n.stop = serve(listener, n.handle, &n.connections)
}

// Connections is how many have been made to the node so far.
func (n *Node) Connections() int { return int(n.connections.Load()) }

// A node's port is below those that systems give out by themselves, and given to no other node of this process. So
// nobody takes it while the node is closed.
const firstPort, ports = 20000, 12000

var lastPort atomic.Uint32

func init() { lastPort.Store(mathrand.Uint32N(ports)) } // other processes do the same

// listen opens an address, or a new one where there is none yet.
func listen(addr string) (listener net.Listener, err error) {
	if addr != "" {
		return net.Listen("tcp", addr)
	}
	for range ports {
		port := firstPort + lastPort.Add(1)%ports
		if listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			break
		}
	}
	return listener, err
}

// serve answers with handle until the returned function is called, which waits for every handler. It counts
// connections.
func serve(listener net.Listener, handle http.HandlerFunc, connections *atomic.Int64) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup // the accept loop, connections, and handlers, which outlive a hijacked connection
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.Add(1)
			defer running.Done()
			handle(w, r)
		}),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState: func(conn net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				connections.Add(1)
				running.Add(1)
				if ctx.Err() != nil { // accepted too late for server.Close to know it
					conn.Close()
				}
			case http.StateClosed, http.StateHijacked:
				running.Done()
			}
		},
	}
	running.Go(func() { server.Serve(listener) })
	return func() {
		cancel()
		server.Close()
		running.Wait()
	}
}
