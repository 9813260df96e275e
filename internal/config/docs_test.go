package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// documented is a key's line in docs/configuration.md.
var documented = regexp.MustCompile("(?m)^\\| `([a-z_]+)`(?: \\(`(-?[a-z_]+)`\\))? \\| (.+?) \\| (reload|start|–) \\| (.+) \\|$")

// Every setting is documented with its default and its other names, and nothing else is documented as one.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := make(map[string][]string)
	for _, m := range documented.FindAllStringSubmatch(string(text), -1) {
		if lines[m[1]] != nil {
			t.Errorf("%s is documented twice", m[1])
		}
		lines[m[1]] = m[2:]
	}
	for _, s := range Settings() {
		line := lines[s.YAML()]
		if line == nil {
			t.Errorf("%s is not documented", s.YAML())
			continue
		}
		delete(lines, s.YAML())
		if got, want := line[0], otherName(s); got != want {
			t.Errorf("%s: the other name is %q, want %q", s.YAML(), got, want)
		}
		if got, want := strings.Trim(line[1], "`"), s.Default; got != want && !(got == "–" && want == "") {
			t.Errorf("%s: the default is %q, want %q", s.YAML(), got, want)
		}
	}
	for key := range lines {
		t.Errorf("%s is documented, but there is no such setting", key)
	}
}

// otherName is how the documentation names a setting's short flag, or its alias.
func otherName(s Setting) string {
	switch {
	case s.Short != "":
		return "-" + s.Short
	case len(s.Aliases) > 0:
		return yamlName(s.Aliases[0])
	}
	return ""
}
