package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"executionbackup/internal/admin"
	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/evidence"
)

// Every command finds a running ExecutionBackup, its evidence and its token by the settings that it was started with,
// whichever way they come.
func TestCommandsTakeTheSameSettings(t *testing.T) {
	nodes := []*enginetest.Node{
		enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{}),
		enginetest.New(t, enginetest.Client{}),
	}
	port := apptest.FreePort(t)
	dir := t.TempDir()
	settings := map[string]string{
		"nodes": spec(nodes[0], "#name=a") + "," + spec(nodes[1], "#name=b") + "," + spec(nodes[2], "#name=c"),
		"port":  port, "evidence-dir": dir, "admin-token-file": file(t, adminToken),
	}
	var yaml, environ, args []string
	for key, value := range settings {
		yaml = append(yaml, fmt.Sprintf("%s: %q", strings.ReplaceAll(key, "-", "_"), value))
		environ = append(environ, "EXECUTIONBACKUP_"+strings.ToUpper(strings.ReplaceAll(key, "-", "_"))+"="+value)
		args = append(args, "--"+key, value)
	}
	config := file(t, strings.Join(yaml, "\n"))
	d := start(t, []string{"EXECUTIONBACKUP_PORT="}, "--config", config)
	d.nodes(t)
	cl := d.cl(t, nodes[0].Secret)
	chain := enginetest.Chain(4, 2, nil)
	if _, err := cl.NewPayload(t.Context(), chain[0]); err != nil {
		t.Fatal(err)
	}
	nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID"})
	if _, err := cl.NewPayload(t.Context(), chain[1]); err != nil {
		t.Fatal(err)
	}
	d.log.Match(t, `msg="evidence written"`)

	for name, way := range map[string]struct{ environ, args []string }{
		"file":              {nil, []string{"--config", config}},
		"file by variable":  {[]string{"EXECUTIONBACKUP_CONFIG=" + config}, nil},
		"variables":         {environ, nil},
		"flags":             {nil, args},
		"--url and a token": {nil, []string{"--url", d.URL, "--admin-token-file", settings["admin-token-file"]}},
	} {
		t.Run(name, func(t *testing.T) {
			for command, want := range map[string]string{
				"nodes": "c ", "nodes undrain a": "a ", "healthcheck": "ready", "evidence list": "INVALID SAID",
				"evidence": " c ", "evidence show last": "the consensus client heard SYNCING",
				fmt.Sprintf("evidence show %d", chain[1].Number): "c INVALID INVALID", "reload": "",
			} {
				got, stdout, stderr := execute(t, way.environ, append(strings.Fields(command), way.args...)...)
				if got != 0 || !strings.Contains(fields(stdout), want) {
					t.Errorf("%s: status %d, %s%s, want %s", command, got, stdout, stderr, want)
				}
			}
		})
	}
}

// Commands find a port of its own for the REST API. The admin token goes to whoever has the certificate that our
// settings name, and to nobody else.
func TestCommandsOverTLS(t *testing.T) {
	a := enginetest.New(t, enginetest.Client{})
	ours, others := enginetest.NewCertificate(t), enginetest.NewCertificate(t)
	adminAddr := "127.0.0.1:" + apptest.FreePort(t)
	args := []string{"-p", apptest.FreePort(t), "--admin-addr", adminAddr, "--admin-token-file", file(t, adminToken)}
	d := start(t, []string{"EXECUTIONBACKUP_PORT="}, append(args, "-n", spec(a, "#name=a"),
		"--tls-cert-file", ours.File, "--tls-key-file", ours.KeyFile)...)
	d.log.Wait(t, "node is alive")
	for _, command := range []string{"nodes", "nodes undrain a", "status", "reload", "healthcheck"} {
		words := append(strings.Fields(command), args...)
		status, _, stderr := execute(t, nil, append(words, "--tls-cert-file", ours.File)...)
		if status != 0 {
			t.Errorf("%s: status %d, %s", command, status, stderr)
		}
		status, _, stderr = execute(t, nil, append(words, "--tls-cert-file", others.File)...)
		if sendsToken := command == "nodes undrain a" || command == "reload"; !sendsToken {
			if status != 0 { // the certificate is about to be renewed, say
				t.Errorf("%s, another certificate: status %d, %s", command, status, stderr)
			}
		} else if status != 1 || !strings.Contains(stderr, "its certificate is not that of --tls-cert-file") {
			t.Errorf("%s, another certificate: status %d, %s", command, status, stderr)
		}
	}
	for cas, want := range map[string]string{ours.File: "", others.File: "certificate signed by unknown authority"} {
		status, _, stderr := execute(t, nil, "nodes", "--url", "https://"+adminAddr, "--ca-file", cas)
		if !strings.Contains(stderr, want) || (status == 0) != (want == "") {
			t.Errorf("--ca-file: status %d, %q, want %q", status, stderr, want)
		}
	}
}

