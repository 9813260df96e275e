package app_test

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// multiplexer is an ExecutionBackup in this process with what these tests ask of it.
type multiplexer struct{ *apptest.Multiplexer }

// clSecret is the secret that the CL shares with us, and with no node.
var clSecret = hex.EncodeToString(apptest.CLSecret)

// start runs an ExecutionBackup before the nodes and waits until all of them have been probed. change, where it isn't
// nil, changes the configuration.
func start(t testing.TB, nodes []apptest.Node, change func(*config.Config)) *multiplexer {
	t.Helper()
	m := run(t, nodes, change)
	m.WaitReady(t)
	return m
}

// startLed is start with n1 as the primary. Without it the primary is whichever node is probed first.
func startLed(t testing.TB, nodes []apptest.Node, change func(*config.Config)) *multiplexer {
	t.Helper()
	syncing := func(is bool) {
		for _, n := range nodes[1:] {
			n.Fake.Update(func(c *enginetest.Client) { c.Syncing = is })
		}
	}
	syncing(true)
	m := start(t, nodes, change)
	syncing(false)
	m.Recheck(t)
	return m
}

// run is start without waiting for the probes.
func run(t testing.TB, nodes []apptest.Node, change func(*config.Config)) *multiplexer {
	t.Helper()
	return &multiplexer{apptest.Run(t, options(nodes, change))}
}

// options open the REST API, replay nothing and log all.
func options(nodes []apptest.Node, change func(*config.Config)) apptest.Options {
	return apptest.Options{Nodes: nodes, Change: change, Settings: map[string]string{
		"open-admin": "true", "replay-bytes": "0", "log-level": "debug",
	}}
}

// parsed returns the nodes as a configuration has them.
func parsed(t testing.TB, nodes []apptest.Node) []config.Node {
	t.Helper()
	return apptest.Configuration(t, options(nodes, nil)).Nodes
}

func secret(t testing.TB, text string) auth.Secret {
	t.Helper()
	s, err := auth.ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// must is ChangeNodes where it has to succeed.
func (m *multiplexer) must(t testing.TB, path string, nodes ...string) {
	t.Helper()
	if got := m.ChangeNodes(t, path, nodes...); got.Status != http.StatusOK {
		t.Fatalf("POST %s %v: %+v", path, nodes, got)
	}
}

// fails lets a node answer a method with an error, until the result is called.
func fails(n *enginetest.Node, method string, code int, message string) (undo func()) {
	return n.Script(enginetest.Rule{Method: method, Error: &enginetest.RPCError{Code: code, Message: message}})
}

// vote is what GET /blocks says of a node's part in a newPayload.
type vote struct{ Node, Status, Vote string }

// said returns what a node said to the last newPayload of a block.
func (m *multiplexer) said(t testing.TB, block enginetest.Payload, name string) vote {
	t.Helper()
	var blocks []struct {
		Hash  string
		Votes []vote
	}
	m.Get(t, "/blocks", &blocks)
	for _, b := range slices.Backward(blocks) {
		for _, v := range b.Votes {
			if b.Hash == block.Hash() && v.Node == name {
				return v
			}
		}
	}
	t.Fatalf("/blocks has nothing from %s on %s", name, block.Hash())
	return vote{}
}

// newPayload sends a payload and returns the status that the CL hears.
func (m *multiplexer) newPayload(t testing.TB, p enginetest.Payload) enginetest.Status {
	t.Helper()
	s, err := m.NewPayload(t.Context(), p)
	if err != nil {
		t.Fatalf("newPayload: %v", err)
	}
	return s
}

// prove lets nodes call VALID a payload of another chain than the test's, which takes one newPayload. A node that has
// never called anything VALID may not object where another has, and INVALID takes two that have.
func (m *multiplexer) prove(t testing.TB, nodes ...*enginetest.Node) {
	t.Helper()
	other := enginetest.Chain(4, 1, func(p *enginetest.Payload) { p.ExtraData = []byte("proof") })[0]
	for _, n := range nodes {
		defer n.Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: other.Hash(), Status: "VALID"})()
	}
	m.hears(t, "VALID", "engine_newPayload", other)
	apptest.Until(t, "all have proved themselves", func() bool {
		states := m.Nodes(t)
		return !slices.ContainsFunc(nodes, func(n *enginetest.Node) bool {
			return !slices.ContainsFunc(states, func(s apptest.NodeState) bool {
				return strings.HasPrefix(s.URL, n.URL) && s.Qualified
			})
		})
	})
}

// awaitProof waits until a node may object: nobody waits for its VALID to the last payload, and who may object is
// settled when the next call begins.
func (m *multiplexer) awaitProof(t testing.TB, name string) {
	t.Helper()
	apptest.Until(t, name+" may object", func() bool { return m.Node(t, name).Qualified })
}

// awaitAlive waits until nodes are alive: on a busy machine a node may have let the time of its first probe go by.
func (m *multiplexer) awaitAlive(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		apptest.Until(t, name+" is alive", func() bool { return m.Node(t, name).State == "alive" })
	}
}

// forkchoice makes a payload the head and returns the status that the CL hears.
func (m *multiplexer) forkchoice(t testing.TB, head enginetest.Payload) enginetest.Status {
	t.Helper()
	s, err := m.ForkchoiceUpdated(t.Context(), head, nil)
	if err != nil {
		t.Fatalf("forkchoiceUpdated: %v", err)
	}
	return s
}

// call makes a call and returns the result as it came, or "error" with the code and the message of a JSON-RPC error.
func (m *multiplexer) call(t testing.TB, method string, params ...any) string {
	t.Helper()
	result, err := m.Call(t.Context(), method, params...)
	if failure, ok := err.(*enginetest.RPCError); ok {
		return fmt.Sprintf("error %d: %s", failure.Code, failure.Message)
	}
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return string(result)
}

// say posts a body as it is and returns the answer.
func (m *multiplexer) say(t testing.TB, body string) string {
	t.Helper()
	status, _, got, err := m.Post(t.Context(), []byte(body))
	if err != nil || status != http.StatusOK {
		t.Fatalf("%s: HTTP %d %s, %v", body, status, got, err)
	}
	return string(got)
}

// later does something beside the test. What comes of it comes over the channel, or nothing if it fails the test.
func later[T any](do func() T) <-chan T {
	outcome := make(chan T, 1)
	go func() {
		defer close(outcome)
		outcome <- do()
	}()
	return outcome
}
