// Package realgeth_test tests the whole with real execution clients: ExecutionBackup in this process, and behind it
// go-ethereum nodes, in this process too.
package realgeth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"

	"executionbackup/internal/apptest"
	"executionbackup/internal/geth"
)

// The nodes share one secret, which the CL doesn't know.
var nodeSecret, clSecret = [32]byte{1}, [32]byte{2}

// multiplexer is an ExecutionBackup in this process, and two ways to talk to it: as a CL that sends any bytes, and as
// one that follows or produces a chain.
type multiplexer struct {
	*apptest.Multiplexer
	call geth.Call
}

// start runs an ExecutionBackup before nodes at these URLs, which it calls g1, g2, …, and waits until they have been
// probed. It waits longer than by default for nodes to object, so that a busy machine changes no verdict.
func start(t testing.TB, urls []string) *multiplexer {
	t.Helper()
	return startWith(t, urls, nil)
}

// startWith is start with more settings.
func startWith(t testing.TB, urls []string, settings map[string]string) *multiplexer {
	t.Helper()
	options := apptest.Options{
		Secret:   clSecret[:],
		Settings: map[string]string{"grace": "5s", "build-grace": "900ms", "evidence-dir": t.TempDir()},
	}
	maps.Copy(options.Settings, settings)
	for i, url := range urls {
		options.Nodes = append(options.Nodes, apptest.Node{URL: url, Name: name(i), Secret: nodeSecret[:]})
	}
	m := apptest.Start(t, options)
	return &multiplexer{m, dial(t, m.URL, clSecret)}
}

func name(i int) string { return fmt.Sprintf("g%d", i+1) }

func dial(t testing.TB, url string, secret [32]byte) geth.Call {
	t.Helper()
	call, err := geth.Dial(url, secret)
	if err != nil {
		t.Fatal(err)
	}
	return call
}

// record is what GET /blocks says of a payload, as far as it matters here.
type record struct {
	Method, Hash, Verdict string
	Dispute               bool
	Votes                 []struct{ Status, Vote string }
}

// last returns the record of the last payload, which is written just after the CL has its answer.
func (m *multiplexer) last(t testing.TB) record {
	t.Helper()
	var all []record
	apptest.Until(t, "the last payload has a verdict", func() bool {
		m.Get(t, "/blocks", &all)
		return len(all) > 0 && all[len(all)-1].Verdict != ""
	})
	return all[len(all)-1]
}

// startGeth starts a node that is stopped at the end of the test at the latest.
func startGeth(t testing.TB, config geth.Config) *geth.Node {
	t.Helper()
	config.Secret = nodeSecret
	node, err := geth.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Stop() })
	return node
}

// geths starts n nodes at a genesis.
func geths(t testing.TB, genesis *core.Genesis, n int) []*geth.Node {
	t.Helper()
	var nodes []*geth.Node
	for range n {
		nodes = append(nodes, startGeth(t, geth.Config{Genesis: genesis}))
	}
	return nodes
}

func stop(t testing.TB, node *geth.Node) {
	t.Helper()
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
}

func urls(nodes []*geth.Node) []string {
	var list []string
	for _, node := range nodes {
		list = append(list, node.AuthURL())
	}
	return list
}

// The chains are read once for all tests, and must not be changed.
var (
	// ownChain is what geth made over every fork. Blobs are left to the foreign chain: here they would cost ten
	// seconds.
	ownChain = sync.OnceValues(func() (*geth.Chain, error) { return geth.NewChain(context.Background(), false) })
	// foreignChain is that of ethereum/execution-apis, which nobody here has made.
	foreignChain = sync.OnceValues(func() (*geth.Chain, error) {
		return geth.ReadChain(filepath.Join("..", "..", "..", "..", "shared", "testdata", "execution-apis"))
	})
)

func own(t testing.TB) *geth.Chain {
	t.Helper()
	chain, err := ownChain()
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func foreign(t testing.TB) *geth.Chain {
	t.Helper()
	chain, err := foreignChain()
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the recorded chain of ethereum/execution-apis is not there: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// osaka is the beginning of a chain on which Osaka is there from genesis on.
func osaka() *core.Genesis {
	return geth.Genesis(geth.Schedule{
		Shanghai: new(uint64), Cancun: new(uint64), Prague: new(uint64), Osaka: new(uint64),
	})
}

// head returns the hash of the block that whoever answers calls its latest.
func head(t testing.TB, call geth.Call) common.Hash {
	t.Helper()
	raw, err := call(t.Context(), "eth_getBlockByNumber", "latest", false)
	if err != nil {
		t.Fatal(err)
	}
	var block struct{ Hash common.Hash }
	if err := json.Unmarshal(raw, &block); err != nil {
		t.Fatal(err)
	}
	return block.Hash
}

// wantHead fails the test unless every node, asked directly, comes to have this head. Nobody waits for a node that is
// syncing.
func wantHead(t testing.TB, nodes []*geth.Node, want common.Hash) {
	t.Helper()
	for i, node := range nodes {
		call := dial(t, node.AuthURL(), nodeSecret)
		apptest.Try(t, apptest.Patience, func() error {
			if got := head(t, call); got != want {
				return fmt.Errorf("the head of %s is %s, want %s", name(i), got, want)
			}
			return nil
		})
	}
}

// status is a payload status as it stands in an answer. Null is "".
type status struct{ Status, LatestValidHash, ValidationError string }

func statusOf(s engine.PayloadStatusV1) status {
	got := status{Status: s.Status}
	if s.LatestValidHash != nil {
		got.LatestValidHash = s.LatestValidHash.Hex()
	}
	if s.ValidationError != nil {
		got.ValidationError = *s.ValidationError
	}
	return got
}

// newPayload sends a payload and returns what whoever is called says of it.
func newPayload(t testing.TB, call geth.Call, p geth.Payload) status {
	t.Helper()
	s, err := p.NewPayload(t.Context(), call)
	if err != nil {
		t.Fatalf("block %d: %v", p.Number, err)
	}
	return statusOf(s)
}

// forkchoice makes a payload the head and returns what whoever is called says of it.
func forkchoice(t testing.TB, call geth.Call, p geth.Payload, safe, finalized common.Hash) status {
	t.Helper()
	s, err := p.ForkchoiceUpdated(t.Context(), call, safe, finalized)
	if err != nil {
		t.Fatalf("block %d: %v", p.Number, err)
	}
	return statusOf(s)
}

func valid(p geth.Payload) status { return status{Status: "VALID", LatestValidHash: p.Hash.Hex()} }
