package app_test

import (
	"regexp"
	"testing"

	"executionbackup/internal/config"
)

// --node-timings logs a line for each probe, with the time that it took; a reload switches it.
func TestNodeTimings(t *testing.T) {
	t.Parallel()
	m := start(t, fakes(three(t)...), func(c *config.Config) { c.NodeTimings = true })
	m.recheck(t)
	for _, name := range []string{"n1", "n2", "n3"} {
		lines := m.log.lines("level=INFO", `msg="node timing"`, "node="+name)
		if len(lines) < 2 || !regexp.MustCompile(`duration=[0-9.]+(µs|ms|s)\n`).MatchString(lines[0]) {
			t.Errorf("%s: logged %v", name, lines)
		}
	}
	c := *m.config
	c.NodeTimings = false
	m.app.Reload(&c)
	m.recheck(t) // a probe of before may still be under way
	before := len(m.log.lines("node timing"))
	m.recheck(t)
	if after := len(m.log.lines("node timing")); after != before {
		t.Errorf("%d lines more", after-before)
	}
}
