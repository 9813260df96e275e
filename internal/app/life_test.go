package app_test

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"executionbackup/internal/app"
	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// Every test of this package starts and stops an ExecutionBackup. None may leave a goroutine behind.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "8") // tests wait for nodes more than they compute
	status := m.Run()
	// The Redis client looks once a second whether its pool is closed, where it can't dial.
	for patience := time.Now().Add(3 * time.Second); status == 0; {
		err := goleak.Find()
		if err == nil {
			break
		}
		if time.Now().After(patience) {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}

func TestTakenPort(t *testing.T) {
	t.Parallel()
	m := start(t, apptest.Fakes(enginetest.New(t, enginetest.Client{})), nil)
	c := *m.Config
	c.Port = m.App.Addr().(*net.TCPAddr).Port
	_, err := app.New(app.Options{Config: &c, Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), "listen on ") ||
		!strings.Contains(err.Error(), m.App.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

// Reload adds and removes nodes. Those that stay keep their health, their qualification and their word.
func TestReloadOfNodes(t *testing.T) {
	t.Parallel()
	nodes := append(three(t), three(t)...)
	configured := apptest.Fakes(nodes...)
	m := start(t, configured[:4], nil)
	chain := enginetest.Chain(4, 5, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	nodes[1].Script(enginetest.Rule{Method: "engine_", Status: "INVALID"})
	m.hears(t, "SYNCING", "engine_newPayload", chain[1])
	m.must(t, "/drain_nodes", "n3")
	before := m.Node(t, "n2")

	// n1 is gone, n2 and n3 stay, n4 gets another timeout, n5 and n6 are new.
	configured[3].Timeout = time.Second
	c := *m.Config
	c.Nodes = parsed(t, configured[1:])
	m.Reload(&c)
	if got := m.names(t); got != "n2 n3 n4 n5 n6" {
		t.Errorf("there are %s", got)
	}
	after := m.Node(t, "n2")
	before.Primary, after.Primary = false, false
	if after != before || !after.Qualified || after.Objections != 1 || after.State != "alive" {
		t.Errorf("n2 was %+v, is %+v", before, after)
	}
	if !m.Node(t, "n3").Drained {
		t.Error("n3 isn't drained any more")
	}
	if !m.Node(t, "n4").Qualified {
		t.Error("n4 is no longer qualified")
	}
	m.Recheck(t)
	m.hears(t, "SYNCING", "engine_newPayload", chain[2])
	for i, want := range []int{2, 3, 3, 3, 1, 1} {
		if got := len(nodes[i].Wait("engine_newPayload", want)); got != want {
			t.Errorf("n%d got %d newPayloads, want %d", i+1, got, want)
		}
	}
	m.Log.Wait(t, "node removed", "node=n1")
	m.Log.Wait(t, "node added", "node=n5")
}

// A node is its URL. What else is new about it changes in place, amid a build and a dispute.
func TestReloadInPlace(t *testing.T) {
	t.Parallel()
	nodes := append(three(t), three(t)[:2]...)
	configured := apptest.Fakes(nodes...)
	configured[4].Fake, configured[4].Secret = nil, nodes[0].Secret // a wrong one, to begin with
	syncing := func(is bool) {
		for _, n := range nodes[1:4] {
			n.Update(func(c *enginetest.Client) { c.Syncing = is })
		}
	}
	syncing(true) // so that n1 is the primary
	m := start(t, configured, untilAll)
	syncing(false)
	m.Recheck(t)
	chain := enginetest.Chain(4, 3, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	id := m.build(t, chain[0]).PayloadID
	nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: chain[1].Hash(), Status: "INVALID"})
	nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: chain[2].Hash(), Status: "SYNCING"})
	m.hears(t, "SYNCING", "engine_newPayload", chain[1])
	m.must(t, "/drain_nodes", "n4")

	configured[1].Name = "two"
	for i := range configured[:4] {
		configured[i].Timeout = 5 * time.Second
		configured[i].URL += "/"
	}
	configured[4].Secret = nodes[4].Secret
	c := *m.Config
	c.Nodes = parsed(t, configured)
	m.Reload(&c)

	if got := m.names(t); got != "n1 two n3 n4 n5" {
		t.Errorf("there are %s", got)
	}
	if got := m.call(t, "engine_getPayloadV4", id); !strings.Contains(got, "executionPayload") {
		t.Errorf("got %s", got)
	}
	for i, n := range nodes[1:3] {
		if got := asked(n); got == "" || strings.Contains(got, id) {
			t.Errorf("n%d was asked for %q, not for its own build", i+2, got)
		}
	}
	if n := m.Node(t, "n3"); n.Objections != 1 || !n.Qualified || n.State != "alive" {
		t.Errorf("n3 is %+v", n)
	}
	m.hears(t, "SYNCING", "engine_newPayload", chain[2])
	if !m.Node(t, "n4").Drained {
		t.Error("n4 isn't drained any more")
	}
	m.Recheck(t)
	if n := m.Node(t, "n5"); n.State != "alive" {
		t.Errorf("n5, whose secret is right now, is %+v", n)
	}
	metrics := m.REST(t, "GET", "/metrics?format=prometheus", "").Body
	if strings.Contains(metrics, `node="n2"`) ||
		!strings.Contains(metrics, `executionbackup_node_call_duration_seconds_count{method="NewPayload",node="two"`) {
		t.Errorf("n2 has metrics, or two has none")
	}
	if lines := append(m.Log.Lines("node removed"), m.Log.Lines("node added")...); len(lines) > 0 {
		t.Errorf("logged: %s", lines)
	}
}

// A reload says what it undoes of the changes over the REST API.
func TestReloadUndoesChanges(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes[:2]...), nil)
	m.awaitAlive(t, "n1", "n2")
	m.must(t, "/add_nodes", nodes[2].URL+"#name=n3#jwt-secret="+nodes[2].SecretFile)
	m.must(t, "/remove_nodes", "n2")
	got := m.Reload(m.Config).Changed
	want := []string{
		"nodes: " + nodes[2].URL + "#name=n3 → (not set)", "nodes: (not set) → " + nodes[1].URL + "#name=n2",
	}
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], "#timeout=7.5s", "")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Reload changes rules, secrets and namespaces in place, and no call under way is dropped.
func TestReloadOfSettings(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	chain := enginetest.Chain(4, 4, nil)
	var release []func()
	for _, n := range nodes {
		release = append(release, n.Script(enginetest.Rule{Method: "engine_newPayload", Hang: true}))
	}
	answered := later(func() enginetest.Status { return m.newPayload(t, chain[0]) })
	for _, n := range nodes {
		n.Wait("engine_newPayload", 1)
	}

	c := *m.Config
	c.Nodes = c.Nodes[1:]
	c.Rules.MinValid = 3
	c.JWTSecret = secret(t, strings.Repeat("ab", 32))
	c.AllowNamespaces = []string{"debug"}
	c.OpenAdmin = false
	m.Reload(&c)
	const policy = `executionbackup_policy_info{min_valid="3",on_dispute="halt",threshold="0.6",vote_by="node"}`
	if got := m.Metric(t, policy); got != 1 {
		t.Errorf("the policy is told as %v", got)
	}
	for _, done := range release {
		done()
	}
	if got := <-answered; got.Status != "VALID" {
		t.Errorf("the call under way: got %+v", got)
	}
	if _, err := m.NewPayload(t.Context(), chain[1]); err == nil || !strings.Contains(err.Error(), "http status 401") {
		t.Errorf("a token of the old secret: got %v", err)
	}
	m.Secret = []byte(strings.Repeat("\xab", 32))
	m.hears(t, "SYNCING", "engine_newPayload", chain[1]) // two of at least three
	got := m.call(t, "debug_x")
	if !strings.HasPrefix(got, "error -32601: the method debug_x does not exist") ||
		len(nodes[1].CallsOf("debug_x"))+len(nodes[2].CallsOf("debug_x")) != 1 {
		t.Errorf("debug_x: got %s", got)
	}
	if got := m.ChangeNodes(t, "/drain_nodes", "n2"); got.Status != http.StatusForbidden {
		t.Errorf("got %+v", got)
	}

	next := c
	next.Port, next.Rules.MinValid = 1, 1
	m.Reload(&next)
	m.Log.Wait(t, "level=WARN", "port", "at the next start only")
	m.hears(t, "VALID", "engine_newPayload", chain[2])
	m.FailToReload(errors.New("nodes: no node"))
	m.Log.Wait(t, "level=ERROR", "the old one stays in force", "nodes: no node")
	m.hears(t, "VALID", "engine_newPayload", chain[3])
	for outcome, want := range map[string]float64{"success": 2, "failure": 1} {
		if got := m.Metric(t, `executionbackup_config_reloads_total{outcome="`+outcome+`"}`); got != want {
			t.Errorf("%v reloads are counted as %s, want %v", got, outcome, want)
		}
	}
}
