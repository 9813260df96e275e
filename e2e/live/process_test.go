//go:build e2e

package live

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// process is a program that runs until its test ends, or until a fault ends it. What it prints is in a file.
type process struct {
	name string
	log  string // the file
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended, and cmd.ProcessState says how
}

// launch starts a program. Its output is appended to the log of that name.
func launch(t testing.TB, log, name string, args ...string) *process {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := &process{name: name, log: log, cmd: exec.Command(args[0], args[1:]...), gone: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Dir = filepath.Dir(log) // ethereumjs leaves files where it is started
	// Not in our group, so that control-C ends the test and the test ends them; and not without us.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.cmd.Wait()
		close(p.gone)
	}()
	return p
}

// running reports whether the process has not ended yet. A nil process has.
func (p *process) running() bool {
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

func (p *process) signal(s syscall.Signal) {
	if p.running() {
		p.cmd.Process.Signal(s)
	}
}

// patience is how long a process may take to end after SIGTERM.
const patience = 30 * time.Second

// terminate ends the process as an operator does, and waits for it. What doesn't end in time is killed, and an error.
func (p *process) terminate() error {
	if p == nil {
		return nil
	}
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.gone:
		return nil
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("%s didn't end within %v of SIGTERM", p.name, patience)
	}
}

// kill is kill -9. It returns when the process is gone.
func (p *process) kill() {
	if p != nil {
		p.signal(syscall.SIGKILL)
		<-p.gone
	}
}
