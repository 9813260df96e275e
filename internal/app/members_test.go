package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

var changes = []string{"/add_nodes", "/remove_nodes", "/drain_nodes", "/undrain_nodes", "/clear_objections"}

// startGuarded starts one that has no admin token, and one whose token is correct-horse-battery.
func startGuarded(t *testing.T, n *enginetest.Node) (closed, guarded *multiplexer) {
	t.Helper()
	token, err := auth.ParseAdminToken("correct-horse-battery")
	if err != nil {
		t.Fatal(err)
	}
	closed = start(t, apptest.Fakes(n), func(c *config.Config) { c.OpenAdmin = false })
	guarded = start(t, apptest.Fakes(n), func(c *config.Config) { c.OpenAdmin, c.AdminToken = false, token })
	return closed, guarded
}

// What changes something needs the admin token, and a JSON content type so that no web page can send it.
func TestWhoMayChange(t *testing.T) {
	t.Parallel()
	n := enginetest.New(t, enginetest.Client{})
	closed, guarded := startGuarded(t, n)
	open := start(t, apptest.Fakes(n), nil)
	open.Log.Wait(t, "level=WARN", "--open-admin")
	if lines := append(closed.Log.Lines("--open-admin"), guarded.Log.Lines("--open-admin")...); len(lines) > 0 {
		t.Errorf("logged: %s", lines)
	}

	const good = "Bearer correct-horse-battery"
	jwt := "Bearer " + enginetest.Token(open.Secret, n.Calls()[0].Time)
	const list = `{"nodes":["nobody"]}` // an error that is found last
	for _, path := range changes {
		for _, test := range []struct {
			m                              *multiplexer
			authorization, kind, body, why string
			want                           int
		}{
			{closed, "", "application/json", list, "--admin-token-file", 403},
			{closed, good, "application/json", list, "--admin-token-file", 403},
			{closed, jwt, "application/json", list, "--admin-token-file", 403},
			{guarded, "", "application/json", list, "missing", 401},
			{guarded, "Bearer wrong-horse-battery", "application/json", list, "wrong admin token", 401},
			{guarded, "Basic correct-horse-battery", "application/json", list, "not a bearer token", 401},
			{guarded, jwt, "application/json", list, "wrong admin token", 401},
			{guarded, good, "text/plain", list, "application/json", 415},
			{guarded, good, "application/x-www-form-urlencoded", list, "application/json", 415},
			{guarded, good, "", list, "application/json", 415},
			{guarded, good, "application/json", list, "nobody", 400},
			{guarded, good, "application/json; charset=utf-8", list, "nobody", 400},
			{open, "", "application/json", list, "nobody", 400},
			{open, "", "text/plain", list, "application/json", 415},
			{open, "", "application/json", ``, `{"nodes": ["…", …]}`, 400},
			{open, "", "application/json", `["x"]`, `{"nodes": ["…", …]}`, 400},
			{open, "", "application/json", `{"nodes":"x"}`, `{"nodes": ["…", …]}`, 400},
			{open, "", "application/json", `{"nodes":[]}`, "no node is listed", 400},
			{open, "", "application/json", `{"nodes":["x"],"force":true}`, "force", 400},
		} {
			got := test.m.REST(t, "POST", path, test.body, "Authorization", test.authorization,
				"Content-Type", test.kind)
			why := object(t, got.Body, "error")["error"].(string)
			if got.Status != test.want || !strings.Contains(why, test.why) ||
				got.Header.Get("Content-Type") != "application/json" {
				t.Errorf("POST %s %s %q %q: got %+v, want %d, %q",
					path, test.body, test.authorization, test.kind, got, test.want, test.why)
			}
		}
	}
}

// A secret that stands where its file's path belongs is in no answer and in no log.
func TestNoSecretInAnswers(t *testing.T) {
	t.Parallel()
	n := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n), nil)
	const digits = "8f3c51d0a97be2464cb1f70e95d2683a1e74c90bd8a5f3627bc0e419d6825f3a"
	for _, spec := range []string{
		"#jwt-secret=%s", `#jwt-secret=\"%s\"`, "#jwt-secret=%.63sg", "#jwt-secret=/%s",
		"#%s", "#jwt-secret %s", "#timeout=%s",
	} {
		spec = fmt.Sprintf(spec, digits)
		got := m.REST(t, "POST", "/add_nodes", `{"nodes":["http://a:1`+spec+`"]}`, "Content-Type", "application/json")
		if got.Status != 400 || strings.Contains(string(got.Body), digits[:8]) {
			t.Errorf("%s: %+v", spec, got)
		}
	}
	if lines := m.Log.Lines(digits[:8]); len(lines) > 0 {
		t.Errorf("logged: %s", lines)
	}
}

