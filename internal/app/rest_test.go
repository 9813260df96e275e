package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// one of each: n1 is alive, n2 is syncing, n3 is dead. n1's URL has what must not be shown.
func oneOfEach(t testing.TB) (*multiplexer, []*enginetest.Node) {
	t.Helper()
	nodes := three(t)
	nodes[1].Update(func(c *enginetest.Client) { c.Syncing = true })
	nodes[2].Close()
	configured := apptest.Fakes(nodes...)
	configured[0].URL = strings.Replace(nodes[0].URL, "http://", "http://user:pass@", 1) + "/path/?key=hidden"
	return start(t, configured, nil), nodes
}

// object decodes a JSON object, fails the test unless it has just these keys, and returns it.
func object(t testing.TB, text, keys string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	got, want := slices.Sorted(maps.Keys(o)), slices.Sorted(slices.Values(strings.Fields(keys)))
	if !slices.Equal(got, want) {
		t.Fatalf("got keys %v, want %v", got, want)
	}
	return o
}

// want compares parts of a decoded object, as text.
func want(t testing.TB, o map[string]any, parts map[string]string) {
	t.Helper()
	for key, want := range parts {
		if got, _ := json.Marshal(o[key]); string(got) != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
}

const reportKeys = "response_times alive_nodes syncing_nodes dead_nodes primary_node"

// GET /metrics and GET /recheck have the original's fields: nodes by URL, microseconds.
func TestMetrics(t *testing.T) {
	t.Parallel()
	m, nodes := oneOfEach(t)
	shown := `"` + nodes[0].URL + `/path/"`
	report := map[string]string{
		"alive_nodes": "[" + shown + "]", "syncing_nodes": `["` + nodes[1].URL + `"]`,
		"dead_nodes": `["` + nodes[2].URL + `"]`, "primary_node": shown,
	}
	metrics := object(t, m.REST(t, "GET", "/metrics", "").Body, reportKeys)
	want(t, metrics, report)
	recheck := object(t, m.REST(t, "GET", "/recheck", "").Body, reportKeys+" recheck_time")
	want(t, recheck, report)
	if took, ok := recheck["recheck_time"].(float64); !ok || took <= 0 || took != float64(int(took)) {
		t.Errorf("recheck_time: got %v", recheck["recheck_time"])
	}
	times := metrics["response_times"].(map[string]any)
	for _, url := range []string{strings.Trim(shown, `"`), nodes[1].URL} {
		if took, ok := times[url].(float64); !ok || took <= 0 || took > 1e6 || took != float64(int(took)) {
			t.Errorf("response time of %s: got %v", url, times[url])
		}
	}
	if len(times) != 2 {
		t.Errorf("got response times %v", times)
	}
	m.Stop()
	for _, secret := range []string{"user", "pass@", "hidden"} {
		if lines := m.Log.Lines(secret); len(lines) > 0 {
			t.Errorf("%s is logged: %s", secret, lines)
		}
	}
}

// The same path serves Prometheus where the request asks for its format.
func TestMetricsFormat(t *testing.T) {
	t.Parallel()
	m := start(t, apptest.Fakes(three(t)...), nil)
	m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 1, nil)[0])
	const exposition, jsonType = "text/plain", "application/json"
	for _, test := range []struct{ query, accept, want string }{
		{"", "", jsonType},
		{"", "*/*", jsonType},
		{"", "application/json", jsonType},
		{"", "text/html,application/xhtml+xml,*/*;q=0.8", jsonType},
		{"?format=json", "", jsonType},
		{"?format=prometheus", "", exposition},
		{"?format=prometheus", "application/json", exposition},
		{"", "text/plain", exposition},
		{"", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1",
			"application/openmetrics-text"},
	} {
		got := m.REST(t, "GET", "/metrics"+test.query, "", "Accept", test.accept)
		if got.Status != http.StatusOK || !strings.HasPrefix(got.Header.Get("Content-Type"), test.want) {
			t.Errorf("%+v: got HTTP %d, %s", test, got.Status, got.Header.Get("Content-Type"))
		}
		if strings.Contains(got.Body, "executionbackup_verdict_duration_seconds_count{") != (test.want != jsonType) {
			t.Errorf("%+v: got %.200s", test, got.Body)
		}
	}
	got := m.Metric(t, `executionbackup_verdict_duration_seconds_count{method="NewPayload",status="VALID"}`)
	if got != 1 {
		t.Errorf("%v verdicts are counted", got)
	}
}

