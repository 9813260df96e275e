//go:build e2e

package soak

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/p2p/enode"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/geth"
)

// node is a geth in a process of its own, with the others as its peers, and the door through which ExecutionBackup
// calls it. While the process is down, nobody listens at the door.
type node struct {
	*apptest.Process
	t       testing.TB
	name    string
	dir     string
	genesis string   // file
	command []string // that runs it
	auth    string   // port of its Engine API
	secret  [32]byte
	door    *enginetest.Node
}

// startNodes starts all geths at the beginning of a chain: those that ExecutionBackup has, and one more, the network's.
func startNodes(t testing.TB, dir string, genesis *core.Genesis) (all []*node) {
	t.Helper()
	program := apptest.Installed(t, "bin/geth")
	text, err := json.Marshal(genesis)
	if err != nil {
		t.Fatal(err)
	}
	genesisFile := writeFile(t, dir, "genesis.json", string(text))
	var peers []string
	var keys, ports [nodes + 1]string
	for i := range keys {
		key, err := crypto.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		keys[i], ports[i] = hex.EncodeToString(crypto.FromECDSA(key)), apptest.FreePort(t)
		number, _ := strconv.Atoi(ports[i])
		peers = append(peers, enode.NewV4(&key.PublicKey, net.IPv4(127, 0, 0, 1), number, 0).URLv4())
	}
	known, _ := json.Marshal(peers) // TOML writes a list of strings likewise
	for i := range keys {
		n := &node{t: t, name: nodeName(i), secret: [32]byte{1: byte(i + 1)}, genesis: genesisFile}
		n.auth = apptest.FreePort(t)
		n.dir = filepath.Join(dir, n.name)
		n.door = enginetest.Proxy(t, "http://127.0.0.1:"+n.auth, n.secret[:])
		config := writeFile(t, dir, n.name+".toml", fmt.Sprintf(
			"[Node.P2P]\nListenAddr = \"127.0.0.1:%s\"\nNoDiscovery = true\nMaxPeers = %d\nStaticNodes = %s\n",
			ports[i], len(ports), known))
		// Without a cache of its own for what has changed it has the state of the block 128 back on disk at any time.
		// That is near enough for ExecutionBackup to bring it to the head after kill -9.
		n.command = []string{program, "--config", config, "--datadir", n.dir, "--nodekeyhex", keys[i],
			"--networkid", genesis.Config.ChainID.String(), "--syncmode", "full", "--state.scheme", "path",
			"--cache", "128", "--cache.gc", "0", "--nat", "none", "--ipcdisable", "--authrpc.port", n.auth,
			"--authrpc.jwtsecret", writeFile(t, dir, n.name+".hex", hex.EncodeToString(n.secret[:]))}
		n.empty()
		n.start()
		all = append(all, n)
	}
	return all
}

// empty leaves a geth that doesn't run with the genesis alone.
func (n *node) empty() {
	n.t.Helper()
	if err := os.RemoveAll(n.dir); err != nil {
		n.t.Fatal(err)
	}
	init := exec.Command(n.command[0], "--datadir", n.dir, "--state.scheme", "path", "init", n.genesis)
	if said, err := init.CombinedOutput(); err != nil {
		n.t.Fatalf("geth init: %v: %s", err, said)
	}
}

// start starts the geth on what its data directory has, and opens its door when it serves.
func (n *node) start() {
	n.t.Helper()
	n.Process = launch(n.t, n.dir+".log", exec.Command(n.command[0], n.command[1:]...))
	apptest.Try(n.t, apptest.Patience, func() error {
		if !n.Running() {
			n.t.Fatalf("%s ended: see its log", n.name)
		}
		conn, err := net.Dial("tcp", "127.0.0.1:"+n.auth)
		if err == nil {
			conn.Close()
		}
		return err
	})
	n.door.Reopen()
}

// kill is kill -9.
func (n *node) kill() {
	n.Kill()
	n.door.Close()
}

// terminate ends it as an operator does.
func (n *node) terminate() {
	n.t.Helper()
	if err := n.Terminate(); err != nil {
		n.t.Fatal(err)
	}
	n.door.Close()
}

// specification is the node as ExecutionBackup's configuration has it.
func (n *node) specification() string {
	return fmt.Sprintf("%s#name=%s#jwt-secret=%s", n.door.URL, n.name, n.door.SecretFile)
}

// dial returns what calls the geth itself, past its door.
func (n *node) dial() (geth.Call, error) { return geth.Dial("http://127.0.0.1:"+n.auth, n.secret) }

// latest asks the geth itself for its head.
func (n *node) latest() (head common.Hash, err error) {
	call, err := n.dial()
	if err != nil {
		return head, err
	}
	var block struct{ Hash common.Hash }
	raw, err := call(n.t.Context(), "eth_getBlockByNumber", "latest", false)
	if err == nil {
		err = json.Unmarshal(raw, &block)
	}
	return block.Hash, err
}
