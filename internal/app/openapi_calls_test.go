package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// conversation tries what docs/openapi.yaml has, and notes what was tried.
type conversation struct {
	t    *testing.T
	doc  openAPI
	seen map[string]bool // "GET /nodes 200"
}

// try makes a request whose answer must have the status, and be what is documented of the path.
func (c *conversation) try(m *multiplexer, status int, operation, path, body string, header ...string) {
	c.t.Helper()
	var method, documented string
	fmt.Sscan(operation, &method, &documented)
	got := m.REST(c.t, method, path, body, header...)
	if got.Status != status {
		c.t.Errorf("%s %s: got HTTP %d %s, want %d", method, path, got.Status, got.Body, status)
	} else if err := c.doc.check(method, documented, got); err != nil {
		c.t.Errorf("%s %s: %v", method, path, err)
	}
	c.seen[fmt.Sprintf("%s %s %d", method, documented, status)] = true
}

// Every operation that docs/openapi.yaml has answers as it says, with every status that it says.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	token, err := auth.ParseAdminToken("the-token-of-this-test")
	if err != nil {
		t.Fatal(err)
	}
	nodes := three(t)
	nodes[2].Update(func(c *enginetest.Client) { c.Syncing = true })
	nodes[0].TellForks(osaka, amsterdam(time.Hour))
	nodes[1].TellForks(osaka)
	dead := enginetest.New(t, enginetest.Client{})
	dead.Close()
	_, record := recording(t)
	guarded := start(t, apptest.Fakes(append(nodes, dead)...), func(c *config.Config) {
		record(c)
		c.OpenAdmin, c.AdminToken, c.MaxBody = false, token, 8<<10
	})
	guarded.awaitAlive(t, "n1", "n2")
	closed := start(t, apptest.Fakes(three(t)...), func(c *config.Config) { c.OpenAdmin = false })

	c := &conversation{t, readOpenAPI(t), make(map[string]bool)}
	file := c.disagree(guarded, nodes[1])
	for _, path := range []string{
		"/metrics", "/recheck", "/nodes", "/status", "/forks", "/blocks", "/disputes", "/proposals", "/evidence",
		"/healthz", "/readyz", "/config",
	} {
		c.try(guarded, 200, "GET "+path, path, "")
	}
	c.try(guarded, 200, "GET /readyz", "/readyz?voters=1", "")
	c.try(guarded, 503, "GET /readyz", "/readyz?voters=9", "")
	c.try(guarded, 400, "GET /readyz", "/readyz?voters=many", "")
	c.try(guarded, 200, "GET /metrics", "/metrics?format=prometheus", "")
	c.try(guarded, 200, "GET /metrics", "/metrics", "", "Accept", "application/openmetrics-text")

	const evidenceFile = "GET /evidence/{file}"
	c.try(guarded, 200, evidenceFile, "/evidence/"+file, "", "Authorization", token.Bearer())
	c.try(guarded, 404, evidenceFile, "/evidence/none", "", "Authorization", token.Bearer())
	c.try(guarded, 401, evidenceFile, "/evidence/"+file, "")
	c.try(closed, 403, evidenceFile, "/evidence/"+file, "")
	const profiles = "GET /debug/pprof/"
	c.try(guarded, 200, profiles, "/debug/pprof/", "", "Authorization", token.Bearer())
	c.try(guarded, 401, profiles, "/debug/pprof/", "")
	c.try(closed, 403, profiles, "/debug/pprof/", "")
	for _, change := range []struct{ path, node string }{
		{"/add_nodes", nodes[0].URL + "/x#name=x#jwt-secret=" + nodes[0].SecretFile},
		{"/remove_nodes", "x"}, {"/drain_nodes", "n2"}, {"/undrain_nodes", "n2"}, {"/clear_objections", "n2"},
	} {
		c.change(guarded, closed, change.path, change.node, token)
	}
	c.mode(guarded, closed, token)
	c.reload(guarded, closed, token)
	for _, operation := range c.doc.operations() {
		if !c.seen[operation] {
			t.Errorf("%s is documented, but not tried", operation)
		}
	}
}

