package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/config"
)

// What the user writes reaches the configuration byte for byte.
func TestFlagsPassUnchanged(t *testing.T) {
	for _, test := range []struct {
		args []string
		want map[string][]string
	}{
		{nil, map[string][]string{}},
		{
			[]string{"-n", "http://a:1#jwt-secret=/p#timeout=3000, http://b:2/ ",
				"--nodes", "http://c:3#name=x=y", "--nodes=http://d:4#do-not-use"},
			map[string][]string{"nodes": {"http://a:1#jwt-secret=/p#timeout=3000, http://b:2/ ",
				"http://c:3#name=x=y", "http://d:4#do-not-use"}},
		},
		{
			[]string{"-j", "/s", "-p", "1", "-l", "debug", "--evidence-dir", "", "--grace="},
			map[string][]string{"jwt-secret": {"/s"}, "port": {"1"}, "log-level": {"debug"},
				"evidence-dir": {""}, "grace": {""}},
		},
		{
			[]string{"--node-timings", "--holesky", "--sepolia=false", "--open-admin=maybe"},
			map[string][]string{"node-timings": {"true"}, "holesky": {"true"}, "sepolia": {"false"},
				"open-admin": {"maybe"}},
		},
		{
			[]string{"--fcu-majority", "0.6", "--fcu-invalid-threshold", "2/3"},
			map[string][]string{"fcu-majority": {"0.6"}, "fcu-invalid-threshold": {"2/3"}},
		},
		{
			[]string{"--port", "-1", "--port", "2", "--timeout", " 5s "}, // for config to refuse
			map[string][]string{"port": {"-1", "2"}, "timeout": {" 5s "}},
		},
	} {
		p := &program{given: make(map[string][]string)}
		root := p.command()
		root.Action = func(context.Context, *cli.Command) error { return nil }
		if err := root.Run(t.Context(), append([]string{"executionbackup"}, test.args...)); err != nil {
			t.Errorf("%q: %v", test.args, err)
		}
		if !maps.EqualFunc(p.given, test.want, slices.Equal) {
			t.Errorf("%q: got %q, want %q", test.args, p.given, test.want)
		}
	}
}

func TestEverySettingIsAFlag(t *testing.T) {
	_, help, _ := execute(t, nil, "--help")
	for _, s := range config.Settings() {
		for _, name := range append([]string{s.Key}, s.Aliases...) {
			if !strings.Contains(help, " --"+name) {
				t.Errorf("help has no --%s", name)
			}
		}
		if !strings.Contains(help, s.Help) || s.Short != "" && !strings.Contains(help, " -"+s.Short+" ") {
			t.Errorf("help on %s is incomplete", s.Key)
		}
	}
}

