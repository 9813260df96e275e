package app_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"executionbackup/internal/app"
	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/quorum"
)

// multiplexer is an ExecutionBackup in this process, on a port of its own, with the CL that talks to it.
type multiplexer struct {
	*enginetest.CL
	app  *app.App
	log  *logbook
	stop func() // drains; called at the end of the test at the latest
}

// node says how a test's node is configured.
type node struct {
	url      string
	secret   []byte
	name     string
	timeout  time.Duration
	doNotUse bool
}

// fakes are enginetest nodes, configured under the names n1, n2, ….
func fakes(nodes ...*enginetest.Node) []node {
	var list []node
	for i, n := range nodes {
		list = append(list, node{url: n.URL, secret: n.Secret, name: "n" + string(rune('1'+i))})
	}
	return list
}

// clSecret is the secret that the CL shares with us, and with no node.
const clSecret = "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1"

// start runs an ExecutionBackup before the nodes and waits until they have been probed. change, where it isn't nil,
// changes the configuration.
func start(t testing.TB, nodes []node, change func(*config.Config)) *multiplexer {
	t.Helper()
	threshold, err := quorum.ParseRatio("0.6")
	if err != nil {
		t.Fatal(err)
	}
	c := &config.Config{
		Nodes:      configured(t, nodes),
		JWTSecret:  secret(t, clSecret),
		ListenAddr: "127.0.0.1",
		Timeout:    7500 * time.Millisecond,
		Rules:      quorum.Rules{Threshold: threshold, MinValid: 1},
		Grace:      500 * time.Millisecond,
		BuildGrace: 300 * time.Millisecond,
		CrossCheck: 200 * time.Millisecond,
		MaxBody:    128 << 20,
	}
	if change != nil {
		change(c)
	}
	book := &logbook{}
	log := slog.New(slog.NewTextHandler(io.MultiWriter(book, t.Output()), &slog.HandlerOptions{Level: slog.LevelDebug}))
	a, err := app.New(c, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	raw, _ := hex.DecodeString(clSecret)
	m := &multiplexer{CL: enginetest.NewCL(t, "http://"+a.Addr().String(), raw), app: a, log: book, stop: stop}
	m.get(t, "/recheck", nil) // until every node has been probed
	return m
}

func configured(t testing.TB, nodes []node) []config.Node {
	t.Helper()
	var list []config.Node
	for _, n := range nodes {
		c, err := config.ParseNode(n.url+"#name="+n.name, config.NodeDefaults{Secret: secret(t, hex.EncodeToString(n.secret)), Timeout: 7500 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if n.timeout > 0 {
			c.Timeout = n.timeout
		}
		c.DoNotUse = n.doNotUse
		list = append(list, c)
	}
	return list
}

func secret(t testing.TB, text string) auth.Secret {
	t.Helper()
	s, err := auth.ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// get decodes a REST answer into v, if that isn't nil, and fails the test unless it is 200.
func (m *multiplexer) get(t testing.TB, path string, v any) {
	t.Helper()
	resp, err := m.HTTP.Get(m.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d %s %v", path, resp.StatusCode, body, err)
	}
	if v != nil {
		if err := json.Unmarshal(body, v); err != nil {
			t.Fatal(err)
		}
	}
}

// nodeState is what GET /nodes says of a node, as far as tests look at it.
type nodeState struct {
	Name, State, Reason                  string
	Primary, Laggard, Drained, Qualified bool
	Objections                           int
	LastError                            string `json:"last_error"`
}

// node returns the present state of a node.
func (m *multiplexer) node(t testing.TB, name string) nodeState {
	t.Helper()
	var all []nodeState
	m.get(t, "/nodes", &all)
	for _, n := range all {
		if n.Name == name {
			return n
		}
	}
	t.Fatalf("no node %s", name)
	return nodeState{}
}

// newPayload sends a payload and returns the status that the CL hears.
func (m *multiplexer) newPayload(t testing.TB, p enginetest.Payload) enginetest.Status {
	t.Helper()
	s, err := m.NewPayload(t.Context(), p)
	if err != nil {
		t.Fatalf("newPayload: %v", err)
	}
	return s
}

// forkchoice makes a payload the head and returns the status that the CL hears.
func (m *multiplexer) forkchoice(t testing.TB, head enginetest.Payload) enginetest.Status {
	t.Helper()
	s, err := m.ForkchoiceUpdated(t.Context(), head, nil)
	if err != nil {
		t.Fatalf("forkchoiceUpdated: %v", err)
	}
	return s
}

// logbook keeps what was logged.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// lines returns the lines that contain all of the words.
func (l *logbook) lines(words ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for _, line := range strings.Split(l.text.String(), "\n") {
		all := line != ""
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			found = append(found, line)
		}
	}
	return found
}
