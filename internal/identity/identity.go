// Package identity is what nodes say of who they are: the chain, the client, the methods. All of it is pure.
package identity

import (
	"fmt"
	"slices"
	"strings"

	"executionbackup/internal/engine"
)

// Info is what a node told us about itself.
type Info struct {
	ChainID      string          // eth_chainId; "" where it wasn't told
	Genesis      string          // hash of block 0; "" where it wasn't told
	Clients      []ClientVersion // engine_getClientVersionV1
	Client       string          // web3_clientVersion; "" where it wasn't told
	Capabilities []string        // engine_exchangeCapabilities; nil where it wasn't told
}

// ClientVersion is one entry of engine_getClientVersionV1 (identification.md#clientversionv1).
type ClientVersion struct {
	Code    string `json:"code"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
}

// Identity is the one answer to which client a node runs: the first entry of engine_getClientVersionV1, else what
// web3_clientVersion says before its platform ("Geth/v1.17.1/linux/go1.26").
func (i *Info) Identity() ClientVersion {
	if len(i.Clients) > 0 {
		return i.Clients[0]
	}
	name, rest, _ := strings.Cut(i.Client, "/")
	version, _, _ := strings.Cut(rest, "/")
	return ClientVersion{Name: name, Version: version}
}

// Label names the client and its version for people; "" where they aren't known.
func (i *Info) Label() string {
	c := i.Identity()
	return strings.Trim(c.Name+"/"+c.Version, "/")
}

// Exactly names the client as exactly as it says: with the commit that it was built from, or with its platform.
func (i *Info) Exactly() string {
	if len(i.Clients) == 0 {
		return i.Client
	}
	c := i.Identity()
	return c.Name + "/" + c.Version + "/" + c.Commit
}

// Implementation names the client for --vote-by=client: its code, else its name in web3_clientVersion, else "".
func (i *Info) Implementation() string {
	if c := i.Identity(); c.Code != "" {
		return c.Code
	}
	name, _, _ := strings.Cut(i.Client, "/")
	return strings.ToLower(name)
}

// IsAnotherClient reports whether the node has told of another client, or another version of it, than it did before.
// What it hadn't told can't have changed.
func (i *Info) IsAnotherClient(was *Info) bool {
	return was.Client != "" && i.Client != was.Client || len(was.Clients) > 0 && !slices.Equal(i.Clients, was.Clients)
}

// maxClients is how many entries of engine_getClientVersionV1 are kept: a multiplexer behind us has some.
const maxClients = 16

// Clipped returns as much of what a node says of who it is as is kept: the first entries, and an excerpt of each text.
func Clipped(clients []ClientVersion) []ClientVersion {
	var clipped []ClientVersion
	for _, c := range clients[:min(len(clients), maxClients)] {
		clipped = append(clipped, ClientVersion{
			engine.Excerpt(c.Code), engine.Excerpt(c.Name), engine.Excerpt(c.Version), engine.Excerpt(c.Commit),
		})
	}
	return clipped
}

// Methods is the union of the engine methods that nodes have listed, in the nodes' order.
func Methods(infos []Info) []string {
	var union []string
	versioned := make(map[string]bool) // names, without the version, of methods that have one
	for _, info := range infos {
		for _, method := range info.Capabilities {
			m := engine.ParseMethod(method)
			if m.Namespace() != "engine" || m.Family == engine.ExchangeCapabilities || slices.Contains(union, method) {
				continue
			}
			if m.Version > 0 {
				versioned[method[:strings.LastIndexByte(method, 'V')]] = true
			}
			union = append(union, method)
		}
	}
	// Some clients list such a name without a version, too: that is no method.
	return slices.DeleteFunc(union, func(method string) bool { return versioned[method] })
}

// Lacks returns the methods of the union that the node doesn't have; none where it hasn't said which it has.
func (i *Info) Lacks(union []string) []string {
	if len(i.Capabilities) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(union), func(m string) bool { return slices.Contains(i.Capabilities, m) })
}

// Lacking is Lacks for people: see engine.Method.Label.
func (i *Info) Lacking(union []string) []string {
	lacks := i.Lacks(union)
	for n, method := range lacks {
		lacks[n] = engine.ParseMethod(method).Label()
	}
	return lacks
}

// Chain is which one a node is on, as it says. Nodes are on the same one if both are equal.
type Chain struct{ ID, Genesis string }

// String names the chain for people.
func (c Chain) String() string { return fmt.Sprintf("chain id %s, genesis %s", c.ID, c.Genesis) }

// Chain returns what the node is on, and whether it has told all of it.
func (i *Info) Chain() (c Chain, known bool) {
	return Chain{i.ChainID, i.Genesis}, i.ChainID != "" && i.Genesis != ""
}
