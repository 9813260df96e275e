// Package geth runs real go-ethereum nodes inside this process and makes chains with them, for the demonstration and
// for tests.
//
// What a stopped node leaves behind: go-ethereum's Engine API has a goroutine that warns about a missing consensus
// client and never ends (catalyst.ConsensusAPI.heartbeat). It keeps the stopped node's memory, so a process should
// start tens of nodes, not thousands. A build that nobody fetched goes on until 12 s after its start.
//
// go-ethereum's log is silent unless the program calls its log.SetDefault.
package geth

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/catalyst"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/ethereum/go-ethereum/version"
)

const localhost = "127.0.0.1"

// Config says what node to start. Only Genesis must be set.
type Config struct {
	Genesis *core.Genesis
	// DataDir keeps the chain over a restart. Empty keeps everything in memory.
	DataDir string
	// Secret is the JWT secret of the Engine API.
	Secret [32]byte
	// AuthPort is the port of the Engine API on 127.0.0.1, 0 for any that is free.
	AuthPort int
	// HTTP serves eth_*, net_*, web3_* and txpool_* on 127.0.0.1:HTTPPort, without a token. Port 0 is any that is free.
	HTTP     bool
	HTTPPort int
}

// Node is a running geth without peers.
type Node struct {
	config  Config
	stack   *node.Node
	backend *eth.Ethereum
}

// Start starts a node and returns when it serves calls. It says that it is syncing until its first forkchoiceUpdated.
func Start(config Config) (*Node, error) {
	n := &Node{config: config}
	if err := n.start(); err != nil {
		if n.stack != nil {
			n.stack.Close()
		}
		return nil, fmt.Errorf("start geth: %w", err)
	}
	return n, nil
}

// start builds the node's parts and starts them. What it has built is in n even if it fails.
func (n *Node) start() error {
	// eth.New starts goroutines that end only with a node that has been started. So the likeliest failure comes first.
	for _, port := range []int{n.config.AuthPort, n.config.HTTPPort} {
		listener, err := net.Listen("tcp", net.JoinHostPort(localhost, strconv.Itoa(port)))
		if err != nil {
			return err
		}
		listener.Close()
	}
	// geth takes the secret from a file, and reads it once, when it starts.
	secretDir, err := os.MkdirTemp("", "geth-secret-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(secretDir)
	secretFile := filepath.Join(secretDir, "jwt.hex")
	if err := os.WriteFile(secretFile, []byte(hex.EncodeToString(n.config.Secret[:])), 0o600); err != nil {
		return err
	}
	if n.stack, err = node.New(n.config.node(secretFile)); err != nil {
		return err
	}
	if n.backend, err = eth.New(n.stack, n.config.eth()); err != nil {
		return err
	}
	if err := catalyst.Register(n.stack, n.backend); err != nil {
		return err
	}
	if err := n.stack.Start(); err != nil {
		return err
	}
	n.config.AuthPort, err = port(n.AuthURL())
	if err == nil && n.config.HTTP {
		n.config.HTTPPort, err = port(n.HTTPURL())
	}
	return err
}

// node returns the configuration of the protocol stack: RPC servers on 127.0.0.1, and nothing that speaks to other
// machines.
func (c Config) node(secretFile string) *node.Config {
	conf := &node.Config{
		Name:             "geth",
		Version:          fmt.Sprintf("%d.%d.%d-%s", version.Major, version.Minor, version.Patch, version.Meta),
		DataDir:          c.DataDir,
		P2P:              p2p.Config{NoDial: true, NoDiscovery: true},
		AuthAddr:         localhost,
		AuthPort:         c.AuthPort,
		AuthVirtualHosts: node.DefaultAuthVhosts,
		JWTSecret:        secretFile,
		HTTPTimeouts:     rpc.DefaultHTTPTimeouts,
	}
	if c.HTTP {
		conf.HTTPHost = localhost
		conf.HTTPPort = c.HTTPPort
		conf.HTTPModules = []string{"eth", "net", "web3", "txpool"}
		conf.HTTPVirtualHosts = node.DefaultAuthVhosts
		conf.BatchRequestLimit = node.DefaultConfig.BatchRequestLimit
		conf.BatchResponseMaxSize = node.DefaultConfig.BatchResponseMaxSize
		conf.HTTPBodyLimit = node.DefaultConfig.HTTPBodyLimit
	}
	return conf
}

// eth returns the configuration of the node proper: small caches, no indexes.
func (c Config) eth() *ethconfig.Config {
	conf := ethconfig.Defaults
	conf.Genesis = c.Genesis
	conf.SyncMode = ethconfig.FullSync // snap sync needs peers, and refuses payloads until it has ended
	conf.StateScheme = rawdb.PathScheme
	conf.DatabaseCache, conf.DatabaseHandles = 16, 64
	conf.TrieCleanCache, conf.TrieDirtyCache, conf.SnapshotCache = 4, 4, 4 // MB
	conf.LogNoHistory = true
	conf.TxPool.NoLocals = true
	return &conf
}

// port returns the port number of a URL.
func port(rawURL string) (int, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(u.Port())
}

// Config returns the configuration with the ports that the node got, so that Start(n.Config()) brings a stopped node
// back in the same place.
func (n *Node) Config() Config { return n.config }

// AuthURL returns the URL of the Engine API.
func (n *Node) AuthURL() string { return n.stack.HTTPAuthEndpoint() }

// HTTPURL returns the URL of the server without authentication. It is of no use if Config.HTTP isn't set.
func (n *Node) HTTPURL() string { return n.stack.HTTPEndpoint() }

// Backend returns go-ethereum's own handle of the node.
func (n *Node) Backend() *eth.Ethereum { return n.backend }

// Dial returns a Call to the node's Engine API.
func (n *Node) Dial() (Call, error) { return Dial(n.AuthURL(), n.config.Secret) }

// Import executes blocks that follow the node's head and makes the last one the head. It is for blocks from before the
// merge, which no Engine API method carries.
func (n *Node) Import(blocks []*types.Block) error {
	if i, err := n.backend.BlockChain().InsertChain(blocks); err != nil {
		return fmt.Errorf("import block %d: %w", blocks[i].NumberU64(), err)
	}
	return nil
}

// AddTransactions puts transactions into the node's pool. The next build will see them: unlike eth_sendRawTransaction
// it waits until the pool has caught up with the head and has taken them in.
func (n *Node) AddTransactions(txs ...*types.Transaction) error {
	pool := n.backend.TxPool()
	if err := pool.Sync(); err != nil {
		return err
	}
	return errors.Join(pool.Add(txs, true)...)
}

// Stop ends the node: calls in flight get their answers, the state is written to the data directory.
func (n *Node) Stop() error { return n.stack.Close() }

// Kill stops the node as kill -9 would: its data directory becomes what it was at the time of the call. The latest
// blocks are on disk then, their state isn't; nor are the last of them, of which the database still has the log in
// memory, unless Backend().ChainDb().SyncKeyValue was called before. The caller must not have a call in flight. In
// memory Kill is Stop.
func (n *Node) Kill() error {
	if n.config.DataDir == "" {
		return n.Stop()
	}
	image, err := os.MkdirTemp(filepath.Dir(n.config.DataDir), "killed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(image)
	if err := os.CopyFS(image, os.DirFS(n.config.DataDir)); err != nil {
		return err
	}
	if err := n.Stop(); err != nil {
		return err
	}
	if err := os.RemoveAll(n.config.DataDir); err != nil {
		return err
	}
	return os.Rename(image, n.config.DataDir)
}
