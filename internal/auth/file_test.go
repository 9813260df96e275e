package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A secret in the place of its file's path doesn't come back in the error, whatever is wrong with it.
func TestReadFileGivenASecret(t *testing.T) {
	const itself = "this is a secret itself: give the path of a file that contains it"
	const hidden = "file does not exist (the path isn't shown, as it may be the secret itself)"
	colons := strings.Join(strings.SplitAfter(digits, "11"), ":")
	for path, want := range map[string]string{
		digits: itself, "0x" + digits: itself, digits[:61]: itself, digits + "0": itself, digits[:40]: itself,
		strings.ToUpper(digits) + "\n": itself, `"` + digits + `"`: itself, "'0x" + digits + "'": itself,
		"“" + digits + "”": itself, "\ufeff" + digits: itself, digits[:40] + "g" + digits[41:]: itself,
		digits[:32] + " " + digits[32:]: itself, colons: itself, "secret:" + digits: itself, digits + ".hex": itself,
		// As far as it isn't known to be a secret, it may be one.
		"/" + digits: hidden, "./" + digits + ".hex": hidden, "file://" + digits: hidden, "/run/" + digits[:40]: hidden,
		"correct-horse-battery": hidden, "hunter2.": hidden, "kD8/xy+hQ0mZ1Yb7s5Vw3A==": hidden, "abc": hidden,
		"/D8xyhQ0mZ1Yb7s5Vw3A": hidden, "/D8/yhQ0mZ1Yb7s5Vw3A=": hidden, `"/etc/jwt.hex"`: hidden,
		"./pass\nword": hidden, "p/ssw0rd": hidden,
	} {
		if _, err := ReadFile(path, os.ReadFile); err == nil || err.Error() != want {
			t.Errorf("%q: got error %v, want %s", path, err, want)
		}
	}
	if _, err := ReadFile("abc", os.ReadFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v, want fs.ErrNotExist", err)
	}
	refuse := func(path string) ([]byte, error) { return nil, fmt.Errorf("open %s: %w", path, fs.ErrPermission) }
	_, err := ReadFile("hunter2", refuse)
	if !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "ter2") {
		t.Errorf("got error %v, want fs.ErrPermission alone", err)
	}
}

// A path that can be nothing else is told.
func TestReadFileGivenAPath(t *testing.T) {
	for _, path := range []string{
		"/etc/executionbackup/jwt.hex", "/run/secrets/jwt", "/missing", "./jwt", "../eth/jwt", "~/jwt", "jwt.hex",
		"secrets/admin.token", "/home/ann/Library/Application Support/jwt", `C:\ethereum\jwt.hex`,
		"/run/credentials/executionbackup.service/jwt.hex", filepath.Join(t.TempDir(), "jwt"),
	} {
		_, err := ReadFile(path, os.ReadFile)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
			t.Errorf("got error %v, want fs.ErrNotExist with %s", err, path)
		}
	}
}

func TestRedact(t *testing.T) {
	const long = "--nodes: http://execution-client-0.execution-clients.ethereum.svc.cluster.local:8551: no JWT secret"
	for text, want := range map[string]string{
		"": "", "unknown flag --" + digits + "x": "unknown flag [secret]",
		`unknown option "` + digits[:63] + `g": there are`: `unknown option "[secret]": there are`,
		"http://" + digits + ":8551/":                      "http://[secret]/",
		long:                                               long,
	} {
		if got := Redact(text); got != want {
			t.Errorf("Redact(%q) = %q, want %q", text, got, want)
		}
	}
}
