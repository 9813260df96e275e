package enginetest

import (
	"strings"
	"testing"
	"time"
)

func TestCLNumbersItsCallsAndChecksTheAnswers(t *testing.T) {
	node, cl := pair(t, Client{})
	cl.Call(t.Context(), "eth_syncing")
	cl.Call(t.Context(), "eth_syncing")
	if got := string(node.Calls()[1].ID); got != "2" {
		t.Errorf("got the id %s, want 2", got)
	}
	for body, want := range map[string]string{
		`{"jsonrpc":"2.0","id":99,"result":1}`:                        "answer with version",
		`{"jsonrpc":"2.0","id":$ID}`:                                  "answer without exactly one",
		`{"jsonrpc":"2.0","id":$ID,"result":1,"error":{"code":-1}}`:   "answer without exactly one",
		`{"jsonrpc":"1.0","id":$ID,"result":1}`:                       "answer with version",
		`[{"jsonrpc":"2.0","id":$ID,"result":"an array of answers"}]`: "malformed answer",
	} {
		node.Script(Rule{Reply: &Reply{Body: body}})
		if _, err := cl.Call(t.Context(), "eth_syncing"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", body, err, want)
		}
	}
}

func TestCLSendsTheTokenItIsTold(t *testing.T) {
	_, cl := pair(t, Client{})
	cl.Token = func() string { return Token(cl.Secret, time.Now().Add(-time.Hour)) }
	_, err := cl.Call(t.Context(), "eth_syncing")
	if err == nil || !strings.HasPrefix(err.Error(), "http status 401: token issued") {
		t.Errorf("stale token: got %v, want 401", err)
	}
	cl.Token = func() string { return "" }
	if _, err := cl.Call(t.Context(), "eth_syncing"); err == nil || err.Error() != "http status 401: no token" {
		t.Errorf("no token: got %v, want 401", err)
	}
}
