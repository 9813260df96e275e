package proxy

import (
	"flag"
	"os"
	"testing"
)

// A thousand random schedules and streams, where rapid would try a hundred.
func TestMain(m *testing.M) {
	flag.Set("rapid.checks", checks)
	os.Exit(m.Run())
}
