//go:build unix

package apptest_test

import (
	"fmt"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// Who waits for a line gets it, whether it has come or is still to come.
func TestLogbook(t *testing.T) {
	var log apptest.Logbook
	go func() {
		for i := range 100 {
			fmt.Fprintf(&log, "msg=count n=%d\n", i)
		}
		log.Close()
	}()
	log.Wait(t, "count", "n=99")
	log.Wait(t, "n=0")
	if got := log.Match(t, `n=(9\d)`); got != "90" {
		t.Errorf("got %q, want the first that matches, 90", got)
	}
	if got, want := log.Lines("count", "n=5\n"), []string{"msg=count n=5\n"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A process ends by itself, by a signal that it may answer, or by one that it may not.
func TestProcess(t *testing.T) {
	sh := func(script string) *apptest.Process {
		t.Helper()
		return apptest.StartProcess(t, exec.Command("sh", "-c", script))
	}
	p := sh("echo out; echo err >&2; exit 3")
	p.WantExit(t, 3)
	p.Log.Wait(t, "out")
	p.Log.Wait(t, "err")

	p = sh("trap 'exit 4' TERM; echo ready; while :; do :; done")
	p.Log.Wait(t, "ready")
	p.Signal(syscall.SIGSTOP)
	if !p.Running() {
		t.Error("it doesn't run")
	}
	if err := p.Terminate(); err != nil {
		t.Error(err)
	}
	p.WantExit(t, 4)

	p = sh("trap '' TERM; echo ready; while :; do :; done")
	p.Log.Wait(t, "ready")
	p.Signal(syscall.SIGTERM)
	p.Kill()
	p.WantExit(t, -1)

	p = nil
	p.Kill()
	if err := p.Terminate(); err != nil || p.Running() {
		t.Errorf("no process: %v, running: %t", err, p.Running())
	}
}

// The same client talks to an ExecutionBackup as a consensus client and as an operator.
func TestMultiplexer(t *testing.T) {
	nodes := []*enginetest.Node{enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})}
	list := apptest.Fakes(nodes...)
	list[1].DoNotUse = true
	m := apptest.Start(t, apptest.Options{Nodes: list, Settings: map[string]string{"open-admin": "true"}})
	if got, err := m.NewPayload(t.Context(), enginetest.Chain(4, 1, nil)[0]); err != nil || got.Status != "VALID" {
		t.Errorf("newPayload: %+v, %v", got, err)
	}
	if got := m.Node(t, "n1"); !got.Primary || got.DoNotUse || got.URL != nodes[0].URL {
		t.Errorf("n1 is %+v", got)
	}
	if got := m.Node(t, "n2"); got.Primary || !got.DoNotUse {
		t.Errorf("n2 is %+v", got)
	}
	const calls = "executionbackup_node_call_duration_seconds_count"
	const one = calls + `{method="NewPayload",node="n1",outcome="answer"}`
	apptest.Until(t, "the newPayload is counted", func() bool { return m.Metric(t, one) == 1 })
	if got := m.Metric(t, calls); got < 2 {
		t.Errorf("%v calls are counted, want probes, too", got)
	}
	m.Stop()
	m.Log.Wait(t, "msg=stopped")
}
