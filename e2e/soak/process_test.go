//go:build e2e

package soak

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"executionbackup/internal/apptest"
)

// launch starts a program, whose output is appended to the file log. It gets a pipe and not the file, so that a limit
// on the size of its files isn't one of its log.
func launch(t testing.TB, log string, cmd *exec.Cmd) *apptest.Process {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	both := struct{ io.Writer }{out}
	cmd.Stdout, cmd.Stderr = both, both
	// Not in our group, so that control-C ends the test and the test ends them; and not without us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p, err := apptest.Launch(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(); out.Close() })
	return p
}

// writeFile writes a file, and returns its path.
func writeFile(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// builds makes ExecutionBackup, with the race detector where that is wanted.
func build(t testing.TB, race bool) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "executionbackup")
	args := []string{"build", "-o", binary, fmt.Sprintf("-race=%t", race), "executionbackup/cmd/executionbackup"}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return binary
}
