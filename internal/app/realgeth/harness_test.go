// Package realgeth_test tests the whole with real execution clients: ExecutionBackup in this process, and behind it
// go-ethereum nodes, in this process too.
package realgeth_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"

	"executionbackup/internal/app"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/geth"
)

// The nodes share one secret, which the CL doesn't know.
var nodeSecret, clSecret = [32]byte{1}, [32]byte{2}

// multiplexer is an ExecutionBackup in this process, and two ways to talk to it: as a CL that sends any bytes, and as one
// that follows or produces a chain.
type multiplexer struct {
	*enginetest.CL
	call geth.Call
}

// start runs an ExecutionBackup before nodes at these URLs, which it calls g1, g2, …, and waits until they have been
// probed. It waits longer than by default for nodes to object, so that a busy machine changes no verdict.
func start(t testing.TB, urls []string) *multiplexer {
	t.Helper()
	settings := map[string][]string{
		"jwt-secret": {"cl"}, "port": {"0"}, "grace": {"5s"}, "build-grace": {"900ms"}, "evidence-dir": {t.TempDir()},
	}
	for i, url := range urls {
		settings["nodes"] = append(settings["nodes"], fmt.Sprintf("%s#jwt-secret=node#name=%s", url, name(i)))
	}
	c, err := config.Load(config.Inputs{Flags: settings, ReadFile: func(path string) ([]byte, error) {
		secrets := map[string][32]byte{"cl": clSecret, "node": nodeSecret}
		secret := secrets[path]
		return []byte(hex.EncodeToString(secret[:])), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(c, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	url := "http://" + a.Addr().String()
	m := &multiplexer{enginetest.NewCL(t, url, clSecret[:]), dial(t, url, clSecret)}
	eventually(t, func() (bool, string) {
		resp, err := m.HTTP.Get(m.URL + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, "it is not ready: " + resp.Status
	})
	return m
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

// get decodes a REST answer into v, and fails the test unless it is 200.
func (m *multiplexer) get(t testing.TB, path string, v any) {
	t.Helper()
	resp, err := m.HTTP.Get(m.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d %s %v", path, resp.StatusCode, body, err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
}

// recheck probes all nodes now.
func (m *multiplexer) recheck(t testing.TB) {
	t.Helper()
	m.get(t, "/recheck", new(any))
}

// nodeState is what GET /nodes says of a node, as far as it matters here.
type nodeState struct {
	Name, State        string
	Laggard, Qualified bool
}

// node returns the present state of the i-th node.
func (m *multiplexer) node(t testing.TB, i int) nodeState {
	t.Helper()
	var all []nodeState
	m.get(t, "/nodes", &all)
	return all[i]
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
	eventually(t, func() (bool, string) {
		m.get(t, "/blocks", &all)
		return len(all) > 0 && all[len(all)-1].Verdict != "", fmt.Sprintf("the last payload has no verdict: %+v", all)
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
	// ownChain is what geth made over every fork. Blobs are left to the foreign chain: here they would cost ten seconds.
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
	return geth.Genesis(geth.Schedule{Shanghai: new(uint64), Cancun: new(uint64), Prague: new(uint64), Osaka: new(uint64)})
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

// wantHead fails the test unless every node, asked directly, comes to have this head. Nobody waits for a node that is syncing.
func wantHead(t testing.TB, nodes []*geth.Node, want common.Hash) {
	t.Helper()
	for i, node := range nodes {
		call := dial(t, node.AuthURL(), nodeSecret)
		eventually(t, func() (bool, string) {
			got := head(t, call)
			return got == want, fmt.Sprintf("the head of %s is %s, want %s", name(i), got, want)
		})
	}
}

// eventually waits until something holds that the CL doesn't wait for, and fails the test with the reason if it doesn't.
func eventually(t testing.TB, holds func() (ok bool, why string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for tick := time.Tick(5 * time.Millisecond); ; {
		ok, why := holds()
		if ok {
			return
		}
		select {
		case <-tick:
		case <-ctx.Done():
			t.Fatal(why)
		}
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
