//go:build release

package release_test

import (
	"bufio"
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"executionbackup/internal/apptest"
)

// one returns the one file in dist that a pattern matches.
func one(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob("../dist/" + pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("dist/%s: got %q, %v, want one (make package)", pattern, found, err)
	}
	path, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// output runs a command, which must succeed.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// There is an archive and an SBOM for every platform, a .deb and an .rpm for Linux, and SHA256SUMS has them all.
func TestArtifacts(t *testing.T) {
	for _, platform := range []string{
		"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64", "windows_amd64", "windows_arm64",
	} {
		pattern := "executionbackup_*_" + platform + ".tar.gz"
		if strings.HasPrefix(platform, "windows") {
			pattern = "executionbackup_*_" + platform + ".zip"
		}
		one(t, pattern)
		checkSBOM(t, one(t, "executionbackup_*_"+platform+".bom.json"))
	}
	for _, arch := range []string{"amd64", "arm64"} {
		one(t, "executionbackup_*_linux_"+arch+".deb")
		one(t, "executionbackup_*_linux_"+arch+".rpm")
	}
	check := exec.Command("sha256sum", "--check", "--strict", filepath.Base(one(t, "SHA256SUMS")))
	check.Dir = "../dist"
	if out, err := check.CombinedOutput(); err != nil || bytes.Count(out, []byte(": OK\n")) < 10 {
		t.Errorf("SHA256SUMS: %v\n%s", err, out)
	}
	contents := output(t, "tar", "-tzf", one(t, "executionbackup_*_linux_amd64.tar.gz"))
	for _, want := range []string{
		"/executionbackup\n", "/LICENSE\n", "/THIRD_PARTY_NOTICES\n",
		"/executionbackup.example.yaml\n", "/docs/configuration.md\n", "/docs/images/page.png\n",
		"/extras/executionbackup.1.gz\n",
	} {
		if !strings.Contains(contents, want) {
			t.Errorf("the archive has no %q: %s", want, contents)
		}
	}
}

func checkSBOM(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat  string
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(data, &bom); err != nil || bom.BOMFormat != "CycloneDX" {
		t.Fatalf("%s: format %q, %v", path, bom.BOMFormat, err)
	}
	has := func(name string) bool {
		for _, c := range bom.Components {
			if c.Name == name && c.Version != "" {
				return true
			}
		}
		return false
	}
	if !has("github.com/ethereum/go-ethereum") || has("github.com/cockroachdb/pebble/v2") {
		t.Errorf("%s doesn't have what is linked, or more than that", path)
	}
}

// The binary for Linux needs no library, knows its version, and comes out the same from another folder.
func TestReproducible(t *testing.T) {
	shipped := one(t, "executionbackup_linux_"+runtime.GOARCH+"*/executionbackup")
	info, err := buildinfo.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["CGO_ENABLED"] != "0" || settings["-trimpath"] != "true" {
		t.Errorf("built with %v", settings)
	}
	f, err := elf.Open(shipped)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libraries, _ := f.ImportedLibraries()
	if len(libraries) > 0 || slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Errorf("it is not static: %v", libraries)
	}
	said := output(t, shipped, "version")
	version := regexp.MustCompile(`^executionbackup version v(\S+) commit ([0-9a-f]{12}) `).FindStringSubmatch(said)
	if version == nil {
		t.Fatalf("version: %s", said)
	}

	elsewhere := filepath.Join(t.TempDir(), "clone")
	output(t, "git", "clone", "-q", "--local", "..", elsewhere)
	output(t, "git", "-C", elsewhere, "checkout", "-q", version[2])
	commit := strings.TrimSpace(output(t, "git", "-C", elsewhere, "rev-parse", "HEAD"))
	again := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags(t, version[1], commit),
		"-o", "again", "./cmd/executionbackup")
	again.Dir = elsewhere
	again.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("build again: %v\n%s", err, out)
	}
	first, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(filepath.Join(elsewhere, "again")); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the same commit in another folder gives another binary (%v)", err)
	}
}

// ldflags are those of .goreleaser.yaml for a version and a commit.
func ldflags(t *testing.T, version, commit string) string {
	t.Helper()
	config, err := os.ReadFile("../.goreleaser.yaml")
	flags := regexp.MustCompile(`ldflags: \['(.*)'\]`).FindSubmatch(config)
	if err != nil || flags == nil {
		t.Fatalf("no ldflags in .goreleaser.yaml: %v", err)
	}
	return strings.NewReplacer("{{ .Version }}", version, "{{ .FullCommit }}", commit).Replace(string(flags[1]))
}

