package main

import (
	"slices"
	"strings"
	"testing"
)

func TestSpread(t *testing.T) {
	p := &program{given: make(map[string][]string)}
	for _, test := range []struct{ line, want string }{
		{"-p7000", "-p 7000"},
		{"-nhttp://a:1#timeout=3000,http://b:2 -j/run/secret -ldebug -f0.7 -a0.0.0.0",
			"-n http://a:1#timeout=3000,http://b:2 -j /run/secret -l debug -f 0.7 -a 0.0.0.0"},
		{"check -nhttp://a:1 -p7000", "check -n http://a:1 -p 7000"},
		{"-p 7000 -l debug", "-p 7000 -l debug"},
		{"-p=7000 --port=7000", "-p=7000 --port=7000"},
		{"-v -V -h -x9 -", "-v -V -h -x9 -"},
		// A value is none, whatever it looks like.
		{"-j -p7000 -p7001", "-j -p7000 -p 7001"},
		{"--jwt-secret -p7000 -p7001", "--jwt-secret -p7000 -p 7001"},
		{"nodes drain x --url -p7000 -p7001", "nodes drain x --url -p7000 -p 7001"},
		{"--jwt-secret=x -p7001", "--jwt-secret=x -p 7001"},
		{"--node-timings -p7001", "--node-timings -p 7001"},
		{"-p", "-p"},
		// The name of a flag with one dash is that flag.
		{"-port 7000 -nodes http://a:1 -port=7000", "-port 7000 -nodes http://a:1 -port=7000"},
		{"-p7000 -- -p7000", "-p 7000 -- -p7000"},
	} {
		if got := spread(p.command(), strings.Fields(test.line)); !slices.Equal(got, strings.Fields(test.want)) {
			t.Errorf("%s: got %q, want %s", test.line, got, test.want)
		}
	}
}

// What is glued to its flag reaches the configuration, and its errors.
func TestGluedFlags(t *testing.T) {
	for line, want := range map[string]string{
		"-pabc":        `executionbackup: --port: "abc" is not a port`,
		"check -pabc":  `executionbackup: --port: "abc" is not a port`,
		"-lloud":       `executionbackup: --log-level: "loud" is not a log level`,
		"-nhttp://a:1": `executionbackup: --nodes: http://a:1: no JWT secret: `,
		"-x9":          `executionbackup: unknown flag --x9`,
	} {
		if _, _, stderr := execute(t, nil, strings.Fields(line)...); !strings.HasPrefix(stderr, want) {
			t.Errorf("%s: got %s, want %s", line, stderr, want)
		}
	}
}
