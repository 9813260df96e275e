package recipes

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
)

// Who follows the recipe for Docker has files that Compose takes, with what was written into .env in its places.
func TestDocker(t *testing.T) {
	root := filepath.Dir(copied(t))
	if err := os.Remove(filepath.Join(root, "dockerized/.env")); err != nil {
		t.Fatal(err)
	}
	stubs := `docker() { echo "$@" >> ../said; }
nano() { sed -i 's,^NODES=.*,NODES=geth:8551,; s,^JWT_SECRET=.*,JWT_SECRET=/run/secrets/jwt,; s,^GRAFANA_P.*=,&pass,
	s,^ALERT_WEBHOOK_URL=,&'"'"'https://alerts.example/?key=$a'"'"',' $1; }
`
	cmd := exec.Command("sh", "-ec", "umask 022\n"+stubs+block(t, "../../docs/recipes/docker.md"))
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	env, err := os.Stat(filepath.Join(root, "dockerized/.env"))
	if err != nil || env.Mode().Perm()&0o077 != 0 {
		t.Errorf("others can read the secrets in .env: %v, %v", env.Mode(), err)
	}
	said, err := os.ReadFile(filepath.Join(root, "said"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(root, "dockerized"))
	ups := 0
	for line := range strings.Lines(string(said)) {
		words := strings.Fields(line)
		if words[len(words)-1] != "-d" {
			continue
		}
		ups++
		var files []string
		for i, word := range words {
			if word == "-f" {
				files = append(files, words[i+1])
			}
		}
		options, err := cli.NewProjectOptions(files, cli.WithName("test"), cli.WithEnvFiles(), cli.WithDotEnv,
			cli.WithDefaultConfigPath)
		if err != nil {
			t.Fatal(err)
		}
		project, err := options.LoadProject(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if got := variable(project, "executionbackup", "NODES"); got != "geth:8551" {
			t.Errorf("%s: NODES is %q", line, got)
		}
		alerts := project.Configs["alertmanager"].Content
		if len(files) == 2 && !strings.Contains(alerts, `"https://alerts.example/?key=$a"`) {
			t.Errorf("alerts go elsewhere: %s", alerts)
		}
	}
	if ups != 2 {
		t.Errorf("the recipe starts it %d times, want 2: %s", ups, said)
	}
}
