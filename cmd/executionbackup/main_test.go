package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// runMain makes this test binary the command itself, for tests that need a process of its own.
const runMain = "TEST_RUN_MAIN=1"

func TestMain(m *testing.M) {
	if name, value, _ := strings.Cut(runMain, "="); os.Getenv(name) == value {
		main()
	}
	os.Exit(m.Run())
}

// execute runs a command line to its end.
func execute(t *testing.T, environ []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), append([]string{"executionbackup"}, args...), environ, &out, &errs)
	return status, out.String(), errs.String()
}

// daemon is a running one, in this process or in one of its own, with a client that knows secret.
type daemon struct {
	apptest.Client
	log *apptest.Logbook
}

// start runs a daemon in this process, on a free port unless args name one, until the test ends.
func start(t *testing.T, environ []string, args ...string) *daemon {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	log := new(apptest.Logbook)
	var stdout bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		environ := append([]string{"EXECUTIONBACKUP_PORT=0"}, environ...)
		ended <- run(ctx, append([]string{"executionbackup"}, args...), environ, &stdout, log)
		log.Close()
	}()
	t.Cleanup(func() {
		stop()
		if status := <-ended; status != 0 {
			t.Errorf("exit status %d: %s", status, log)
		}
		if stdout.Len() > 0 {
			t.Errorf("stdout: %s", stdout.String())
		}
	})
	return &daemon{apptest.NewClient(t, log.URL(t), secret), log}
}

// nodes probes all nodes and returns what is known of them.
func (d *daemon) nodes(t *testing.T) []apptest.NodeState {
	t.Helper()
	d.Recheck(t)
	return d.Nodes(t)
}

// names are the nodes' names, in order.
func (d *daemon) names(t *testing.T) string {
	t.Helper()
	var names []string
	for _, n := range d.nodes(t) {
		names = append(names, n.Name)
	}
	return strings.Join(names, " ")
}

// cl returns a consensus client of the daemon with another secret.
func (d *daemon) cl(t *testing.T, secret []byte) *enginetest.CL {
	return enginetest.NewCL(t, d.URL, secret)
}

// file writes a file of the test's own and returns its path.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// secret is what consensus clients share with us in these tests.
var secret = bytes.Repeat([]byte{0xc1}, 32)

func secretFile(t *testing.T) string { return file(t, hex.EncodeToString(secret)) }

// spec is the specification of a test node, with its own secret.
func spec(n *enginetest.Node, options string) string {
	return n.URL + "#jwt-secret=" + n.SecretFile + options
}
