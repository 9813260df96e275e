//go:build release

package release_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// asRecipe does what the nth block of commands of the recipe for systemd says, with folders of the test's own in place
// of the system's. Packages, users and services only say that they would be there.
func asRecipe(t *testing.T, root string, n int, group uint32) {
	t.Helper()
	page, err := os.ReadFile("../docs/recipes/systemd.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	here := strings.NewReplacer("/etc/", root+"/etc/", "-g lighthouse", fmt.Sprint("-g ", group))
	script := "set -e; apt() { :; }; useradd() { :; }; systemctl() { :; }\n" + here.Replace(blocks[n][1])
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// party is one of those that have secrets, with what its unit says of them.
type party struct {
	unit        string
	user        uint32
	credentials map[string]string // LoadCredential=: the file that each comes from
	reads       []string          // the paths of secrets that its command line, or our file of settings, has
}

// deliver is what systemd does before it starts a service: it reads the files of LoadCredential= as root, and puts them
// where the service's user alone can read them.
func (p *party) deliver(t *testing.T, root string) {
	t.Helper()
	dir := filepath.Join(root, "run/credentials", p.unit)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, source := range p.credentials {
		secret, err := os.ReadFile(filepath.Join(root, source))
		if err != nil {
			t.Fatalf("%s: %v", p.unit, err)
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, secret, 0o400); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(file, int(p.user), int(p.user)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, int(p.user), int(p.user)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
}

// read is a file as a user sees it, through every folder of its path; "" = it can't.
func read(user uint32, path string) string {
	cmd := exec.Command("cat", path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// secretsOf are the secrets that the recipe makes, by file.
func secretsOf(t *testing.T, root string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "etc/executionbackup/*.[ht]*"))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = string(text)
	}
	return all
}

var secretPath = regexp.MustCompile(`[^\s=]*/[\w.-]+\.(hex|token)\b`)

// parties are the services of the recipe, by their units.
func parties(t *testing.T, root string) (all []*party) {
	t.Helper()
	const units = "etc/systemd/system/"
	for i, files := range [][]string{
		{units + "geth.service"}, {units + "nethermind.service"}, {units + "lighthouse.service"},
		{"executionbackup.service", units + "executionbackup.service.d/nodes.conf",
			"etc/executionbackup/executionbackup.yaml"},
	} {
		p := &party{unit: filepath.Base(files[0]), user: uint32(64001 + i), credentials: make(map[string]string)}
		for _, file := range files {
			path := filepath.Join(root, file)
			if file == "executionbackup.service" {
				path = "../packaging/executionbackup.service"
			}
			for _, line := range lines(t, path) {
				if strings.HasPrefix(line, "#") {
					continue
				}
				if loaded, ok := strings.CutPrefix(line, "LoadCredential="); ok {
					name, source, _ := strings.Cut(loaded, ":")
					p.credentials[name] = source
					continue
				}
				p.reads = append(p.reads, secretPath.FindAllString(line, -1)...)
			}
		}
		for i, path := range p.reads {
			path = strings.Replace(path, "${CREDENTIALS_DIRECTORY}", "/run/credentials/"+p.unit, 1)
			p.reads[i] = filepath.Join(root, path)
		}
		p.deliver(t, root)
		all = append(all, p)
	}
	return all
}

// Who follows the recipe for systemd has services that read their own secrets, each its own, and nobody else's.
func TestSystemdSecrets(t *testing.T) {
	needs(t, "openssl")
	root, err := os.MkdirTemp("", "recipe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil { // others must get in, as into a system's root
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "etc/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	asRecipe(t, root, 0, 0)
	first := secretsOf(t, root)
	asRecipe(t, root, 0, 0) // again, after something in it went wrong: the services that run have the secrets by now
	if again := secretsOf(t, root); len(first) != 4 || !maps.Equal(first, again) {
		t.Errorf("done twice, the secrets are other ones: %v, %v", first, again)
	}
	all := parties(t, root)
	want := map[string]int{
		"geth.service": 1, "nethermind.service": 1, "lighthouse.service": 1, "executionbackup.service": 4,
	}
	sees := make(map[string]string) // what each reads, by party and name
	var delivered []string
	for _, p := range all {
		if len(p.reads) != want[p.unit] {
			t.Errorf("%s: it reads %q, want %d", p.unit, p.reads, want[p.unit])
		}
		for _, path := range p.reads {
			secret := read(p.user, path)
			if len(secret) != 65 {
				t.Errorf("%s can't read %s: %q", p.unit, path, secret)
			}
			sees[p.unit+" "+filepath.Base(path)] = secret
			delivered = append(delivered, path)
			for _, other := range all {
				if other != p && read(other.user, path) != "" {
					t.Errorf("%s can read %s", other.unit, path)
				}
			}
		}
	}
	for node, name := range map[string]string{
		"geth": "geth.hex", "nethermind": "nethermind.hex", "lighthouse": "jwt.hex",
	} {
		ours, theirs := sees["executionbackup.service "+name], sees[node+".service jwt.hex"]
		if ours != theirs {
			t.Errorf("%s has another secret than we have for it", node)
		}
	}

	const group = 64003 // the third party's
	asRecipe(t, root, 1, group)
	copied := filepath.Join(root, "etc/lighthouse/jwt.hex")
	if got := read(group, copied); got != sees["executionbackup.service jwt.hex"] {
		t.Errorf("a consensus client without systemd reads %q in %s", got, copied)
	}
	sources, err := filepath.Glob(filepath.Join(root, "etc/executionbackup/*.[ht]*"))
	if err != nil || len(sources) != 4 {
		t.Fatalf("%q, %v", sources, err)
	}
	for _, path := range slices.Concat(sources, delivered, []string{copied}) {
		if read(64999, path) != "" {
			t.Errorf("everybody can read %s", path)
		}
	}
}
