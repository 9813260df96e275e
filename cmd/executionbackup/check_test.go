package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
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
