package main

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"executionbackup/internal/enginetest"
)

// fields returns each line's words, with TIME for durations.
func fields(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return regexp.MustCompile(`\b[0-9.]+(µs|ms|s)\b`).ReplaceAllString(strings.Join(lines, "\n"), "TIME")
}

const adminToken = "0123456789abcdef"

func TestNodesConversation(t *testing.T) {
	a, b := enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{Name: "besu", Version: "v26"})
	token := file(t, adminToken+"\n")
	d := start(t, nil, "-n", spec(a, "#name=a"), "--admin-token-file", token)
	d.nodes(t) // until they have been probed
	environ := []string{
		"EXECUTIONBACKUP_ADMIN_TOKEN_FILE=" + token, "EXECUTIONBACKUP_PORT=" + d.URL[strings.LastIndex(d.URL, ":")+1:],
	}
	const listHead = "NAME URL STATE PRIMARY LAGGARD CLIENT RESPONSE TIME\n"
	rowA, rowB := "a "+a.URL+" alive yes no geth/v1.17.10 TIME", "\nb "+b.URL+" alive no no besu/v26 TIME"
	drained := strings.Replace(rowB, "alive", "alive, drained", 1)
	for _, step := range []struct {
		args    string
		environ []string
		status  int
		stdout  string
		stderr  string
	}{
		{"nodes --url " + d.URL, nil, 0, listHead + rowA, ""},
		{"nodes", environ, 0, listHead + rowA, ""},
		{"nodes add " + spec(b, "#name=b") + " --url " + d.URL, nil, 1, "",
			"answers HTTP 401: the Authorization header is missing: --admin-token-file must have"},
		{"nodes add --url " + d.URL + " --admin-token-file " + file(t, "another-token-than-that") +
			" " + spec(b, "#name=b"), nil, 1, "",
			"answers HTTP 401: wrong admin token: --admin-token-file must have"},
		{"nodes --admin-token-file " + token + " add --url " + d.URL + "/ " + spec(b, "#name=b"), nil, 0,
			listHead + rowA + rowB, ""},
		{"nodes add " + spec(b, ""), environ, 1, "", "node " + b.URL + " is there already"},
		{"nodes add http://c:1#nonsense", environ, 1, "",
			`answers HTTP 400: node 1: http://c:1: unknown option "nonsense"`},
		{"nodes drain b", environ, 0, listHead + rowA + drained, ""},
		{"nodes", environ, 0, listHead + rowA + drained, ""},
		{"nodes drain a", environ, 1, "", "answers HTTP 400: the last voter can't be drained"},
		{"nodes undrain " + b.URL, environ, 0, listHead + rowA + rowB, ""},
		{"nodes remove help", environ, 1, "", `answers HTTP 400: node "help" is not known`},
		{"nodes remove b", environ, 0, listHead + rowA, ""},
		{"nodes", environ, 0, listHead + rowA, ""},
	} {
		status, stdout, stderr := execute(t, step.environ, strings.Fields(step.args)...)
		got := fields(stdout)
		if status != step.status || got != step.stdout || !strings.Contains(stderr, step.stderr) {
			t.Errorf("%s: status %d, want %d\n got %s\nwant %s\n got %s\nwant %s",
				step.args, status, step.status, got, step.stdout, stderr, step.stderr)
		}
		if strings.Count(stderr, "\n") != step.status {
			t.Errorf("%s: the error is not one line: %q", step.args, stderr)
		}
	}
}

func TestNodesReasons(t *testing.T) {
	a, b := enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})
	b.Close()
	d := start(t, nil, "-n", spec(a, "#name=a"), "-n", spec(b, "#name=b#do-not-use"))
	d.nodes(t)
	_, stdout, _ := execute(t, nil, "nodes", "--url", d.URL)
	for _, want := range []string{
		"b " + b.URL + " dead, do-not-use no no - -", "b: no connection: connection refused",
	} {
		if !strings.Contains(fields(stdout), "\n"+want) {
			t.Errorf("got\n%swant %s", stdout, want)
		}
	}
}

