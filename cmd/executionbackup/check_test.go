package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/enginetest"
)

// checked runs check and returns its exit status, the words of each line of its table, and what is below that.
func checked(t *testing.T, args ...string) (status int, table [][]string, below string) {
	t.Helper()
	status, stdout, stderr := execute(t, nil, append([]string{"check"}, args...)...)
	above, below, ok := strings.Cut(stdout, "\n\n")
	if !ok {
		t.Fatalf("no table: %s%s", stdout, stderr)
	}
	for line := range strings.Lines(above) {
		table = append(table, strings.Fields(line))
	}
	return status, table[1:], below + stderr
}

// words are those of a line in a table, with ~ for the clock skew of a node on this machine.
func words(row []string) string {
	return regexp.MustCompile(`~(0s|-?1s)`).ReplaceAllString(strings.Join(row, " "), "~")
}

const good = "yes accepted ~ 1 0x9e5e519e 0 geth/v1.17.10 - -"

func TestCheckAllGood(t *testing.T) {
	a := enginetest.New(t, enginetest.Client{})
	b := enginetest.New(t, enginetest.Client{Name: "besu", Version: "v26"})
	cl := enginetest.NewCL(t, b.URL, b.Secret)
	for _, p := range enginetest.Chain(4, 2, nil) {
		if _, err := cl.NewPayload(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if _, err := cl.ForkchoiceUpdated(t.Context(), p, nil); err != nil {
			t.Fatal(err)
		}
	}
	status, stdout, stderr := execute(t, nil, "check",
		"--nodes", spec(a, "#name=a")+","+spec(b, "#name=b"), "-j", secretFile(t))
	if status != 0 || stderr != "" {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
	lines := strings.Split(stdout, "\n")
	for i, want := range []string{
		"NODE URL REACHABLE JWT CLOCK SKEW CHAIN ID GENESIS HEAD CLIENT FORK LACKS",
		"a " + a.URL + " " + good,
		"b " + b.URL + " yes accepted ~ 1 0x9e5e519e 2 besu/v26 - -",
		"",
		"no problem found",
		"",
	} {
		if got := words(strings.Fields(lines[i])); got != want {
			t.Errorf("line %d: got %q, want %q", i+1, got, want)
		}
	}
	column := strings.Index(lines[0], "CLIENT")
	if column != strings.Index(lines[1], "geth") || column != strings.Index(lines[2], "besu") {
		t.Errorf("not aligned:\n%s", stdout)
	}
	if v := a.Violations(); len(v) > 0 {
		t.Error(v)
	}
}

// Each row is one thing that can be wrong with the last of three nodes.
func TestCheckFinds(t *testing.T) {
	other := secretFile(t)
	for _, test := range []struct {
		name    string
		client  enginetest.Client
		spoil   func(*enginetest.Node)
		options string // after the secret
		status  int
		row     string
		below   string // begins a line
	}{
		{
			name:  "refused",
			spoil: (*enginetest.Node).Close, status: 1,
			row:   "no - n/a - - - - - -",
			below: "problem: n3: unreachable: dial tcp ADDRESS: connect: connection refused: does it run",
		},
		{
			name:    "hanging",
			spoil:   func(n *enginetest.Node) { n.Script(enginetest.Rule{Hang: true}) },
			options: "#timeout=100", status: 1,
			row:   "no - n/a - - - - - -",
			below: "problem: n3: unreachable: no answer in 100ms: does it run",
		},
		{
			name:  "wrong secret",
			spoil: func(n *enginetest.Node) { n.SecretFile = other }, status: 1,
			row:   "yes refused ~ - - - - - -",
			below: "problem: n3: it refuses our token, and not for the clock: give the secret that it uses itself",
		},
		{
			name:   "wrong chain",
			client: enginetest.Client{ChainID: 17000}, status: 1,
			row: "yes accepted ~ 17000 0x9e5e519e 0 geth/v1.17.10 - -",
			below: "problem: n3: it is on another chain (chain id 17000, genesis 0x9e5e519e) than the others " +
				"(chain id 1, genesis 0x9e5e519e)",
		},
		{
			name:   "wrong genesis",
			client: enginetest.Client{Genesis: "0x" + strings.Repeat("77", 32)}, status: 1,
			row:   "yes accepted ~ 1 0x77777777 0 geth/v1.17.10 - -",
			below: "problem: n3: it is on another chain (chain id 1, genesis 0x77777777)",
		},
		{
			name: "no Engine API",
			spoil: func(n *enginetest.Node) {
				n.Script(enginetest.Rule{
					Method: "engine_", Error: &enginetest.RPCError{Code: -32601, Message: "no\nsuch method"},
				})
			}, status: 1,
			row: good,
			below: "problem: n3: engine_exchangeCapabilities: no such method (-32601): is this the " +
				"address of its Engine API",
		},
		{
			name: "no JSON-RPC",
			spoil: func(n *enginetest.Node) {
				n.Script(enginetest.Rule{Reply: &enginetest.Reply{Status: 404, Body: "<html>"}})
			}, status: 1,
			row:   "yes - n/a - - - - - -",
			below: "problem: n3: no JSON-RPC answer (HTTP 404): is this the address of its Engine API",
		},
		{
			name:   "syncing",
			client: enginetest.Client{Syncing: true}, status: 0,
			row:   good,
			below: "warning: n3: it is syncing: ",
		},
		{
			name:   "lacking",
			client: enginetest.Client{Capabilities: []string{"engine_newPayloadV1", "engine_newPayloadV6"}}, status: 0,
			row: "yes accepted ~ 1 0x9e5e519e 0 geth/v1.17.10 - forkchoiceUpdatedV1 forkchoiceUpdatedV2 " +
				"forkchoiceUpdatedV3 getClientVersionV1 getPayloadV1 getPayloadV2 getPayloadV3 getPayloadV4 " +
				"getPayloadV5 newPayloadV2 (Shanghai) newPayloadV3 (Cancun) newPayloadV4 (Prague)",
			below: "warning: n1: it lacks engine_newPayloadV6 (Bogota), which others have: it can't follow such a fork",
		},
		{
			name: "no blocks",
			spoil: func(n *enginetest.Node) {
				n.Script(enginetest.Rule{
					Method: "eth_getBlockByNumber", Error: &enginetest.RPCError{Code: -32601, Message: "no"},
				})
			}, status: 1,
			row:   "yes accepted ~ 1 - - geth/v1.17.10 - -",
			below: "problem: n3: eth_getBlockByNumber: no (-32601): is this the address of its Engine API",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, b := enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})
			bad := enginetest.New(t, test.client)
			if test.spoil != nil {
				test.spoil(bad)
			}
			status, table, below := checked(t, "-j", other, "-n", spec(a, "#name=n1"), "-n", spec(b, "#name=n2"),
				"-n", spec(bad, "#name=n3"+test.options))
			if status != test.status {
				t.Errorf("exit status %d, want %d", status, test.status)
			}
			if got, want := words(table[2]), "n3 "+bad.URL+" "+test.row; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			want := strings.Replace(test.below, "ADDRESS", strings.TrimPrefix(bad.URL, "http://"), 1)
			if !strings.HasPrefix(below, want) {
				t.Errorf("got  %s\nwant %s", below, want)
			}
			if want := "executionbackup: 1 problem found\n"; test.status == 1 && !strings.HasSuffix(below, "\n"+want) {
				t.Errorf("got %s, want %s at the end", below, want)
			}
			if got := words(table[0]); test.name != "lacking" && got != "n1 "+a.URL+" "+good {
				t.Errorf("the first node: %s", got)
			}
		})
	}
}

