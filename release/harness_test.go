//go:build release

// Package release_test tests what is shipped: the container image, the packages and the recipes, each built, installed
// and run as its user would, before real nodes.
package release_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/apptest"
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

// process is what a test started of what is shipped, with a client that has no secret.
type process struct {
	*apptest.Process
	apptest.Client
}

// startCommand starts a process and waits until it is ready at its address.
func startCommand(t *testing.T, cmd *exec.Cmd, url string) *process {
	t.Helper()
	begun := time.Now()
	p := &process{apptest.StartProcess(t, cmd), apptest.NewClient(t, url, nil)}
	p.WaitReady(t, p.Client)
	t.Logf("ready after %v", time.Since(begun).Round(time.Millisecond))
	return p
}

// terminate sends SIGTERM; the process must drain and end well.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	p.Signal(syscall.SIGTERM)
	p.WantExit(t, 0)
}
