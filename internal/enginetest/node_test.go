package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pair starts a node and a CL that talks to it.
func pair(t *testing.T, client Client) (*Node, *CL) {
	t.Helper()
	node := New(t, client)
	return node, NewCL(t, node.URL, node.Secret)
}

// want fails the test unless a status is the one wanted.
func want(t *testing.T, got Status, err error, want Status) {
	t.Helper()
	if err != nil || got != want {
		t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
}

// wantCall fails the test unless a call has the result wanted.
func wantCall(t *testing.T, cl *CL, want string, method string, params ...any) {
	t.Helper()
	if got, err := cl.Call(t.Context(), method, params...); err != nil || string(got) != want {
		t.Errorf("%s%v: got %s, %v, want %s", method, params, got, err, want)
	}
}

// wantCode fails the test unless err is a JSON-RPC error with a code.
func wantCode(t *testing.T, err error, want int) {
	t.Helper()
	var got *RPCError
	if !errors.As(err, &got) || got.Code != want {
		t.Errorf("got %v, want code %d", err, want)
	}
}

func TestHealthyNodeFollowsTheChain(t *testing.T) {
	_, cl := pair(t, Client{})
	wantCall(t, cl, `"0x0"`, "eth_blockNumber")
	wantCall(t, cl, `false`, "eth_syncing")

	chain := Chain(4, 2, nil)
	for _, p := range chain {
		status, err := cl.NewPayload(t.Context(), p)
		want(t, status, err, Status{Status: "VALID", LatestValidHash: p.Hash()})
	}
	cl.Finalized = chain[0].Hash()
	status, err := cl.ForkchoiceUpdated(t.Context(), chain[1], nil)
	want(t, status, err, Status{Status: "VALID", LatestValidHash: chain[1].Hash()})

	wantCall(t, cl, `"0x2"`, "eth_blockNumber")
	for tag, hash := range map[string]string{
		"0x0": GenesisHash, "0x1": chain[0].Hash(), "latest": chain[1].Hash(),
		"finalized": chain[0].Hash(), "safe": GenesisHash,
	} {
		var block struct{ Hash string }
		raw, err := cl.Call(t.Context(), "eth_getBlockByNumber", tag, false)
		if json.Unmarshal(raw, &block); err != nil || block.Hash != hash {
			t.Errorf("block %s: got %s, %v, want %s", tag, raw, err, hash)
		}
	}
	wantCall(t, cl, `null`, "eth_getBlockByNumber", "0x3", false)
}

func TestHealthyNodeIntroducesItself(t *testing.T) {
	node, cl := pair(t, Client{
		Code: "NM", Name: "Nethermind", Version: "1.2", Commit: "0xabcd",
		ChainID: 17, Capabilities: []string{"engine_newPayloadV4"},
	})
	wantCall(t, cl, `[{"code":"NM","commit":"0xabcd","name":"Nethermind","version":"1.2"}]`,
		"engine_getClientVersionV1", nil)
	wantCall(t, cl, `["engine_newPayloadV4"]`, "engine_exchangeCapabilities", []string{})
	wantCall(t, cl, `"Nethermind/1.2"`, "web3_clientVersion")
	wantCall(t, cl, `"0x11"`, "eth_chainId")
	wantCall(t, cl, `"17"`, "net_version")

	_, err := cl.Call(t.Context(), "engine_getBlobsV1", []string{})
	wantCode(t, err, -32601)

	node.Update(func(c *Client) { c.Syncing = true })
	wantCall(t, cl, `{"currentBlock":"0x0","highestBlock":"0x1","startingBlock":"0x0"}`, "eth_syncing")
}

func TestHealthyNodeBuilds(t *testing.T) {
	node, cl := pair(t, Client{BlockValue: "0x99"})
	for version, getPayload := range map[int]string{
		1: "engine_getPayloadV1", 2: "engine_getPayloadV2", 3: "engine_getPayloadV3", 4: "engine_getPayloadV5",
		5: "engine_getPayloadV6",
	} {
		head := Chain(version, 1, nil)[0]
		asked := head.Attributes()
		status, err := cl.ForkchoiceUpdated(t.Context(), head, asked)
		if err != nil || status.Status != "VALID" || len(status.PayloadID) != len("0x0011223344556677") {
			t.Fatalf("V%d: got %+v, %v, want VALID with a payload id", version, status, err)
		}
		again, _ := cl.ForkchoiceUpdated(t.Context(), head, asked)
		if again.PayloadID != status.PayloadID {
			t.Errorf("V%d: the same request got the ids %s and %s", version, status.PayloadID, again.PayloadID)
		}
		raw, err := cl.Call(t.Context(), getPayload, status.PayloadID)
		if err != nil {
			t.Fatal(err)
		}
		var envelope struct {
			ExecutionPayload json.RawMessage
			BlockValue       string
		}
		if json.Unmarshal(raw, &envelope); version == 1 {
			envelope.ExecutionPayload, envelope.BlockValue = raw, "0x99"
		}
		got := Payload{Version: version}
		if asked.BeaconRoot != nil {
			got.BeaconRoot = *asked.BeaconRoot
		}
		if err := got.ExecutableData.UnmarshalJSON(envelope.ExecutionPayload); err != nil {
			t.Fatal(err)
		}
		if got.ParentHash != head.BlockHash || got.Timestamp != asked.Timestamp || got.Random != asked.Random ||
			got.FeeRecipient != asked.SuggestedFeeRecipient || len(got.Withdrawals) != len(asked.Withdrawals) ||
			envelope.BlockValue != "0x99" {
			t.Errorf("V%d: got %s, want what was asked for: %+v", version, raw, asked)
		}
		claimed := got.Hash()
		if got.seal(); got.Hash() != claimed {
			t.Errorf("V%d: built payload with the hash %s, want %s", version, claimed, got.Hash())
		}
	}
	_, err := cl.Call(t.Context(), "engine_getPayloadV4", "0x0000000000000000")
	wantCode(t, err, -38001)

	node.Update(func(c *Client) { c.PayloadID = "0x1111111111111111" })
	status, err := cl.ForkchoiceUpdated(t.Context(), Genesis(4), Genesis(4).Attributes())
	if err != nil || status.PayloadID != "0x1111111111111111" {
		t.Errorf("got %+v, %v, want the payload id that was set", status, err)
	}
}

func TestStrictNodeThatLostBlocks(t *testing.T) {
	node, cl := pair(t, Client{Strict: true})
	chain := Chain(4, 4, nil)
	for _, p := range chain[:3] {
		cl.NewPayload(t.Context(), p)
		cl.ForkchoiceUpdated(t.Context(), p, nil)
	}
	node.Rewind(1)
	wantCall(t, cl, `"0x1"`, "eth_blockNumber")

	status, err := cl.NewPayload(t.Context(), chain[3])
	want(t, status, err, Status{Status: "SYNCING"})
	status, err = cl.ForkchoiceUpdated(t.Context(), chain[2], nil)
	want(t, status, err, Status{Status: "SYNCING"})

	status, err = cl.NewPayload(t.Context(), chain[1])
	want(t, status, err, Status{Status: "VALID", LatestValidHash: chain[1].Hash()})
}

func TestEnvelope(t *testing.T) {
	_, cl := pair(t, Client{})
	for _, c := range []struct{ body, want string }{
		{`{"jsonrpc":"2.0","id":1e2,"method":"eth_syncing"}`, `{"jsonrpc":"2.0","id":1e2,"result":false}`},
		{`{"jsonrpc":"2.0","id":"\u0041","method":"eth_syncing","params":[]}`,
			`{"jsonrpc":"2.0","id":"\u0041","result":false}`},
		{`{"jsonrpc":"2.0","method":"eth_syncing"}`, ``},
		{`[{"jsonrpc":"2.0","id":null,"method":"net_version"}, {"jsonrpc":"2.0","method":"eth_syncing"}, 5]`,
			`[{"jsonrpc":"2.0","id":null,"result":"1"},` +
				`{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"invalid request"}}]`},
		{`[]`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"invalid request"}}`},
		{`{`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}`},
	} {
		status, _, got, err := cl.Post(t.Context(), []byte(c.body))
		if err != nil || status != http.StatusOK || strings.TrimSpace(string(got)) != c.want {
			t.Errorf("%s:\ngot  %d %s, %v\nwant %s", c.body, status, got, err, c.want)
		}
	}
}