// One client under two addresses is a problem, two clients that merely look alike are none.
func TestCheckTwins(t *testing.T) {
	a, b := enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(a.URL, "http://"))
	again := func(host, options string) string {
		return "http://" + host + ":" + port + "#jwt-secret=" + a.SecretFile + options
	}
	one := spec(a, "#name=a")
	status, _, below := checked(t, "-n", one, "-n", again("localhost", "#name=b"), "-n", spec(b, "#name=c"))
	want := "problem: b: it is the same client as a, under another address (http://localhost:" + port + " and " +
		a.URL + "): one client must not vote twice, so leave one out\n"
	if status != 1 || !strings.HasPrefix(below, want) || !strings.HasSuffix(below, "1 problem found\n") {
		t.Errorf("status %d, %s, want %s", status, below, want)
	}
	other := a.URL + "/other#jwt-secret=" + a.SecretFile + "#name=b"
	if status, _, below := checked(t, "-n", one, "-n", other); status != 0 {
		t.Errorf("another path of one address, as of a proxy: status %d, %s", status, below)
	}
}

// Where two URLs lead decides whether they are one client.
func TestTwins(t *testing.T) {
	at := func(host, port string, own bool, addresses ...string) place {
		p := place{host: host, port: port, own: own}
		for _, a := range addresses {
			p.addresses = append(p.addresses, netip.MustParseAddr(a))
		}
		return p
	}
	geth, besu := "geth/v1", "besu/v1"
	for _, test := range []struct {
		name     string
		a, b     place
		isA, isB string // what they say of themselves
		want     likeness
	}{
		{"an address and its name", at("10.0.0.1", "8551", false, "10.0.0.1"), at("geth", "8551", false, "10.0.0.1"),
			geth, geth, sameAddress},
		{"one doesn't answer", at("10.0.0.1", "8551", false, "10.0.0.1"), at("geth", "8551", false, "10.0.0.1"),
			geth, "", sameAddress},
		{"two clients behind one proxy", at("a", "443", false, "10.0.0.1"), at("b", "443", false, "10.0.0.1"),
			geth, geth, maybeSame},
		{"two that say so", at("a", "443", false, "10.0.0.1"), at("b", "443", false, "10.0.0.1"), geth, besu, others},
		{"two ports", at("10.0.0.1", "8551", false, "10.0.0.1"), at("10.0.0.1", "8552", false, "10.0.0.1"),
			geth, geth, others},
		{"two machines", at("10.0.0.1", "8551", false, "10.0.0.1"), at("10.0.0.2", "8551", false, "10.0.0.2"),
			geth, geth, others},
		{"this machine by two addresses", at("127.0.0.1", "8551", true, "127.0.0.1"),
			at("10.0.0.5", "8551", true, "10.0.0.5"), geth, geth, maybeSame},
		{"nowhere", at("a", "8551", false), at("b", "8551", false), "", "", others},
	} {
		a, b := &inspection{place: test.a}, &inspection{place: test.b}
		a.now.Info.Client, b.now.Info.Client = test.isA, test.isB
		if got := a.twin(b); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
		if got := b.twin(a); got != test.want {
			t.Errorf("%s, the other way round: got %d, want %d", test.name, got, test.want)
		}
	}
}