// disagree makes calls of the consensus client: a VALID, a proposal, a dispute, a refused and a too large one. It
// returns the name of the dispute's file.
func (c *conversation) disagree(m *multiplexer, liar *enginetest.Node) (file string) {
	c.t.Helper()
	now := uint64(time.Now().Unix())
	chain := enginetest.Chain(4, 2, func(p *enginetest.Payload) { p.Timestamp = now })
	m.hears(c.t, "VALID", "engine_newPayload", chain[0])
	m.awaitProof(c.t, "n2")
	m.call(c.t, "engine_getPayloadV4", m.build(c.t, chain[0]).PayloadID)
	liar.Script(enginetest.Rule{
		Method: "engine_newPayload", BlockHash: chain[1].Hash(), Status: "INVALID", ValidationError: "no",
	})
	m.hears(c.t, "SYNCING", "engine_newPayload", chain[1])
	var kept []struct{ File string }
	apptest.Until(c.t, "evidence is listed", func() bool { m.Get(c.t, "/evidence", &kept); return len(kept) > 0 })
	bearer := "Bearer " + secret(c.t, clSecret).Token(time.Now())
	c.try(m, 200, "POST /", "/", `{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}`, "Authorization", bearer)
	c.try(m, 200, "POST /", "/", `{"jsonrpc":"2.0","id":"a","method":"admin_peers"}`, "Authorization", bearer)
	c.try(m, 401, "POST /", "/", `{}`)
	c.try(m, 413, "POST /", "/", string(make([]byte, 10<<10)), "Authorization", bearer)
	return kept[0].File
}

// reload tries reloads, and what GET /config has of them.
func (c *conversation) reload(guarded, closed *multiplexer, token auth.AdminToken) {
	c.t.Helper()
	contentType, bearer := []string{"Content-Type", "application/json"}, []string{"Authorization", token.Bearer()}
	both := slices.Concat(contentType, bearer)
	next := *guarded.Config
	next.Rules.MinValid, next.MaxBody = 2, 9<<10
	guarded.Reload(&next)
	c.try(guarded, 200, "POST /reload", "/reload", "", both...)
	c.try(guarded, 200, "GET /config", "/config", "")
	c.try(guarded, 401, "POST /reload", "/reload", "", contentType...)
	c.try(guarded, 415, "POST /reload", "/reload", "", bearer...)
	c.try(closed, 403, "POST /reload", "/reload", "", both...)
	guarded.FailToReload(errors.New("no good"))
	c.try(guarded, 400, "POST /reload", "/reload", "", both...)
	c.try(guarded, 200, "GET /config", "/config", "")
}

// mode tries modes.
func (c *conversation) mode(guarded, closed *multiplexer, token auth.AdminToken) {
	c.t.Helper()
	contentType, bearer := []string{"Content-Type", "application/json"}, []string{"Authorization", token.Bearer()}
	both := slices.Concat(contentType, bearer)
	next := *guarded.Config
	next.ShadowNode = next.Nodes[0].Name
	guarded.Reload(&next)
	c.try(guarded, 200, "POST /mode", "/mode", `{"mode":"shadow"}`, both...)
	c.try(guarded, 200, "POST /mode", "/mode", `{"mode":"active"}`, both...)
	c.try(guarded, 400, "POST /mode", "/mode", `{"mode":"of"}`, both...)
	c.try(guarded, 401, "POST /mode", "/mode", `{"mode":"off"}`, contentType...)
	c.try(guarded, 415, "POST /mode", "/mode", `{"mode":"off"}`, bearer...)
	c.try(closed, 403, "POST /mode", "/mode", `{"mode":"off"}`, both...)
}

// change tries one of the operations that change something.
func (c *conversation) change(guarded, closed *multiplexer, path, node string, token auth.AdminToken) {
	c.t.Helper()
	body := func(node string) string {
		b, _ := json.Marshal(map[string][]string{"nodes": {node}}) // strings always can be
		return string(b)
	}
	contentType, bearer := []string{"Content-Type", "application/json"}, []string{"Authorization", token.Bearer()}
	both := slices.Concat(contentType, bearer)
	c.try(guarded, 400, "POST "+path, path, body("nobody"), both...)
	c.try(guarded, 401, "POST "+path, path, body(node), contentType...)
	c.try(guarded, 415, "POST "+path, path, body(node), bearer...)
	c.try(closed, 403, "POST "+path, path, body(node), contentType...)
	c.try(guarded, 200, "POST "+path, path, body(node), both...)
}

// route is where a handler is registered for a method and a path.
var route = regexp.MustCompile(`\.Handle(?:Func)?\("(?:GET|POST) (/[^" ]*)"`)

// Every route that the daemon has is documented, by itself or as part of what is below a path. The dashboard's are its
// own affair.
func TestEveryRouteIsDocumented(t *testing.T) {
	t.Parallel()
	documented := keys(readOpenAPI(t).root["paths"])
	found := 0
	for _, pattern := range []string{"*.go", "../admin/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range route.FindAllStringSubmatch(string(source), -1) {
				found++
				path := strings.TrimSuffix(m[1], "{$}")
				if !slices.ContainsFunc(documented, func(d string) bool {
					return d == path || d != "/" && strings.HasSuffix(d, "/") && strings.HasPrefix(path, d)
				}) {
					t.Errorf("%s (%s) is not documented", path, file)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d routes were found", found)
	}
}