func TestTokens(t *testing.T) {
	node := New(t, Client{})
	text, err := os.ReadFile(node.SecretFile)
	if err != nil || len(text) != 64 {
		t.Errorf("secret file: got %q, %v, want 64 hex digits", text, err)
	}
	now := func(age time.Duration) string { return fmt.Sprintf(`{"iat":%d}`, time.Now().Add(-age).Unix()) }
	for _, c := range []struct {
		name, authorization string
		status              int
		violation           string
	}{
		{"good", "Bearer " + mint(node.Secret, "HS256", now(0)), 200, ""},
		{"old", "Bearer " + mint(node.Secret, "HS256", now(2*time.Minute)), 401, "token issued 2m"},
		{"other secret", "Bearer " + mint(make([]byte, 32), "HS256", now(0)), 401,
			"token not minted with this node's secret"},
		{"none", "Bearer " + mint(node.Secret, "none", now(0)), 401, `token with algorithm "none"`},
		{"missing", "", 401, "no token"},
		{"malformed", "Bearer x.y", 401, "malformed token"},
		{"passed on from a CL", "Bearer " + Token(node.Secret, time.Now()), 200, "a CL's token"},
	} {
		before := len(node.Violations())
		req, _ := http.NewRequest("POST", node.URL, strings.NewReader(`{}`))
		req.Header.Set("Authorization", c.authorization)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		violation := strings.Join(node.Violations()[before:], "; ")
		if resp.StatusCode != c.status || !strings.HasPrefix(violation, c.violation) ||
			c.violation == "" && violation != "" {
			t.Errorf("%s: got %d, %q, want %d, %q", c.name, resp.StatusCode, violation, c.status, c.violation)
		}
	}
}

