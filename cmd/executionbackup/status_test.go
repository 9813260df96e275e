package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/history"
	"executionbackup/internal/overview"
)

func TestInSlot(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		asked, took time.Duration
		verdict     string
		want        string
	}{
		{1940 * time.Millisecond, 210 * time.Millisecond, "VALID", "1.9s to 2.2s"},
		{-30 * time.Millisecond, 20 * time.Millisecond, "VALID", "0.0s to 0.0s"},
		{-800 * time.Millisecond, time.Second, "VALID", "-0.8s to 0.2s"},
		{time.Second, 0, "", "1.0s"},
		{24*time.Second - 1, time.Second, "SYNCING", "24.0s to 25.0s"},
		{24 * time.Second, time.Second, "VALID", "24s old"},
		{130 * time.Second, time.Second, "VALID", "2min old"},
		{731 * day, time.Second, "VALID", "731d old"},
		{732 * day, time.Second, "VALID", "2y old"},
	} {
		b := history.Record{Asked: new(history.Micros(c.asked)), Took: history.Micros(c.took), Verdict: c.verdict}
		if got := inSlot(&b); got != c.want {
			t.Errorf("asked at %v, answered %q after %v: got %s, want %s", c.asked, c.verdict, c.took, got, c.want)
		}
	}
	if got := inSlot(&history.Record{Verdict: "VALID", Took: 1}); got != "" {
		t.Errorf("asked at an unknown time: got %s", got)
	}
}

// Commands to paste that are for another machine say so.
func TestCommandsOfAnotherMachine(t *testing.T) {
	here, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	o := overview.Overview{Do: []overview.Step{{Text: "Look:", Command: "executionbackup check"}}}
	for name, want := range map[string]bool{here: false, "elsewhere": true} {
		o.Name = name
		lines := strings.Join(overviewLines(&o, time.Now()), "\n")
		if got := strings.Contains(lines, "(the commands are for elsewhere)"); got != want {
			t.Errorf("on %s: got %s", name, lines)
		}
	}
}
