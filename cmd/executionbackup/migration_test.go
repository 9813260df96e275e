package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/admin"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// settled returns the settings of a command line, as the daemon gets them.
func settled(t *testing.T, line string) (*config.Config, error) {
	t.Helper()
	p := &program{given: make(map[string][]string)}
	root := p.command()
	var c *config.Config
	root.Action = func(context.Context, *cli.Command) (err error) { c, err = p.load(); return err }
	return c, root.Run(t.Context(), spread(root, append([]string{"executionbackup"}, strings.Fields(line)...)))
}

// kinds is a daemon before one node of each kind, open to all as the original is.
type kinds struct {
	*daemon
	slow, fast, spare, syncing, dead *enginetest.Node
	fastURL                          string // as it was given
}

func newKinds(t *testing.T) *kinds {
	f := &kinds{
		slow: enginetest.New(t, enginetest.Client{}), fast: enginetest.New(t, enginetest.Client{}),
		spare:   enginetest.New(t, enginetest.Client{}),
		syncing: enginetest.New(t, enginetest.Client{Syncing: true}), dead: enginetest.New(t, enginetest.Client{}),
	}
	f.slow.Script(enginetest.Rule{Method: "eth_syncing", Delay: 300 * time.Millisecond})
	f.dead.Close()
	f.fastURL = f.fast.URL + "/"
	f.daemon = start(t, nil, "-j", secretFile(t), "--open-admin", "--node-timings", "-n", strings.Join([]string{
		spec(f.slow, ""), strings.Replace(spec(f.fast, ""), "#", "/#", 1), spec(f.spare, "#do-not-use"),
		spec(f.syncing, ""), spec(f.dead, ""),
	}, ","))
	f.Recheck(t)
	return f
}

// report is what a path of the REST API says in the original's words.
func (d *daemon) report(t *testing.T, path string) (r admin.Report) {
	t.Helper()
	d.Get(t, path, &r)
	return r
}

// says is what a call without further ado is answered with.
func (d *daemon) says(t *testing.T, body, token string) string {
	t.Helper()
	got := d.REST(t, "POST", "/", body, "Content-Type", "application/json", "Authorization", token)
	return fmt.Sprintf("%d %s", got.Status, got.Body)
}

// token is one that the daemon takes.
func (d *daemon) token(t *testing.T) string {
	return "Bearer " + enginetest.Token(d.Secret, time.Now())
}

// heldBy fails the test unless another test holds the row.
func heldBy(path, name string) func(*testing.T, *kinds) {
	return func(t *testing.T, _ *kinds) {
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), "func "+name+"(t *testing.T)") {
			t.Errorf("%s has no %s: %v", path, name, err)
		}
	}
}

// loads checks settings of a command line with one node.
func loads(line string, good func(c *config.Config) bool) func(*testing.T, *kinds) {
	return func(t *testing.T, f *kinds) {
		c, err := settled(t, "--nodes "+spec(f.slow, "")+" "+line)
		if err != nil || !good(c) {
			t.Errorf("%s: %+v, %v", line, c, err)
		}
	}
}

// decides checks what the consensus client hears of votes.
func decides(table map[string]string) func(*testing.T, *kinds) {
	return func(t *testing.T, _ *kinds) {
		for line, want := range table {
			if d := decided(t, nil, line); d.Verdict != want {
				t.Errorf("%s: got %+v, want %s", line, d, want)
			}
		}
	}
}

// exits checks exit statuses of command lines, and what they print begins with.
func exits(status int, begins string, lines ...string) func(*testing.T, *kinds) {
	return func(t *testing.T, _ *kinds) {
		for _, line := range lines {
			got, stdout, stderr := execute(t, nil, strings.Fields(line)...)
			if got != status || !strings.HasPrefix(stdout+stderr, begins) {
				t.Errorf("%s: status %d, %s%s", line, got, stdout, stderr)
			}
		}
	}
}

const call = `{"jsonrpc":"2.0","id":"x","method":%q,"params":[]}`

