//go:build unix

package apptest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Process is a program beside the test. A nil Process has ended. It is safe for concurrent use.
type Process struct {
	Cmd *exec.Cmd // its ProcessState may be read once Gone is closed
	Log *Logbook  // what it prints, unless its command says where that goes

	gone chan struct{}
}

// Launch starts a command. Whoever launches a process ends it.
func Launch(cmd *exec.Cmd) (*Process, error) {
	p := &Process{Cmd: cmd, Log: new(Logbook), gone: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.Log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.Log
	}
	cmd.WaitDelay = Patience // for what it leaves behind with its output
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	go func() {
		cmd.Wait()
		p.Log.Close()
		close(p.gone)
	}()
	return p, nil
}

// StartProcess launches a command and kills it at the end of the test, unless it has ended. What it printed is shown
// where the test has failed.
func StartProcess(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p, err := Launch(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s: %s", cmd.Path, p.Log)
		}
	})
	return p
}

// Gone is closed when the process has ended.
func (p *Process) Gone() <-chan struct{} { return p.gone }

// Running reports whether the process has not ended yet.
func (p *Process) Running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.gone:
		return false
	default:
		return true
	}
}

// Signal sends a signal, unless the process has ended.
func (p *Process) Signal(s os.Signal) {
	if p.Running() {
		p.Cmd.Process.Signal(s)
	}
}

// Kill is kill -9. It returns when the process is gone.
func (p *Process) Kill() {
	if p != nil {
		p.Signal(syscall.SIGKILL)
		<-p.gone
	}
}

// Wait returns when the process has ended. One that doesn't within Patience is killed, and an error.
func (p *Process) Wait() error {
	if p == nil {
		return nil
	}
	select {
	case <-p.gone:
		return nil
	case <-time.After(Patience):
		p.Kill()
		return fmt.Errorf("%s didn't end within %v", filepath.Base(p.Cmd.Path), Patience)
	}
}

// Terminate ends the process with SIGTERM, as an operator does, even one that has been stopped, and waits for it.
func (p *Process) Terminate() error {
	p.Signal(syscall.SIGCONT)
	p.Signal(syscall.SIGTERM)
	return p.Wait()
}

// WantExit waits for the process to end, which must be with that status.
func (p *Process) WantExit(t testing.TB, want int) {
	t.Helper()
	if err := p.Wait(); err != nil {
		t.Errorf("%v: %s", err, p.Log)
		return
	}
	if got := p.Cmd.ProcessState.ExitCode(); got != want {
		t.Errorf("exit status %d, want %d: %s", got, want, p.Log)
	}
}

// WaitReady returns when the process, an ExecutionBackup, takes calls of its client.
func (p *Process) WaitReady(t testing.TB, c Client) {
	t.Helper()
	Try(t, Patience, func() error {
		if !p.Running() {
			t.Fatalf("it ended: %v: %s", p.Cmd.ProcessState, p.Log)
		}
		return c.IsReady(t.Context())
	})
}
