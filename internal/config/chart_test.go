package config

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// chartsOwn are the settings that the Helm chart makes itself, of its other values.
var chartsOwn = []string{
	"nodes", "jwt_secret", "admin_token_file", "listen_addr", "port", "admin_addr", "tls_cert_file", "tls_key_file",
	"state_dir", "evidence_dir", "state_url", "state_prefix", "state_user", "state_password_file", "state_ca_file",
	"config",
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
				Properties map[string]struct {
					Type any
					Enum []string
				}
			}
		}
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	known := schema.Properties.Settings.Properties
	for _, s := range Settings() {
		property, has := known[s.YAML()]
		delete(known, s.YAML())
		if own := slices.Contains(chartsOwn, s.YAML()); own == has {
			t.Errorf("%s: it is among the chart's settings: %v, the chart sets it itself: %v", s.YAML(), has, own)
		}
		if isBool := property.Type == "boolean"; has && isBool != s.Bool {
			t.Errorf("%s: the chart takes it as a truth: %v, want %v", s.YAML(), isBool, s.Bool)
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
