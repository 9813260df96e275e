package enginetest

import (
	"strings"
	"testing"
)

func TestProxyLiesAboutAStatus(t *testing.T) {
	real := New(t, Client{Strict: true})
	liar := Proxy(t, real.URL, real.Secret)
	cl := NewCL(t, liar.URL, liar.Secret)
	chain := Chain(4, 2, nil)

	liar.Script(Rule{Method: "engine_newPayload", BlockHash: chain[0].Hash(), Status: "INVALID", ValidationError: "no"})
	status, err := cl.NewPayload(t.Context(), chain[0])
	want(t, status, err, Status{Status: "INVALID", ValidationError: "no"})

	// The real client has executed it: its child is no news.
	status, err = cl.NewPayload(t.Context(), chain[1])
	want(t, status, err, Status{Status: "VALID", LatestValidHash: chain[1].Hash()})

	honest, err := cl.ForkchoiceUpdated(t.Context(), chain[1], chain[1].Attributes())
	if err != nil || honest.PayloadID == "" {
		t.Fatalf("got %+v, %v, want a payload id", honest, err)
	}
	liar.Script(Rule{Method: "engine_forkchoiceUpdated", Status: "VALID", LatestValidHash: GenesisHash})
	status, err = cl.ForkchoiceUpdated(t.Context(), chain[1], chain[1].Attributes())
	want(t, status, err, Status{Status: "VALID", LatestValidHash: GenesisHash, PayloadID: honest.PayloadID})
	liar.Script(Rule{Method: "engine_forkchoiceUpdated", Status: "SYNCING"})
	status, err = cl.ForkchoiceUpdated(t.Context(), chain[1], chain[1].Attributes())
	want(t, status, err, Status{Status: "SYNCING"})
}

func TestProxyDropsAndHolds(t *testing.T) {
	real := New(t, Client{})
	liar := Proxy(t, real.URL, real.Secret)
	cl := NewCL(t, liar.URL, liar.Secret)

	liar.Script(Rule{Times: 1, Fault: Reset})
	if _, err := cl.Call(t.Context(), "eth_syncing"); err == nil {
		t.Error("a dropped call got an answer")
	}
	liar.Script(Rule{Method: "eth_chainId", Result: `"0x5"`})
	wantCall(t, cl, `"0x5"`, "eth_chainId")
	if calls := real.Calls(); len(calls) != 0 {
		t.Errorf("got %+v, want nothing at the real client", calls)
	}

	release := liar.Script(Rule{Method: "net_version", Hang: true})
	done := make(chan error, 1)
	go func() {
		_, err := cl.Call(t.Context(), "net_version")
		done <- err
	}()
	liar.Wait("net_version", 1)
	if calls := real.Calls(); len(calls) != 0 {
		t.Errorf("got %+v, want nothing at the real client while the call hangs", calls)
	}
	release()
	if err := <-done; err != nil || len(real.CallsOf("net_version")) != 1 {
		t.Errorf("got %v and %d calls at the real client, want 1", err, len(real.CallsOf("net_version")))
	}
}

func TestProxyPassesOnWhatItFinds(t *testing.T) {
	real := New(t, Client{})
	liar := Proxy(t, real.URL, real.Secret)
	cl := NewCL(t, liar.URL, liar.Secret)

	wantCall(t, cl, `false`, "eth_syncing")
	_, err := cl.Call(t.Context(), "engine_unheardOf")
	wantCode(t, err, -32601)
	_, _, body, err := cl.Post(t.Context(), []byte(`[5,{"jsonrpc":"2.0","id":"a","method":"eth_syncing"}]`))
	if err != nil || !strings.Contains(string(body), `{"jsonrpc":"2.0","id":"a","result":false}]`) {
		t.Errorf("got %s, %v", body, err)
	}

	real.Script(Rule{Reply: &Reply{Status: 403, Body: "forbidden"}})
	if status, _, body, err := cl.Post(t.Context(), []byte(`{}`)); err != nil || status != 403 ||
		string(body) != "forbidden" {
		t.Errorf("got %d %s, %v, want the real client's 403", status, body, err)
	}
	real.Close()
	if _, err := cl.Call(t.Context(), "eth_syncing"); err == nil {
		t.Error("got an answer without a real client")
	}
	if calls := liar.Calls(); !calls[len(calls)-1].Gone {
		t.Errorf("got %+v, want a call without an answer", calls[len(calls)-1])
	}
}
