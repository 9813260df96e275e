package app_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
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

// logKey finds the keys of a line in the text format.
var logKey = regexp.MustCompile(`(?:^| )([^ ="]+)=(?:"(?:[^"\\]|\\.)*"|[^ ]*)`)

// No key of a line comes from data: nodes that are named as keys of ours are named in values alone, so that no line has
// a key twice.
func TestNodesNamedAsKeys(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 3)
	soon := enginetest.Fork{At: time.Now().Add(time.Hour), ID: "0x00000002"}
	nodes[0].TellForks(enginetest.Fork{ID: "0x00000001"}, soon)
	nodes[1].TellForks(enginetest.Fork{ID: "0x00000001"}, soon)
	nodes[2].TellForks(enginetest.Fork{ID: "0x00000001"})
	named := apptest.Fakes(nodes...)
	names := []string{"level", "msg", "odd-name"}
	for i, name := range names {
		named[i].Name = name
	}
	m := startLed(t, named, untilAll)
	m.Log.Wait(t, "a fork is near", "said=", "level: ", "; odd-name: ")
	chain := enginetest.Chain(4, 3, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	id := m.build(t, chain[0]).PayloadID
	offer(nodes[0], chain[0], "0x1", nil)
	offer(nodes[1], chain[0], "0x2", nil)
	fails(nodes[2], "engine_getPayload", -38001, "Unknown payload")
	m.call(t, "engine_getPayloadV4", id)
	m.Log.Wait(t, "payload for a proposal", `offers="msg: `, "; level: ", "; odd-name: Unknown payload")
	m.awaitProof(t, "odd-name")
	nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID"})
	m.hears(t, "SYNCING", "engine_newPayload", chain[1])
	m.Log.Wait(t, "dispute", `said="level: VALID; msg: VALID; odd-name: INVALID`)
	m.must(t, "/drain_nodes", "msg")
	nodes[1].Close()
	m.Recheck(t)
	m.Log.Wait(t, "node is dead", "node=msg")
	for line := range strings.Lines(m.Log.String()) {
		var keys []string
		for _, found := range logKey.FindAllStringSubmatch(line, -1) {
			keys = append(keys, found[1])
		}
		slices.Sort(keys)
		if len(slices.Compact(slices.Clone(keys))) != len(keys) || slices.Contains(keys, "odd-name") {
			t.Errorf("the keys %q: %s", keys, line)
		}
	}
}