// What --json prints is what the REST API has.
func TestJSON(t *testing.T) {
	a := enginetest.New(t, enginetest.Client{})
	d := start(t, nil, "-n", spec(a, "#name=a"), "--evidence-dir", t.TempDir())
	d.nodes(t)
	for command, into := range map[string]any{
		"nodes --json": new([]admin.Node), "evidence --json": new([]evidence.Entry),
	} {
		status, stdout, stderr := execute(t, nil, append(strings.Fields(command), "--url", d.URL)...)
		if err := json.Unmarshal([]byte(stdout), into); err != nil || status != 0 || stderr != "" {
			t.Errorf("%s: status %d, %v, %s", command, status, err, stderr)
		}
	}
	f := writeEvidence(t, []byte(`{"jsonrpc":"2.0","id":1,"method":"engine_newPayloadV4","params":[]}`))
	_, stdout, _ := execute(t, nil, "evidence", "show", "--json", f)
	if !strings.Contains(stdout, `"method": "engine_newPayloadV4"`) || !strings.Contains(stdout, `"params": []`) {
		t.Errorf("evidence show: got %s", stdout)
	}
}

// A health check asks where a container's process is, also when its file has meanwhile been spoilt.
func TestHealthcheckWithASpoiltFile(t *testing.T) {
	a := enginetest.New(t, enginetest.Client{})
	d := start(t, nil, "-n", spec(a, ""))
	d.nodes(t)
	spoilt := file(t, "nonsense: 1\n")
	status, stdout, stderr := execute(t, nil, "healthcheck", "--config", spoilt, "--url", d.URL)
	if status != 0 || stdout != "ready\n" || !strings.Contains(stderr, "nonsense: unknown setting") {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
}

// reload says line by line what it changed and what it can't, and fails where the file is no good, whichever way it
// reaches the process.
func TestReloadCommand(t *testing.T) {
	a, b := enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})
	token := file(t, adminToken)
	yaml := file(t, "")
	write := func(content string) {
		t.Helper()
		nodes := fmt.Sprintf("nodes: ['%s', '%s']\n", spec(a, "#name=a"), spec(b, "#name=b"))
		if err := os.WriteFile(yaml, []byte(nodes+content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	p := startProcess(t, "--config", yaml, "--admin-token-file", token)
	p.WaitReady(t, p.Client)
	for _, way := range [][]string{{"--pid", fmt.Sprint(p.Cmd.Process.Pid)}, {"--admin-token-file", token}} {
		reload := append([]string{"reload", "--url", p.URL}, way...)
		for _, step := range []struct {
			content, stdout, stderr string
			status                  int
		}{
			{"", "nothing is other than it was\n", "", 0},
			{"on_dispute: majority\ngrace: 1s\nmax_body: 1MiB\n",
				"on_dispute: halt → majority\ngrace: (not set) → 1s\n" +
					"max_body: 128MiB → 1MiB (at the next start only)\n", "", 0},
			{"on_dispute: majorty\n", "", "on_dispute: \"majorty\" is none of halt, majority, live", 1},
			{"", "on_dispute: majority → halt\ngrace: 1s → (not set)\n", "", 0},
		} {
			write(step.content)
			status, stdout, stderr := execute(t, []string{"EXECUTIONBACKUP_PORT=0"}, reload...)
			if status != step.status || stdout != step.stdout || !strings.Contains(stderr, step.stderr) {
				t.Errorf("%s: status %d\n got %q %q\nwant %q %q",
					way[0], status, stdout, stderr, step.stdout, step.stderr)
			}
		}
	}
	p.log.Wait(t, `msg="setting changed" change="on_dispute: halt → majority"`)
	p.log.Wait(t, `msg="a setting changes at the next start only" change="max_body: 128MiB → 1MiB"`)

	status, _, stderr := execute(t, nil, "reload", "--url", p.URL, "--pid", "2147483647")
	if status != 1 || !strings.Contains(stderr, fmt.Sprintf("answers process %d, not 2147483647", p.Cmd.Process.Pid)) {
		t.Errorf("another process: status %d, %s", status, stderr)
	}
	status, _, stderr = execute(t, nil, "reload", "--url", p.URL)
	if status != 1 || !strings.Contains(stderr, "answers HTTP 401") {
		t.Errorf("no token: status %d, %s", status, stderr)
	}
}

// A spoilt file keeps nobody from asking the process that goes by an older one, and a reload reaches it all the same.
func TestSpoiltFile(t *testing.T) {
	a := enginetest.New(t, enginetest.Client{})
	port := apptest.FreePort(t)
	good := fmt.Sprintf("port: %s\nnodes: ['%s']\n", port, spec(a, "#name=a"))
	yaml := file(t, good)
	cmd := exec.Command(os.Args[0], "--config", yaml)
	cmd.Env = []string{runMain}
	p := apptest.StartProcess(t, cmd)
	p.WaitReady(t, apptest.NewClient(t, p.Log.URL(t), secret))
	for _, spoilt := range []string{"nodez: x\n", "timeout: never\n", "nodes: ['http://x#no']\n"} {
		if err := os.WriteFile(yaml, []byte(strings.Replace(good, "nodes:", spoilt+"nodes:", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"nodes", "status", "healthcheck"} {
			status, stdout, stderr := execute(t, nil, command, "--config", yaml)
			if status != 0 || stdout == "" || !strings.Contains(stderr, "going on without what is no good: ") {
				t.Errorf("%s: status %d, %s", command, status, stderr)
			}
		}
		status, _, stderr := execute(t, nil, "reload", "--config", yaml, "--pid", fmt.Sprint(p.Cmd.Process.Pid))
		if status != 1 || !strings.Contains(stderr, "nothing has changed: ") {
			t.Errorf("reload: status %d, %s", status, stderr)
		}
	}
	p.Log.Wait(t, "configuration not reloaded", "timeout")
	_, stdout, _ := execute(t, nil, "status", "--config", yaml)
	if !strings.Contains(stdout, "the configuration is no good, and an older one stays in force") {
		t.Errorf("status doesn't tell: %s", stdout)
	}
}

// A process keeps the environment that it was started with: a reload of a service whose environment file was edited
// says so, and fails.
func TestReloadOfAnEditedEnvironment(t *testing.T) {
	a := enginetest.New(t, enginetest.Client{})
	p := startProcess(t, "-n", spec(a, ""))
	p.WaitReady(t, p.Client)
	u, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	reload := []string{"reload", "--url", p.URL, "--pid", fmt.Sprint(p.Cmd.Process.Pid)}
	for environ, want := range map[string]string{
		"EXECUTIONBACKUP_PORT=0":                                     "",
		"EXECUTIONBACKUP_PORT=0 EXECUTIONBACKUP_ON_DISPUTE=majority": "another EXECUTIONBACKUP_ON_DISPUTE: restart it",
		"EXECUTIONBACKUP_PORT=" + u.Port():                           "another EXECUTIONBACKUP_PORT: restart it",
	} {
		status, _, stderr := execute(t, strings.Fields(environ), reload...)
		if !strings.Contains(stderr, want) || (status == 0) != (want == "") {
			t.Errorf("%s: status %d, %q, want %q", environ, status, stderr, want)
		}
	}
}

// --watch takes a changed file as Kubernetes mounts it, behind a link that is changed, and a secret that appears later.
func TestWatch(t *testing.T) {
	a := enginetest.New(t, enginetest.Client{})
	dir := t.TempDir()
	link := filepath.Join(dir, "data")
	publish := func(version, content string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, version, "c.yaml"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(version, link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
	}
	nodes := fmt.Sprintf("watch: true\nnodes: ['%s']\n", spec(a, "#name=a"))
	publish("1", nodes)
	d := start(t, nil, "--config", filepath.Join(link, "c.yaml"))
	publish("2", nodes+"on_dispute: majority\n")
	d.log.Match(t, `msg="configuration reloaded" by=--watch`)
	d.log.Match(t, `change="on_dispute: halt → majority"`)

	late := filepath.Join(dir, "late.hex")
	publish("3", nodes+"jwt_secret: "+late+"\n")
	d.log.Match(t, `msg="configuration not reloaded[^\n]* by=--watch[^\n]*late.hex`)
	if err := os.WriteFile(late, []byte(strings.Repeat("ab", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	d.log.Match(t, `change="jwt_secret: \(not set\) → [^\n]*late.hex \(another secret\)"`)
}
