//go:build e2e

package live

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
)

// Where the documentation says how nodes are upgraded, one command a line.
const upgradesPage, upgradesTitle = "../../docs/operations.md", "\n## Upgrades\n"

// rolling upgrades all nodes, with the commands of the documentation.
var rolling = scenario{
	name: "rolling upgrade", short: true, spotless: true,
	about: "One node after the other is drained, stopped with SIGTERM, started again and undrained, by the commands " +
		"of docs/operations.md as they stand there. No slot may be missed.",
	play: func(r *run) {
		token := filepath.Join(r.dir, "admin.token")
		if err := os.WriteFile(token, []byte("0123456789abcdef\n"), 0o600); err != nil {
			r.t.Fatal(err)
		}
		open := r.eb.admin
		defer func() { r.eb.admin = open; r.reload() }()
		r.eb.admin = "admin_token_file: " + token
		r.reload()
		commands := upgradeCommands(r.t)
		r.before(2)
		for _, n := range r.nodes {
			if !n.doNotUse {
				begun := r.slotAt(time.Now())
				r.upgrade(n, commands, token)
				// A slot must begin before the next one, and one more where one began meanwhile: what is built for a
				// proposal is lost on a node that restarts, and it builds nothing for the slot in which it comes back.
				r.during(1 + min(1, r.slotAt(time.Now())-begun))
			}
		}
		r.after(3)
	},
}

// upgradeCommands are the lines of the first block of commands under upgradesTitle.
func upgradeCommands(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile(upgradesPage)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), upgradesTitle)
	_, block, _ := strings.Cut(section, "```bash\n")
	block, _, found := strings.Cut(block, "```")
	if !found {
		t.Fatalf("%s has no commands under %q", upgradesPage, upgradesTitle)
	}
	return strings.Split(strings.TrimSpace(block), "\n")
}

// upgrade types the commands. The first says where the admin token is; two comments stand for what the operator does
// with the node, stop and start it; what only lists the nodes is repeated until it says what its comment has in quotes.
func (r *run) upgrade(n *node, commands []string, token string) {
	r.t.Helper()
	begun, done := time.Now(), 0
	byHand := []func(){
		func() { r.terminate(n) },
		func() { n.start(); apptest.Within(r.t, time.Minute, n.name+" listens", n.listens) },
	}
	typed := "set -e\n"
	for _, line := range commands {
		command, comment, _ := strings.Cut(line, "#")
		command = strings.ReplaceAll(strings.TrimSpace(command), "NAME", n.name)
		switch {
		case strings.HasPrefix(command, "export "):
			typed += strings.ReplaceAll(command, "/etc/executionbackup/admin.token", token) + "\n"
		case command == "" && len(byHand) > 0:
			byHand[0]()
			byHand = byHand[1:]
			done++
		case comment != "":
			want := regexp.MustCompile(`"(.*)"`).FindStringSubmatch(comment)
			if want == nil {
				r.t.Fatalf("%s: %s", upgradesPage, line)
			}
			apptest.Within(r.t, time.Minute, line, func() bool {
				return regexp.MustCompile(`(?m)^` + n.name + `\s.*` + want[1]).MatchString(r.shell(typed + command))
			})
			done++
		default:
			r.shell(typed + command)
			done++
		}
	}
	if done != 6 || len(byHand) > 0 {
		r.t.Fatalf("%d steps, want drain, stop, look, start, look and undrain: %q", done, commands)
	}
	r.back(n.name)
	r.note("%s: %.1f s", n.name, time.Since(begun).Seconds())
}

// shell runs commands as they are typed on ExecutionBackup's machine, and returns what they print.
func (r *run) shell(script string) string {
	r.t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(r.eb.binary)+":"+os.Getenv("PATH"),
		"EXECUTIONBACKUP_PORT="+r.eb.port)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}