// Heads that are far apart are remarked, and methods that a node lacks are warnings: neither is a problem.
func TestCheckWarnings(t *testing.T) {
	a := enginetest.New(t, enginetest.Client{})
	b := enginetest.New(t, enginetest.Client{Capabilities: []string{"engine_newPayloadV4", "engine_getBlobsV2"}})
	cl := enginetest.NewCL(t, b.URL, b.Secret)
	for n, p := range enginetest.Chain(4, 9, nil) {
		if _, err := cl.NewPayload(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if _, err := cl.ForkchoiceUpdated(t.Context(), p, nil); err != nil {
			t.Fatal(err)
		}
		status, _, below := checked(t, "-n", spec(a, "#name=a"), "-n", spec(b, "#name=b"))
		const apart = "warning: a: its head is 9 blocks behind that of another, though it says that it is synced\n"
		if status != 0 || strings.Contains(below, apart) != (n == 8) {
			t.Errorf("block %d: status %d, %s", n+1, status, below)
		}
		const lacks = "warning: a: it lacks engine_getBlobsV2, which others have: upgrade it, " +
			"or do without its answers to these\n"
		if !strings.Contains(below, lacks) {
			t.Errorf("got %s, want %s", below, lacks)
		}
	}
}

// With --offline no node is asked, and what is wrong with the configuration is told as the daemon would tell it.
func TestCheckOffline(t *testing.T) {
	n := enginetest.New(t, enginetest.Client{})
	nodes := n.URL + "#name=a," + "http://nowhere.invalid:8551#name=b"
	for _, test := range []struct {
		args   string
		status int
		stdout string
		stderr string // begins it
	}{
		{"-j " + n.SecretFile + " -n " + nodes, 0,
			"NODE  URL\na     " + n.URL + "\nb     http://nowhere.invalid:8551\n\n" +
				"the configuration is good; no node was asked\n", ""},
		{"-j " + n.SecretFile + " -n " + nodes + " --mode shadow --shadow-node b", 0,
			"NODE  URL\na     " + n.URL + "\nb     http://nowhere.invalid:8551\n\n" +
				"note: mode shadow: b alone answers the consensus client, which is protected from nothing; " +
				"the others get every call too\nthe configuration is good; no node was asked\n", ""},
		{"-n " + nodes, 78, "", "executionbackup: --nodes: " + n.URL + ": no JWT secret"},
		{"-j " + file(t, "abcd") + " -n " + nodes, 78, "", "executionbackup: --jwt-secret: "},
		{"--config " + file(t, "prot: 1"), 78, "", "executionbackup: /"},
		{"-j " + n.SecretFile + " -n " + nodes + " --state-url http://x", 78, "", "executionbackup: --state-url: "},
		{"-j /nowhere -n " + nodes, 1, "", "executionbackup: --jwt-secret: read the secret file: open /nowhere"},
		{"--fork", 2, "", "executionbackup: check: --fork goes neither with --offline"},
	} {
		status, stdout, stderr := execute(t, nil, strings.Fields("check --offline "+test.args)...)
		if status != test.status || stdout != test.stdout || !strings.HasPrefix(stderr, test.stderr) {
			t.Errorf("%s: status %d, %s, %s", test.args, status, stdout, stderr)
		}
	}
	if calls := n.CallsOf(""); len(calls) > 0 {
		t.Errorf("it was asked: %v", calls)
	}
}

// check --webhook sends a test alert and its end, and says what becomes of them without the URL's secrets.
func TestCheckWebhook(t *testing.T) {
	var got []string
	instance, refuse := "", false
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.URL.Path+" "+regexp.MustCompile(`"status":"\w+"`).FindString(string(body)))
		instance = regexp.MustCompile(`"instance":"[^"]*:7001"`).FindString(string(body))
		if refuse {
			http.Error(w, "no hook "+r.URL.Path, http.StatusNotFound)
		}
	}))
	t.Cleanup(receiver.Close)
	url := receiver.URL + "/hunter2"
	node := "http://h:1#jwt-secret=" + file(t, strings.Repeat("ab", 32))
	args := []string{"check", "--offline", "--webhook", "-n", node, "--admin-addr", "127.0.0.1:7001",
		"--webhook-url-file", file(t, url)}
	status, stdout, stderr := execute(t, nil, args...)
	if status != 0 || !strings.Contains(stdout, "note: "+receiver.URL+"/… took a test alert and its end") {
		t.Errorf("status %d, %s, %s", status, stdout, stderr)
	}
	want := []string{`/hunter2 "status":"firing"`, `/hunter2 "status":"resolved"`}
	if !slices.Equal(got, want) || instance == "" {
		t.Errorf("it was told %q, of %q", got, instance)
	}
	refuse = true
	status, stdout, stderr = execute(t, nil, args...)
	problem := "problem: --webhook: " + receiver.URL + "/… can't be told of alerts: HTTP 404: no hook /…\n"
	if status != 1 || !strings.Contains(stdout, problem) || strings.Contains(stdout+stderr, "hunter2") ||
		strings.Contains(stdout, "the configuration is good") {
		t.Errorf("status %d, %s, %s", status, stdout, stderr)
	}
	status, stdout, _ = execute(t, nil, args[:len(args)-2]...)
	if status != 1 || !strings.Contains(stdout, "problem: --webhook: there is no --webhook-url\n") {
		t.Errorf("without a URL: status %d, %s", status, stdout)
	}
	if status, _, _ = execute(t, nil, append(args, "--fork")...); status != 2 {
		t.Errorf("with --fork: status %d", status)
	}
}

