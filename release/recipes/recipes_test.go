// Package recipes tests the files for Docker Compose and Kubernetes, and the form of alerts, with the types of those
// who read them. It is a module of its own, so that nobody who builds ExecutionBackup needs them.
package recipes

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	alertmanager "github.com/prometheus/alertmanager/config"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

// compose loads files as docker compose config does: schema, variables, references between services, volumes, configs.
func compose(t *testing.T, environ []string, files ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions(files, cli.WithEnv(environ), cli.WithName("test"),
		cli.WithInterpolation(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatalf("%v: %v", files, err)
	}
	return project
}

// copied returns the path of dockerized/ in a copy of what compose files refer to, with default-env as .env.
func copied(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"dockerized", "deploy"} {
		if err := os.CopyFS(filepath.Join(root, dir), os.DirFS("../../"+dir)); err != nil {
			t.Fatal(err)
		}
	}
	env, err := os.ReadFile(filepath.Join(root, "dockerized/default-env"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "dockerized/.env"), env, 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "dockerized")
}

func TestCompose(t *testing.T) {
	dir := copied(t)
	project := compose(t, []string{"PORT=9090"}, filepath.Join(dir, "docker-compose.yml"))
	eb := project.Services["executionbackup"]
	if len(eb.Ports) != 1 || eb.Ports[0].HostIP != "127.0.0.1" || eb.Ports[0].Published != "9090" ||
		eb.Ports[0].Target != 9090 {
		t.Errorf("ports: %+v", eb.Ports)
	}
	for _, variable := range []string{"NODES", "PORT", "JWT_SECRET", "FCU_MAJORITY", "SHOW_NODE_TIMINGS", "LOG_LEVEL"} {
		if _, has := eb.Environment[variable]; !has {
			t.Errorf("default-env doesn't hand on %s", variable)
		}
	}
	if _, err := os.Stat(filepath.Join("../..", strings.TrimPrefix(eb.Build.Dockerfile, "/"))); err != nil {
		t.Error(err)
	}
	other := compose(t, []string{"INSTANCE=other"}, filepath.Join(dir, "docker-compose.yml"))
	if is := other.Services["executionbackup"].Hostname; eb.Hostname != "executionbackup" || is != "other" {
		t.Errorf("the containers of a pair are %q and %q", eb.Hostname, is)
	}
}

// Prometheus scrapes us and has our rules, and what they find goes by Alertmanager to the receiver in .env.
func TestComposeWithMonitoring(t *testing.T) {
	dir := copied(t)
	const receiver = "https://alerts.example/hook?key=a%20b"
	project := compose(t, []string{"GRAFANA_PASSWORD=x", "ALERT_WEBHOOK_URL=" + receiver},
		filepath.Join(dir, "docker-compose.yml"), filepath.Join(dir, "docker-compose.monitoring.yml"))
	for _, name := range []string{"executionbackup", "prometheus", "alertmanager", "grafana"} {
		if _, err := project.GetService(name); err != nil {
			t.Error(err)
		}
	}
	for _, file := range []string{"deploy/prometheus/rules.yml", "deploy/grafana/executionbackup.json"} {
		if _, err := os.Stat("../../" + file); err != nil {
			t.Error(err)
		}
	}
	var prometheus struct {
		ScrapeConfigs []struct {
			Params map[string][]string `json:"params"`
		} `json:"scrape_configs"`
		Alerting struct {
			Alertmanagers []struct {
				StaticConfigs []struct{ Targets []string } `json:"static_configs"`
			}
		}
	}
	text := project.Configs["prometheus"].Content
	err := yaml.Unmarshal([]byte(text), &prometheus)
	if err != nil || len(prometheus.ScrapeConfigs) != 1 ||
		prometheus.ScrapeConfigs[0].Params["format"][0] != "prometheus" {
		t.Errorf("the scrape configuration is %+v, %v", prometheus, err)
	}
	where := fmt.Sprint("alertmanager:", project.Services["alertmanager"].Ports[0].Target)
	if got := prometheus.Alerting.Alertmanagers; len(got) != 1 || got[0].StaticConfigs[0].Targets[0] != where {
		t.Errorf("alerts go to %+v, want %s", got, where)
	}
	checkPrometheus(t, text)

	alerts, err := alertmanager.Load(project.Configs["alertmanager"].Content)
	if err != nil {
		t.Fatal(err)
	}
	hook := alerts.Receivers[0].WebhookConfigs
	if alerts.Route.Receiver != alerts.Receivers[0].Name || len(hook) != 1 || string(hook[0].URL) != receiver ||
		!hook[0].SendResolved() {
		t.Errorf("the route is %+v, the receivers are %+v", alerts.Route, alerts.Receivers)
	}
}