// What is wrong with a command line is told in one line, and its exit status is 2; what is wrong with a value, 78. A
// file or an ExecutionBackup that isn't there may still come: 1.
func TestErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())

	for _, test := range []struct {
		args   string
		status int
		want   string // part of the error
	}{
		{"--prot 1", 2, "unknown flag --prot: did you mean --port?"},
		{"-x", 2, "unknown flag -x\n"},
		{"--qwertz", 2, "unknown flag --qwertz\n"},
		{"--hlep", 2, "unknown flag --hlep: did you mean --help?"},
		{"check --frok", 2, "unknown flag --frok: did you mean --fork?"},
		{"evidence list --evidence-dri x", 2, "unknown flag --evidence-dri: did you mean --evidence-dir?"},
		{"--port", 2, "flag --port needs a value"},
		{"chek", 2, `executionbackup has no command "chek": did you mean check?`},
		{"--port 1 healtcheck", 2, `executionbackup has no command "healtcheck": did you mean healthcheck?`},
		{"nodes undrian besu", 2, `executionbackup nodes has no command "undrian": did you mean undrain?`},
		{"evidence lsit", 2, `executionbackup evidence has no command "lsit": did you mean list?`},
		{"qwertz", 2, `unexpected "qwertz": it is no command of executionbackup and no flag's value`},
		{"--node-timings false", 2,
			`unexpected "false": it is no command of executionbackup and no flag's value ` +
				`(one that needs none is written --flag=false)`},
		{"http://user:pass@node:8551", 2, "unexpected URL: it is no command of executionbackup"},
		{"check http://user:pass@node:8551", 2, "unexpected URL: it is no command of executionbackup check"},
		{"nodes chek", 2, `unexpected "chek": it is no command of executionbackup nodes`},
		{"help chek", 2, "No help topic for 'chek'"},
		{"nodes add", 2, "nodes add: write at least one SPEC"},
		{"nodes drain --url http://a", 2, "nodes drain: write at least one NODE"},
		{"nodes remove --urk x", 2, "unknown flag --urk: did you mean --url?"},
		{"--port 1 nodes", 1, "dial tcp 127.0.0.1:1: connect: connection refused: does ExecutionBackup run at"},
		{"healthcheck --port 1", 1, "dial tcp 127.0.0.1:1: connect: connection refused: does ExecutionBackup run"},
		{"status --listen-addr :: --port 1", 1, "dial tcp 127.0.0.1:1: "},
		{"status --admin-addr 127.0.0.1:2 --port 1", 1, "dial tcp 127.0.0.1:2: "},
		{"healthcheck --admin-addr 127.0.0.1:2 --port 1", 1, "dial tcp 127.0.0.1:1: "},
		{"status --port 0", 2, "port 0 is any free port: say with --url where ExecutionBackup runs"},
		{"status --port x", 78, `--port: "x" is not a port`},
		{"evidence list --prot x", 2, "unknown flag --prot"},
		{"nodes --url 10.0.0.5:7000", 2, "--url: write it like http://127.0.0.1:7000"},
		{"nodes add x --admin-token-file /nowhere", 1, "--admin-token-file: open /nowhere: "},
		{"", 78, "there are no nodes: set --nodes"},
		{"check", 78, "there are no nodes: set --nodes"},
		{"--port abc", 78, `--port: "abc" is not a port (0 to 65535)`},
		{"--port 1 --port 2", 78, "--port: give it once, with one value"},
		{"--nodes http://a:1", 78, "--nodes: http://a:1: no JWT secret"},
		{"--nodes http://a:1 -j /nowhere", 1,
			"--jwt-secret: read the secret file: open /nowhere: no such file or directory: " +
				"give the node's own file, or make one for both with: openssl rand -hex 32"},
		{"--config /nowhere", 1, "--config: open /nowhere: "},
		{"--nodes http://a:1 --jwt-secret " + secretFile(t) + " --port " + port, 1, "listen on 127.0.0.1:" + port +
			": bind: address already in use: choose another address with --listen-addr and --port"},
		{"--nodes http://a:1 --jwt-secret " + secretFile(t) + " --port 0 --admin-addr 127.0.0.1:" + port, 1,
			"--admin-addr: listen on 127.0.0.1:" + port + ": bind: address already in use"},
		{"--admin-addr :7001", 78, `--admin-addr: ":7001" has no address: write 127.0.0.1:7001, or 0.0.0.0:7001 for`},
	} {
		status, stdout, stderr := execute(t, nil, strings.Fields(test.args)...)
		if status != test.status || !strings.HasPrefix(stderr, "executionbackup: "+test.want) {
			t.Errorf("%s: got status %d and %q, want %d and %q", test.args, status, stderr, test.status, test.want)
		}
		if strings.Count(stderr, "\n") != 1 || stdout != "" {
			t.Errorf("%s: more than an error of one line: %q, stdout %q", test.args, stderr, stdout)
		}
		if strings.Contains(stderr, "pass@") {
			t.Errorf("%s: the error shows a password: %q", test.args, stderr)
		}
	}
}

