package memory

import (
	"flag"
	"os"
	"testing"
)

// A thousand random scripts, where rapid would try a hundred: so many that each kind of verdict comes about.
func TestMain(m *testing.M) {
	flag.Set("rapid.checks", "1000")
	os.Exit(m.Run())
}
