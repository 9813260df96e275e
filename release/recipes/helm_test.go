package recipes

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

const chart = "../../deploy/helm/executionbackup"

// tool runs a program of this module: helm, or kubeconform.
func tool(stdin string, args ...string) (string, error) {
	cmd := exec.Command("go", append([]string{"tool"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	return string(out) + stderr.String(), err
}

// rendered is what helm template makes of the chart, as a release named executionbackup.
func rendered(t *testing.T, args ...string) string {
	t.Helper()
	out, err := tool("", append([]string{"helm", "template", "executionbackup", chart}, args...)...)
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

// sets are the files of values that the chart is tried with.
func sets(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(chart + "/ci/*-values.yaml")
	if err != nil || len(found) < 3 {
		t.Fatalf("%q, %v", found, err)
	}
	return found
}

// With each set of values helm finds nothing to complain of, the objects are what Kubernetes takes, by its schemas and
// by its types, and the settings in them are good.
func TestChart(t *testing.T) {
	schemas := kubernetesSchemas(t, "ConfigMap", "Deployment", "NetworkPolicy", "PersistentVolumeClaim", "Service")
	conform := func(objects string) (string, error) {
		return tool(objects, "kubeconform", "-strict", "-summary", "-skip", "ServiceMonitor",
			"-schema-location", schemas+"/{{.ResourceKind}}.json")
	}
	for _, set := range sets(t) {
		t.Run(filepath.Base(set), func(t *testing.T) {
			if out, err := tool("", "helm", "lint", "--strict", chart, "-f", set); err != nil {
				t.Errorf("helm lint: %v\n%s", err, out)
			}
			objects := rendered(t, "-f", set)
			if out, err := conform(objects); err != nil || !strings.Contains(out, "Valid: 5") {
				t.Errorf("kubeconform: %v\n%s", err, out)
			}
			config := decode(t, objects)["ConfigMap"].(*core.ConfigMap).Data["executionbackup.yaml"]
			checkSettings(t, config)
		})
	}
	plain := rendered(t, "-f", sets(t)[0])
	for right, wrong := range map[string]string{
		"replicas: 1": "replicas: many", "containerPort: 7000": "containerPort: x", "port: 8551": "port: {}",
		"enableServiceLinks:": "enableServiceLink:", "accessModes:": "accessMode:",
	} {
		if out, err := conform(strings.Replace(plain, right, wrong, 1)); err == nil {
			t.Errorf("kubeconform takes %s: %s", wrong, out)
		}
	}
}

// The objects of the smallest set are those of the plain files, but for labels that Helm wants.
func TestChartIsTheManifest(t *testing.T) {
	text := rendered(t, "-f", chart+"/ci/minimal-values.yaml", "--set", "serviceMonitor.enabled=true")
	ours, plain := decode(t, text), make(map[string]any)
	for _, file := range []string{"executionbackup.yaml", "servicemonitor.yaml"} {
		data, err := os.ReadFile("../../deploy/kubernetes/" + file)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(plain, decode(t, string(data)))
	}
	if len(ours) != len(plain) {
		t.Errorf("%d objects, want %d", len(ours), len(plain))
	}
	for kind, object := range plain {
		got, want := generic(t, ours[kind]), generic(t, object)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", kind, got, want)
		}
	}
}

// Variables come to the container, and what else we call may be called.
func TestChartEnvironment(t *testing.T) {
	objects := decode(t, rendered(t, "-f", chart+"/ci/everything-values.yaml"))
	var names []string
	for _, v := range objects["Deployment"].(*apps.Deployment).Spec.Template.Spec.Containers[0].Env {
		names = append(names, v.Name)
	}
	want := []string{"EXECUTIONBACKUP_CONFIG", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"}
	if !slices.Equal(names, want) {
		t.Errorf("the container has %q, want %q", names, want)
	}
	egress := objects["NetworkPolicy"].(*networking.NetworkPolicy).Spec.Egress
	if last := egress[len(egress)-1].Ports; len(last) != 1 || last[0].Port.IntVal != 4318 {
		t.Errorf("last we may call %v, want port 4318", last)
	}
}

// A new pod or container has the name of the old one: alerts are told under it, and so with the same fingerprint.
func TestNamesStay(t *testing.T) {
	manifest, err := os.ReadFile("../../deploy/kubernetes/executionbackup.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for file, objects := range map[string]string{
		"the manifest": string(manifest), "the chart": rendered(t, "-f", chart+"/ci/minimal-values.yaml"),
	} {
		pod := decode(t, objects)["Deployment"].(*apps.Deployment).Spec.Template.Spec
		if name := pod.Hostname; name != "executionbackup" {
			t.Errorf("%s: each pod has another name than %q", file, name)
		}
	}
	for _, file := range []string{"dockerized/docker-compose.yml", "deploy/eth-docker/executionbackup.yml"} {
		data, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		var compose struct {
			Services map[string]struct{ Hostname string }
		}
		if err := yaml.Unmarshal(data, &compose); err != nil {
			t.Fatal(err)
		}
		if name := compose.Services["executionbackup"].Hostname; !strings.Contains(name, "executionbackup") {
			t.Errorf("%s: each container has another name than %q", file, name)
		}
	}
}

// To Redis' Sentinels belongs the Redis that they name, at its own port; the ports are those of the hosts, whatever
// else has a colon before digits.
func TestChartRedisPorts(t *testing.T) {
	for url, want := range map[string][]int32{
		"redis://redis":                           {6379},
		"rediss://redis:6380/1":                   {6380},
		"redis://s1,s2:5000?master=eb":            {5000, 6379, 26379},
		"redis://s1:26379,s2:26379/0?master=eb":   {6379, 26379},
		"redis://[fd00::12]:6400":                 {6400},
		"redis://[fd00::12]":                      {6379},
		"redis://c1:7001,c2:7002,c3?cluster=true": {6379, 7001, 7002},
	} {
		out := rendered(t, "-f", chart+"/ci/minimal-values.yaml", "--set-json", `redis.url="`+url+`"`)
		egress := decode(t, out)["NetworkPolicy"].(*networking.NetworkPolicy).Spec.Egress
		var ports []int32
		for _, p := range egress[len(egress)-1].Ports {
			ports = append(ports, p.Port.IntVal)
		}
		slices.Sort(ports)
		if !slices.Equal(ports, want) {
			t.Errorf("%s: we may call %v, want %v", url, ports, want)
		}
	}
}

// generic is an object without its labels; settings in it are values, not text.
func generic(t *testing.T, object any) map[string]any {
	t.Helper()
	var all map[string]any
	if err := yaml.Unmarshal(must(t, object), &all); err != nil {
		t.Fatal(err)
	}
	metadata, _ := all["metadata"].(map[string]any)
	delete(metadata, "labels")
	if data, ok := all["data"].(map[string]any); ok {
		var settings map[string]any
		if err := yaml.Unmarshal([]byte(data["executionbackup.yaml"].(string)), &settings); err != nil {
			t.Fatal(err)
		}
		data["executionbackup.yaml"] = settings
	}
	return all
}

func must(t *testing.T, object any) []byte {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Two releases in one namespace have nothing in common, and none selects the other's pod.
func TestChartTwice(t *testing.T) {
	for _, release := range []string{"executionbackup-a", "mainnet"} {
		out, err := tool("", "helm", "template", release, chart, "-f", sets(t)[0])
		if err != nil {
			t.Fatal(err, out)
		}
		name := release
		if name == "mainnet" {
			name = "mainnet-executionbackup"
		}
		service := decode(t, out)["Service"].(*core.Service)
		if service.Name != name || service.Spec.Selector["app.kubernetes.io/name"] != name {
			t.Errorf("release %s: Service %s selects %v", release, service.Name, service.Spec.Selector)
		}
	}
}

// The recipe's commands for Helm work, as far as they need no cluster.
func TestChartRecipe(t *testing.T) {
	page, err := os.ReadFile("../../docs/recipes/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "## Helm")
	_, after, _ = strings.Cut(after, "```bash\n")
	commands, _, _ := strings.Cut(after, "```")
	helm, err := tool("", "-n", "helm")
	if err != nil {
		t.Fatal(err, helm)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "deploy"), os.DirFS("../../deploy")); err != nil {
		t.Fatal(err)
	}
	helm = strings.TrimSpace(helm)
	stub := "helm() { test $1 = install; shift; " + helm + " template \"$@\"; }\n"
	cmd := exec.Command("sh", "-ec", stub+commands)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := len(decode(t, string(out))); got != 5 {
		t.Errorf("%d objects, want 5", got)
	}
}

// Values that are no good are refused, and the message says which and why.
func TestChartRefuses(t *testing.T) {
	for values, want := range map[string]string{
		`{}`:                               "at '/nodes': minItems: got 0, want 1",
		`nodes: [{url: "geth:8551"}]`:      "at '/nodes/0/url': 'geth:8551' does not match pattern '^https?://",
		`nodes: [{name: geth}]`:            "at '/nodes/0': missing property 'url'",
		`nodes: [{url: http://a, nme: b}]`: "at '/nodes/0': additional properties 'nme' not allowed",
		`settings: {on_disput: halt}`:      "at '/settings': additional properties 'on_disput' not allowed",
		`settings: {on_dispute: stop}`:     "at '/settings/on_dispute': value must be one of 'halt', 'majority'",
		`settings: {mode: off}`:            "at '/settings/mode': value must be one of 'active', 'shadow', 'off'",
		`settings: {grace: 5 s}`:           "at '/settings/grace': '5 s' does not match pattern",
		`settings: {grace: -1}`:            "at '/settings/grace': minimum: got -1, want 0",
		`settings: {max_body: 1.5}`:        "at '/settings/max_body': got number, want ",
		`settings: {webhook_url: h/x}`:     "at '/settings/webhook_url'",
		`nodes: [{timeout: never}]`:        "at '/nodes/0/timeout'",
		`settings: {port: 7000}`:           "at '/settings': additional properties 'port' not allowed",
		`networkPolicy: {consensus: []}`:   "at '/networkPolicy/consensus': minItems: got 0, want 1",
		`redis: {url: "redis://u:p@h"}`:    "at '/redis/url'",
		`tls: {secret: x}`:                 "at '/tls': additional properties 'secret' not allowed",
		`replicas: 2`:                      "additional properties 'replicas' not allowed",
		`env: [{name: EXECUTIONBACKUP_A}]`: "at '/env/0/name': 'not' failed",
		`env: [{name: PORT, value: "1"}]`:  "at '/env/0/name': 'not' failed",
		`env: [{name: JWT_SECRET}]`:        "at '/env/0/name': 'not' failed",
		`env: [{name: A, value: 1}]`:       "at '/env/0/value': got number, want string",
	} {
		file := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"helm", "template", "x", chart, "-f", file}
		if !strings.HasPrefix(values, "nodes:") && values != "{}" {
			args = append(args, "--set", "nodes[0].url=http://geth:8551")
		}
		if out, err := tool("", args...); err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v, %s, want %s", values, err, out, want)
		}
	}
}

// checkSettings has our own program read settings, with a secret in each file that they name.
func checkSettings(t *testing.T, config string) {
	t.Helper()
	dir := t.TempDir()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, certificate, certificate, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	chain := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	for _, name := range []string{"jwt.hex", "geth.hex", "besu.hex", "admin.token", "redis.password",
		"redis.pem", "ca.pem", "tls.crt", "tls.key", "webhook.url"} {
		secret := make([]byte, 32)
		rand.Read(secret)
		text := hex.EncodeToString(secret)
		switch filepath.Ext(name) {
		case ".pem", ".crt":
			text = chain
		case ".url":
			text = "https://hooks.example/" + text
		case ".key":
			text = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs}))
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	here := strings.NewReplacer("/run/secrets/executionbackup/", dir+"/", "/run/secrets/tls/", dir+"/")
	config = here.Replace(config)
	file := filepath.Join(dir, "executionbackup.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", "./cmd/executionbackup", "check", "--offline", "--config", file)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s\n%s", err, out, config)
	}
}

// kubernetesSchemas makes a folder with a JSON schema for each kind, from the description of Kubernetes' API that is
// in its command's module. A property that is none of an object's is an error.
func kubernetesSchemas(t *testing.T, kinds ...string) string {
	t.Helper()
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubectl").Output()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(module)), "testdata/openapi/swagger.json"))
	if err != nil {
		t.Fatal(err)
	}
	var api struct{ Definitions map[string]map[string]any }
	if err := json.Unmarshal(data, &api); err != nil {
		t.Fatal(err)
	}
	for _, definition := range api.Definitions {
		if definition["format"] == "int-or-string" {
			delete(definition, "format")
			definition["type"] = []string{"integer", "string"}
		}
		if definition["properties"] != nil {
			definition["additionalProperties"] = false
		}
	}
	dir := t.TempDir()
	for name := range api.Definitions {
		kind := name[strings.LastIndex(name, ".")+1:]
		if !slices.Contains(kinds, kind) || !strings.HasSuffix(name, ".v1."+kind) {
			continue
		}
		schema := map[string]any{"$ref": "#/definitions/" + name, "definitions": api.Definitions}
		file := filepath.Join(dir, strings.ToLower(kind)+".json")
		if err := os.WriteFile(file, must(t, schema), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