// Profiles are for whoever may change something. The command line, which may have credentials, is for nobody.
func TestWhoMayProfile(t *testing.T) {
	t.Parallel()
	n := enginetest.New(t, enginetest.Client{})
	closed, guarded := startGuarded(t, n)
	const good = "Bearer correct-horse-battery"
	for _, test := range []struct {
		m                   *multiplexer
		path, authorization string
		want                int
	}{
		{closed, "heap", good, 403},
		{closed, "profile?seconds=1", "", 403},
		{closed, "trace?seconds=1", "", 403},
		{closed, "symbol", "", 403},
		{closed, "", "", 403},
		{guarded, "heap", "", 401},
		{guarded, "heap", "Bearer wrong-horse-battery", 401},
		{guarded, "heap", good, 200},
		{guarded, "goroutine?debug=1", good, 200},
		{guarded, "cmdline", good, 404},
	} {
		got := test.m.REST(t, "GET", "/debug/pprof/"+test.path, "", "Authorization", test.authorization)
		if got.Status != test.want {
			t.Errorf("%s with %q: HTTP %d, want %d", test.path, test.authorization, got.Status, test.want)
		}
	}
}

// names returns the names of the nodes in their order.
func (m *multiplexer) names(t testing.TB) string {
	t.Helper()
	var all []apptest.NodeState
	m.Get(t, "/nodes", &all)
	var names []string
	for _, n := range all {
		names = append(names, n.Name)
	}
	return strings.Join(names, " ")
}

// refused expects a change to be refused with a reason, and nothing to have changed.
func (m *multiplexer) refused(t testing.TB, path, why string, nodes ...string) {
	t.Helper()
	before := m.names(t)
	got := m.ChangeNodes(t, path, nodes...)
	if got.Status != 400 || !strings.Contains(object(t, got.Body, "error")["error"].(string), why) {
		t.Errorf("POST %s %v: got %+v, want %q", path, nodes, got, why)
	}
	if after := m.names(t); after != before {
		t.Errorf("POST %s %v: there are %s, there were %s", path, nodes, after, before)
	}
}

func TestAddNodes(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes[0]), nil)
	spec := func(n *enginetest.Node, options string) string {
		return n.URL + "#jwt-secret=" + n.SecretFile + options
	}
	second, third := spec(nodes[1], "#name=second"), spec(nodes[2], "#do-not-use")

	m.refused(t, "/add_nodes", "node 2: http://x: unknown option", second, "http://x#colour=red")
	m.refused(t, "/add_nodes", "node 1: ftp://x", "ftp://x", second)
	m.refused(t, "/add_nodes", "node 2: http://y: option jwt-secret", second, "http://y#jwt-secret=/nowhere/at/all")
	m.refused(t, "/add_nodes", nodes[0].URL+" is there already", second, spec(nodes[0], "#name=other"))
	m.refused(t, "/add_nodes", nodes[0].URL+" is there already",
		spec(nodes[0], "#name=other")[:len(nodes[0].URL)]+"/"+spec(nodes[0], "#name=other")[len(nodes[0].URL):])
	m.refused(t, "/add_nodes", nodes[1].URL+" is there already", second, spec(nodes[1], "#name=twice"))
	m.refused(t, "/add_nodes", nodes[1].URL+" is there already", spec(nodes[1], "#name=n1"))

	nodes[2].Close()
	got := m.ChangeNodes(t, "/add_nodes", second, third)
	if got.Status != 200 {
		t.Fatalf("got %+v", got)
	}
	report := object(t, got.Body, reportKeys+" recheck_time")
	if got := fmt.Sprint(report["alive_nodes"]); !strings.Contains(got, nodes[0].URL) || // in either order
		!strings.Contains(got, nodes[1].URL) {
		t.Errorf("alive are %s", got)
	}
	want(t, report, map[string]string{"dead_nodes": `["` + nodes[2].URL + `"]`})
	if got, want := m.names(t), "n1 second "+strings.TrimPrefix(nodes[2].URL, "http://"); got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
	m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 1, nil)[0])
	nodes[1].Wait("engine_newPayload", 1)
	nodes[2].Reopen()
	m.Recheck(t)
	m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 1, nil)[0])
	nodes[2].Wait("engine_newPayload", 1)
}