func TestNodesWithoutAdmin(t *testing.T) {
	a := enginetest.New(t, enginetest.Client{})
	d := start(t, nil, "-n", spec(a, ""))
	status, _, stderr := execute(t, nil, "nodes", "remove", a.URL, "--url", d.URL)
	want := "answers HTTP 403: changes over the REST API are disabled: start with --admin-token-file FILE"
	if status != 1 || !strings.Contains(stderr, want) {
		t.Errorf("status %d, %q, want %q", status, stderr, want)
	}
	d = start(t, nil, "-n", spec(a, ""), "--open-admin")
	status, _, stderr = execute(t, nil, "nodes", "drain", a.URL, "--url", d.URL)
	if status != 1 || !strings.Contains(stderr, "last voter") {
		t.Errorf("open: status %d, %q", status, stderr)
	}
}

// Whatever runs at the URL: one line says what is wrong, and the token doesn't go elsewhere.
func TestNodesElsewhere(t *testing.T) {
	tokens := make(chan string, 1)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		tokens <- r.Header.Get("Authorization")
	}))
	defer elsewhere.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/nodes":
			http.Error(w, "<html>\n\x1b[31m"+strings.Repeat("x", 5000), http.StatusNotFound)
		case "/add_nodes":
			w.Write([]byte("[]"))
		default:
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}
	}))
	defer server.Close()
	environ := []string{"EXECUTIONBACKUP_ADMIN_TOKEN_FILE=" + file(t, adminToken)}
	for args, want := range map[string]string{
		"nodes":             "answers HTTP 404: <html>",
		"nodes add http://": "doesn't answer as ExecutionBackup does",
		"nodes drain a":     "answers HTTP 307",
	} {
		status, stdout, stderr := execute(t, environ, append(strings.Fields(args), "--url", server.URL)...)
		if status != 1 || stdout != "" || !strings.Contains(stderr, want) || len(stderr) > 500 ||
			strings.Contains(stderr, "\x1b") {
			t.Errorf("%s: status %d, %q, want %q", args, status, stderr, want)
		}
	}
	select {
	case token := <-tokens:
		t.Errorf("redirected with the header %q", token)
	default:
	}
}

func TestHealthcheck(t *testing.T) {
	a := enginetest.New(t, enginetest.Client{})
	a.Close() // dead nodes don't make us unhealthy
	d := start(t, nil, "-n", spec(a, ""))
	d.nodes(t)
	port := "EXECUTIONBACKUP_PORT=" + d.URL[strings.LastIndex(d.URL, ":")+1:]
	if status, stdout, stderr := execute(t, []string{port}, "healthcheck"); status != 0 || stdout != "ready\n" {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
	if status, _, stderr := execute(t, []string{port}, "healthcheck", "--voters", "1"); status != 1 ||
		!strings.Contains(stderr, "0 voters are alive, and 1 are wanted") {
		t.Errorf("no voter: status %d, %s", status, stderr)
	}
	a.Reopen()
	d.nodes(t)
	if status, _, stderr := execute(t, []string{port}, "healthcheck", "--voters", "1"); status != 0 {
		t.Errorf("a voter: status %d, %s", status, stderr)
	}
	a.Close()
	if status, _, stderr := execute(t, []string{port}, "healthcheck", "--live", "--voters", "1"); status != 2 {
		t.Errorf("--live and --voters: status %d, %s", status, stderr)
	}
	status, stdout, stderr := execute(t, nil, "healthcheck", "--live", "--url", d.URL)
	if status != 0 || stdout != "ok\n" {
		t.Errorf("live: status %d, %q, %q", status, stdout, stderr)
	}
	if status, _, stderr := execute(t, nil, "healthcheck", "--url", a.URL); status != 1 ||
		!strings.Contains(stderr, "does ExecutionBackup run at") {
		t.Errorf("gone: status %d, %q", status, stderr)
	}
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "draining", http.StatusServiceUnavailable)
	}))
	defer busy.Close()
	if status, _, stderr := execute(t, nil, "healthcheck", "--url", busy.URL); status != 1 ||
		!strings.HasSuffix(stderr, "answers HTTP 503: draining\n") {
		t.Errorf("draining: status %d, %q", status, stderr)
	}
}
