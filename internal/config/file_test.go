package config

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A file without end is an error: a secret, a token or settings, at start or in a request to add a node.
func TestLargeFiles(t *testing.T) {
	large, good := filepath.Join(t.TempDir(), "large"), filepath.Join(t.TempDir(), "good")
	for path, content := range map[string][]byte{large: bytes.Repeat([]byte{' '}, maxFile+1), good: []byte(hexA)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ flags, want string }{
		{"--nodes=http://a:1 --jwt-secret=" + large,
			"--jwt-secret: read the secret file: " + large + ": larger than 1 MiB"},
		{"--nodes=http://a:1 --jwt-secret=" + good + " --config=" + large,
			"--config: " + large + ": larger than 1 MiB"},
		{"--nodes=http://a:1 --jwt-secret=" + good + " --admin-token-file=" + large,
			"--admin-token-file: " + large + ": larger than 1 MiB"},
		{"--nodes=http://a:1 --jwt-secret=" + good, ""},
	} {
		_, err := Load(Inputs{Flags: flags(test.flags)})
		if got := message(err); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
	_, err := ParseNode("http://a:1#jwt-secret="+large, NodeDefaults{})
	got, want := message(err), "http://a:1: option jwt-secret: read the secret file: "+large+": larger than 1 MiB"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
