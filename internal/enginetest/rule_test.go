package enginetest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStatusOfOneBlock(t *testing.T) {
	node, cl := pair(t, Client{})
	chain := Chain(4, 2, nil)
	forgive := node.Script(Rule{
		Method: "engine_newPayload", BlockHash: chain[1].Hash(),
		Status: "INVALID", LatestValidHash: chain[0].Hash(), ValidationError: `gas "used"`,
	})
	status, err := cl.NewPayload(t.Context(), chain[0])
	want(t, status, err, Status{Status: "VALID", LatestValidHash: chain[0].Hash()})
	status, err = cl.NewPayload(t.Context(), chain[1])
	want(t, status, err, Status{Status: "INVALID", LatestValidHash: chain[0].Hash(), ValidationError: `gas "used"`})
	status, err = cl.ForkchoiceUpdated(t.Context(), chain[1], nil)
	want(t, status, err, Status{Status: "VALID", LatestValidHash: chain[1].Hash()})

	forgive()
	status, err = cl.NewPayload(t.Context(), chain[1])
	want(t, status, err, Status{Status: "VALID", LatestValidHash: chain[1].Hash()})
}

func TestStatusOfEverything(t *testing.T) {
	node, cl := pair(t, Client{})
	node.Script(Rule{Status: "SYNCING"})
	head := Chain(4, 1, nil)[0]
	status, err := cl.ForkchoiceUpdated(t.Context(), head, head.Attributes())
	want(t, status, err, Status{Status: "SYNCING"})
	wantCall(t, cl, `"0x0"`, "eth_blockNumber") // the node has not executed the call

	node.Script(Rule{Status: "VALID"})
	status, err = cl.ForkchoiceUpdated(t.Context(), head, head.Attributes())
	if err != nil || status.Status != "VALID" || status.PayloadID == "" {
		t.Errorf("got %+v, %v, want VALID with a payload id", status, err)
	}
}

func TestLatestRuleWinsForItsTimes(t *testing.T) {
	node, cl := pair(t, Client{})
	node.Script(Rule{Method: "eth_", Result: `"older"`})
	busy := &RPCError{Code: -32005, Message: "busy", Data: json.RawMessage(`{"err":"x"}`)}
	node.Script(Rule{Method: "eth_chainId", Times: 2, Error: busy})

	for range 2 {
		_, err := cl.Call(t.Context(), "eth_chainId")
		var got *RPCError
		if !errors.As(err, &got) || !reflect.DeepEqual(got, busy) || got.Error() != "busy (code -32005)" {
			t.Errorf("got %v, want %+v", err, busy)
		}
	}
	wantCall(t, cl, `"older"`, "eth_chainId")
	wantCall(t, cl, `"1"`, "net_version")
}

func TestShareOfTheCalls(t *testing.T) {
	node, cl := pair(t, Client{})
	node.Script(Rule{Method: "eth_chainId", Share: 0.3, Result: `"0x5"`})
	const calls = 400
	lies := 0
	for range calls {
		result, err := cl.Call(t.Context(), "eth_chainId")
		if err != nil {
			t.Fatal(err)
		}
		if string(result) == `"0x5"` {
			lies++
		}
	}
	// Ten standard deviations off happens never.
	if lies < calls*7/100 || lies > calls*53/100 {
		t.Errorf("the rule applied to %d of %d calls, want about 30 %%", lies, calls)
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, method string
		want            bool
	}{
		{"", "eth_syncing", true},
		{"engine_", "engine_getPayloadV4", true},
		{"engine_getPayload", "engine_getPayloadV4", true},
		{"engine_getPayloadV4", "engine_getPayloadV4", true},
		{"engine_getPayloadV3", "engine_getPayloadV4", false},
		{"engine_getPayload", "engine_getPayloadBodiesByHashV1", false},
		{"eth_getBlock", "eth_getBlockByNumber", false},
	} {
		if got := matches(c.pattern, c.method); got != c.want {
			t.Errorf("%q covers %s: got %t", c.pattern, c.method, got)
		}
	}
}

func TestExtraMembers(t *testing.T) {
	node, cl := pair(t, Client{})
	p := Chain(4, 1, nil)[0]
	node.Script(Rule{Status: "INVALID", Extra: `"inclusionListSatisfied":true,"Status":"VALID"`})
	wantCall(t, cl,
		`{"status":"INVALID","latestValidHash":null,"validationError":null,`+
			`"inclusionListSatisfied":true,"Status":"VALID"}`,
		"engine_newPayloadV4", p.Params()...)
}

func TestDelayEndsWithTheCaller(t *testing.T) {
	node, cl := pair(t, Client{})
	node.Script(Rule{Method: "eth_chainId", Delay: 20 * time.Millisecond, Times: 1})
	start := time.Now()
	wantCall(t, cl, `"0x1"`, "eth_chainId")
	if got := time.Since(start); got < 20*time.Millisecond {
		t.Errorf("answered after %v, want 20ms", got)
	}

	node.Script(Rule{Method: "eth_chainId", Delay: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := cl.Call(ctx, "eth_chainId")
		done <- err
	}()
	node.Wait("eth_chainId", 2)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a cancelled call", err)
	}
	if calls := node.WaitEnded("eth_chainId", 2); calls[0].Gone || !calls[1].Gone {
		t.Errorf("got %+v, want the second without an answer", calls)
	}
}

