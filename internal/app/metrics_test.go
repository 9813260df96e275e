package app_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// exposed are the metrics that are there, with their types.
func (m *multiplexer) exposed(t testing.TB) map[string]string {
	t.Helper()
	types := make(map[string]string)
	for line := range strings.Lines(m.REST(t, "GET", "/metrics?format=prometheus", "").Body) {
		if words := strings.Fields(line); len(words) == 4 && words[0] == "#" && words[1] == "TYPE" {
			types[words[2]] = words[3]
		}
	}
	return types
}

// busy is a multiplexer that everything has happened to that is counted.
func busy(t testing.TB) (*multiplexer, []*enginetest.Node) {
	t.Helper()
	nodes := builders(t, 3)
	soon := enginetest.Fork{At: time.Now().Add(time.Hour), ID: "0x00000002"}
	for _, n := range nodes[:2] {
		n.TellForks(enginetest.Fork{ID: "0x00000001"}, soon)
	}
	nodes[2].TellForks(enginetest.Fork{ID: "0x00000001"})
	_, change := recording(t)
	fakes := apptest.Fakes(append(nodes, builders(t, 1)...)...)
	fakes[3].Shadow = true
	m := startLed(t, fakes, func(c *config.Config) {
		change(c)
		untilAll(c)
		c.Grace = 5 * time.Second
		c.Version, c.Revision = "v1.2.3", "0123456789ab"
		c.StateDir, c.StateURL = t.TempDir(), "redis://127.0.0.1:1" // nobody is there
	})
	apptest.Until(t, "n3 is known to lack a fork", func() bool {
		return m.Metric(t, `executionbackup_fork_config_difference{field="next",node="n3"}`) == 1
	})
	chain := enginetest.Chain(4, 3, nil)
	m.call(t, "engine_exchangeCapabilities", []string{})
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	id := m.build(t, chain[0]).PayloadID
	offer(nodes[0], chain[0], "0x1", nil)
	offer(nodes[1], chain[0], "0x2", nil)
	m.call(t, "engine_getPayloadV4", id)
	m.call(t, "engine_getBlobsV1", []string{"0x01" + strings.Repeat("00", 31)})
	nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID"})
	m.hears(t, "SYNCING", "engine_newPayload", chain[1])
	apptest.Until(t, "what the node says that is tried is counted", func() bool {
		return m.Metric(t, `executionbackup_shadow_votes_total{node="n4",status="VALID",verdict="VALID"}`) == 2
	})
	return m, nodes
}

// Every metric that the documentation names exists after a run with traffic, and none exists that it doesn't name.
func TestDocumentedMetrics(t *testing.T) {
	t.Parallel()
	m, _ := busy(t)
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string)
	rows := regexp.MustCompile("(?m)^\\| `(executionbackup_[a-z_]+)` \\| ([a-z]+) \\|")
	for _, row := range rows.FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = row[2]
	}
	exposed := m.exposed(t)
	for name := range exposed {
		for _, group := range []string{"go_", "process_"} {
			if strings.HasPrefix(name, group) && strings.Contains(string(text), "`"+group+"…`") {
				delete(exposed, name)
			}
		}
	}
	for name := range documented {
		if exposed[name] != documented[name] {
			t.Errorf("%s is documented as a %s, and is a %q", name, documented[name], exposed[name])
		}
	}
	for name, is := range exposed {
		if documented[name] == "" {
			t.Errorf("%s, a %s, isn't documented", name, is)
		}
	}
	if len(documented) < 30 {
		t.Errorf("only %d metrics were found in the documentation", len(documented))
	}
}

