package proxy

import (
	"flag"
	"os"
	"testing"
)

// A thousand random schedules, where rapid would try a hundred.
func TestMain(m *testing.M) {
	flag.Set("rapid.checks", "1000")
	os.Exit(m.Run())
}
