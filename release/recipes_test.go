//go:build release

package release_test

import (
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/apptest"
	"executionbackup/internal/geth"
)

// pair runs HAProxy, as the recipe has it, before two instances, each with nodes of its own.
func pair(t *testing.T, secret [32]byte, nodes ...[]string) (proxy *process, instances []*process) {
	t.Helper()
	needs(t, "haproxy")
	binary := built(t)
	secretFile := filepath.Join(t.TempDir(), "jwt.hex")
	if err := os.WriteFile(secretFile, []byte(hex.EncodeToString(secret[:])), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile("../deploy/haproxy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	text := string(config)
	for i, address := range []string{"127.0.0.1:7001", "127.0.0.1:7002"} {
		port := apptest.FreePort(t)
		cmd := exec.Command(binary, "--nodes", strings.Join(nodes[i], ","), "--jwt-secret", secretFile,
			"--port", port, "--evidence-dir", "", "--state-dir", t.TempDir())
		instances = append(instances, startCommand(t, cmd, "http://127.0.0.1:"+port))
		text = strings.ReplaceAll(text, address, "127.0.0.1:"+port)
	}
	front := apptest.FreePort(t)
	text = strings.Replace(text, "127.0.0.1:7000", "127.0.0.1:"+front, 1)
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	output(t, "haproxy", "-c", "-f", file)
	return startCommand(t, exec.Command("haproxy", "-f", file), "http://127.0.0.1:"+front), instances
}

// HAProxy before two instances: the first is killed in the middle of a chain, and the second goes on.
func TestHAProxy(t *testing.T) {
	secret := [32]byte{9}
	chain, nodes := chainAndNodes(t, secret, 2)
	proxy, instances := pair(t, secret, nodes, nodes)

	half := len(chain.Payloads) / 2
	follow(t, proxy.URL, secret, &geth.Chain{Payloads: chain.Payloads[:half]})
	instances[0].Kill()
	proxy.WaitReady(t, proxy.Client)
	follow(t, proxy.URL, secret, &geth.Chain{Payloads: chain.Payloads[half:]})

	call, err := geth.Dial(instances[1].URL, secret)
	if err != nil {
		t.Fatal(err)
	}
	last := chain.Payloads[len(chain.Payloads)-1]
	status, err := last.ForkchoiceUpdated(t.Context(), call, common.Hash{}, common.Hash{})
	if err != nil || status.Status != "VALID" {
		t.Errorf("the second instance: %+v, %v", status, err)
	}
}

// An instance that sees a voter goes before one that sees none; where none sees one, the calls go on to one that runs.
func TestHAProxyLooksForVoters(t *testing.T) {
	secret := [32]byte{9}
	chain, nodes := chainAndNodes(t, secret, 1)
	none := []string{"http://127.0.0.1:1#name=none"}
	proxy, instances := pair(t, secret, none, nodes)
	follow(t, instances[1].URL, secret, chain) // its node is alive from here on: it says that it is syncing before that
	behind := func(want string) {
		t.Helper()
		apptest.Until(t, "the calls go to the instance with "+want, func() bool {
			answer, err := http.Get(proxy.URL + "/nodes")
			if err != nil {
				return false
			}
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			return err == nil && strings.Contains(string(text), want)
		})
	}
	behind(nodes[0])
	instances[1].Kill()
	behind("127.0.0.1:1")
}

// built is the shipped binary for this machine, or one that is built now.
func built(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "executionbackup")
	cmd := exec.Command("go", "build", "-o", binary, "../cmd/executionbackup")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// keepalived misses nothing but the interface, which is the other machine's.
func TestKeepalived(t *testing.T) {
	needs(t, "keepalived")
	config, err := os.ReadFile("../deploy/keepalived/keepalived.conf")
	if err != nil {
		t.Fatal(err)
	}
	// What isn't here: our binary, and in some sandboxes the right to become another user.
	here := strings.NewReplacer("/usr/bin/executionbackup healthcheck --url http://127.0.0.1:7000", "/bin/true",
		"script_user nobody", "script_user root")
	file := filepath.Join(t.TempDir(), "keepalived.conf")
	if err := os.WriteFile(file, []byte(here.Replace(string(config))), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("keepalived", "--config-test", "-f", file).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "interface") {
			t.Errorf("%s", line)
		}
	}
	if err != nil && len(out) == 0 {
		t.Error(err)
	}
}

// The units say nothing that systemd doesn't know. That the clients aren't installed here is no fault of theirs.
func TestUnits(t *testing.T) {
	needs(t, "systemd-analyze")
	for _, unit := range []string{"geth.service", "nethermind.service", "lighthouse.service"} {
		out, _ := exec.Command("systemd-analyze", "verify", "--man=no", "../deploy/systemd/"+unit).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, unit) && !strings.Contains(line, "is not executable") {
				t.Errorf("%s", line)
			}
		}
	}
}
