package docs

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// panel is one of Grafana's.
type panel struct {
	Title   string
	Type    string
	Targets []struct{ Expr string }
}

// panels reads the dashboard. The annotation counts as one, without a title.
func panels(t *testing.T) []panel {
	t.Helper()
	var board struct {
		Annotations struct{ List []struct{ Expr string } }
		Panels      []panel
	}
	if err := json.Unmarshal([]byte(read(t, "../deploy/grafana/executionbackup.json")), &board); err != nil {
		t.Fatal(err)
	}
	var notes panel
	for _, a := range board.Annotations.List {
		notes.Targets = append(notes.Targets, struct{ Expr string }(a))
	}
	return append(board.Panels, notes)
}

var (
	selector    = regexp.MustCompile(`\b(?:executionbackup_|process_|go_|up\b)[a-z_]*(\{[^}]*)?`)
	aggregation = regexp.MustCompile(`\b(sum|min|max|avg|count)( by \([^)]*\))? ?\((\w+)`)
)

// chosen is how each series is chosen: by the variables, of which each matches a label that isn't there, too.
const chosen = `{cluster=~"$cluster",job=~"$job",instance=~"$instance"`

// No panel hides an instance behind the others: each is a series of its own, unless the worst one is shown, or a total
// of what was counted.
func TestDashboardKeepsInstances(t *testing.T) {
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			for _, m := range selector.FindAllStringSubmatch(target.Expr, -1) {
				if !strings.HasPrefix(m[1], chosen) {
					t.Errorf("%s: %s isn't chosen by the variables", p.Title, m[0])
				}
			}
			for _, m := range aggregation.FindAllStringSubmatch(target.Expr, -1) {
				by, kept := m[2], strings.HasPrefix(m[2], " by (cluster, instance")
				worst := p.Type == "stat" && (m[1] == "min" || m[1] == "max" || m[1] == "count")
				total := m[1] == "sum" && m[3] == "increase"
				if !kept && (by != "" || !worst && !total) {
					t.Errorf("%s: %s hides instances in %s", p.Title, m[0], target.Expr)
				}
			}
		}
	}
}

// promtool runs Prometheus' own on a file. Without it the test is skipped, but never in CI.
func promtool(t *testing.T, file, text string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal("no promtool found, and CI must have it: install Debian's package prometheus")
	case err != nil:
		t.Skip("no promtool found: install Debian's package prometheus to test the dashboard's queries")
	}
	file = filepath.Join(t.TempDir(), file)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path, append(args, file)...).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// filled has what Grafana puts in place of variables where all is chosen.
func filled(expr string) string {
	all := strings.NewReplacer("$__rate_interval", "5m", "$cluster", ".*", "$job", ".*", "$instance", ".*")
	return all.Replace(expr)
}

// Prometheus can read every query of the dashboard.
func TestDashboardQueries(t *testing.T) {
	rules := "groups: [{name: dashboard, rules: [\n"
	queries := 0
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			rules += fmt.Sprintf("  {record: 'query:%d', expr: %q},\n", queries, filled(target.Expr))
			queries++
		}
	}
	if queries < 50 {
		t.Errorf("only %d queries were found", queries)
	}
	promtool(t, "rules.yml", rules+"]}]\n", "check", "rules")
}

// One instance of forty without a voter, or one that is down, is seen at a glance: with the label of a cluster, without
// one, and where two clusters' instances have the same name.
func TestDashboardShowsOutages(t *testing.T) {
	const up = `up{job="executionbackup",instance="%[2]s"%[1]s}`
	const voter = `executionbackup_node_voter{job="executionbackup",instance="%[2]s",node="n1"%[1]s}`
	const build = `executionbackup_build_info{job="executionbackup",instance="%[2]s",version="v1"%[1]s}`
	queries := make(map[string]string)
	for _, p := range panels(t) {
		if len(p.Targets) == 1 {
			queries[p.Title] = filled(p.Targets[0].Expr)
		}
	}
	test := "rule_files: []\nevaluation_interval: 1m\ntests:\n"
	for _, labels := range [][2]string{{"", ""}, {`,cluster="a"`, `,cluster="b"`}} {
		other := "eb1"
		if labels[0] == "" {
			other = "eb2" // without a cluster nothing else tells them apart
		}
		test += "- interval: 1m\n  input_series:\n"
		series := func(name, cluster, instance, values string) {
			test += fmt.Sprintf("  - {series: '"+name+"', values: '%[3]s'}\n", cluster, instance, values)
		}
		series(up, labels[0], "eb1", "1x30")
		series(voter, labels[0], "eb1", "1x30")
		series(build, labels[0], "eb1", "1x30")
		series(up, labels[1], other, "1x20 0x10")
		series(voter, labels[1], other, "1x10 0x10 _x10")
		series(build, labels[1], other, "1x20 _x10")
		series(`up{job="another",instance="x"%[1]s}`, labels[0], "", "0x30")
		test += "  promql_expr_test:\n"
		for _, want := range []struct {
			at     string
			panel  string
			result int
		}{
			{"5m", "Fewest voters", 1}, {"15m", "Fewest voters", 0},
			{"15m", "Instances down", 0}, {"29m", "Instances down", 1},
		} {
			test += fmt.Sprintf("  - {eval_time: %s, expr: %q, exp_samples: [{labels: '{}', value: %d}]}\n", want.at,
				queries[want.panel], want.result)
		}
	}
	promtool(t, "test.yml", test, "test", "rules")
}
