package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// The command lines of the original's README start, and a consensus client gets through.
func TestCommandLinesOfTheOriginal(t *testing.T) {
	a, b := enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})
	gone := enginetest.New(t, enginetest.Client{})
	gone.Close()
	for _, test := range []struct {
		args   string
		secret []byte // the consensus client's
		nodes  int
	}{
		{fmt.Sprintf("--nodes %s --jwt-secret %s", a.URL, a.SecretFile), a.Secret, 1},
		{fmt.Sprintf("--nodes %s,%s", spec(a, ""), spec(b, "")), a.Secret, 2},
		{fmt.Sprintf("--nodes %s#timeout=3000,https%s/#jwt-secret=%s#timeout=5200 --jwt-secret %s",
			a.URL, strings.TrimPrefix(gone.URL, "http"), gone.SecretFile, a.SecretFile), a.Secret, 2},
		{fmt.Sprintf("--nodes %s --jwt-secret %s --fcu-majority 0.6", spec(a, ""), secretFile(t)), secret, 1},
		{fmt.Sprintf("--nodes %s --jwt-secret %s --fcu-invalid-threshold 0.51 --node-timings --holesky",
			a.URL, a.SecretFile), a.Secret, 1},
		{fmt.Sprintf("--nodes %s --jwt-secret %s --listen-addr 127.0.0.1 --timeout 2000 --sepolia",
			a.URL, a.SecretFile), a.Secret, 1},
		// Its short flags, and what its container's script runs.
		{fmt.Sprintf("-n %s -j %s -a 127.0.0.1 -f 0.6", a.URL, a.SecretFile), a.Secret, 1},
		{fmt.Sprintf("--node-timings -p 0 -n %s --listen-addr 0.0.0.0 --jwt-secret %s "+
			"--log-level info --fcu-majority 0.6", a.URL, a.SecretFile), a.Secret, 1},
		{fmt.Sprintf("-n %s -n %s -j %s -p 0 -l debug", a.URL, spec(b, "#do-not-use"), a.SecretFile), a.Secret, 2},
	} {
		t.Run(test.args, func(t *testing.T) {
			d := start(t, nil, strings.Fields(test.args)...)
			if got := len(d.nodes(t)); got != test.nodes {
				t.Errorf("got %d nodes, want %d", got, test.nodes)
			}
			status, err := d.cl(t, test.secret).NewPayload(t.Context(), enginetest.Chain(4, 1, nil)[0])
			if err != nil || status.Status != "VALID" {
				t.Errorf("newPayload: %+v, %v", status, err)
			}
		})
	}
	for _, n := range []*enginetest.Node{a, b} {
		if v := n.Violations(); len(v) > 0 {
			t.Errorf("%s: %v", n.URL, v)
		}
	}
}

// A flag beats the environment, which beats the file.
func TestFileAndEnvironment(t *testing.T) {
	a, b := enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})
	yaml := file(t, fmt.Sprintf("nodes:\n- url: %s\n  jwt_secret: %s\n  name: filed\nlog_level: error\nport: 1\n",
		a.URL, a.SecretFile))

	d := start(t, []string{"EXECUTIONBACKUP_CONFIG=" + yaml, "EXECUTIONBACKUP_LOG_LEVEL=debug"}, "--log-level=info")
	if got, want := d.names(t), "filed"; got != want {
		t.Errorf("file: got nodes %s, want %s", got, want)
	}
	d = start(t, []string{"EXECUTIONBACKUP_NODES=" + spec(b, "#name=environed"), "EXECUTIONBACKUP_LOG_LEVEL="},
		"--config", yaml, "-l", "info")
	if got, want := d.names(t), "environed"; got != want {
		t.Errorf("environment: got nodes %s, want %s", got, want)
	}
	d = start(t, []string{"EXECUTIONBACKUP_NODES=" + spec(b, "#name=environed")}, "-n", spec(a, "#name=flagged"))
	if got, want := d.names(t), "flagged"; got != want {
		t.Errorf("flag: got nodes %s, want %s", got, want)
	}
}

func TestLogFormatJSON(t *testing.T) {
	a := enginetest.New(t, enginetest.Client{})
	ctx, stop := context.WithCancel(t.Context())
	log := new(apptest.Logbook)
	status := make(chan int, 1)
	go func() {
		args := []string{"executionbackup", "-p", "0", "-n", spec(a, ""), "--log-format", "json"}
		status <- run(ctx, args, nil, io.Discard, log)
	}()
	log.Match(t, `"msg":"listening","address":"127.0.0.1:\d+"`)
	stop()
	if got := <-status; got != 0 {
		t.Fatalf("exit status %d", got)
	}
	for line := range strings.Lines(log.String()) {
		var entry struct{ Time, Level, Msg string }
		err := json.Unmarshal([]byte(line), &entry)
		if err != nil || entry.Time == "" || entry.Level == "" || entry.Msg == "" {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// A duration has its unit in either format.
func TestLogDurations(t *testing.T) {
	for format, want := range map[string]string{"text": "duration=1.5ms", "json": `"duration":"1.5ms"`} {
		var b strings.Builder
		newLogger(&b, format, slog.LevelInfo).Info("x", "duration", 1500*time.Microsecond)
		if got := b.String(); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %s", format, got, want)
		}
	}
}

func TestLogLevelNames(t *testing.T) {
	for level, want := range map[slog.Level]string{
		config.LevelTrace: "level=TRACE", slog.LevelDebug: "level=DEBUG", slog.LevelInfo: "level=INFO",
		slog.LevelWarn: "level=WARN", slog.LevelError: "level=ERROR", config.LevelCritical: "level=CRITICAL",
	} {
		var b strings.Builder
		newLogger(&b, "text", level).Log(t.Context(), level, "x")
		newLogger(&b, "text", level).Log(t.Context(), level-1, "hidden")
		if got := b.String(); !strings.Contains(got, want+" msg=x") || strings.Contains(got, "hidden") {
			t.Errorf("got %q, want %s", got, want)
		}
	}
	var b strings.Builder
	if newLogger(&b, "text", config.LevelOff).Log(t.Context(), config.LevelCritical, "x"); b.Len() > 0 {
		t.Errorf("off: got %q", b.String())
	}
}
