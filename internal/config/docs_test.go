package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// documented is a key's line in docs/configuration.md.
var documented = regexp.MustCompile("(?m)^\\| `([a-z_]+)`(?: \\(([^)]+)\\))? \\| (.+?) \\| " +
	"(reload|start|–) \\| (.+) \\|$")

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
		if got, want := line[0], otherNames(s); got != want {
			t.Errorf("%s: the other names are %q, want %q", s.YAML(), got, want)
		}
		if got, want := strings.Trim(line[1], "`"), s.Default; got != want && !(got == "–" && want == "") {
			t.Errorf("%s: the default is %q, want %q", s.YAML(), got, want)
		}
		if got, want := line[2] == "start", s.Restart; got != want {
			t.Errorf("%s takes effect at %s, restart is %v", s.YAML(), line[2], want)
		}
	}
	for key := range lines {
		t.Errorf("%s is documented, but there is no such setting", key)
	}
}

// otherNames is how the documentation lists a setting's short flag and its aliases.
func otherNames(s Setting) string {
	var names []string
	if s.Short != "" {
		names = append(names, "`-"+s.Short+"`")
	}
	for _, alias := range s.Aliases {
		names = append(names, "`"+yamlName(alias)+"`")
	}
	return strings.Join(names, ", ")
}
