package auth

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// However a URL is printed, only scheme and host are seen.
func TestURLHides(t *testing.T) {
	for text, want := range map[string]string{
		"https://hooks.example/services/T0/hunter2":      "https://hooks.example/…",
		"http://hunter2:hunter2@h:9094/?key=hunter2":     "http://h:9094/…",
		" http://h#hunter2\n":                            "http://h/…",
		"https://" + strings.Repeat("0123456789", 4):     "https://[secret]/…",
		"https://[::1]:80/%68unter2?%68unter2=hunter%32": "https://[::1]:80/…",
	} {
		u, err := ParseURL(text)
		if err != nil {
			t.Fatal(err)
		}
		if u.Reveal() != strings.TrimSpace(text) || u.IsZero() {
			t.Errorf("%s: revealed %q", text, u.Reveal())
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "url", u)
		inJSON, err := json.Marshal(struct{ U URL }{u})
		if err != nil {
			t.Fatal(err)
		}
		for how, got := range map[string]string{
			"String": u.String(), "%v": fmt.Sprintf("%v", u), "%+v": fmt.Sprintf("%+v", struct{ U URL }{u}),
			"%#v": fmt.Sprintf("%#v", u), "%q": fmt.Sprintf("%q", u), "%x": fmt.Sprintf("%x", u),
			"log": log.String(), "JSON": string(inJSON), "pointer": fmt.Sprint(&u),
		} {
			if !strings.Contains(got, want) || strings.Contains(got, "hunter") {
				t.Errorf("%s: %s shows %s, want %s", text, how, got, want)
			}
		}
	}
	if u, err := ParseURL(" "); err != nil || !u.IsZero() || u.String() != "" || u.Reveal() != "" {
		t.Errorf("no URL: %v, %v", u, err)
	}
}

// What is no URL isn't repeated.
func TestNoURL(t *testing.T) {
	for _, text := range []string{
		"hunter2", "hooks.example/hunter2", "ftp://h/hunter2", "http:hunter2", "http:///hunter2", "http://h/hunter2%zz",
		"http://h:port/hunter2", `"http://h/hunter2"`, "\ufeffhttp://h/hunter2", "http://h/hunter2\x7f",
		"http://h/hunter2 http://h/", "http://h/ hunter2", "http://h/\u00a0hunter2",
		"http://h:65536/hunter2", "http://h:0/hunter2",
		"http://h/changeme-hunter2", "http://h/hunter2" + strings.Repeat("/", maxURL),
	} {
		if u, err := ParseURL(text); err == nil || strings.Contains(err.Error(), "hunter2") || !u.IsZero() {
			t.Errorf("%q: %v, %v", text, u.Reveal(), err)
		}
	}
}