// The form of check --json is what docs/operations.md says.
func TestCheckJSON(t *testing.T) {
	a := enginetest.New(t, enginetest.Client{})
	b := enginetest.New(t, enginetest.Client{Name: "besu", Version: "v26", Syncing: true})
	b.Close()
	status, stdout, stderr := execute(t, nil, "check", "--json", "-n", spec(a, "#name=a"), "-n", spec(b, "#name=b"))
	if status != 1 || stderr != "executionbackup: 1 problem found\n" {
		t.Errorf("status %d, %s", status, stderr)
	}
	var got findings
	decoder := json.NewDecoder(strings.NewReader(stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	head := got.Nodes[0].Head
	if got.OK || got.Offline || len(got.Problems) != 1 || got.Problems[0].Node != "b" || len(got.Notes) != 1 ||
		len(got.Nodes) != 2 || head == nil || head.Hash != enginetest.GenesisHash || got.Nodes[0].ChainID != "1" ||
		got.Nodes[0].JWT != "accepted" || got.Nodes[0].ClockSkew == nil || got.Nodes[0].Client != "geth/v1.17.10" ||
		!got.Nodes[0].Reachable || got.Nodes[1].Reachable || got.Nodes[1].Head != nil {
		t.Errorf("got %s", stdout)
	}
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range regexp.MustCompile(`"(\w+)":`).FindAllStringSubmatch(stdout, -1) {
		if !strings.Contains(string(text), "`"+field[1]+"`") {
			t.Errorf("%s isn't documented", field[1])
		}
	}
	_, stdout, _ = execute(t, nil, "check", "--json", "--offline", "-n", spec(a, "#name=a"))
	if want := `"ok": true,` + "\n" + `  "offline": true,`; !strings.Contains(stdout, want) ||
		strings.Contains(stdout, `: null,
  "problems"`) {
		t.Errorf("offline: got %s", stdout)
	}
}

// A name without a version is a method unless there are versions of it: so the daemon judges.
func TestCheckNamesWithoutVersion(t *testing.T) {
	a := enginetest.New(t, enginetest.Client{Capabilities: []string{"engine_newPayloadV4"}})
	b := enginetest.New(t, enginetest.Client{
		Capabilities: []string{"engine_newPayload", "engine_newPayloadV4", "engine_new"},
	})
	_, table, _ := checked(t, "-n", spec(a, "#name=a"), "-n", spec(b, "#name=b"))
	for i, want := range []string{"new", "-"} {
		if got := table[i][len(table[i])-1]; got != want {
			t.Errorf("%s lacks %s, want %s", table[i][0], got, want)
		}
	}
}

// A client configures itself by the list that it is sent last: one that runs must not lose what its CL listed.
func TestCheckListsAllMethods(t *testing.T) {
	n := enginetest.New(t, enginetest.Client{})
	checked(t, "-n", spec(n, "#name=a"))
	calls := n.CallsOf("engine_exchangeCapabilities")
	if len(calls) != 1 || !strings.Contains(string(calls[0].Params), `"engine_getBlobsV4"`) ||
		!strings.Contains(string(calls[0].Params), `"engine_newPayloadV5"`) {
		t.Errorf("got %d calls: %s", len(calls), calls[0].Params)
	}
}

// In a tie nobody knows which chain is the right one.
func TestCheckTie(t *testing.T) {
	a, b := enginetest.New(t, enginetest.Client{ChainID: 5}), enginetest.New(t, enginetest.Client{})
	status, _, below := checked(t, "-n", spec(a, "#name=a"), "-n", spec(b, "#name=b"))
	for _, want := range []string{
		"problem: a: a tie of chains: it is on chain id 5,", "problem: b: a tie of chains: it is on chain id 1,",
	} {
		if status != 1 || !strings.Contains(below, want) {
			t.Errorf("status %d: %s; want %s", status, below, want)
		}
	}
	want := "note: without --jwt-secret the consensus client must use the secret of a\n"
	if !strings.Contains(below, want) {
		t.Errorf("got %s, want %s", below, want)
	}
}

// A node that may not vote has no say in which chain is the right one, as in the daemon.
func TestCheckChainOfVoters(t *testing.T) {
	a, b := enginetest.New(t, enginetest.Client{ChainID: 5}), enginetest.New(t, enginetest.Client{})
	status, _, below := checked(t, "-n", spec(a, "#name=a#do-not-use"), "-n", spec(b, "#name=b"))
	want := "problem: a: it is on another chain (chain id 5, genesis 0x9e5e519e) than the others (chain id 1,"
	if status != 1 || !strings.HasPrefix(below, want) ||
		!strings.HasSuffix(below, "executionbackup: 1 problem found\n") {
		t.Errorf("status %d: %s; want %s", status, below, want)
	}
}

func TestCheckClock(t *testing.T) {
	n := enginetest.New(t, enginetest.Client{})
	target, err := url.Parse(n.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		ahead  time.Duration // 0: no date at all
		status int
		skew   string
		below  string
	}{
		{0, 0, `n/a`, "no problem found"},
		{2 * time.Second, 0, `~[123]s`, "no problem found"},
		{-20 * time.Second, 0, `~-(19|20|21)s`, "warning: n: its clock is about "},
		{90 * time.Second, 1, `~1m(29|30|31)s`, "problem: n: its clock is about 1m"},
	} {
		proxy := httputil.NewSingleHostReverseProxy(target)
		proxy.ModifyResponse = func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(test.ahead).UTC().Format(http.TimeFormat))
			if test.ahead == 0 {
				r.Header.Del("Date")
			}
			return nil
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Date"] = nil // none of the server's own
			proxy.ServeHTTP(w, r)
		}))
		defer server.Close()
		status, table, below := checked(t, "-j", n.SecretFile, "-n", server.URL+"#name=n")
		if status != test.status || !strings.HasPrefix(below, test.below) {
			t.Errorf("%v ahead: got status %d, %q; want %d, %q", test.ahead, status, below, test.status, test.below)
		}
		if got := table[0][4]; !regexp.MustCompile(`^` + test.skew + `$`).MatchString(got) {
			t.Errorf("%v ahead: got skew %s, want %s", test.ahead, got, test.skew)
		}
	}
}

