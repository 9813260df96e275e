package app_test

import (
	"regexp"
	"strings"
	"testing"

	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// loud are the lines that an operator sees at --log-level=info.
func (m *multiplexer) loud() (lines []string) {
	for _, line := range m.log.lines() {
		if !strings.Contains(line, "level=DEBUG") {
			lines = append(lines, line)
		}
	}
	return lines
}

// Healthy calls and probes leave no line at info, whatever the method.
func TestQuietWhenHealthy(t *testing.T) {
	t.Parallel()
	m := start(t, fakes(three(t)...), nil)
	chain := enginetest.Chain(4, 12, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	m.recheck(t)
	before := m.loud()
	for _, p := range chain[1:] {
		m.hears(t, "VALID", "engine_newPayload", p)
		m.hears(t, "VALID", "engine_forkchoiceUpdated", p)
		m.call(t, "eth_blockNumber")
		m.call(t, "engine_getBlobsV1", []string{"0x01" + strings.Repeat("00", 31)})
		m.recheck(t)
	}
	if after := m.loud(); len(after) != len(before) {
		t.Errorf("logged:\n%s", strings.Join(after[len(before):], ""))
	}
	if got := len(m.log.lines("level=DEBUG", "verdict")); got != 23 {
		t.Errorf("%d verdicts are logged at debug, want 23", got)
	}
}

// A change is one line, however often it is seen.
func TestOneLinePerChange(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := startLed(t, fakes(nodes...), nil)
	chain := enginetest.Chain(4, 9, nil)
	feed := func(payloads []enginetest.Payload) {
		for _, p := range payloads {
			m.hears(t, "VALID", "engine_newPayload", p)
			m.hears(t, "VALID", "engine_forkchoiceUpdated", p)
			m.recheck(t)
		}
	}
	feed(chain[:3])
	begun := len(m.loud())
	nodes[0].Close()
	feed(chain[3:6])
	nodes[0].Reopen()
	feed(chain[6:9])
	want := []string{"WARN node is dead n1", "INFO primary changed ", "INFO node is alive n1"}
	words := regexp.MustCompile(`level=(\w+) msg="([^"]+)"(?: node=(n1))?`)
	var got []string
	for _, line := range m.loud()[begun:] {
		f := words.FindStringSubmatch(line)
		if f == nil {
			t.Errorf("logged %s", line)
			continue
		}
		got = append(got, strings.Join(f[1:], " "))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

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
