package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"

	"executionbackup/internal/app"
	"executionbackup/internal/config"
	"executionbackup/internal/geth"
)

const localhost = "127.0.0.1"

var nodeNames = [...]string{"geth-1", "geth-2", "geth-3"}

// network is what the demonstration shows: the nodes, and ExecutionBackup before them.
type network struct {
	dir     string // with everybody's data
	remove  bool   // dir at the end
	genesis *core.Genesis
	foreign bool // the consensus client is somebody else's
	nodes   []*node
	secret  [32]byte // of the consensus client
	token   string   // of the administrator
	url     string   // of ExecutionBackup

	app     *app.App
	stopApp func() error
	log     *os.File
}

// newNetwork takes the ports and makes what start starts.
func newNetwork(o options, s *screen) (_ *network, err error) {
	net := &network{foreign: o.cl, stopApp: func() error { return nil }}
	defer func() {
		if err != nil {
			err = errors.Join(err, net.stop())
		}
	}()
	if net.genesis, err = chooseGenesis(o); err != nil {
		return nil, fmt.Errorf("--genesis: %w", err)
	}
	if err := net.makeDir(o.data); err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	if err := writeGenesis(net.file("genesis.json"), net.genesis); err != nil {
		return nil, err
	}
	if net.secret, err = net.newSecret("cl.jwt"); err != nil {
		return nil, err
	}
	token, err := net.newSecret("admin.token")
	if err != nil {
		return nil, err
	}
	net.token = hex.EncodeToString(token[:])
	for i, name := range nodeNames {
		port := 0
		if o.port != 0 {
			port = o.port + 1 + i
		}
		if err := net.addNode(name, port); err != nil {
			return nil, err
		}
	}
	return net, net.newApp(o, s)
}

// addNode makes a node with a secret and a directory of its own.
func (net *network) addNode(name string, port int) error {
	secret, err := net.newSecret(name + ".jwt")
	if err != nil {
		return err
	}
	gate, err := newGate(port)
	if err != nil {
		return fmt.Errorf("%w (choose other ports with --port)", err)
	}
	net.nodes = append(net.nodes, &node{name: name, gate: gate, config: geth.Config{
		Genesis: net.genesis, DataDir: net.file(name), Secret: secret,
	}})
	return nil
}

// newApp makes an ExecutionBackup out of flags, as on a command line; their paths are whole, so that the commands
// which it advises can be pasted anywhere. It logs everything to a file and the essence to the screen.
func (net *network) newApp(o options, s *screen) error {
	flags := map[string][]string{
		"port": {strconv.Itoa(o.port)}, "shadow-node": {net.nodes[0].name},
		"jwt-secret": {net.file("cl.jwt")}, "admin-token-file": {net.file("admin.token")},
		"evidence-dir": {net.file("evidence")}, "state-dir": {net.file("state")},
	}
	if isTimely(o.period) {
		flags["slot"] = []string{o.period.String()}
	}
	for _, n := range net.nodes {
		flags["nodes"] = append(flags["nodes"], n.gate.url()+"#jwt-secret="+net.file(n.name+".jwt")+"#name="+n.name)
	}
	c, err := config.Load(config.Inputs{Flags: flags, ReadFile: config.ReadFile})
	if err != nil {
		return err
	}
	c.Version = "demo"
	if net.log, err = os.Create(net.file("executionbackup.log")); err != nil {
		return err
	}
	everything := slog.NewTextHandler(net.log, &slog.HandlerOptions{Level: slog.LevelDebug})
	log := slog.New(slog.NewMultiHandler(everything, &logHandler{screen: s}))
	if net.app, err = app.New(app.Options{Config: c, Log: log}); err != nil {
		return fmt.Errorf("%w (choose other ports with --port)", err)
	}
	net.url = "http://" + net.app.Addr().String()
	return nil
}

// start starts the nodes and ExecutionBackup, and returns when that knows how they are.
func (net *network) start(ctx context.Context) error {
	if err := net.startNodes(ctx); err != nil {
		return err
	}
	// Not ctx: when that ends, there is an order in which things stop.
	running, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- net.app.Run(running) }()
	net.stopApp = func() error {
		cancel()
		return <-ended
	}
	return net.rest(ctx, "/recheck", nil, nil)
}

// makeDir makes the directory for everybody's data. It must be empty: a chain of another run has another genesis.
func (net *network) makeDir(data string) (err error) {
	if data == "" {
		net.remove = true
		net.dir, err = os.MkdirTemp("", "executionbackup-devnet-")
		return err
	}
	if net.dir, err = filepath.Abs(data); err != nil {
		return err
	}
	if err := os.MkdirAll(net.dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(net.dir)
	if err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty", net.dir)
	}
	return err
}

// file returns the path of a file of ours.
func (net *network) file(name string) string { return filepath.Join(net.dir, name) }

// newSecret makes a secret and writes it to a file.
func (net *network) newSecret(file string) (secret [32]byte, err error) {
	rand.Read(secret[:])
	return secret, os.WriteFile(net.file(file), []byte(hex.EncodeToString(secret[:])+"\n"), 0o600)
}

// startNodes starts the nodes on a chain of one block; a consensus client that isn't ours begins at genesis. A geth
// that is killed goes back to the last state on its disk, and that is written by a clean stop: without one it would
// have nothing but genesis, from where it couldn't be brought back.
func (net *network) startNodes(ctx context.Context) error {
	var first geth.Payload
	for _, n := range net.nodes {
		if err := n.start(); err != nil {
			return err
		}
		if net.foreign {
			continue
		}
		call, err := n.geth.Dial()
		if err != nil {
			return err
		}
		if first.Number == 0 {
			producer, err := geth.NewProducer(ctx, net.genesis.Config, call)
			if err != nil {
				return err
			}
			order := geth.Order{Timestamp: producer.Head.Timestamp + 1}
			if first, err = producer.Produce(ctx, order); err != nil {
				return err
			}
		} else if err := first.Import(ctx, call, common.Hash{}, common.Hash{}); err != nil {
			return err
		}
		if err := n.geth.Stop(); err != nil {
			return err
		}
		if err := n.start(); err != nil {
			return err
		}
	}
	return nil
}

// stop ends everything in order.
func (net *network) stop() error {
	var errs []error
	for _, n := range net.nodes {
		if n.gate.now() == hangs { // ExecutionBackup would wait for what is held up
			errs = append(errs, n.switchTo(works))
		}
	}
	errs = append(errs, net.stopApp())
	for _, n := range net.nodes {
		errs = append(errs, n.stop())
	}
	if net.log != nil {
		errs = append(errs, net.log.Close())
	}
	if net.remove {
		errs = append(errs, os.RemoveAll(net.dir))
	}
	return errors.Join(errs...)
}

// rest makes a call to ExecutionBackup's REST API as its administrator: a change, or a question where that is nil. It
// reads the answer into a value, which may be nil.
func (net *network) rest(ctx context.Context, path string, change, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	method, body := http.MethodGet, io.Reader(nil)
	if change != nil {
		text, err := json.Marshal(change)
		if err != nil {
			return err
		}
		method, body = http.MethodPost, bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, net.url+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+net.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: HTTP %d: %s", method, path, response.StatusCode, strings.TrimSpace(string(text)))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
