//go:build release

package release_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"executionbackup/internal/apptest"
)

// image is a container image that was built here, unpacked.
type image struct {
	root   string // its files
	config imageConfig
}

// imageConfig is how an engine runs it.
type imageConfig struct {
	User        string
	Env         []string
	Entrypoint  []string
	Healthcheck struct{ Test []string }
}

// buildah runs the image builder on storage of the test's own, without a daemon, a registry or namespaces.
type buildah struct {
	t    *testing.T
	root string
}

func (b *buildah) run(args ...string) string {
	b.t.Helper()
	storage := []string{"--root", b.root + "/storage", "--runroot", b.root + "/run", "--storage-driver", "vfs"}
	cmd := exec.Command("buildah", append(storage, args...)...)
	cmd.Env = append(os.Environ(), "BUILDAH_ISOLATION=chroot")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("buildah %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// build carries out dockerized/Dockerfile as it stands. No registry can be reached, so this machine's own files stand
// in for the image that it builds in: its /usr, which has Go, and the modules that are there already.
func build(t *testing.T) *image {
	b := &buildah{t, t.TempDir()}
	base := b.run("from", "scratch")
	files := b.run("mount", base)
	for _, dir := range []string{"usr", "etc/ssl", "tmp", "root", "proc", "dev", "sys"} {
		if err := os.MkdirAll(filepath.Join(files, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+link, filepath.Join(files, link)); err != nil {
			t.Fatal(err)
		}
	}
	b.run("config", "--env", "PATH="+os.Getenv("PATH"), "--env", "HOME=/root", "--env", "GOPATH=/go",
		"--env", "GOCACHE=/cache",
		"--env", "GOPROXY="+goEnv(t, "GOPROXY"), "--env", "GOFLAGS="+os.Getenv("GOFLAGS"), base)
	b.run("umount", base)
	b.run("commit", "-q", base, "docker.io/library/golang:1.26-bookworm")

	b.run("bud", "-q", "--pull-never", "--format", "docker", "-f", "dockerized/Dockerfile", "-t", "executionbackup",
		"-v", "/usr:/usr:ro", "-v", "/etc/ssl:/etc/ssl:ro", "-v", goEnv(t, "GOMODCACHE")+":/go/pkg/mod",
		"-v", goEnv(t, "GOCACHE")+":/cache", ".")
	i := &image{}
	container := b.run("from", "--pull-never", "executionbackup")
	i.root = b.run("mount", container)
	t.Cleanup(func() { b.run("umount", container) })
	var inspected struct{ Docker struct{ Config *imageConfig } }
	inspected.Docker.Config = &i.config
	if err := json.Unmarshal([]byte(b.run("inspect", container)), &inspected); err != nil {
		t.Fatal(err)
	}
	return i
}

// command is what an engine would start in a container of the image: as its user, in its root, with its variables only.
func (i *image) command(argv []string, environ ...string) *exec.Cmd {
	cmd := &exec.Cmd{Path: "/usr/bin/" + argv[0], Args: argv, Dir: "/", Env: append(i.config.Env, environ...)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: i.root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	return cmd
}

// The image has what it should and nothing else, and runs before two real nodes.
func TestImage(t *testing.T) {
	needs(t, "buildah")
	i := build(t)
	if got, want := i.config.User, "65532:65532"; got != want {
		t.Errorf("it runs as %q, want %s", got, want)
	}
	i.checkFiles(t)

	secret := [32]byte{7}
	port := apptest.FreePort(t)
	environ := []string{
		"JWT_SECRET=" + hex.EncodeToString(secret[:]), "PORT=" + port,
		"LOG_LEVEL=INFO", "FCU_MAJORITY=", "SHOW_NODE_TIMINGS=false",
	}
	chain, nodes := chainAndNodes(t, secret, 2)
	environ = append(environ, "NODES="+strings.Join(nodes, ","))

	c := startCommand(t, i.command(i.config.Entrypoint, environ...), "http://127.0.0.1:"+port)
	follow(t, c.URL, secret, chain)
	health := i.config.Healthcheck.Test
	if len(health) < 2 || health[0] != "CMD" {
		t.Fatalf("the health check is %q", health)
	}
	if out, err := i.command(health[1:], environ...).CombinedOutput(); err != nil || string(out) != "ready\n" {
		t.Errorf("health check: %v: %s", err, out)
	}
	c.terminate(t)
	if _, err := os.Stat(filepath.Join(i.root, "var/lib/executionbackup/evidence")); err != nil {
		t.Error(err)
	}
}

// checkFiles looks for what is in the image.
func (i *image) checkFiles(t *testing.T) {
	t.Helper()
	var files []string
	err := filepath.WalkDir(i.root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, i.root))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "/etc/ssl/certs/ca-certificates.crt /usr/bin/executionbackup" +
		" /usr/share/doc/executionbackup/LICENSE /usr/share/doc/executionbackup/THIRD_PARTY_NOTICES"
	if got := strings.Join(files, " "); got != want {
		t.Errorf("the image has %s, want %s", got, want)
	}
}
