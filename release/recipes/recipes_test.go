// Package recipes tests the files for Docker Compose and Kubernetes with the types of those who read them. It is a
// module of its own, so that nobody who builds ExecutionBackup needs them.
package recipes

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

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
}

func TestComposeWithMonitoring(t *testing.T) {
	dir := copied(t)
	project := compose(t, []string{"GRAFANA_PASSWORD=x"}, filepath.Join(dir, "docker-compose.yml"),
		filepath.Join(dir, "docker-compose.monitoring.yml"))
	for _, name := range []string{"executionbackup", "prometheus", "grafana"} {
		if _, err := project.GetService(name); err != nil {
			t.Error(err)
		}
	}
	// What is mounted is there, and the rule file has the name that Prometheus' configuration gives it.
	if !strings.Contains(project.Configs["prometheus"].Content, "/etc/prometheus/executionbackup/rules.yml") {
		t.Error("prometheus reads no rules")
	}
	for _, file := range []string{"deploy/prometheus/rules.yml", "deploy/grafana/executionbackup.json"} {
		if _, err := os.Stat("../../" + file); err != nil {
			t.Error(err)
		}
	}
	var scrape struct {
		ScrapeConfigs []struct {
			Params map[string][]string `json:"params"`
		} `json:"scrape_configs"`
	}
	err := yaml.Unmarshal([]byte(project.Configs["prometheus"].Content), &scrape)
	if err != nil || len(scrape.ScrapeConfigs) != 1 || scrape.ScrapeConfigs[0].Params["format"][0] != "prometheus" {
		t.Errorf("the scrape configuration is %+v, %v", scrape, err)
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
