//go:build e2e

package live

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"executionbackup/internal/apptest"
)

// launch starts a program that runs until its test ends it, or a fault does. Its output is appended to the file log.
func launch(t testing.TB, log string, args ...string) *apptest.Process {
	t.Helper()
	return launchCommand(t, log, exec.Command(args[0], args[1:]...))
}

// launchCommand is launch for a command that has been prepared.
func launchCommand(t testing.TB, log string, cmd *exec.Cmd) *apptest.Process {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = filepath.Dir(log) // ethereumjs leaves files where it is started
	// Not in our group, so that control-C ends the test and the test ends them; and not without us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p, err := apptest.Launch(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
