package identity

import (
	"slices"
	"testing"
)

// Which client a node runs is told by engine_getClientVersionV1, else by web3_clientVersion, for all who ask.
func TestIdentity(t *testing.T) {
	geth := []ClientVersion{{Code: "GE", Name: "go-ethereum", Version: "1.17.1", Commit: "abcdef01"}}
	for _, c := range []struct {
		info                           Info
		label, exactly, implementation string
	}{
		{Info{}, "", "", ""},
		{Info{Client: "Geth/v1.17.1/linux/go1.26"}, "Geth/v1.17.1", "Geth/v1.17.1/linux/go1.26", "geth"},
		{Info{Client: "Reth"}, "Reth", "Reth", "reth"},
		{Info{Client: "Geth/v1/linux", Clients: geth}, "go-ethereum/1.17.1", "go-ethereum/1.17.1/abcdef01", "GE"},
		{Info{Client: "Geth/v1", Clients: []ClientVersion{{Name: "x"}}}, "x", "x//", "geth"},
	} {
		if got := c.info.Label(); got != c.label {
			t.Errorf("%+v: the label is %q, want %q", c.info, got, c.label)
		}
		if got := c.info.Exactly(); got != c.exactly {
			t.Errorf("%+v: exactly %q, want %q", c.info, got, c.exactly)
		}
		if got := c.info.Implementation(); got != c.implementation {
			t.Errorf("%+v: the implementation is %q, want %q", c.info, got, c.implementation)
		}
	}
}

// What wasn't known can't have changed.
func TestIsAnotherClient(t *testing.T) {
	one, other := []ClientVersion{{Version: "1"}}, []ClientVersion{{Version: "2"}}
	for _, c := range []struct {
		was, is Info
		want    bool
	}{
		{Info{}, Info{Client: "Geth/v1", Clients: one}, false},
		{Info{Client: "Geth/v1"}, Info{Client: "Geth/v1"}, false},
		{Info{Client: "Geth/v1"}, Info{Client: "Geth/v2"}, true},
		{Info{Clients: one}, Info{Clients: other}, true},
		{Info{Clients: one}, Info{Clients: one, Client: "Geth/v1"}, false},
	} {
		if got := c.is.IsAnotherClient(&c.was); got != c.want {
			t.Errorf("%+v after %+v: %t", c.is, c.was, got)
		}
	}
}

// The methods of all nodes, each once; a name without a version only where no versions of it are listed.
func TestMethods(t *testing.T) {
	infos := []Info{
		{Capabilities: []string{"engine_newPayloadV4", "engine_newPayload", "eth_call", "engine_exchangeCapabilities"}},
		{},
		{Capabilities: []string{"engine_hasBlobs", "engine_newPayloadV4", "engine_newPayloadV5"}},
	}
	union := Methods(infos)
	want := []string{"engine_newPayloadV4", "engine_hasBlobs", "engine_newPayloadV5"}
	if !slices.Equal(union, want) {
		t.Errorf("got %v, want %v", union, want)
	}
	for i, want := range [][]string{{"engine_hasBlobs", "engine_newPayloadV5"}, nil, {}} {
		if got := infos[i].Lacks(union); !slices.Equal(got, want) {
			t.Errorf("node %d lacks %v, want %v", i+1, got, want)
		}
	}
	words := []string{"engine_hasBlobs", "engine_newPayloadV5 (Amsterdam)"}
	if got := infos[0].Lacking(union); !slices.Equal(got, words) {
		t.Errorf("the first node lacks %v, want %v", got, words)
	}
}
