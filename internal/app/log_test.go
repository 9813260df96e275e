package app_test

import (
	"regexp"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
)

// --node-timings logs a line for each probe, with the time that it took; a reload switches it.
func TestNodeTimings(t *testing.T) {
	t.Parallel()
	m := start(t, apptest.Fakes(three(t)...), func(c *config.Config) { c.NodeTimings = true })
	m.Recheck(t)
	for _, name := range []string{"n1", "n2", "n3"} {
		lines := m.Log.Lines("level=INFO", `msg="node timing"`, "node="+name)
		if len(lines) < 2 || !regexp.MustCompile(`duration=[0-9.]+(µs|ms|s)\n`).MatchString(lines[0]) {
			t.Errorf("%s: logged %v", name, lines)
		}
	}
	c := *m.Config
	c.NodeTimings = false
	m.Reload(&c)
	m.Recheck(t) // a probe of before may still be under way
	before := len(m.Log.Lines("node timing"))
	m.Recheck(t)
	if after := len(m.Log.Lines("node timing")); after != before {
		t.Errorf("%d lines more", after-before)
	}
}
