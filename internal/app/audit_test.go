package app_test

import (
	"net/http"
	"strings"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/auth"
	"executionbackup/internal/config"
)

// Every change that somebody asks for is a line in the log, with who asked and what became of it, and counted. What is
// refused for its token is one, too, and no line has a secret.
func TestAudit(t *testing.T) {
	t.Parallel()
	token, err := auth.ParseAdminToken("the-token-of-this-test")
	if err != nil {
		t.Fatal(err)
	}
	m := start(t, apptest.Fakes(three(t)...), func(c *config.Config) { c.OpenAdmin, c.AdminToken = false, token })
	ask := func(want int, path, body, bearer string) {
		t.Helper()
		got := m.REST(t, "POST", path, body, "Content-Type", "application/json", "Authorization", bearer)
		if got.Status != want {
			t.Errorf("%s %s: got HTTP %d %s, want %d", path, body, got.Status, got.Body, want)
		}
	}
	for _, step := range []struct {
		path, nodes string
		status      int
		line        string
	}{
		{"/drain_nodes", `"n1", "n2"`, 200, `action=drain_nodes nodes="[n1 n2]" from=127.0.0.1:`},
		{"/drain_nodes", `"n3"`, 400, `outcome=refused error="the last voter can't be drained`},
		{"/undrain_nodes", `"n1", "n2"`, 200, `action=undrain_nodes nodes="[n1 n2]"`},
		{"/add_nodes", `"http://user:pa#ss@n4:1", "http://x:secret@n5:1/#jwt-secret=/a/secret"`, 400,
			`action=add_nodes nodes="[… http://n5:1]" from=127.0.0.1:`},
		{"/clear_objections", `"n3"`, 200, `action=clear_objections nodes=[n3] from=127.0.0.1:`},
	} {
		ask(step.status, step.path, `{"nodes":[`+step.nodes+`]}`, token.Bearer())
		m.Log.Wait(t, "level=INFO", `msg="change asked for"`, step.line)
	}
	ask(http.StatusBadRequest, "/mode", `{"mode":"off"}`, token.Bearer())
	m.Log.Wait(t, `msg="change asked for" action=mode mode=off`, "outcome=refused", "needs --shadow-node")
	ask(http.StatusOK, "/mode", `{"mode":"active"}`, token.Bearer())
	m.Log.Wait(t, `msg="change asked for" action=mode mode=active`, "from=127.0.0.1:", "outcome=done")
	ask(http.StatusOK, "/reload", "", token.Bearer())
	m.Log.Wait(t, `msg="change asked for" action=reload`, "outcome=done")
	m.Log.Wait(t, `msg="configuration reloaded" by="POST /reload from 127.0.0.1:`)

	ask(http.StatusUnauthorized, "/drain_nodes", `{"nodes":["n1"]}`, "Bearer another-token-than-that")
	m.Log.Wait(t, "level=WARN", `msg="request of the REST API refused" from=127.0.0.1:`, `reason="wrong admin token"`)
	m.REST(t, "POST", "/", "{}", "Authorization", "Bearer no.token.atall")
	m.Log.Wait(t, "level=WARN", `msg="token refused" from=127.0.0.1:`)

	for name, want := range map[string]float64{
		`executionbackup_admin_changes_total{action="drain_nodes",outcome="done"}`:    1,
		`executionbackup_admin_changes_total{action="drain_nodes",outcome="refused"}`: 1,
		`executionbackup_admin_changes_total{action="add_nodes",outcome="refused"}`:   1,
		`executionbackup_admin_changes_total{action="reload",outcome="done"}`:         1,
		`executionbackup_admin_changes_total{action="reload",outcome="refused"}`:      0,
		`executionbackup_admin_changes_total{action="mode",outcome="done"}`:           1,
		`executionbackup_admin_changes_total{action="mode",outcome="refused"}`:        1,
		`executionbackup_admin_refused_total`:                                         1,
	} {
		if got := m.Metric(t, name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	for _, secret := range []string{"pa#ss", "x:secret", "another-token", "no.token.atall"} {
		if strings.Contains(m.Log.String(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}
