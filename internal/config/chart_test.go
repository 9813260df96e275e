package config

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// chartsOwn are the settings that the Helm chart makes itself, of its other values.
var chartsOwn = []string{
	"nodes", "jwt_secret", "admin_token_file", "listen_addr", "port", "admin_addr", "tls_cert_file", "tls_key_file",
	"state_dir", "evidence_dir", "state_url", "state_prefix", "state_user", "state_password_file", "state_ca_file",
	"config",
}

// property is what a schema says of one value.
type property struct {
	Type      any
	Enum      []string
	Pattern   string
	MinLength int
	Ref       string `json:"$ref"`
}

// takes reports whether a text is a value.
func (p *property) takes(text string) bool {
	if p.Type == "boolean" {
		return text == "true" || text == "false"
	}
	return (len(p.Enum) == 0 || slices.Contains(p.Enum, text)) && len(text) >= p.MinLength &&
		regexp.MustCompile(p.Pattern).MatchString(text)
}

// isFree reports whether the chart leaves it to us to judge a setting's values.
func isFree(s Setting) bool {
	return s.Bool || slices.Contains([]string{
		"allow_namespaces", "ca_file", "fcu_invalid_threshold", "log_level", "shadow_node", "webhook_url_file",
	}, s.YAML())
}

// words are values, good for some settings and nonsense for others.
var words = []string{
	"7", "500", "500ms", "1.5s", ".5s", "1h30m", "24h", "+2s", "3us", "128MiB", "1GB", "64KiB", "5B",
	"soon", "5 s", "-1s", "-1", "1.5", "128 MiB", "128mb", "1TB", "halt", "Halt", "exclude", "client", "json", "shadow",
	"https://h/x", "HTTP://h", "h/x", "ftp://h",
}

// The Helm chart takes every setting, but for its own, and nothing else: a typing error is found before it is one of
// a pod's.
func TestChartsSettings(t *testing.T) {
	data, err := os.ReadFile("../../deploy/helm/executionbackup/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct {
			Settings struct {
				Properties map[string]property
			}
		}
		Definitions map[string]property
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	known := schema.Properties.Settings.Properties
	for _, s := range Settings() {
		property, has := known[s.YAML()]
		if name, is := strings.CutPrefix(property.Ref, "#/definitions/"); is {
			property = schema.Definitions[name]
		}
		delete(known, s.YAML())
		if own := slices.Contains(chartsOwn, s.YAML()); own == has {
			t.Errorf("%s: it is among the chart's settings: %v, the chart sets it itself: %v", s.YAML(), has, own)
		}
		if isBool := property.Type == "boolean"; has && isBool != s.Bool {
			t.Errorf("%s: the chart takes it as a truth: %v, want %v", s.YAML(), isBool, s.Bool)
		}
		for _, word := range words {
			good := s.set(new(draft), []string{word}) == nil
			if has && !isFree(s) && good != property.takes(word) {
				t.Errorf("%s: the chart takes %q: %v, we do: %v", s.YAML(), word, property.takes(word), good)
			}
		}
		for _, word := range property.Enum {
			if err := s.set(new(draft), []string{word}); err != nil {
				t.Errorf("%s: the chart takes %s: %v", s.YAML(), word, err)
			}
		}
	}
	for key := range known {
		t.Errorf("%s is among the chart's settings, and none of ours", key)
	}
}
