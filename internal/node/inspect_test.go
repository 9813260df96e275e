package node_test

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/memory"
	"executionbackup/internal/node"
)

// unwatched returns a pool of nodes that nobody probes. Their names are n1, n2, ….
func unwatched(t *testing.T, nodes ...*enginetest.Node) *node.Pool {
	t.Helper()
	var specs []config.Node
	for i, n := range nodes {
		u, err := url.Parse(n.URL)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := auth.ParseSecret(hex.EncodeToString(n.Secret))
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("n%d", i+1)
		specs = append(specs, config.Node{URL: u, Name: name, Secret: secret, Timeout: 5 * time.Second})
	}
	return node.NewPool(specs, node.Options{
		Memory:  memory.New(1),
		Metrics: node.NewMetrics(prometheus.NewRegistry()),
		Log:     slog.New(slog.DiscardHandler),
	})
}

// An inspection asks all there is to ask, in order, up to what isn't answered. What is the matter with an answer is
// told, and keeps nothing else from being asked.
func TestInspect(t *testing.T) {
	const all = "eth_chainId eth_getBlockByNumber engine_getClientVersionV1 web3_clientVersion " +
		"eth_syncing engine_exchangeCapabilities eth_getBlockByNumber eth_config"
	forks := enginetest.Rule{Method: "eth_config", Result: `{"current":null,"next":null,"last":null}`}
	for _, test := range []struct {
		name  string
		spoil func(*enginetest.Node)
		asked string
		errs  string // those that aren't nil
		state string
	}{
		{"good", func(n *enginetest.Node) { n.Script(forks) }, all, "", "alive"},
		{"gone", (*enginetest.Node).Close, "eth_chainId", "no connection: connection refused", "dead"},
		{"no Engine API", func(n *enginetest.Node) {
			n.Script(enginetest.Rule{Method: "engine_", Error: &enginetest.RPCError{Code: -32601, Message: "no"}})
			n.Script(forks)
		}, all, "no (-32601); no (-32601)", "alive"},
		{"nonsense", func(n *enginetest.Node) { n.Script(enginetest.Rule{Result: `17`}) }, all,
			"unexpected result; unexpected result; unexpected result; unexpected result; unexpected result; " +
				"its latest block: json: cannot unmarshal number", "syncing"},
		{"no HTTP answer to one", func(n *enginetest.Node) {
			n.Script(enginetest.Rule{Method: "eth_syncing", Reply: &enginetest.Reply{Status: 500}})
		}, all[:strings.Index(all, " engine_exchangeCapabilities")], "HTTP 500 instead of an answer", "dead"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			fake := enginetest.New(t, enginetest.Client{})
			test.spoil(fake)
			n := unwatched(t, fake).Nodes()[0]
			var asked, errs []string
			for _, a := range n.Inspect(t.Context()) {
				asked = append(asked, a.Method)
				if a.Err != nil {
					errs = append(errs, a.Err.Error())
				}
			}
			if got := strings.Join(asked, " "); got != test.asked {
				t.Errorf("asked %s\nwant  %s", got, test.asked)
			}
			if got := strings.Join(errs, "; "); !strings.HasPrefix(got, test.errs) || (got == "") != (test.errs == "") {
				t.Errorf("errors: got %s\nwant %s", got, test.errs)
			}
			if got := n.Status().State.String(); got != test.state {
				t.Errorf("it is %s, want %s", got, test.state)
			}
		})
	}
}

// What a node tells when it is inspected is known of it afterwards, and its chain is judged.
func TestInspected(t *testing.T) {
	pool := unwatched(t, enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{}),
		enginetest.New(t, enginetest.Client{ChainID: 5}))
	for _, n := range pool.Nodes() {
		n.Inspect(t.Context())
	}
	for i, n := range pool.Nodes() {
		s := n.Status()
		if !slices.Contains(s.Info.Capabilities, "engine_newPayloadV4") || s.Info.Label() != "geth/v1.17.10" {
			t.Errorf("%s: got %+v", n.Name(), s.Info)
		}
		if n.Head() == (node.Head{}) {
			t.Errorf("%s: its head isn't known", n.Name())
		}
		if s.WrongChain != (i == 2) {
			t.Errorf("%s: on the wrong chain: %t: %s", n.Name(), s.WrongChain, s.Reason)
		}
	}
	if home := pool.Home(); len(home) != 1 || home[0].ID != "0x1" {
		t.Errorf("got home %v, want chain 0x1", home)
	}
}