// The .deb installs, its units are sound and say so little to the world that systemd calls them safe, the service's
// command line runs before two real nodes, with systemd's socket and without, an upgrade keeps the configuration, and a
// purge leaves nothing.
func TestDeb(t *testing.T) {
	needs(t, "dpkg", "systemd-analyze")
	if _, err := os.Stat("/usr/bin/executionbackup"); err == nil {
		t.Skip("executionbackup is installed here, and stays so")
	}
	deb := one(t, "executionbackup_*_linux_"+runtime.GOARCH+".deb")
	output(t, "dpkg", "-i", deb)
	t.Cleanup(func() { exec.Command("dpkg", "--purge", "executionbackup").Run() })
	if got := output(t, "executionbackup", "version"); !strings.HasPrefix(got, "executionbackup version v") {
		t.Errorf("version: %s", got)
	}
	const unit = "/usr/lib/systemd/system/executionbackup.service"
	const socket = "/usr/lib/systemd/system/executionbackup.socket"
	out := output(t, "systemd-analyze", "verify", "--man=no", unit, socket)
	if strings.Contains(out, "executionbackup.") {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	// At most 1.5 of 10, "OK".
	output(t, "systemd-analyze", "security", "--offline=true", "--threshold=15", unit)

	secret := [32]byte{8}
	chain, nodes := chainAndNodes(t, secret, 2)
	credentials := t.TempDir()
	err := os.WriteFile(filepath.Join(credentials, "jwt.hex"), []byte(hex.EncodeToString(secret[:])), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	const settings = "/etc/executionbackup/executionbackup.yaml"
	port, state := apptest.FreePort(t), t.TempDir()
	edit := func(more string, port any) string {
		text := fmt.Sprintf("nodes: [%s]\nport: %v\n%s\njwt_secret: %s/jwt.hex\nstate_dir: %s\nevidence_dir: ''\n",
			strings.Join(nodes, ", "), port, more, credentials, state)
		if err := os.WriteFile(settings, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return text
	}
	edit("", port)
	p := startCommand(t, service(t, unit, "ExecStart", 0), "http://127.0.0.1:"+port)
	follow(t, p.URL, secret, chain)
	p.terminate(t)
	s := apptest.NewService(t)
	edited := edit("", s.Addr.(*net.TCPAddr).Port)
	passed := s.Start(t, service(t, unit, "ExecStart", 0))
	follow(t, "http://"+s.Addr.String(), secret, chain)

	for _, test := range []struct{ more, want string }{
		{"on_dispute: majority", "on_dispute: halt → majority"}, {"on_dispute: no", "nothing has changed"},
		{"", "on_dispute: majority → halt"},
	} {
		edited = edit(test.more, s.Addr.(*net.TCPAddr).Port)
		out, err := service(t, unit, "ExecReload", passed.Cmd.Process.Pid).CombinedOutput()
		if isGood := !strings.HasPrefix(test.want, "nothing"); (err == nil) != isGood ||
			!strings.Contains(string(out), test.want) {
			t.Errorf("reload with %q: %v, %s", test.more, err, out)
		}
		s.Hears(t, "RELOADING=1\nMONOTONIC_USEC=")
		s.Hears(t, "READY=1")
	}
	passed.Signal(syscall.SIGTERM)
	s.Hears(t, "STOPPING=1")
	passed.WantExit(t, 0)

	output(t, "dpkg", "--force-confold", "-i", deb)
	if got, err := os.ReadFile(settings); err != nil || string(got) != edited {
		t.Errorf("after an upgrade the settings are %q, %v", got, err)
	}
	output(t, "dpkg", "--purge", "executionbackup")
	for _, path := range []string{
		"/usr/bin/executionbackup", unit, socket, "/etc/executionbackup", "/usr/share/doc/executionbackup",
	} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("after a purge there is still %s (%v)", path, err)
		}
	}
}

// service is what systemd would start of a unit: the command line of a key and its variables, without its fences.
func service(t *testing.T, unit, key string, pid int) *exec.Cmd {
	t.Helper()
	var argv, environ []string
	for _, line := range lines(t, unit) {
		switch name, value, _ := strings.Cut(line, "="); name {
		case key:
			argv = strings.Fields(strings.ReplaceAll(value, "$MAINPID", fmt.Sprint(pid)))
		case "Environment":
			environ = append(environ, strings.Fields(value)...)
		}
	}
	if len(argv) == 0 {
		t.Fatalf("%s has no %s", unit, key)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = environ
	return cmd
}

func lines(t *testing.T, path string) (all []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		all = append(all, strings.TrimSpace(s.Text()))
	}
	return all
}

// The .rpm has the same files and scripts.
func TestRPM(t *testing.T) {
	needs(t, "rpm")
	rpm := one(t, "executionbackup_*_linux_amd64.rpm")
	files := output(t, "rpm", "-qpl", rpm)
	for _, want := range []string{
		"/usr/bin/executionbackup\n", "/usr/lib/systemd/system/executionbackup.service\n",
		"/usr/lib/systemd/system/executionbackup.socket\n",
		"/etc/executionbackup/executionbackup.yaml\n", "/usr/share/man/man1/executionbackup.1.gz\n",
	} {
		if !strings.Contains(files, want) {
			t.Errorf("the package has no %s", want)
		}
	}
	if got := output(t, "rpm", "-qpc", rpm); got != "/etc/executionbackup/executionbackup.yaml\n" {
		t.Errorf("its configuration files are %q", got)
	}
	if scripts := output(t, "rpm", "-qp", "--scripts", rpm); !strings.Contains(scripts, "try-restart") {
		t.Errorf("its scripts are %s", scripts)
	}
}