// checkPrometheus has Prometheus' own program read its settings, with the rules that they name.
func checkPrometheus(t *testing.T, text string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Log("without promtool")
		return
	}
	rules, err := filepath.Abs("../../deploy/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	here := strings.Replace(text, "/etc/prometheus/executionbackup/", rules+"/", 1)
	if here == text {
		t.Error("prometheus reads no rules")
	}
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("promtool", "check", "config", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "rules found") {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// Without a receiver nobody would be told: that is said, rather than found out in the night.
func TestComposeWithoutReceiver(t *testing.T) {
	dir := copied(t)
	options, err := cli.NewProjectOptions([]string{filepath.Join(dir, "docker-compose.monitoring.yml")},
		cli.WithEnv([]string{"GRAFANA_PASSWORD=x"}), cli.WithName("test"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := options.LoadProject(t.Context()); err == nil || !strings.Contains(err.Error(), "ALERT_WEBHOOK_URL") {
		t.Errorf("%v", err)
	}
}

// None of the objects is a Secret: those are made by who applies the file.
func TestKubernetes(t *testing.T) {
	objects := make(map[string]any)
	for _, file := range []string{"executionbackup.yaml", "servicemonitor.yaml"} {
		data, err := os.ReadFile("../../deploy/kubernetes/" + file)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(objects, decode(t, string(data)))
	}
	if len(objects) != 6 {
		t.Errorf("%d kinds of objects, want 6", len(objects))
	}
	service, monitor := objects["Service"].(*core.Service), objects["ServiceMonitor"].(*monitoring.ServiceMonitor)
	pod := objects["Deployment"].(*apps.Deployment).Spec.Template.Spec
	if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		t.Error("service links would set EXECUTIONBACKUP_ variables that are no settings")
	}
	c := pod.Containers[0]
	for name, probe := range map[string]*core.Probe{"/healthz": c.StartupProbe, "/readyz": c.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != name ||
			probe.HTTPGet.Port.StrVal != c.Ports[0].Name {
			t.Errorf("no probe of %s on port %s", name, c.Ports[0].Name)
		}
	}
	if len(service.Spec.Ports) != 2 || len(c.Ports) != 2 ||
		service.Spec.Ports[1].TargetPort.StrVal != c.Ports[1].Name ||
		monitor.Spec.Endpoints[0].Port != service.Spec.Ports[1].Name {
		t.Error("metrics aren't asked for at --admin-addr")
	}
}

// decode returns the objects in YAML by their kinds, of which each must be there once at most, and be strictly what its
// kind has.
func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	objects := make(map[string]any)
	for document := range strings.SplitSeq("\n"+text, "\n---\n") {
		if strings.TrimSpace(document) == "" {
			continue
		}
		var head struct{ Kind string }
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			t.Fatal(err)
		}
		object, known := map[string]any{
			"ConfigMap": new(core.ConfigMap), "Service": new(core.Service), "Deployment": new(apps.Deployment),
			"PersistentVolumeClaim": new(core.PersistentVolumeClaim), "NetworkPolicy": new(networking.NetworkPolicy),
			"ServiceMonitor": new(monitoring.ServiceMonitor),
		}[head.Kind]
		if !known || objects[head.Kind] != nil {
			t.Fatalf("kind %q is not looked for, or there twice", head.Kind)
		}
		if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
			t.Errorf("%s: %v", head.Kind, err)
		}
		objects[head.Kind] = object
	}
	return objects
}
