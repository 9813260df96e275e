//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// process is a daemon in a process of its own.
type process struct {
	daemon
	*apptest.Process
}

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = []string{runMain, "EXECUTIONBACKUP_PORT=0"}
	p := apptest.StartProcess(t, cmd)
	return &process{daemon{apptest.NewClient(t, p.Log.URL(t), secret), p.Log}, p}
}

// calling sends a newPayload that the node holds, and returns when it has arrived there.
func (p *process) calling(t *testing.T, n *enginetest.Node) (answer <-chan string, release func()) {
	t.Helper()
	release = n.Script(enginetest.Rule{Method: "engine_newPayload", Hang: true})
	answers := make(chan string, 1)
	cl := p.cl(t, n.Secret)
	go func() {
		status, err := cl.NewPayload(t.Context(), enginetest.Chain(4, 1, nil)[0])
		answers <- fmt.Sprint(status.Status, " ", err)
	}()
	n.Wait("engine_newPayload", 1)
	return answers, release
}

func TestHangupReloads(t *testing.T) {
	a, b := enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})
	yaml := file(t, fmt.Sprintf("nodes: ['%s']\n", spec(a, "#name=a")))
	rewrite := func(content string) {
		if err := os.WriteFile(yaml, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := startProcess(t, "--config", yaml)
	answer, release := p.calling(t, a)

	rewrite(fmt.Sprintf("nodes: ['%s', '%s']\nlog_level: debug\n", spec(a, "#name=a"), spec(b, "#name=b")))
	p.Signal(syscall.SIGHUP)
	p.log.Match(t, `msg="configuration reloaded" by=SIGHUP changes=2`)
	if got, want := p.names(t), "a b"; got != want {
		t.Errorf("after the reload: got nodes %s, want %s", got, want)
	}

	rewrite(fmt.Sprintf("nodes: ['%s']\nprot: 1\n", spec(b, "#name=b")))
	p.Signal(syscall.SIGHUP)
	p.log.Match(t, `level=ERROR msg="configuration not reloaded[^\n]*prot: unknown setting: did you mean port`)
	if got, want := p.names(t), "a b"; got != want {
		t.Errorf("after a bad file: got nodes %s, want %s", got, want)
	}

	release()
	if got, want := <-answer, "VALID <nil>"; got != want {
		t.Errorf("the call in flight: got %s, want %s", got, want)
	}
	p.Signal(syscall.SIGTERM)
	p.WantExit(t, 0)
}

func TestTerminateDrains(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		n := enginetest.New(t, enginetest.Client{})
		p := startProcess(t, "-n", spec(n, ""))
		answer, release := p.calling(t, n)
		p.Signal(s)
		p.log.Match(t, "msg=draining")
		release()
		if got, want := <-answer, "VALID <nil>"; got != want {
			t.Errorf("%v: the call in flight: got %s, want %s", s, got, want)
		}
		p.WantExit(t, 0)
	}
}

func TestSecondSignalExitsAtOnce(t *testing.T) {
	n := enginetest.New(t, enginetest.Client{})
	p := startProcess(t, "-n", spec(n, ""))
	_, release := p.calling(t, n)
	defer release()
	p.Signal(syscall.SIGTERM)
	p.log.Match(t, "msg=draining")
	p.Signal(syscall.SIGTERM)
	p.WantExit(t, 1)
}