func TestWholeReplies(t *testing.T) {
	node, cl := pair(t, Client{})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":"zipped"}`))
	z.Close()

	node.Script(Rule{Times: 1, Reply: &Reply{Header: http.Header{"Content-Encoding": {"gzip"}}, Body: zipped.String()}})
	wantCall(t, cl, `"zipped"`, "eth_chainId")

	node.Script(Rule{Times: 1, Reply: &Reply{Body: `{"jsonrpc":"2.0","id":$ID,"result":1,"result":2}`}})
	_, _, body, err := cl.Post(t.Context(), []byte(`{"jsonrpc":"2.0","id":"x","method":"eth_chainId"}`))
	if want := `{"jsonrpc":"2.0","id":"x","result":1,"result":2}`; err != nil || string(body) != want {
		t.Errorf("got %s, %v, want %s", body, err, want)
	}

	node.Script(Rule{
		Times: 1, Reply: &Reply{Status: 503, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<html>"},
	})
	status, header, body, err := cl.Post(t.Context(), []byte(`{}`))
	if err != nil || status != 503 || header.Get("Content-Type") != "text/html" || string(body) != "<html>" {
		t.Errorf("got %d %v %s, %v, want the 503 of the script", status, header, body, err)
	}

	node.Script(Rule{Times: 1, Reply: &Reply{Header: http.Header{"Content-Length": {"1000"}}, Body: "{}"}})
	if _, _, _, err = cl.Post(t.Context(), []byte(`{}`)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want an unexpected end", err)
	}

	node.Script(Rule{Times: 1, Reply: &Reply{Body: "\x00garbage"}})
	if _, err = cl.Call(t.Context(), "eth_chainId"); err == nil || !strings.HasPrefix(err.Error(), "malformed answer") {
		t.Errorf("got %v, want a malformed answer", err)
	}
}

func TestFaults(t *testing.T) {
	node, cl := pair(t, Client{})
	request := []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}`)
	const answer = `{"jsonrpc":"2.0","id":1,"result":"0x1"}` + "\n"
	for _, c := range []struct {
		name  string
		fault Fault
		err   error
		body  string
	}{
		{"reset", Reset, syscall.ECONNRESET, ""},
		{"hangup", Hangup, io.EOF, ""},
		{"truncated", Truncated, io.ErrUnexpectedEOF, answer[:len(answer)/2]},
		{"drip", Drip, nil, answer},
	} {
		node.Script(Rule{Fault: c.fault})
		_, _, body, err := cl.Post(t.Context(), request)
		if !errors.Is(err, c.err) || string(body) != c.body {
			t.Errorf("%s: got %q, %v, want %q, %v", c.name, body, err, c.body, c.err)
		}
	}

	// Whether the first half gets through before the reset is the kernel's choice.
	node.Script(Rule{Fault: ResetMidway})
	_, _, body, err := cl.Post(t.Context(), request)
	if !errors.Is(err, syscall.ECONNRESET) || !strings.HasPrefix(answer, string(body)) {
		t.Errorf("reset midway: got %q, %v", body, err)
	}
}

func TestAnswersWithoutAnEnd(t *testing.T) {
	node := New(t, Client{})
	for _, c := range []struct {
		fault Fault
		size  int
	}{{Endless, 100}, {Flood, 1 << 20}} {
		node.Script(Rule{Fault: c.fault})
		req, _ := http.NewRequest("POST", node.URL,
			strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}`))
		req.Header.Set("Authorization", "Bearer "+Token(node.Secret, time.Now()))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, c.size)
		if _, err := io.ReadFull(resp.Body, body); err != nil ||
			!bytes.HasPrefix(body, []byte(`{"jsonrpc":"2.0","id":1,"result":"0x1"}`)) ||
			!bytes.HasSuffix(body, []byte("  ")) {
			t.Errorf("fault %d: got %.60q, %v, want an answer and white space", c.fault, body, err)
		}
		resp.Body.Close()
	}
}

func TestRuleInABatch(t *testing.T) {
	node, cl := pair(t, Client{})
	batch := []byte(`[{"jsonrpc":"2.0","id":1,"method":"eth_chainId"},{"jsonrpc":"2.0","id":2,"method":"net_version"}]`)
	node.Script(Rule{Method: "net_version", Result: `"7"`})
	_, _, body, err := cl.Post(t.Context(), batch)
	want := `[{"jsonrpc":"2.0","id":1,"result":"0x1"},{"jsonrpc":"2.0","id":2,"result":"7"}]` + "\n"
	if err != nil || string(body) != want {
		t.Errorf("got %s, %v, want %s", body, err, want)
	}

	node.Script(Rule{Method: "net_version", Reply: &Reply{Status: 500}})
	if status, _, _, err := cl.Post(t.Context(), batch); err != nil || status != 500 {
		t.Errorf("got %d, %v, want the whole batch to fail with 500", status, err)
	}
}