// surface has a check for each row of docs/migration.md.
var surface = map[string]func(t *testing.T, f *kinds){
	"`--nodes`, `-n`": func(t *testing.T, f *kinds) {
		c, err := settled(t, fmt.Sprintf("-n %s#do-not-use#timeout=3000#jwt-secret=%s,%s",
			f.slow.URL, f.slow.SecretFile, spec(f.fast, "")))
		if err != nil || len(c.Nodes) != 2 || !c.Nodes[0].DoNotUse || c.Nodes[0].Timeout != 3*time.Second {
			t.Errorf("%+v, %v", c, err)
		}
	},
	"`-nURL`, `-p7000`, `-ldebug`, `-p=7000`": func(t *testing.T, f *kinds) {
		c, err := settled(t, "-n"+spec(f.slow, "")+" -p7001 -ldebug -f=0.7")
		if err != nil || c.Port != 7001 || c.LogLevel != slog.LevelDebug || c.Rules.Threshold.String() != "0.7" {
			t.Errorf("%+v, %v", c, err)
		}
	},
	"`--jwt-secret`, `-j`": func(t *testing.T, f *kinds) {
		digits := strings.Repeat("c1", 32)
		for _, content := range []string{digits, "0x" + digits, " " + digits + "\n"} {
			c, err := settled(t, "-n http://a:1 -j "+file(t, content))
			if err != nil || c.JWTSecret.IsZero() || c.Nodes[0].Secret != c.JWTSecret {
				t.Errorf("%q: %v", content, err)
			}
		}
	},
	"a node without a secret": exits(78, "executionbackup: --nodes: http://a:1: no JWT secret", "--nodes http://a:1"),
	"`--port`, `-p`":          loads("", func(c *config.Config) bool { return c.Port == 7000 }),
	"`--listen-addr`, `-a`":   loads("", func(c *config.Config) bool { return c.ListenAddr == "127.0.0.1" }),
	"`--timeout`": func(t *testing.T, f *kinds) {
		loads("", func(c *config.Config) bool { return c.Nodes[0].Timeout == 7500*time.Millisecond })(t, f)
		loads("--timeout 3000", func(c *config.Config) bool { return c.Nodes[0].Timeout == 3*time.Second })(t, f)
	},
	"`--fcu-majority`, `-f`": func(t *testing.T, f *kinds) {
		is := func(want string) func(c *config.Config) bool {
			return func(c *config.Config) bool { return c.Rules.Threshold.String() == want }
		}
		loads("", is("0.6"))(t, f)
		loads("--fcu-majority 0.8", is("0.8"))(t, f)
		loads("-f 0.8", is("0.8"))(t, f)
	},
	"`--fcu-majority 0.5`": exits(78, "executionbackup: --fcu-majority: 0.5 is out of range", "--fcu-majority 0.5"),
	"`--log-level`, `-l`": func(t *testing.T, f *kinds) {
		loads("--log-level INFO", func(c *config.Config) bool { return c.LogLevel == slog.LevelInfo })(t, f)
		loads("-l off", func(c *config.Config) bool { return c.LogLevel == config.LevelOff })(t, f)
		exits(78, "executionbackup: --log-level: ", "--log-level info,hyper=warn")(t, f)
	},
	"`--node-timings`":         func(t *testing.T, f *kinds) { f.log.Match(t, `msg="node timing" node=.* duration=`) },
	"`--holesky`, `--sepolia`": loads("--holesky --sepolia", func(*config.Config) bool { return true }),
	"`-V`, `--version`, `-h`, `--help`": func(t *testing.T, f *kinds) {
		exits(0, "executionbackup version ", "-V", "--version")(t, f)
		exits(0, "NAME:\n   executionbackup", "-h", "--help")(t, f)
	},
	"a bad value": func(t *testing.T, f *kinds) {
		exits(78, "executionbackup: --port: ", "--port x")(t, f)
		exits(2, "executionbackup: unknown flag --prot", "--prot 1")(t, f)
	},
	"`GET /metrics`": func(t *testing.T, f *kinds) {
		got := f.REST(t, "GET", "/metrics", "")
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(got.Body), &fields); err != nil || got.Status != 200 || len(fields) != 5 ||
			got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%+v, %v", got, err)
		}
		if r := f.report(t, "/metrics"); r.ResponseTimes[f.slow.URL] < 300_000 { // microseconds
			t.Errorf("got %+v", r)
		}
		got = f.REST(t, "GET", "/metrics", "", "Accept", "text/plain")
		if !strings.Contains(got.Body, "# TYPE executionbackup_") {
			t.Errorf("Prometheus gets %s", got.Body)
		}
	},
	"`GET /recheck`": func(t *testing.T, f *kinds) {
		before := len(f.fast.CallsOf("eth_syncing"))
		var fields map[string]json.RawMessage
		f.Get(t, "/recheck", &fields)
		if len(fields) != 6 || len(fields["recheck_time"]) < 6 || len(f.fast.CallsOf("eth_syncing")) == before {
			t.Errorf("got %s", fields)
		}
	},
	"`alive_nodes`": func(t *testing.T, f *kinds) {
		if got := f.report(t, "/metrics").AliveNodes; !slices.Equal(got, []string{f.fastURL, f.slow.URL}) {
			t.Errorf("got %s", got)
		}
	},
	"`syncing_nodes`": func(t *testing.T, f *kinds) {
		if got := f.report(t, "/metrics").SyncingNodes; !slices.Equal(got, []string{f.spare.URL, f.syncing.URL}) {
			t.Errorf("got %s", got)
		}
	},
	"`dead_nodes`": func(t *testing.T, f *kinds) {
		if got := f.report(t, "/metrics").DeadNodes; !slices.Equal(got, []string{f.dead.URL}) {
			t.Errorf("got %s", got)
		}
		heldBy("../../internal/admin/report_test.go", "TestReport")(t, f) // after ten seconds
	},
	"`response_times`": func(t *testing.T, f *kinds) {
		want := slices.Sorted(slices.Values([]string{f.fastURL, f.slow.URL, f.spare.URL, f.syncing.URL}))
		if got := slices.Sorted(maps.Keys(f.report(t, "/metrics").ResponseTimes)); !slices.Equal(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	},
	"`primary_node`": func(t *testing.T, f *kinds) {
		primary := f.report(t, "/metrics").PrimaryNode
		again := f.report(t, "/recheck").PrimaryNode
		if primary != f.fastURL && primary != f.slow.URL || again != primary {
			t.Errorf("got %s, then %s", primary, again)
		}
		heldBy("../../internal/admin/report_test.go", "TestReport")(t, f)         // all are dead
		heldBy("../../internal/node/primary_test.go", "TestPrimaryChanges")(t, f) // it stays
	},
	"a do-not-use node as primary": func(t *testing.T, f *kinds) {
		d := start(t, nil, "-n", spec(f.dead, ""), "-n", spec(f.spare, "#do-not-use"))
		if got := d.report(t, "/recheck").PrimaryNode; got != f.dead.URL {
			t.Errorf("got %s", got)
		}
	},
	"`POST /add_nodes`": func(t *testing.T, f *kinds) {
		d := start(t, nil, "-n", spec(f.slow, ""), "--open-admin")
		got := d.ChangeNodes(t, "/add_nodes", spec(f.fast, ""))
		if got.Status != 200 || !strings.Contains(got.Body, `"recheck_time"`) || len(d.Nodes(t)) != 2 {
			t.Errorf("got %+v", got)
		}
		closed := start(t, nil, "-n", spec(f.slow, ""))
		if got := closed.ChangeNodes(t, "/add_nodes", spec(f.fast, "")); got.Status != 403 {
			t.Errorf("without a token: %+v", got)
		}
	},
	"`POST /add_nodes`, a bad node": func(t *testing.T, f *kinds) {
		got := f.ChangeNodes(t, "/add_nodes", "http://a:1#colour=red")
		if got.Status != 400 || !strings.Contains(got.Body, `"error": "node 1: http://a:1: unknown option`) {
			t.Errorf("got %+v", got)
		}
	},
	"`POST /add_nodes`, one that is there": func(t *testing.T, f *kinds) {
		if got := f.ChangeNodes(t, "/add_nodes", spec(f.fast, "")); got.Status != 400 {
			t.Errorf("got %+v", got)
		}
	},
	"other paths": func(t *testing.T, f *kinds) {
		if got := f.REST(t, "GET", "/engine/v1/payloads", ""); got.Status != 404 {
			t.Errorf("got %+v", got)
		}
	},
	"probes": func(t *testing.T, f *kinds) {
		f.fast.Wait("eth_syncing", len(f.fast.CallsOf("eth_syncing"))+2) // well within 15 s
	},
	"the truth table": decides(map[string]string{
		"VALID VALID VALID": "VALID", "INVALID INVALID INVALID": "INVALID", "VALID VALID SYNCING": "VALID",
		"VALID VALID INVALID": "SYNCING", "INVALID INVALID VALID": "INVALID", "SYNCING SYNCING VALID": "SYNCING",
		"dead dead": "SYNCING",
	}),
	"two nodes, VALID and INVALID": decides(map[string]string{"VALID INVALID": "SYNCING", "INVALID VALID": "SYNCING"}),
	"the votes needed": decides(map[string]string{
		"VALID VALID SYNCING": "VALID", "INVALID INVALID SYNCING SYNCING": "SYNCING",
		"INVALID INVALID INVALID SYNCING": "INVALID", "INVALID INVALID INVALID SYNCING SYNCING": "INVALID",
	}),
	"a payload that no node knows": func(t *testing.T, f *kinds) {
		n := enginetest.New(t, enginetest.Client{})
		n.Script(enginetest.Rule{Method: "engine_newPayload", Status: "SYNCING"})
		d := start(t, nil, "-j", secretFile(t), "-n", spec(n, ""), "-n", spec(f.dead, ""))
		good := enginetest.Chain(4, 1, nil)[0]
		bad := strings.Replace(string(d.payloadCall(t, good)), good.Hash(), "0x"+strings.Repeat("ab", 32), 1)
		for body, want := range map[string]string{string(d.payloadCall(t, good)): "SYNCING", bad: "INVALID"} {
			if got := d.says(t, body, d.token(t)); !strings.Contains(got, `"status":"`+want+`"`) {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	},
	"`engine_` calls without a token": func(t *testing.T, f *kinds) {
		if got := f.says(t, fmt.Sprintf(call, "engine_exchangeCapabilities"), ""); !strings.HasPrefix(got, "401") {
			t.Errorf("got %s", got)
		}
	},
	"`eth_` calls without a token": func(t *testing.T, f *kinds) {
		if got := f.says(t, fmt.Sprintf(call, "eth_chainId"), ""); !strings.HasPrefix(got, "401") {
			t.Errorf("got %s", got)
		}
	},
	"the consensus client's token": func(t *testing.T, f *kinds) {
		bad := "Bearer " + enginetest.Token(f.slow.Secret, time.Now())
		if got := f.says(t, fmt.Sprintf(call, "eth_chainId"), bad); !strings.HasPrefix(got, "401") {
			t.Errorf("got %s", got)
		}
		if v := slices.Concat(f.slow.Violations(), f.fast.Violations()); len(v) > 0 {
			t.Errorf("nodes get other tokens than their own: %s", v)
		}
	},
	"`eth_` calls": func(t *testing.T, f *kinds) {
		if got := f.says(t, fmt.Sprintf(call, "eth_chainId"), f.token(t)); !strings.Contains(got, `"result":"0x1"`) {
			t.Errorf("got %s", got)
		}
	},
	"an `eth_` call, all nodes dead": func(t *testing.T, f *kinds) {
		d := start(t, nil, "-j", secretFile(t), "-n", spec(f.dead, ""))
		got := d.says(t, fmt.Sprintf(call, "eth_chainId"), d.token(t))
		if !strings.HasPrefix(got, "200 ") || !strings.Contains(got, `"code":-32000`) {
			t.Errorf("got %s", got)
		}
	},
	"a body that is no JSON": func(t *testing.T, f *kinds) {
		got := f.says(t, `{"jsonrpc":`, f.token(t))
		if !strings.HasPrefix(got, "200 ") || !strings.Contains(got, `"code":-32700`) {
			t.Errorf("got %s", got)
		}
	},
	"ids": func(t *testing.T, f *kinds) {
		for _, id := range []string{`1`, `"a\u0062"`, `1.50`, `18446744073709551616`} {
			body := strings.Replace(fmt.Sprintf(call, "eth_chainId"), `"x"`, id, 1)
			if got := f.says(t, body, f.token(t)); !strings.Contains(got, `"id":`+id+`,`) {
				t.Errorf("got %s, want the id %s", got, id)
			}
		}
	},
	"batches": func(t *testing.T, f *kinds) {
		one := fmt.Sprintf(call, "eth_chainId")
		if got := f.says(t, "["+one+","+one+"]", f.token(t)); strings.Count(got, `"result":"0x1"`) != 2 {
			t.Errorf("got %s", got)
		}
	},
	"errors of nodes": func(t *testing.T, f *kinds) {
		n := enginetest.New(t, enginetest.Client{})
		n.Script(enginetest.Rule{
			Method: "engine_newPayload", Error: &enginetest.RPCError{Code: -38005, Message: "unsupported fork"},
		})
		d := start(t, nil, "-j", secretFile(t), "-n", spec(n, ""), "-n", spec(f.dead, ""))
		got := d.says(t, string(d.payloadCall(t, enginetest.Chain(4, 1, nil)[0])), d.token(t))
		if !strings.Contains(got, `"code":-38005`) || !strings.Contains(got, "unsupported fork") {
			t.Errorf("got %s", got)
		}
	},
	"`getClientVersionV1`": func(t *testing.T, f *kinds) {
		got := f.says(t, fmt.Sprintf(call, "engine_getClientVersionV1"), f.token(t))
		if strings.Contains(got, "[[") || strings.Count(got, `"code":"GE"`) != 4 {
			t.Errorf("got %s", got)
		}
	},
	"`getPayload`":            heldBy("../../internal/app/builds_test.go", "TestMostValuablePayload"),
	"new versions of methods": heldBy("../../internal/app/routing_test.go", "TestRouting"),
	"a hung node":             heldBy("../../internal/verdict/waiting_test.go", "TestOneHangs"),
	"SIGTERM":                 heldBy("signal_test.go", "TestTerminateDrains"),
}

// payloadCall is a newPayload as a consensus client sends it.
func (d *daemon) payloadCall(t *testing.T, p enginetest.Payload) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": fmt.Sprintf("engine_newPayloadV%d", p.Version), "params": p.Params(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

var surfaceRow = regexp.MustCompile(`(?m)^\| (.+?) \| (.+?) \| (.+) \|$`)

// Every row of the table in docs/migration.md is so, and every behaviour that is checked has a row.
func TestSurfaceOfTheOriginal(t *testing.T) {
	text, err := os.ReadFile("../../docs/migration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| call by call | the original | here |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	f := newKinds(t)
	seen := make(map[string]bool)
	for _, row := range surfaceRow.FindAllStringSubmatch(table, -1) {
		seen[row[1]] = true
		check := surface[row[1]]
		if check == nil {
			t.Errorf("nothing checks %s", row[1])
			continue
		}
		t.Run(row[1], func(t *testing.T) { check(t, f) })
	}
	for what := range surface {
		if !seen[what] {
			t.Errorf("%s has no row", what)
		}
	}
	if rows := strings.Count(strings.TrimSpace(table), "\n") + 1; len(seen) != rows {
		t.Errorf("%d of %d rows are read", len(seen), rows)
	}
}
