//go:build release

// Package release_test tests what is shipped: the container image, the packages and the recipes, each built, installed
// and run as its user would, before real nodes.
package release_test

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/geth"
)

// needs skips a test whose tool isn't here. Where CI is set, it must be.
func needs(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		_, err := exec.LookPath(tool)
		if err != nil && os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		if err != nil || os.Getuid() != 0 {
			t.Skipf("needs %s, and root", tool)
		}
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// freePort is a port that nobody has now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// chainAndNodes makes a chain, and starts geths that don't have it yet. It returns their addresses.
func chainAndNodes(t *testing.T, secret [32]byte, count int) (chain *geth.Chain, urls []string) {
	t.Helper()
	chain, err := geth.NewChain(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for range count {
		node, err := geth.Start(geth.Config{Genesis: chain.Genesis, Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { node.Stop() })
		urls = append(urls, node.AuthURL())
	}
	return chain, urls
}

// follow has an ExecutionBackup follow a chain, as a consensus client would: every block is VALID.
func follow(t *testing.T, url string, secret [32]byte, chain *geth.Chain) {
	t.Helper()
	call, err := geth.Dial(url, secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range chain.Payloads {
		if err := payload.Import(t.Context(), call, common.Hash{}, common.Hash{}); err != nil {
			t.Fatal(err)
		}
	}
}

// process is an ExecutionBackup that a test started.
type process struct {
	url   string
	cmd   *exec.Cmd
	log   *lockedBuffer
	ended chan error
}

// lockedBuffer keeps what a process writes.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// patience is how long a process may take to start or to stop.
const patience = 30 * time.Second

// startCommand starts a process and waits until it is ready at its address.
func startCommand(t *testing.T, cmd *exec.Cmd, url string) *process {
	t.Helper()
	p := &process{url: url, cmd: cmd, log: new(lockedBuffer), ended: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		if t.Failed() {
			t.Logf("%s: %s", cmd.Path, p.log)
		}
	})
	awaitReady(t, url, p.ended, p.log)
	t.Logf("ready after %v", time.Since(begun).Round(time.Millisecond))
	return p
}

// awaitReady returns when /readyz answers 200.
func awaitReady(t *testing.T, url string, ended <-chan error, log *lockedBuffer) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if resp, err := http.Get(url + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v: %s", err, log)
		case <-tick.C:
		}
	}
	t.Fatalf("not ready within %v: %s", patience, log)
}

// terminate sends SIGTERM; the process must drain and end well.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	case <-time.After(patience):
		t.Errorf("it doesn't end within %v of SIGTERM", patience)
	}
}
