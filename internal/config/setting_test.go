package config

import (
	"regexp"
	"testing"
)

func TestSettings(t *testing.T) {
	key := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := make(map[string]bool)
	for _, s := range Settings() {
		for _, name := range append([]string{s.Key}, s.Aliases...) {
			if !key.MatchString(name) {
				t.Errorf("%s is no name for a flag", name)
			}
		}
		for _, name := range append([]string{s.Key, s.Short}, s.Aliases...) {
			if name != "" && seen[name] {
				t.Errorf("%s is the name of two settings", name)
			}
			seen[name] = true
		}
		if s.Help == "" || s.set == nil || s.Bool && s.List {
			t.Errorf("%s is incomplete: %+v", s.Key, s)
		}
		if s.Default != "" {
			if err := s.set(new(draft), []string{s.Default}); err != nil {
				t.Errorf("default of %s: %v", s.Key, err)
			}
		}
	}
}

func TestSettingNames(t *testing.T) {
	for _, s := range Settings() {
		if s.Key != "fcu-invalid-threshold" {
			continue
		}
		if got, want := s.Env(), "EXECUTIONBACKUP_FCU_INVALID_THRESHOLD"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, want := s.YAML(), "fcu_invalid_threshold"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		return
	}
	t.Error("fcu-invalid-threshold is missing")
}

func TestParseValues(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "1048576": 1 << 20, "7B": 7, "128MiB": 128 << 20, "128MB": 128e6, "1GiB": 1 << 30, "2GB": 2e9,
		"3KiB": 3 << 10, "3KB": 3000,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"0": "0s", "500": "500ms", "500ms": "500ms", "7500": "7.5s", "1.5s": "1.5s", "1m": "1m0s", "+2s": "2s",
	} {
		if got, err := parseDuration(text); err != nil || got.String() != want {
			t.Errorf("parseDuration(%q) = %v, %v, want %s", text, got, err, want)
		}
	}
}