func TestCallsAreRecorded(t *testing.T) {
	node, cl := pair(t, Client{})
	release := node.Script(Rule{Method: "engine_newPayload", Hang: true})
	p := Chain(3, 1, nil)[0]

	hung := make(chan error)
	go func() {
		_, err := cl.NewPayload(t.Context(), p)
		hung <- err
	}()
	first := node.Wait("engine_newPayload", 1)[0]
	if first.Method != "engine_newPayloadV3" || first.BlockHash != p.Hash() ||
		string(first.ID) != "1" || first.Ended != 0 ||
		!strings.Contains(string(first.Body), string(first.Params)) || first.Header.Get("Authorization") == "" {
		t.Errorf("got %+v", first)
	}
	if _, err := cl.ForkchoiceUpdated(t.Context(), p, nil); err != nil {
		t.Fatal(err)
	}
	release()
	if err := <-hung; err != nil {
		t.Fatal(err)
	}

	ended := node.WaitEnded("engine_", 2)
	var arrived, order []string
	for i, c := range node.Calls() {
		arrived, order = append(arrived, c.Method), append(order, ended[i].Method)
	}
	if got := strings.Join(arrived, " "); got != "engine_newPayloadV3 engine_forkchoiceUpdatedV3" {
		t.Errorf("arrived: got %s", got)
	}
	if slices.Reverse(order); !slices.Equal(order, arrived) {
		t.Errorf("ended: got, last first, %s, want %s", order, arrived)
	}
	if ended[0].Ended >= ended[1].Ended || ended[0].Arrived <= ended[1].Arrived {
		t.Errorf("got events out of order: %+v", ended)
	}
}

func TestCloseAndReopen(t *testing.T) {
	node, cl := pair(t, Client{})
	node.Script(Rule{Method: "engine_newPayload", Hang: true})
	chain := Chain(4, 1, nil)
	cl.ForkchoiceUpdated(t.Context(), chain[0], nil)

	hung := make(chan error)
	go func() {
		_, err := cl.NewPayload(t.Context(), chain[0])
		hung <- err
	}()
	node.Wait("engine_newPayload", 1)
	node.Close()
	if err := <-hung; err == nil {
		t.Error("a call that hung when the node closed got an answer")
	}
	if calls := node.CallsOf("engine_newPayload"); !calls[0].Gone {
		t.Errorf("got %+v, want a call without an answer", calls[0])
	}
	if _, err := cl.Call(t.Context(), "eth_syncing"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want connection refused", err)
	}

	node.Reopen()
	var block struct{ Hash string }
	raw, err := cl.Call(t.Context(), "eth_getBlockByNumber", "latest", false)
	if json.Unmarshal(raw, &block); err != nil || block.Hash != chain[0].Hash() {
		t.Errorf("got %s, %v, want the head from before", raw, err)
	}
}

func TestNothingIsLeftRunning(t *testing.T) {
	t.Run("calls of all kinds", func(t *testing.T) {
		node, cl := pair(t, Client{})
		node.Script(Rule{Method: "eth_syncing", Hang: true})
		node.Script(Rule{Method: "eth_chainId", Fault: Flood})
		node.Script(Rule{Method: "net_version", Fault: Endless})
		for _, method := range []string{"eth_syncing", "eth_chainId", "net_version"} {
			go cl.Call(context.Background(), method) // ended by the node, not by the caller
			node.Wait(method, 1)
		}
	})
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if strings.Contains(string(stacks), "enginetest.(*Node)") {
		t.Errorf("the node's goroutines outlive its test:\n%s", stacks)
	}
}