// GET /nodes has all that we know of each node, in configuration order.
func TestNodes(t *testing.T) {
	t.Parallel()
	m, nodes := oneOfEach(t)
	apptest.Until(t, "heads are known", func() bool {
		return strings.Count(m.REST(t, "GET", "/nodes", "").Body, `"head": `) == 2
	})
	var reports []json.RawMessage
	m.Get(t, "/nodes", &reports)
	const always = "name url state since primary laggard do_not_use shadow alone backup drained votes qualified " +
		"objections forks response_time new_payload votes_won votes_lost client lane_calls lane_bytes lane_dropped "
	if len(reports) != 3 {
		t.Fatalf("got %d nodes", len(reports))
	}
	first := object(t, string(reports[0]), always+"head client_versions chain_id genesis")
	want(t, first, map[string]string{
		"name": `"n1"`, "url": `"` + nodes[0].URL + `/path"`, "state": `"alive"`, "primary": "true",
		"laggard": "false", "do_not_use": "false", "shadow": "false", "alone": "false",
		"backup": "false", "drained": "false", "votes": "true",
		"qualified": "false", "objections": "0",
		"client": `"geth/v1.17.10"`, "chain_id": `"0x1"`, "genesis": `"` + enginetest.GenesisHash + `"`,
		"client_versions": `[{"code":"GE","commit":"0x01020304","name":"geth","version":"v1.17.10"}]`,
		"lane_calls":      "0", "lane_bytes": "0", "lane_dropped": "0",
	})
	since, err := time.Parse(time.RFC3339, fmt.Sprint(first["since"]))
	if err != nil || time.Since(since).Abs() > time.Minute {
		t.Errorf("since: got %v", first["since"])
	}
	want(t, object(t, string(reports[1]), always+"head client_versions chain_id genesis reason"), map[string]string{
		"name": `"n2"`, "state": `"syncing"`, "reason": `"eth_syncing says so"`, "primary": "false", "votes": "false",
	})
	third := object(t, string(reports[2]), always+"reason last_error last_error_at")
	want(t, third, map[string]string{"name": `"n3"`, "state": `"dead"`, "response_time": "0", "client": `""`})
	if !strings.Contains(fmt.Sprint(third["reason"]), "connection refused") || third["reason"] != third["last_error"] {
		t.Errorf("n3: got reason %v, last error %v", third["reason"], third["last_error"])
	}
}

// GET /blocks has the last payloads, and who said what.
func TestBlocks(t *testing.T) {
	t.Parallel()
	nodes := speakers(t, "VALID INVALID -38002", "")
	dead := enginetest.New(t, enginetest.Client{})
	dead.Close()
	m := start(t, apptest.Fakes(append(nodes, dead)...), nil)
	m.prove(t, nodes...)
	chain := enginetest.Chain(4, 66, nil)
	for _, p := range chain {
		m.newPayload(t, p)
	}
	var blocks []json.RawMessage
	m.Get(t, "/blocks", &blocks)
	if len(blocks) != 64 {
		t.Fatalf("got %d blocks, want the last 64", len(blocks))
	}
	last := object(t, string(blocks[63]),
		"id time method number hash verdict took dispute rule why late_objection votes")
	want(t, last, map[string]string{
		"method": `"engine_newPayloadV4"`, "number": "66", "hash": `"` + chain[65].Hash() + `"`,
		"verdict": `"SYNCING"`, "dispute": "true",
	})
	if took, ok := last["took"].(float64); !ok || took <= 0 || took > 10e6 {
		t.Errorf("took: got %v", last["took"])
	}
	for i, said := range []vote{
		{"n1", "VALID", "VALID"}, {"n2", "INVALID", "INVALID"}, {"n3", "from n3 (-38002)", ""}, {"n4", "dead", ""},
	} {
		// A block on one that a node called INVALID has its answer before that node has said so again.
		apptest.Until(t, fmt.Sprintf("n%d: %+v", i+1, said), func() bool {
			return m.said(t, chain[65], fmt.Sprintf("n%d", i+1)) == said
		})
	}
}

// Rechecks at the same time share one probe.
func TestConcurrentRechecks(t *testing.T) {
	t.Parallel()
	n := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n), nil)
	n.Script(enginetest.Rule{Method: "eth_syncing", Delay: 500 * time.Millisecond})
	var took []<-chan int64
	for range 4 {
		took = append(took, later(func() int64 {
			var report struct {
				RecheckTime int64 `json:"recheck_time"`
			}
			m.Get(t, "/recheck", &report)
			return report.RecheckTime
		}))
	}
	first := <-took[0]
	for _, next := range took[1:] {
		if next := <-next; next != first || next < 500_000 {
			t.Errorf("got recheck_time %d and %d, want the same", first, next)
		}
	}
}

// We are ready when all nodes have been probed once. Who asks before waits for no probe: a question that was there when
// we started is answered before the two seconds are over that a node may take for its first one.
func TestReadiness(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	release := nodes[2].Script(enginetest.Rule{Method: "eth_", Hang: true})
	o := options(apptest.Fakes(nodes...), nil)
	var err error
	if o.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	early, err := net.Dial("tcp", o.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	io.WriteString(early, "GET /readyz HTTP/1.1\r\nHost: us\r\nConnection: close\r\n\r\n")
	m := &multiplexer{apptest.Run(t, o)}
	resp, err := http.ReadResponse(bufio.NewReader(early), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	got := apptest.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
	if err != nil || got.Status != http.StatusServiceUnavailable || !strings.Contains(got.Body, "first probe") {
		t.Errorf("before the first probe has ended: got %+v, %v", got, err)
	}
	if err := readOpenAPI(t).check("GET", "/readyz", got); err != nil {
		t.Errorf("GET /readyz: %v", err)
	}
	if got := m.REST(t, "GET", "/healthz", ""); got.Status != http.StatusOK {
		t.Errorf("healthz: got %+v", got)
	}
	m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 1, nil)[0]) // all count as reachable
	release()
	m.WaitReady(t)
}
