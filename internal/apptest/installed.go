package apptest

import (
	"os"
	"path/filepath"
	"testing"
)

// Installed is the path of a file that e2e/clients/install.sh has put where the real clients are.
func Installed(t testing.TB, file string) string {
	t.Helper()
	home := os.Getenv("EXECUTIONBACKUP_E2E_HOME")
	if home == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		home = filepath.Join(cache, "executionbackup-e2e")
	}
	path := filepath.Join(home, file)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: make e2e-clients, or e2e-beaconkit", err)
	}
	return path
}
