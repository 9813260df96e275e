//go:build e2e

// Package e2e has the tests with processes of their own: real execution clients that are killed, stopped and brought
// back. They take minutes; `make e2e-short` runs them.
package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"executionbackup/internal/geth"
)

// gethVariable has a geth.Config for a process that is to be an execution client instead of a test.
const gethVariable = "E2E_GETH"

func TestMain(m *testing.M) {
	if config := os.Getenv(gethVariable); config != "" {
		os.Exit(runGeth(config))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if commandDir, err = os.MkdirTemp("", "executionbackup"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(commandDir)
	return m.Run()
}

// runGeth is a geth until SIGTERM, or until it is killed. It says on standard output when it serves.
func runGeth(text string) int {
	var config geth.Config
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	n, err := geth.Start(config)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(n.AuthURL())
	<-terminate
	if err := n.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
