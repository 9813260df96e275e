//go:build e2e

// Package beaconkit has the scenarios with beacon-kit, Berachain's consensus client. Its build takes long: `make
// e2e-beaconkit` runs them, and nothing else does.
package beaconkit

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/geth"
)

// secret is what all share.
var secret = [32]byte{7}

// node is a geth, or Berachain's, in a process of its own, without peers.
type node struct {
	*apptest.Process
	t       *testing.T
	program string
	dir     string
	auth    string // port
}

// startNode starts a node on an empty data directory.
func startNode(t *testing.T, program, genesis string) *node {
	t.Helper()
	n := &node{t: t, program: program, dir: t.TempDir(), auth: apptest.FreePort(t)}
	init := exec.Command(program, "--datadir", filepath.Join(n.dir, "data"), "--state.scheme", "path", "init", genesis)
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("geth init: %v: %s", err, out)
	}
	write(t, filepath.Join(n.dir, "jwt.hex"), []byte(hex.EncodeToString(secret[:])))
	write(t, filepath.Join(n.dir, "geth.toml"),
		[]byte("[Node.P2P]\nListenAddr = \"\"\nNoDiscovery = true\nMaxPeers = 0\n"))
	n.start()
	return n
}

// start starts it on what its data directory has.
func (n *node) start() {
	n.t.Helper()
	n.Process = apptest.StartProcess(n.t, exec.Command(n.program, "--config", filepath.Join(n.dir, "geth.toml"),
		"--datadir", filepath.Join(n.dir, "data"), "--syncmode", "full", "--state.scheme", "path", "--nat", "none",
		"--ipcdisable", "--cache", "64",
		"--authrpc.port", n.auth, "--authrpc.jwtsecret", filepath.Join(n.dir, "jwt.hex")))
}

// restart ends it as an operator does, and starts it again.
func (n *node) restart() {
	n.t.Helper()
	if err := n.Terminate(); err != nil {
		n.t.Fatal(err)
	}
	n.start()
}

// block is the hash of its block of that number.
func (n *node) block(number uint64) (hash string, err error) {
	call, err := geth.Dial("http://127.0.0.1:"+n.auth, secret)
	if err != nil {
		return "", err
	}
	raw, err := call(n.t.Context(), "eth_getBlockByNumber", fmt.Sprintf("%#x", number), false)
	var block struct{ Hash string }
	if err == nil {
		err = json.Unmarshal(raw, &block)
	}
	return block.Hash, err
}

// chain is beacon-kit's home before its start.
type chain struct {
	t     *testing.T
	home  string
	flags []string // of every command
}

// newChain makes a chain with one validator. spec and genesis are its configuration and the execution clients'.
func newChain(t *testing.T, spec, genesis []byte) *chain {
	t.Helper()
	dir := t.TempDir()
	specFile, genesisFile := filepath.Join(dir, "spec.toml"), filepath.Join(dir, "eth-genesis.json")
	write(t, specFile, spec)
	write(t, genesisFile, genesis)
	c := &chain{t: t, home: filepath.Join(dir, "home")}
	c.flags = []string{"--home", c.home, "--beacon-kit.chain-spec", "file", "--beacon-kit.chain-spec-file", specFile}
	c.run("init", "e2e", "--chain-id", "e2e-2061")
	c.run("genesis", "add-premined-deposit", "32000000000", "0x1111111111111111111111111111111111111111")
	c.run("genesis", "collect-premined-deposits")
	c.run("genesis", "set-deposit-storage", genesisFile)
	c.run("genesis", "execution-payload", c.genesis())
	// It would serve its metrics on every address.
	config := filepath.Join(c.home, "config/config.toml")
	text := strings.Replace(string(read(t, config)), "\nprometheus = true", "\nprometheus = false", 1)
	write(t, config, []byte(text))
	return c
}

// genesis is the file of the execution clients' genesis.
func (c *chain) genesis() string { return filepath.Join(c.home, "eth-genesis.json") }

func (c *chain) command(args ...string) *exec.Cmd {
	return exec.Command(apptest.Installed(c.t, "beaconkit/beacond"), append(args, c.flags...)...)
}

func (c *chain) run(args ...string) {
	c.t.Helper()
	if out, err := c.command(args...).CombinedOutput(); err != nil {
		c.t.Fatalf("beacond %v: %v: %s", args, err, out)
	}
}

// validator is a running beacon-kit.
type validator struct {
	*apptest.Process
	t   *testing.T
	rpc string
}

// start starts beacon-kit with an Engine API.
func (c *chain) start(engine string) *validator {
	c.t.Helper()
	jwt, address := filepath.Join(c.home, "jwt.hex"), "127.0.0.1:"+apptest.FreePort(c.t)
	write(c.t, jwt, []byte("0x"+hex.EncodeToString(secret[:])))
	cmd := c.command("start", "--beacon-kit.engine.jwt-secret-path", jwt, "--beacon-kit.engine.rpc-dial-url", engine,
		"--beacon-kit.kzg.trusted-setup-path", apptest.Installed(c.t, "beaconkit/kzg-trusted-setup.json"),
		"--p2p.laddr", "tcp://127.0.0.1:"+apptest.FreePort(c.t), "--rpc.laddr", "tcp://"+address)
	return &validator{apptest.StartProcess(c.t, cmd), c.t, "http://" + address}
}

// consensusBlock is a block of CometBFT's: one for each of the execution clients'.
type consensusBlock struct {
	Header struct {
		Height uint64 `json:",string"`
		Time   time.Time
	}
	LastCommit struct{ Round int } `json:"last_commit"` // of the block before: how often it was tried in vain
}

// block returns the block of that height, 0 for the last one.
func (v *validator) block(height uint64) (b consensusBlock, err error) {
	url := v.rpc + "/block"
	if height > 0 {
		url += fmt.Sprintf("?height=%d", height)
	}
	resp, err := http.Get(url)
	if err != nil {
		return b, err
	}
	defer resp.Body.Close()
	var answer struct {
		Result struct{ Block consensusBlock }
	}
	err = json.NewDecoder(resp.Body).Decode(&answer)
	return answer.Result.Block, err
}

// height is that of the last block, 0 while there is none.
func (v *validator) height() uint64 {
	b, err := v.block(0)
	if err != nil {
		return 0
	}
	return b.Header.Height
}

// wait returns when so many more blocks are there.
func (v *validator) wait(more uint64) {
	v.t.Helper()
	want := v.height() + more
	apptest.Within(v.t, time.Duration(more)*5*time.Second, fmt.Sprintf("%d blocks", want), func() bool {
		if !v.Running() {
			v.t.Fatal("beacon-kit has ended")
		}
		return v.height() >= want
	})
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
