package app_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
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
	app    *app.App
	config *config.Config
	log    *logbook
	stop   func() // drains; called at the end of the test at the latest
}

// node says how a test's node is configured.
type node struct {
	fake     *enginetest.Node // if not nil, it must see good tokens only, and none of the CL's
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
		list = append(list, node{fake: n, url: n.URL, secret: n.Secret, name: fmt.Sprintf("n%d", i+1)})
	}
	return list
}

// clSecret is the secret that the CL shares with us, and with no node.
const clSecret = "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1"

// start runs an ExecutionBackup before the nodes and waits until all of them have been probed. change, where it isn't
// nil, changes the configuration.
func start(t testing.TB, nodes []node, change func(*config.Config)) *multiplexer {
	t.Helper()
	m := run(t, nodes, change)
	until(t, "ready", func() bool { return m.rest(t, "GET", "/readyz", "").status == http.StatusOK })
	return m
}

// startLed is start with n1 as the primary. Without it the primary is whichever node is probed first.
func startLed(t testing.TB, nodes []node, change func(*config.Config)) *multiplexer {
	t.Helper()
	syncing := func(is bool) {
		for _, n := range nodes[1:] {
			n.fake.Update(func(c *enginetest.Client) { c.Syncing = is })
		}
	}
	syncing(true)
	m := start(t, nodes, change)
	syncing(false)
	m.recheck(t)
	return m
}

// run is start without waiting for the probes.
func run(t testing.TB, nodes []node, change func(*config.Config)) *multiplexer {
	t.Helper()
	c := configuration(t, nodes)
	if change != nil {
		change(c)
	}
	book := &logbook{changed: make(chan struct{})}
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
	t.Cleanup(func() {
		for _, n := range nodes {
			if n.fake == nil {
				continue
			}
			n.fake.Close() // what still hangs there would hold up the drain
			if v := n.fake.Violations(); len(v) > 0 {
				t.Errorf("%s saw tokens that it shouldn't: %v", n.name, v)
			}
		}
		stop()
	})
	raw, _ := hex.DecodeString(clSecret)
	return &multiplexer{CL: enginetest.NewCL(t, "http://"+a.Addr().String(), raw), app: a, config: c, log: book, stop: stop}
}

// configuration has the default of every setting, except that it takes a free port, opens the REST API and replays
// nothing.
func configuration(t testing.TB, nodes []node) *config.Config {
	t.Helper()
	threshold, err := quorum.ParseRatio("0.6")
	if err != nil {
		t.Fatal(err)
	}
	return &config.Config{
		Nodes:      configured(t, nodes),
		JWTSecret:  secret(t, clSecret),
		ListenAddr: "127.0.0.1",
		Timeout:    7500 * time.Millisecond,
		Rules:      quorum.Rules{Threshold: threshold, MinValid: 1},
		Grace:      500 * time.Millisecond,
		BuildGrace: 300 * time.Millisecond,
		CrossCheck: 200 * time.Millisecond,
		MaxBody:    128 << 20,
		OpenAdmin:  true,

		ReadTimeout: 30 * time.Second,
		MaxInFlight: 512 << 20, MaxConnections: 1024,
	}
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

// answer is an HTTP response.
type answer struct {
	status int
	header http.Header
	body   string
}

// rest makes a request to the REST API. header has names and values in turn; what is empty is not sent.
func (m *multiplexer) rest(t testing.TB, method, path, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, m.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := m.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(got)}
}

// get decodes a REST answer into v, and fails the test unless it is 200.
func (m *multiplexer) get(t testing.TB, path string, v any) {
	t.Helper()
	got := m.rest(t, "GET", path, "")
	if got.status != http.StatusOK {
		t.Fatalf("GET %s: %+v", path, got)
	}
	if err := json.Unmarshal([]byte(got.body), v); err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, got.body)
	}
}

// change posts a list of nodes to the REST API.
func (m *multiplexer) change(t testing.TB, path string, nodes ...string) answer {
	t.Helper()
	body, err := json.Marshal(map[string][]string{"nodes": nodes})
	if err != nil {
		t.Fatal(err)
	}
	return m.rest(t, "POST", path, string(body), "Content-Type", "application/json")
}

// must is change where it has to succeed.
func (m *multiplexer) must(t testing.TB, path string, nodes ...string) {
	t.Helper()
	if got := m.change(t, path, nodes...); got.status != http.StatusOK {
		t.Fatalf("POST %s %v: %+v", path, nodes, got)
	}
}

// recheck probes all nodes and returns when all have been.
func (m *multiplexer) recheck(t testing.TB) {
	t.Helper()
	m.get(t, "/recheck", new(struct{}))
}