// A secret or a token on a command line isn't printed, wherever it stands.
func TestNoSecretOnTheCommandLine(t *testing.T) {
	const digits = "8f3c51d0a97be2464cb1f70e95d2683a1e74c90bd8a5f3627bc0e419d6825f3a"
	const token = "Tr0ub4dor&3-correct-horse"
	for _, line := range []string{
		"%s", "check %s", "help %s", "nodes %s", "-%s", "--%s", "--%s=1", "-j%s", "--jwt-secret%s", "--jwt-secret=%s",
		"-j %s", "--jwt-secret x %s", "--admin-token-file %s", "--admin-token-file=%s", "nodes --%s", "nodes --url %s",
		"status %s", "--port %s", "--nodes %s", "--nodes http://a:1#jwt-secret=%s", "--nodes http://a:1#%s",
		"check --jwt-secret %s", "container --jwt-secret=%s",
	} {
		for _, secret := range []string{digits, `"` + digits + `"`, "0x" + digits[:63] + "g", digits[:40]} {
			args := strings.Fields(fmt.Sprintf(line, secret))
			_, stdout, stderr := execute(t, nil, args...)
			if said := stdout + stderr; strings.Contains(said, digits[4:12]) || strings.Contains(said, digits[30:38]) {
				t.Errorf("%s: %s", args, said)
			}
		}
	}
	for _, line := range []string{
		"%s", "check %s", "--admin-token-file %[1]s %[1]s", "--jwt-secret %s",
		"--admin-token-file=%s --nodes http://a:1",
	} {
		args := strings.Fields(fmt.Sprintf(line, token))
		if _, stdout, stderr := execute(t, nil, args...); strings.Contains(stdout+stderr, token[:8]) {
			t.Errorf("%s: %s", args, stdout+stderr)
		}
	}
}

func TestHelpHasExamples(t *testing.T) {
	for _, command := range []string{
		"", "check", "nodes", "nodes add", "nodes remove", "nodes drain", "nodes undrain", "nodes clear-objections",
		"completion", "status", "container", "reload", "decide",
		"evidence", "evidence list", "evidence show", "replay", "healthcheck", "version",
	} {
		status, stdout, stderr := execute(t, nil, append(strings.Fields(command), "--help")...)
		if status != 0 || stderr != "" || !strings.Contains(stdout, "Example:\n") {
			t.Errorf("%s --help: status %d, stderr %q, stdout %q", command, status, stderr, stdout)
		}
	}
}

// The manual page has every flag and every command that help shows.
func TestManual(t *testing.T) {
	status, page, stderr := execute(t, nil, "man")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, stderr %q", status, stderr)
	}
	plain := strings.ReplaceAll(page, `\-`, "-")
	for _, s := range config.Settings() {
		if !strings.Contains(plain, "--"+s.Key) || !strings.Contains(plain, s.Env()) {
			t.Errorf("the manual has no --%s", s.Key)
		}
	}
	for _, command := range []string{"check", "nodes add", "healthcheck", "container", "completion"} {
		if !strings.Contains(plain, ".SS \"executionbackup "+command) {
			t.Errorf("the manual has no %s", command)
		}
	}
	if strings.Contains(plain, "executionbackup man") || strings.Contains(plain, "…") {
		t.Errorf("the manual has what it shouldn't: %s", plain)
	}
}

// A bash that has read our script completes commands and flags.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "pwsh"} {
		status, script, stderr := execute(t, nil, "completion", shell)
		if status != 0 || stderr != "" || !strings.Contains(script, "--generate-shell-completion") {
			t.Errorf("completion %s: status %d, stderr %q, stdout %q", shell, status, stderr, script)
		}
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "executionbackup")); err != nil {
		t.Fatal(err)
	}
	for typed, want := range map[string]string{
		"executionbackup he":               "healthcheck",
		"executionbackup nodes und":        "undrain",
		"executionbackup check --on-d":     "--on-dispute",
		"executionbackup nodes add --admi": "--admin-token-file",
	} {
		// bash-completion, which need not be here, says what was typed.
		script := `_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} ` +
			`words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }
			source <(executionbackup completion bash)
			COMP_WORDS=(` + typed + `) COMP_CWORD=$((${#COMP_WORDS[@]}-1))
			__executionbackup_bash_autocomplete; echo "${COMPREPLY[@]}"`
		cmd := exec.Command(bash, "-c", script)
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), runMain}
		if got, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: got %q, %v, want %s", typed, got, err, want)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version", "-v", "-V"} {
		status, stdout, stderr := execute(t, nil, arg)
		if status != 0 || stderr != "" || !strings.HasPrefix(stdout, "executionbackup version ") ||
			strings.Count(stdout, "\n") != 1 {
			t.Errorf("%s: status %d, stderr %q, stdout %q", arg, status, stderr, stdout)
		}
	}
}