// What nodes send can't steer a terminal, and no password gets there.
func TestCheckPrintsSafely(t *testing.T) {
	n := enginetest.New(t, enginetest.Client{Name: "\x1b[31mge\tth\n"})
	withPassword := strings.Replace(spec(n, "#name=n"), "http://", "http://user:password@", 1)
	_, stdout, stderr := execute(t, nil, "check", "-n", withPassword)
	if strings.ContainsAny(stdout, "\x1b\t") || strings.Contains(stdout+stderr, "password") {
		t.Errorf("got %q, %q", stdout, stderr)
	}
	n.Close()
	if _, stdout, stderr = execute(t, nil, "check", "-n", withPassword); strings.Contains(stdout+stderr, "password") {
		t.Errorf("got %q, %q", stdout, stderr)
	}
}

// An https node is reached where --ca-file has who vouches for it, and is told as what it is where it hasn't.
func TestCheckWithCAFile(t *testing.T) {
	n, files := enginetest.New(t, enginetest.Client{}), enginetest.NewCertificate(t)
	args := []string{"check", "--nodes", files.OverTLS(t, n).URL + "#jwt-secret=" + n.SecretFile}
	status, stdout, _ := execute(t, nil, args...)
	if status != 1 || !strings.Contains(stdout, "certificate signed by unknown authority") {
		t.Errorf("without it: status %d, %s", status, stdout)
	}
	if status, stdout, stderr := execute(t, nil, append(args, "--ca-file", files.File)...); status != 0 {
		t.Errorf("with it: status %d, %s %s", status, stdout, stderr)
	}
}
