package main

import (
	"encoding/hex"
	"net"
	"strings"
	"testing"

	"executionbackup/internal/enginetest"
)

// The original's variables, as its default-env has them, start the container; the secret is a text or a file.
func TestContainer(t *testing.T) {
	a, b := enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})
	nodes := "NODES=" + strings.TrimPrefix(a.URL, "http://") + ", " + spec(b, "") + ","
	for name, secret := range map[string]string{
		"text":         hex.EncodeToString(a.Secret),
		"text with 0x": "0x" + hex.EncodeToString(a.Secret),
		"file":         a.SecretFile,
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t, []string{nodes, "JWT_SECRET=" + secret, "PORT=1", "FCU_MAJORITY=0.7",
				"SHOW_NODE_TIMINGS=true", "LOG_LEVEL=INFO", "RELEASE_TAG="}, "container")
			_, port, _ := net.SplitHostPort(strings.TrimPrefix(d.URL, "http://"))
			if !strings.HasPrefix(d.log.String(), "time=") || !strings.Contains(d.log.String(), "address=[::]:"+port) {
				t.Errorf("it doesn't listen on every address: %s", d.log)
			}
			d.URL = "http://127.0.0.1:" + port
			if got := len(d.nodes(t)); got != 2 {
				t.Errorf("got %d nodes, want 2", got)
			}
			d.log.Match(t, `msg="node timing"`)
			status, err := d.cl(t, a.Secret).NewPayload(t.Context(), enginetest.Chain(4, 1, nil)[0])
			if err != nil || status.Status != "VALID" {
				t.Errorf("newPayload: %+v, %v", status, err)
			}
			if status, _, stderr := execute(t, []string{"PORT=" + port}, "container", "healthcheck"); status != 0 {
				t.Errorf("healthcheck: status %d, %s", status, stderr)
			}
		})
	}
}

// What is wrong is told under the name of our own variable, and no secret is printed.
func TestContainerErrors(t *testing.T) {
	const inVariable = "EXECUTIONBACKUP_JWT_SECRET: the variable JWT_SECRET: "
	digits := strings.Repeat("ab", 31)
	for _, test := range []struct {
		environ string
		status  int
		want    string
	}{
		{"NODES=", 78, "there are no nodes: set --nodes"},
		{"NODES=a:1", 78, "EXECUTIONBACKUP_NODES: http://a:1: no JWT secret"},
		{"NODES=a:1 JWT_SECRET=" + digits, 78,
			inVariable + "not a secret: want 64 hexadecimal digits, got 62 characters"},
		{"NODES=a:1 JWT_SECRET=" + digits + "0g", 78,
			inVariable + "not a secret: want 64 hexadecimal digits, got other"},
		{`NODES=a:1 JWT_SECRET="` + digits + `01"`, 78, inVariable + "not a secret: it is in quotes: remove them"},
		{"NODES=a:1 JWT_SECRET=" + strings.Repeat("0", 64), 78, inVariable + "a placeholder, not a secret"},
		{"NODES=a:1 JWT_SECRET=change-me", 1,
			"EXECUTIONBACKUP_JWT_SECRET: read the secret file: file does not exist"},
		{"NODES=a:1 JWT_SECRET=/nowhere", 1, "EXECUTIONBACKUP_JWT_SECRET: read the secret file: open /nowhere"},
		{"NODES=a:1 FCU_MAJORITY=2", 78, "EXECUTIONBACKUP_FCU_MAJORITY: 2 is out of range"},
		{"NODES=a:1 PORT=x EXECUTIONBACKUP_LOG_LEVEL=loud LOG_LEVEL=INFO", 78,
			`EXECUTIONBACKUP_LOG_LEVEL: "loud" is not a log level`},
	} {
		status, stdout, stderr := execute(t, strings.Fields(test.environ), "container")
		if status != test.status || stdout != "" || !strings.HasPrefix(stderr, "executionbackup: "+test.want) ||
			strings.Contains(stderr, digits) {
			t.Errorf("%s: status %d, %q, want %q", test.environ, status, stderr, test.want)
		}
	}
	status, _, stderr := execute(t, nil, "--port", "1", "container")
	if status != 2 || !strings.Contains(stderr, "write it before everything else") {
		t.Errorf("container after a flag: status %d, %q", status, stderr)
	}
}

// Beside a Service named executionbackup the container has its variables, too. They are no settings, and hide none.
func TestContainerWithServiceLinks(t *testing.T) {
	node := enginetest.New(t, enginetest.Client{})
	links := []string{"EXECUTIONBACKUP_SERVICE_HOST=10.96.7.1", "EXECUTIONBACKUP_SERVICE_PORT=7000",
		"EXECUTIONBACKUP_PORT=tcp://10.96.7.1:7000", "EXECUTIONBACKUP_PORT_7000_TCP_ADDR=10.96.7.1"}
	d := start(t, append(links, "NODES="+spec(node, ""), "JWT_SECRET="+node.SecretFile, "PORT=1"), "container")
	d.log.Match(t, `are no settings: ignored" variables=.*EXECUTIONBACKUP_PORT`)

	environ := []string{"NODES=a:1", "JWT_SECRET=" + node.SecretFile, links[2]} // without the Service's address
	status, _, stderr := execute(t, environ, "container")
	if want := `executionbackup: EXECUTIONBACKUP_PORT: "tcp://10.96.7.1:7000" is not a port`; status != 78 ||
		!strings.HasPrefix(stderr, want) {
		t.Errorf("status %d, %q, want %q", status, stderr, want)
	}
}
