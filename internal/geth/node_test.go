package geth_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/geth"
)

// osaka is a chain on which Osaka is there from genesis on.
var osaka = geth.Schedule{Shanghai: new(uint64), Cancun: new(uint64), Prague: new(uint64), Osaka: new(uint64)}

// start starts a node for the test and returns it with a Call to it.
func start(t *testing.T, config geth.Config) (*geth.Node, geth.Call) {
	t.Helper()
	node, err := geth.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Stop() })
	call, err := node.Dial()
	if err != nil {
		t.Fatal(err)
	}
	return node, call
}

// produce makes blocks with one transfer each, whose nonce is the number of the block before.
func produce(t *testing.T, node *geth.Node, call geth.Call, blocks int) []geth.Payload {
	t.Helper()
	producer, err := geth.NewProducer(t.Context(), node.Config().Genesis.Config, call)
	if err != nil {
		t.Fatal(err)
	}
	var payloads []geth.Payload
	for range blocks {
		tx := geth.Transfer(producer.Head.Number)
		if err := node.AddTransactions(tx); err != nil {
			t.Fatal(err)
		}
		payload, err := producer.Produce(t.Context(), geth.Order{Transactions: []*types.Transaction{tx}})
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, payload)
	}
	return payloads
}

// head returns the hash of the block that a node calls its latest.
func head(t *testing.T, call geth.Call) common.Hash {
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

func TestNodeSaysWhoItIs(t *testing.T) {
	_, call := start(t, geth.Config{Genesis: geth.Genesis(osaka)})
	for method, want := range map[string]string{"eth_chainId": `"0x539"`, "eth_blockNumber": `"0x0"`} {
		got, err := call(t.Context(), method)
		if err != nil || string(got) != want {
			t.Errorf("%s = %s, %v, want %s", method, got, err, want)
		}
	}
	syncing, err := call(t.Context(), "eth_syncing")
	if err != nil || string(syncing) == "false" {
		t.Errorf("before its first forkchoiceUpdated eth_syncing = %s, %v, want something else than false",
			syncing, err)
	}
}

func TestEngineAPIWantsTheSecret(t *testing.T) {
	node, _ := start(t, geth.Config{Genesis: geth.Genesis(osaka), Secret: [32]byte{1}})
	call, err := geth.Dial(node.AuthURL(), [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call(t.Context(), "eth_chainId"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("with another secret: error %v, want a 401", err)
	}
}

func TestPlainHTTP(t *testing.T) {
	node, _ := start(t, geth.Config{Genesis: geth.Genesis(osaka), HTTP: true})
	post := func(method string) string {
		body := strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":[]}`)
		response, err := http.Post(node.HTTPURL(), "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got, want := post("eth_chainId"), `{"jsonrpc":"2.0","id":1,"result":"0x539"}`; strings.TrimSpace(got) != want {
		t.Errorf("eth_chainId: %s, want %s", got, want)
	}
	if got := post("engine_getClientVersionV1"); !strings.Contains(got, "-32601") {
		t.Errorf("an engine method: %s, want the error -32601", got)
	}
}

func TestStoppedNodeComesBackInTheSamePlace(t *testing.T) {
	node, call := start(t, geth.Config{Genesis: geth.Genesis(osaka), DataDir: t.TempDir(), HTTP: true})
	payloads := produce(t, node, call, 3)
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := call(t.Context(), "eth_chainId"); err == nil {
		t.Error("a stopped node answers")
	}
	again, _ := start(t, node.Config())
	if got, want := again.AuthURL(), node.Config().AuthPort; !strings.HasSuffix(got, ":"+strconv.Itoa(want)) {
		t.Errorf("it came back at %s, want port %d", got, want)
	}
	if got, want := head(t, call), payloads[2].Hash; got != want {
		t.Errorf("its head is %s, want %s", got, want)
	}
	produce(t, again, call, 1)
}

// A killed geth has its blocks but not their state. It takes the way that devices such as this multiplexer must go: a
// forkchoiceUpdated on its own head, and both calls for every block after it.
func TestKilledNodeComesBackBehind(t *testing.T) {
	first, call := start(t, geth.Config{Genesis: geth.Genesis(osaka), DataDir: filepath.Join(t.TempDir(), "data")})
	kept := produce(t, first, call, 2)
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	second, _ := start(t, first.Config())
	lost := produce(t, second, call, 5)
	if err := second.Kill(); err != nil {
		t.Fatal(err)
	}
	start(t, second.Config())
	if got, want := head(t, call), kept[1].Hash; got != want {
		t.Fatalf("after the kill its head is %s, want %s", got, want)
	}
	status, err := kept[1].ForkchoiceUpdated(t.Context(), call, common.Hash{}, common.Hash{})
	if err != nil || status.Status != engine.VALID {
		t.Fatalf("forkchoiceUpdated on its own head: %s, %v", status.Status, err)
	}
	for _, payload := range lost {
		if err := payload.Import(t.Context(), call, common.Hash{}, common.Hash{}); err != nil {
			t.Fatalf("block %d: %v", payload.Number, err)
		}
	}
	if got, want := head(t, call), lost[4].Hash; got != want {
		t.Errorf("at the end its head is %s, want %s", got, want)
	}
}

func TestTakenPort(t *testing.T) {
	node, _ := start(t, geth.Config{Genesis: geth.Genesis(osaka)})
	_, err := geth.Start(geth.Config{Genesis: geth.Genesis(osaka), AuthPort: node.Config().AuthPort})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("error %v, want one about the address", err)
	}
}

// Stop leaves neither goroutines behind, but for go-ethereum's heartbeat, nor files.
func TestStopReleasesEverything(t *testing.T) {
	before := gethGoroutines() // a build of another test that nobody fetched ends after 12 s
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	node, call := start(t, geth.Config{Genesis: geth.Genesis(osaka), HTTP: true})
	produce(t, node, call, 1)
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(temp); err != nil || len(files) > 0 {
		t.Errorf("files left behind: %v, %v", files, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for tick := time.Tick(5 * time.Millisecond); ; {
		left := gethGoroutines()
		for id := range before {
			delete(left, id)
		}
		if len(left) == 0 {
			return
		}
		select {
		case <-tick:
		case <-ctx.Done():
			t.Fatalf("goroutines left behind: %v", left)
		}
	}
}

// gethGoroutines returns the stacks of the goroutines that run go-ethereum's code by their ids, aside from its
// heartbeat and from the recovery of senders, which serves the whole process.
func gethGoroutines() map[string]string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	found := make(map[string]string)
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "go-ethereum") && !strings.Contains(stack, "geth_test.") &&
			!strings.Contains(stack, ".heartbeat(") && !strings.Contains(stack, ".(*txSenderCacher).") {
			id, _, _ := strings.Cut(stack, " [")
			found[id] = stack
		}
	}
	return found
}

func TestImportedBlockMustBeValid(t *testing.T) {
	node, call := start(t, geth.Config{Genesis: geth.Genesis(osaka)})
	producer, err := geth.NewProducer(t.Context(), node.Config().Genesis.Config, call)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := producer.Build(t.Context(), geth.Order{})
	if err != nil {
		t.Fatal(err)
	}
	payload.Params[2] = json.RawMessage(`"0x` + strings.Repeat("00", 32) + `"`) // parentBeaconBlockRoot
	err = payload.Import(t.Context(), call, common.Hash{}, common.Hash{})
	var status *geth.StatusError
	if !errors.As(err, &status) || status.Status.Status != engine.INVALID {
		t.Errorf("error %v, want a StatusError with INVALID", err)
	}
}
