//go:build e2e

package live

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/geth"
)

// node is one real execution client, in a process of its own or, between faults, in none.
type node struct {
	*apptest.Process
	name       string
	kind       string   // geth, erigon or ethereumjs
	host       string   // where it listens: 127.0.0.1, or its end of a cable
	enter      []string // the command that enters the network where that is
	auth, http int      // ports
	peers      int      // port
	dir        string
	genesis    string
	secretFile string

	// How it stands in ExecutionBackup's configuration.
	via      string // URL of a proxy before it, or ""
	doNotUse bool
	left     bool // not there at all

	t testing.TB
}

// start starts the client on what its data directory has.
func (n *node) start() {
	n.t.Helper()
	if init := n.init(); init != nil && !exists(n.dir) {
		p := launch(n.t, n.log(), init...)
		if <-p.Gone(); !p.Cmd.ProcessState.Success() {
			n.t.Fatalf("%s init: %v: see %s", n.name, p.Cmd.ProcessState, n.log())
		}
	}
	n.Process = launch(n.t, n.log(), append(n.enter, n.command()...)...)
}

// wipe removes the data directory of a client that doesn't run.
func (n *node) wipe() {
	if err := os.RemoveAll(n.dir); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) log() string { return n.dir + ".log" }

// url is the address of its Engine API.
func (n *node) url() string { return "http://" + net.JoinHostPort(n.host, strconv.Itoa(n.auth)) }

// called is where it is called: straight, or at a proxy before it.
func (n *node) called() string { return cmp.Or(n.via, n.url()) }

// listens reports whether its Engine API's port accepts connections. A stopped process's does too: its kernel answers.
func (n *node) listens() bool {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(n.host, strconv.Itoa(n.auth)), 200*time.Millisecond)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// ask calls a method at the port that needs no token.
func (n *node) ask(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	call, err := geth.Dial("http://"+net.JoinHostPort(n.host, strconv.Itoa(n.http)), [32]byte{})
	if err != nil {
		return nil, err
	}
	return call(ctx, method, params...)
}

// meet makes a geth another's peer, on loopback. Otherwise none has any.
func (n *node) meet(other *node) error {
	raw, err := other.ask(n.t.Context(), "admin_nodeInfo")
	if err != nil {
		return err
	}
	var info struct{ Enode string }
	if err := json.Unmarshal(raw, &info); err != nil {
		return err
	}
	_, err = n.ask(n.t.Context(), "admin_addPeer", info.Enode)
	return err
}

// init is the command that makes an empty data directory, or nil.
func (n *node) init() []string {
	switch n.kind {
	case "geth":
		return []string{program(n.t, "geth"), "--datadir", n.dir, "--state.scheme", "path", "init", n.genesis}
	case "erigon":
		return []string{program(n.t, "erigon"), "init", "--datadir", n.dir, n.genesis}
	}
	return nil
}

// command is the client's command line: no discovery, nothing that listens on other addresses.
func (n *node) command() []string {
	auth, http, peers := strconv.Itoa(n.auth), strconv.Itoa(n.http), strconv.Itoa(n.peers)
	switch n.kind {
	case "geth":
		return []string{
			program(n.t, "geth"), "--config", n.gethConfig(), "--datadir", n.dir,
			"--networkid", "1337", "--syncmode", "full",
			"--state.scheme", "path", "--nat", "none", "--ipcdisable", "--cache", "256", "--verbosity", "3",
			"--authrpc.addr", n.host, "--authrpc.port", auth, "--authrpc.jwtsecret", n.secretFile,
			"--authrpc.vhosts", "*",
			"--http", "--http.addr", n.host, "--http.port", http, "--http.vhosts", "*",
			"--http.api", "eth,net,web3,admin",
		}
	case "erigon":
		return []string{
			program(n.t, "erigon"), "--datadir", n.dir, "--networkid", "1337", "--externalcl",
			"--prune.mode", "archive",
			"--nodiscover", "--maxpeers", "0", "--nat", "none", "--no-downloader", "--snap.stop", "--snap.state.stop",
			"--port", peers, "--p2p.allowed-ports", peers + "," + strconv.Itoa(n.peers+1),
			"--private.api.addr", "127.0.0.1:" + strconv.Itoa(n.peers+2),
			"--sentry.api.addr", "127.0.0.1:" + strconv.Itoa(n.peers+3),
			"--authrpc.addr", n.host, "--authrpc.port", auth, "--authrpc.jwtsecret", n.secretFile,
			"--authrpc.vhosts", "*",
			"--http", "--http.addr", n.host, "--http.port", http, "--http.vhosts", "*", "--http.api", "eth,net,web3",
			"--batchSize", "64M", "--db.size.limit", "8GB",
		}
	}
	return []string{
		"node", "--require", apptest.Installed(n.t, "ethereumjs/loopback.cjs"),
		apptest.Installed(n.t, "ethereumjs/node_modules/@ethereumjs/client/dist/esm/bin/cli.js"),
		"--dataDir", n.dir, "--gethGenesis", n.genesis, "--rpc", "--rpcAddr", n.host, "--rpcPort", http,
		"--rpcEngine", "--rpcEngineAddr", n.host, "--rpcEnginePort", auth, "--jwtSecret", n.secretFile,
		"--discDns=false", "--discV4=false", "--maxPeers", "0", "--port", peers,
		"--isSingleNode", "--sync", "none", "--logFile", "false",
	}
}

// gethConfig writes what geth has no flags for: p2p on one address only, where peers come by admin_addPeer alone.
func (n *node) gethConfig() string {
	file := n.dir + ".toml"
	text := fmt.Sprintf("[Node.P2P]\nListenAddr = \"%s:%d\"\nNoDiscovery = true\nMaxPeers = 5\n", n.host, n.peers)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
	return file
}

// program is that of an installed client.
func program(t testing.TB, name string) string {
	return apptest.Installed(t, filepath.Join("bin", name))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