func TestRemoveNodes(t *testing.T) {
	t.Parallel()
	var nodes []*enginetest.Node
	for range 6 {
		nodes = append(nodes, enginetest.New(t, enginetest.Client{}))
	}
	configured := apptest.Fakes(nodes...)
	configured[5].DoNotUse = true
	m := start(t, configured, nil)
	url := func(i int) string { return nodes[i].URL }

	m.refused(t, "/remove_nodes", `"nobody" is not known`, "n1", "nobody")
	m.refused(t, "/remove_nodes", `"http://127.0.0.1:1" is not known`, "http://127.0.0.1:1")
	m.must(t, "/remove_nodes", url(0))
	m.must(t, "/remove_nodes", url(1)+"/")
	m.must(t, "/remove_nodes", "n3")
	if got := m.names(t); got != "n4 n5 n6" {
		t.Errorf("there are %s", got)
	}
	m.refused(t, "/remove_nodes", `"n1" is not known`, "n1")
	m.refused(t, "/remove_nodes", "last voter", "n4", "n5")
	m.refused(t, "/remove_nodes", "last voter", "n6", "n4", "n5")
	m.must(t, "/drain_nodes", "n4")
	m.refused(t, "/remove_nodes", "last voter", "n5") // n4 is drained
	m.must(t, "/remove_nodes", "n4", "n6")
	m.refused(t, "/remove_nodes", "last voter", "n5")

	m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 1, nil)[0])
	for i, n := range nodes {
		if got, want := len(n.CallsOf("engine_newPayload")), map[bool]int{true: 1}[i == 4]; got != want {
			t.Errorf("n%d got %d newPayloads, want %d", i+1, got, want)
		}
	}
}

// A drained node gets every call that keeps it up to date; it doesn't vote and doesn't serve.
func TestDrainNodes(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := startLed(t, apptest.Fakes(nodes...), nil)
	chain := enginetest.Chain(4, 3, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	undo := nodes[0].Script(enginetest.Rule{Method: "engine_", BlockHash: chain[1].Hash(), Status: "INVALID"})
	defer undo()

	m.must(t, "/drain_nodes", "n1")
	if got := m.Node(t, "n1"); !got.Drained || got.Primary || got.State != "alive" {
		t.Errorf("got %+v", got)
	}
	m.hears(t, "VALID", "engine_newPayload", chain[1])
	m.hears(t, "VALID", "engine_forkchoiceUpdated", chain[1])
	nodes[0].Wait("engine_newPayload", 2)
	nodes[0].Wait("engine_forkchoiceUpdated", 1)
	for _, call := range []string{"eth_test", "eth_sendRawTransaction"} {
		m.call(t, call)
		if len(nodes[0].CallsOf(call)) > 0 {
			t.Errorf("n1 got %s", call)
		}
	}
	m.must(t, "/drain_nodes", "n2")
	m.refused(t, "/drain_nodes", "last voter", "n3")
	m.refused(t, "/drain_nodes", "last voter", "n1", "n2", "n3")
	m.refused(t, "/drain_nodes", `"n4" is not known`, "n3", "n4")
	if got := m.Node(t, "n3"); !got.Primary || got.Drained {
		t.Errorf("got %+v", got)
	}

	m.must(t, "/undrain_nodes", "n1", nodes[1].URL+"/")
	if slices.ContainsFunc([]string{"n1", "n2"}, func(name string) bool { return m.Node(t, name).Drained }) {
		t.Error("n1 or n2 is still drained")
	}
	if got := m.Node(t, "n3"); !got.Primary {
		t.Errorf("the primary is sticky: got %+v", got)
	}
	m.hears(t, "SYNCING", "engine_newPayload", chain[1]) // n1's INVALID counts again
}

// doNotUse reloads the configuration with one node's vote taken away, or given back.
func (m *multiplexer) doNotUse(node int, doNotUse bool) {
	config := *m.Config
	config.Nodes = slices.Clone(config.Nodes)
	config.Nodes[node].DoNotUse = doNotUse
	m.Reload(&config)
}

// An INVALID that comes late, of a node that may not vote any more, is no objection when the node votes again.
func TestLateObjectionOfANodeNotInUse(t *testing.T) {
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	chain := enginetest.Chain(4, 3, nil)
	m.prove(t, nodes...)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	release := nodes[2].Script(enginetest.Rule{
		Method: "engine_newPayload", BlockHash: chain[1].Hash(), Hang: true, Status: "INVALID", ValidationError: "bad",
	})
	nodes[2].Script(enginetest.Rule{Method: "engine_", BlockHash: chain[2].Hash(), Status: "SYNCING"})
	m.hears(t, "VALID", "engine_newPayload", chain[1])
	m.doNotUse(2, true)
	release()
	m.Log.Wait(t, "level=ERROR", "n3", "bad")
	m.hears(t, "VALID", "engine_newPayload", chain[2])
	m.doNotUse(2, false)
	if got := m.Node(t, "n3").Objections; got != 0 {
		t.Errorf("it objects to %d blocks", got)
	}
	m.hears(t, "VALID", "engine_forkchoiceUpdated", chain[2])
}
