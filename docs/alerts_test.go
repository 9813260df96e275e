package docs

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// alert is a rule of rules.yml.
type alert struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

// alerts reads rules.yml. Their names have a common prefix, which is cut off.
func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal([]byte(read(t, "../deploy/prometheus/rules.yml")), &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		for _, a := range group.Rules {
			name, found := strings.CutPrefix(a.Alert, "ExecutionBackup")
			if !found || len(a.Annotations) == 0 {
				t.Fatalf("an alert of an odd form: %+v", a)
			}
			a.Alert = name
			all = append(all, a)
		}
	}
	return all
}

// Every alert has a section of operations.md, with its severity, to which its runbook_url leads; and every section
// there is that of an alert.
func TestRunbooks(t *testing.T) {
	homepage := regexp.MustCompile(`homepage: (\S+)`).FindStringSubmatch(read(t, "../.goreleaser.yaml"))[1]
	page := read(t, "operations.md")
	_, section, _ := strings.Cut(page, "\n## Alerts\n")
	section, _, _ = strings.Cut(section, "\n## ")
	described := make(map[string]string) // severities
	for _, m := range regexp.MustCompile(`(?m)^### (\w+)\n\n\*(\w+)\*: `).FindAllStringSubmatch(section, -1) {
		described[m[1]] = m[2]
	}
	all := alerts(t)
	for _, a := range all {
		anchor := strings.ToLower(a.Alert)
		if got, want := a.Annotations["runbook_url"], homepage+"/blob/HEAD/docs/operations.md#"+anchor; got != want {
			t.Errorf("%s: the runbook is %q, want %s", a.Alert, got, want)
		}
		if !slices.Contains(anchors(page), anchor) || described[a.Alert] != a.Labels["severity"] {
			t.Errorf("%s, %s: operations.md has %q", a.Alert, a.Labels["severity"], described[a.Alert])
		}
	}
	if len(all) < 25 || len(described) != len(all) || strings.Count(section, "\n### ") != len(all) {
		t.Errorf("%d alerts, %d sections, %d of them with a severity", len(all), strings.Count(section, "\n### "),
			len(described))
	}
}

// An alert keeps the labels of its target, whatever they are, because it is routed by them; and rules_test.yml, whose
// targets have a cluster, shows when it fires and when it doesn't.
func TestAlertLabels(t *testing.T) {
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []struct {
					ExpLabels map[string]string `yaml:"exp_labels"`
				} `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "../deploy/prometheus/rules_test.yml")), &file); err != nil {
		t.Fatal(err)
	}
	fires, rests := make(map[string]bool), make(map[string]bool)
	for _, test := range file.Tests {
		for _, c := range test.AlertRuleTest {
			name := strings.TrimPrefix(c.Alertname, "ExecutionBackup")
			rests[name] = rests[name] || len(c.ExpAlerts) == 0
			for _, one := range c.ExpAlerts {
				fires[name] = true
				if one.ExpLabels["cluster"] == "" && name != "Absent" { // where no target is, there are no labels of it
					t.Errorf("%s loses its cluster", name)
				}
			}
		}
	}
	only := regexp.MustCompile(`\b(by|on)\s*\(`)
	for _, a := range alerts(t) {
		if lost := only.FindString(a.Expr); lost != "" {
			t.Errorf("%s: %q drops the labels of a target", a.Alert, lost)
		}
		if !fires[a.Alert] || !rests[a.Alert] {
			t.Errorf("%s: tested that it fires: %t, that it doesn't: %t", a.Alert, fires[a.Alert], rests[a.Alert])
		}
	}
}