// metric returns a sample of the Prometheus metrics by its name and labels as they stand there, 0 if there is none.
func (m *multiplexer) metric(t testing.TB, name string) float64 {
	t.Helper()
	for line := range strings.Lines(m.rest(t, "GET", "/metrics?format=prometheus", "").body) {
		if text, found := strings.CutPrefix(line, name+" "); found {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	return 0
}

// nodeState is what GET /nodes says of a node, as far as tests look at it.
type nodeState struct {
	Name, URL, State, Reason             string
	Primary, Laggard, Drained, Qualified bool
	Objections                           int
	LastError                            string `json:"last_error"`
}

// states returns the present states of all nodes.
func (m *multiplexer) states(t testing.TB) (all []nodeState) {
	t.Helper()
	m.get(t, "/nodes", &all)
	return all
}

// node returns the present state of a node.
func (m *multiplexer) node(t testing.TB, name string) nodeState {
	t.Helper()
	for _, n := range m.states(t) {
		if n.Name == name {
			return n
		}
	}
	t.Fatalf("no node %s", name)
	return nodeState{}
}

// vote is what GET /blocks says of a node's part in a newPayload.
type vote struct{ Node, Status, Vote string }

// said returns what a node said to the last newPayload of a block.
func (m *multiplexer) said(t testing.TB, block enginetest.Payload, name string) vote {
	t.Helper()
	var blocks []struct {
		Hash  string
		Votes []vote
	}
	m.get(t, "/blocks", &blocks)
	for _, b := range slices.Backward(blocks) {
		for _, v := range b.Votes {
			if b.Hash == block.Hash() && v.Node == name {
				return v
			}
		}
	}
	t.Fatalf("/blocks has nothing from %s on %s", name, block.Hash())
	return vote{}
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

// prove lets nodes call VALID a payload of another chain than the test's, which takes one newPayload. A node that has never
// called anything VALID may not object where another has, and INVALID takes two that have.
func (m *multiplexer) prove(t testing.TB, nodes ...*enginetest.Node) {
	t.Helper()
	other := enginetest.Chain(4, 1, func(p *enginetest.Payload) { p.ExtraData = []byte("proof") })[0]
	for _, n := range nodes {
		defer n.Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: other.Hash(), Status: "VALID"})()
	}
	m.hears(t, "VALID", "engine_newPayload", other)
	until(t, "all have proved themselves", func() bool {
		states := m.states(t)
		return !slices.ContainsFunc(nodes, func(n *enginetest.Node) bool {
			return !slices.ContainsFunc(states, func(s nodeState) bool { return strings.HasPrefix(s.URL, n.URL) && s.Qualified })
		})
	})
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

// call makes a call and returns the result as it came, or "error" with the code and the message of a JSON-RPC error.
func (m *multiplexer) call(t testing.TB, method string, params ...any) string {
	t.Helper()
	result, err := m.Call(t.Context(), method, params...)
	if failure, ok := err.(*enginetest.RPCError); ok {
		return fmt.Sprintf("error %d: %s", failure.Code, failure.Message)
	}
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return string(result)
}

// say posts a body as it is and returns the answer.
func (m *multiplexer) say(t testing.TB, body string) string {
	t.Helper()
	status, _, got, err := m.Post(t.Context(), []byte(body))
	if err != nil || status != http.StatusOK {
		t.Fatalf("%s: HTTP %d %s, %v", body, status, got, err)
	}
	return string(got)
}

// later does something beside the test. What comes of it comes over the channel, or nothing if it fails the test.
func later[T any](do func() T) <-chan T {
	outcome := make(chan T, 1)
	go func() {
		defer close(outcome)
		outcome <- do()
	}()
	return outcome
}

// patience is how long a test waits for what should happen at once.
const patience = 10 * time.Second

// until asks again and again until something holds. Each ask makes a call, which is pause enough.
func until(t testing.TB, what string, ask func() bool) {
	t.Helper()
	for begun := time.Now(); !ask(); {
		if time.Since(begun) > patience {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// logbook keeps what was logged.
type logbook struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed and replaced with each line
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(b)
}

// lines returns the lines that contain all of the words.
func (l *logbook) lines(words ...string) []string {
	found, _ := l.look(words)
	return found
}

// wait returns once a line contains all of the words.
func (l *logbook) wait(t testing.TB, words ...string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		found, changed := l.look(words)
		if len(found) > 0 {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("not logged within %v: %q", patience, words)
		}
	}
}

func (l *logbook) look(words []string) (found []string, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			found = append(found, line)
		}
	}
	return found, l.changed
}