// The dashboard and the alerts name only metrics that exist.
func TestShippedMetrics(t *testing.T) {
	t.Parallel()
	m, _ := busy(t)
	exposed := m.exposed(t)
	for _, path := range []string{"prometheus/rules.yml", "prometheus/rules_test.yml", "grafana/executionbackup.json"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "deploy", filepath.FromSlash(path)))
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\b(executionbackup|process|go)_[a-z_]+[a-z]\b`).FindAllString(string(text), -1)
		for _, name := range names {
			base := name
			if exposed[base] == "" {
				base = regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")
			}
			if exposed[base] == "" || base != name && exposed[base] != "histogram" {
				t.Errorf("%s: there is no metric %s", path, name)
			}
		}
		if len(names) < 5 {
			t.Errorf("%s names the metrics %v", path, names)
		}
	}
}

// series are the samples of a node.
func (m *multiplexer) series(t testing.TB, node string) (list []string) {
	t.Helper()
	for line := range strings.Lines(m.REST(t, "GET", "/metrics?format=prometheus", "").Body) {
		name, _, _ := strings.Cut(line, "{")
		if strings.Contains(line, `node="`+node+`"`) && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// Whatever counted a node goes with it, and a call that is still under way doesn't bring it back.
func TestMetricsOfRemovedNodes(t *testing.T) {
	t.Parallel()
	m, nodes := busy(t)
	if got := m.series(t, "n2"); len(got) < 18 {
		t.Errorf("n2 has only %v", got)
	}
	nodes[1].Script(enginetest.Rule{Method: "engine_newPayload", Hang: true})
	m.newPayload(t, enginetest.Chain(4, 3, nil)[2])
	m.must(t, "/remove_nodes", "n2")
	nodes[1].Close()
	nodes[1].WaitEnded("engine_newPayload", 3)
	m.must(t, "/remove_nodes", "n1")
	if got := m.series(t, "n2"); len(got) > 0 {
		t.Errorf("n2 still has %v", got)
	}
	if got := m.series(t, "n3"); len(got) < 15 {
		t.Errorf("n3 has only %v", got)
	}
}

// What the gauges say of each node.
func TestNodeGauges(t *testing.T) {
	t.Parallel()
	m, nodes := busy(t)
	nodes[0].Close()
	m.Recheck(t)
	m.must(t, "/drain_nodes", "n2")
	for name, want := range map[string]float64{
		`executionbackup_node_state{node="n1",state="dead"}`:                                               1,
		`executionbackup_node_state{node="n1",state="alive"}`:                                              0,
		`executionbackup_node_state{node="n2",state="alive"}`:                                              1,
		`executionbackup_node_drained{node="n1"}`:                                                          0,
		`executionbackup_node_drained{node="n2"}`:                                                          1,
		`executionbackup_node_voter{node="n1"}`:                                                            0,
		`executionbackup_node_voter{node="n2"}`:                                                            0,
		`executionbackup_node_voter{node="n3"}`:                                                            1,
		`executionbackup_node_primary{node="n3"}`:                                                          1,
		`executionbackup_node_objections{node="n3"}`:                                                       1,
		`executionbackup_node_may_object{node="n3"}`:                                                       1,
		`executionbackup_node_may_object{node="n1"}`:                                                       0,
		`executionbackup_node_lacking_methods{node="n3"}`:                                                  0,
		`executionbackup_node_statuses_total{method="NewPayload",node="n3",status="INVALID"}`:              1,
		`executionbackup_disputes_total{method="NewPayload"}`:                                              1,
		`executionbackup_disputes_total{method="GetPayload"}`:                                              0,
		`executionbackup_verdict_duration_seconds_count{method="NewPayload",status="INVALID"}`:             0,
		`executionbackup_builds_total`:                                                                     1,
		`executionbackup_blob_requests_total`:                                                              1,
		`executionbackup_config_last_reload_successful`:                                                    1,
		`executionbackup_evidence_records_total{outcome="dropped"}`:                                        0,
		`executionbackup_node_info{client="geth",node="n3",url="` + nodes[2].URL + `",version="v1.17.10"}`: 1,
	} {
		if got := m.Metric(t, name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	apptest.Until(t, "the slowest of two payloads is counted", func() bool {
		return m.Metric(t, `executionbackup_slowest_reply_duration_seconds_count{method="NewPayload"}`) == 2
	})
	m.FailToReload(errors.New("no good"))
	if got := m.Metric(t, "executionbackup_config_last_reload_successful"); got != 0 {
		t.Errorf("after a bad reload: got %v", got)
	}
	build := `executionbackup_build_info{goversion="` + runtime.Version() +
		`",revision="0123456789ab",version="v1.2.3"}`
	if got := m.Metric(t, build); got != 1 {
		t.Errorf("%s: got %v", build, got)
	}
}

// What each node is by its specification, and where its head is by its own word.
func TestRolesAndHeads(t *testing.T) {
	t.Parallel()
	nodes := apptest.Fakes(three(t)...)
	nodes[1].Backup, nodes[2].DoNotUse = true, true
	m := start(t, nodes, nil)
	head := enginetest.Chain(4, 1, nil)[0]
	m.hears(t, "VALID", "engine_newPayload", head)
	m.hears(t, "VALID", "engine_forkchoiceUpdated", head)
	for name, want := range map[string]float64{
		`executionbackup_node_role{node="n1",role="voter"}`:      1,
		`executionbackup_node_role{node="n2",role="backup"}`:     1,
		`executionbackup_node_role{node="n3",role="do-not-use"}`: 1,
	} {
		if got := m.Metric(t, name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	apptest.Until(t, "n1 has told its new head", func() bool {
		return m.Metric(t, `executionbackup_node_head{node="n1"}`) == float64(head.Number)
	})
}

// A node that lacks a method is seen, and one whose name for itself is odd breaks nothing.
func TestOddNodes(t *testing.T) {
	t.Parallel()
	nodes := []*enginetest.Node{
		enginetest.New(t, enginetest.Client{Name: "\xff\"\\\n{" + strings.Repeat("x", 500)}),
		enginetest.New(t, enginetest.Client{Capabilities: []string{"engine_newPayloadV4"}}),
	}
	m := start(t, apptest.Fakes(nodes...), nil)
	m.call(t, "engine_exchangeCapabilities", []string{})
	if got := m.Metric(t, `executionbackup_node_lacking_methods{node="n2"}`); got == 0 {
		t.Error("n2 lacks nothing")
	}
	got := m.REST(t, "GET", "/metrics", "", "Accept", "application/openmetrics-text")
	if got.Status != http.StatusOK || !strings.HasSuffix(got.Body, "# EOF\n") {
		t.Errorf("got HTTP %d, %.200s", got.Status, got.Body)
	}
	for line := range strings.Lines(got.Body) {
		if len(line) > 400 {
			t.Errorf("got %s", line)
		}
	}
	proto := m.REST(t, "GET", "/metrics", "", "Accept",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"+
			"text/plain;q=0.5")
	if kind := proto.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/vnd.google.protobuf") {
		t.Errorf("native histograms can't be had: got %s", kind)
	}
}
