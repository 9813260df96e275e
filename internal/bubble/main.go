package bubble

import (
	"flag"
	"os"
	"testing"
)

// Main runs the tests of a package with a thousand random schedules and streams, where rapid would try a hundred.
func Main(m *testing.M) {
	flag.Set("rapid.checks", checks)
	os.Exit(m.Run())
}
