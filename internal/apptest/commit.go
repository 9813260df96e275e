package apptest

import (
	"os/exec"
	"strings"
)

// Commit names what is tested, as git does: the last tag, or the commit, and whether files differ from it. It is empty
// where git can't tell.
func Commit() string { return Output("git", "describe", "--tags", "--always", "--dirty") }

// Output is what a command prints, or "" where it can't.
func Output(name string, args ...string) string {
	out, _ := exec.Command(name, args...).Output()
	return strings.TrimSpace(string(out))
}
