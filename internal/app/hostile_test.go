package app_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// What a node answers instead of its vote: what the CL hears where n1 says VALID, what becomes of the node, and that
// little of what came is logged, shown or kept.
func TestHostileNodes(t *testing.T) {
	const valid = `{"jsonrpc":"2.0","id":$ID,"result":{"status":"VALID","latestValidHash":null,"validationError":null}}`
	long := strings.Repeat("x", 1<<20)
	reply := func(body string, header ...string) *enginetest.Reply {
		r := &enginetest.Reply{Body: body, Header: http.Header{}}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return r
	}
	for _, test := range []struct {
		name   string
		rule   enginetest.Rule
		heard  string
		reason string // what n2 said, as /blocks has it
	}{
		{"INVALID with a megabyte of reasons", enginetest.Rule{Status: "INVALID", ValidationError: long},
			"SYNCING", "INVALID"},
		{"an error of a megabyte",
			enginetest.Rule{Error: &enginetest.RPCError{Code: -32000, Message: long}}, "VALID", "xxx"},
		{"HTTP 500 with a megabyte", enginetest.Rule{Reply: &enginetest.Reply{Status: 500, Body: long}}, "VALID",
			"HTTP 500 instead of an answer"},
		{"a flood of headers", enginetest.Rule{Reply: reply(valid, "X-Flood", strings.Repeat("x", 1<<20))},
			"VALID", "headers exceeded"},
		{"a status line of a megabyte",
			enginetest.Rule{Reply: reply(valid, "X: y\r\n\r\nHTTP/1.1 "+long, "")}, "VALID", ""},
		{"a length that is too short", enginetest.Rule{Reply: reply(valid, "Content-Length", "20")}, "VALID",
			"malformed answer: invalid JSON"},
		{"a length that is too long", enginetest.Rule{Reply: reply(valid, "Content-Length", "250000000")}, "VALID",
			"connection broke twice: unexpected EOF"},
		{"a length that is no number", enginetest.Rule{Reply: reply(valid, "Content-Length", "-7")}, "VALID",
			"bad Content-Length"},
		{"deep brackets", enginetest.Rule{Result: strings.Repeat("[", 100_000)}, "VALID",
			"malformed answer: invalid JSON"},
		{"an object with the status last of many members",
			enginetest.Rule{Result: "{" + strings.Repeat(`"a":0,`, 100_000) + `"status":"VALID"}`}, "VALID", "VALID"},
		{"two statuses", enginetest.Rule{Status: "INVALID", Extra: `"Status":"VALID"`}, "VALID", "malformed answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n1, n2 := enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})
			// ten megabytes take time
			m := start(t, apptest.Fakes(n1, n2), func(c *config.Config) { c.Grace = apptest.Patience })
			chain := enginetest.Chain(4, 2, nil)
			m.hears(t, "VALID", "engine_newPayload", chain[0]) // n2 may object
			test.rule.Method = "engine_newPayload"
			n2.Script(test.rule)
			m.hears(t, test.heard, "engine_newPayload", chain[1])
			apptest.Until(t, "n2 has answered", func() bool { return m.said(t, chain[1], "n2").Status != "" })
			if got := m.said(t, chain[1], "n2").Status; !strings.Contains(got, test.reason) {
				t.Errorf("n2 said %.200s, want %s", got, test.reason)
			}
			got := len(m.REST(t, "GET", "/blocks", "").Body) + len(m.REST(t, "GET", "/nodes", "").Body)
			if got > 32<<10 {
				t.Errorf("/blocks and /nodes have %d bytes", got)
			}
			for _, line := range m.Log.Lines() {
				if len(line) > 8<<10 {
					t.Errorf("a line of %d bytes is logged: %.200s", len(line), line)
				}
			}
		})
	}
}

// What a node tells of itself is bounded, too: it is kept, shown and compared.
func TestHostileProbes(t *testing.T) {
	t.Parallel()
	n1, n2 := enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})
	text := strings.Repeat("x", 100<<10)
	n2.Script(enginetest.Rule{Method: "web3_clientVersion", Result: `"` + text + `"`})
	n2.Script(enginetest.Rule{Method: "engine_getClientVersionV1", Result: "[" + strings.Repeat("{},", 1000) + "{}]"})
	n2.Script(enginetest.Rule{
		Method: "engine_exchangeCapabilities", Result: `["engine_` + strings.Repeat(`xV1","engine_`, 2_000) + `V1"]`,
	})
	m := start(t, apptest.Fakes(n1, n2), nil)
	m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 1, nil)[0]) // this chain is ours
	got := m.call(t, "engine_exchangeCapabilities", []string{})
	if len(got) > 4<<10 || strings.Contains(got, "engine_x") {
		t.Errorf("capabilities: %.200s", got)
	}
	if got := len(m.REST(t, "GET", "/nodes", "").Body); got > 16<<10 {
		t.Errorf("/nodes has %d bytes", got)
	}
	clear := n2.Script(enginetest.Rule{Method: "eth_syncing", Reply: &enginetest.Reply{
		Header: http.Header{"Content-Encoding": {"gzip"}}, Body: zipped(strings.Repeat(" ", 2<<20))}})
	becomes := func(reason string) {
		t.Helper()
		apptest.Until(t, reason, func() bool {
			m.Recheck(t)
			n := m.Node(t, "n2")
			return n.State == "dead" && strings.HasPrefix(n.Reason, reason) && len(n.Reason) < 4<<10
		})
	}
	becomes("answer is larger than allowed")
	clear()
	n2.Script(enginetest.Rule{Method: "eth_chainId", Result: `"` + text + `"`})
	becomes("wrong chain")
}

// A length is believed only as far as bytes bear it out.
func TestClaimedLengths(t *testing.T) {
	n := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n), nil)
	n.Script(enginetest.Rule{
		Method: "eth_x", Reply: &enginetest.Reply{Header: http.Header{"Content-Length": {"250000000"}}, Body: "{"},
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		if got := m.call(t, "eth_x"); !strings.HasPrefix(got, "error -32000") {
			t.Errorf("got %s", got)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 500<<20 {
		t.Errorf("%d MB for 20 answers of a byte", grown>>20)
	}
}

// What a CL may send by mistake, and an attacker on purpose. No node gets it where it has no meaning, and the answer
// doesn't grow with it unless it has to.
func TestHostileRequests(t *testing.T) {
	n := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n), nil)
	const many = 100_000
	ours := func() []enginetest.Call { // not the probes'
		return slices.DeleteFunc(n.Calls(), func(c enginetest.Call) bool {
			return c.Method != "" && c.Method != "eth_x" && c.Method != "engine_forkchoiceUpdatedV3"
		})
	}
	call := func(params string) string { return `{"jsonrpc":"2.0","id":1,"method":"eth_x","params":` + params + `}` }
	for _, test := range []struct {
		name, body, want string
		size             int // of the answer, at most
		passes           bool
	}{
		{"a hundred thousand brackets", strings.Repeat("[", many), "-32700", 200, false},
		{"a hundred thousand brackets in params", call(strings.Repeat("[", many)), "-32700", 200, false},
		{"a hundred thousand braces", strings.Repeat(`{"a":`, many), "-32700", 200, false},
		{"a hundred thousand closed brackets", call(strings.Repeat("[", many) + strings.Repeat("]", many)),
			"-32700", 200, false},
		{"an endless string", `{"jsonrpc":"` + strings.Repeat("x", many), "-32700", 200, false},
		{"backslashes", `{"jsonrpc":"` + strings.Repeat(`\\`, many), "-32700", 200, false},
		{"white space", strings.Repeat(" ", many), "-32700", 200, false},
		{"NUL", strings.Repeat("\x00", many), "-32700", 200, false},
		{"a long number", call("[" + strings.Repeat("1", many) + "]"), "-32601", 200, true},
		{"a hundred thousand params", call("[" + strings.Repeat("0,", many) + "0]"), "-32601", 200, true},
		{"a hundred thousand members", call("[{" + strings.Repeat(`"a":0,`, many) + `"a":0}]`), "-32601", 200, true},
		{"a hundred thousand unknown members",
			strings.Replace(call("[]"), "{", "{"+strings.Repeat(`"a":0,`, many), 1), "-32601", 200, true},
		{"a long method", `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("<", many) + `"}`,
			"-32600", 200, false},
		{"a method in escapes", `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat(`\u003c`, many) + `"}`,
			"-32600", 200, false},
		{"a long id", `{"jsonrpc":"2.0","method":"eth_x","id":"` + strings.Repeat("i", many) + `"}`,
			"-32601", many + 200, true},
		{"a batch of a hundred thousand", "[" + strings.Repeat("1,", many) + "1]", "-32600", 200, false},
		{"a batch of 2,001", "[" + strings.Repeat("1,", 2000) + "1]", "-32600", 200, false},
		{"a batch of 2,000 that are no calls", "[" + strings.Repeat("1,", 1999) + "1]", "-32600", 2000 * 100, false},
		{"attributes of two million bytes",
			`{"jsonrpc":"2.0","id":1,"method":"engine_forkchoiceUpdatedV3","params":[{},{"a":"` +
				strings.Repeat("x", 20*many) + `"}]}`, "-32602", 200, true},
	} {
		before := len(ours())
		got := m.say(t, test.body)
		if !strings.Contains(got, test.want) || len(got) > test.size || !json.Valid([]byte(got)) {
			t.Errorf("%s: got %d bytes: %.200s; want %s", test.name, len(got), got, test.want)
		}
		passed := len(ours()) > before
		if passed != test.passes {
			t.Errorf("%s: the node got it: %t", test.name, passed)
		}
	}
}

// raw sends bytes over a connection of its own and returns the first of what comes back.
func (m *multiplexer) raw(t *testing.T, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", m.App.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(apptest.Patience))
	go io.WriteString(conn, text) // it may be refused before all is sent
	got := make([]byte, 200)
	size, _ := conn.Read(got)
	return string(got[:size])
}

// Whoever has no token gets no byte of a body read, and what isn't HTTP gets short shrift.
func TestHostileHTTP(t *testing.T) {
	n := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n), func(c *config.Config) { c.MaxBody = 1 << 20 })
	head := "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	token := "Authorization: Bearer " + enginetest.Token(m.Secret, time.Now()) + "\r\n"
	for _, test := range []struct{ name, text, want string }{
		{"no token, and a body that never comes", head + "Content-Length: 1000000\r\n\r\n", "HTTP/1.1 401 "},
		{"no token, and chunks that never come", head + "Transfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 401 "},
		{"no token, and Expect", head + "Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n", "HTTP/1.1 401 "},
		{"too much, and it never comes", head + token + "Content-Length: 1048577\r\n\r\n", "HTTP/1.1 413 "},
		{"too much in chunks", head + token + "Transfer-Encoding: chunked\r\n\r\n180000\r\n" +
			strings.Repeat(" ", 0x180000), "HTTP/1.1 413 "},
		{"more than can be counted", head + token + "Content-Length: 99999999999999999999\r\n\r\n", "HTTP/1.1 400 "},
		{"less than nothing", head + token + "Content-Length: -1\r\n\r\n", "HTTP/1.1 400 "},
		{"two lengths", head + token + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nxx", "HTTP/1.1 400 "},
		{"a length and chunks", head + token + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			"HTTP/1.1 "},
		{"chunks of nonsense", head + token + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", ""},
		{"a header that is too long", head + "X: " + strings.Repeat("x", 1<<20), "HTTP/1.1 431 "},
		{"many headers", head + strings.Repeat("X: y\r\n", 1<<16) + "\r\n", "HTTP/1.1 431 "},
		{"a long path", "GET /" + strings.Repeat("x", 1<<20), "HTTP/1.1 431 "},
		{"a long token", head + "Authorization: Bearer " + strings.Repeat("x", 20<<10) + "\r\n\r\n", "HTTP/1.1 401 "},
		{"no Host", "POST / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "HTTP/1.1 400 "},
		{"another version", "POST / HTTP/3.0\r\nHost: x\r\n\r\n", "HTTP/1.1 505 "},
		{"CONNECT", "CONNECT x:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 40"},
	} {
		if got := m.raw(t, test.text); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: got %.100q, want %s", test.name, got, test.want)
		}
	}
	if got := m.Metric(t, "executionbackup_request_bytes_in_flight"); got != 0 {
		t.Errorf("%v bytes are in flight", got)
	}
	m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 1, nil)[0])
}

// Two hundred wrong tokens are counted, and don't fill the log.
func TestWrongTokensAreNotAllLogged(t *testing.T) {
	t.Parallel()
	m := start(t, apptest.Fakes(enginetest.New(t, enginetest.Client{})), nil)
	begun := time.Now()
	const wrong = 200
	m.Token = func() string { return "x" }
	for range wrong {
		if status, _, _, err := m.Post(t.Context(), []byte("{}")); status != http.StatusUnauthorized {
			t.Fatalf("HTTP %d, %v", status, err)
		}
	}
	if got, most := len(m.Log.Lines("token refused")), 2+int(time.Since(begun)/time.Second); got < 1 || got > most {
		t.Errorf("%d lines, want 1 to %d", got, most)
	}
	if got := m.Metric(t, "executionbackup_jwt_refused_total"); got != wrong {
		t.Errorf("%v are counted", got)
	}
}

// Every row of the table names a test that exists.
func TestHostileInputTable(t *testing.T) {
	table, err := os.ReadFile("../../docs/hostile-input.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tried, found := strings.Cut(string(table), "## What was tried")
	if !found {
		t.Fatal("there is no table")
	}
	for line := range strings.Lines(tried) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| what") &&
			!regexp.MustCompile("`(Test|Fuzz)[A-Za-z]+").MatchString(line) {
			t.Errorf("a row without a test: %s", line)
		}
	}
	var source strings.Builder
	for _, pattern := range []string{
		"../../internal/*/*_test.go", "../../internal/*/*/*_test.go", "../../e2e/*_test.go", "../../e2e/*/*_test.go",
	} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	for _, name := range regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)").FindAllStringSubmatch(string(table), -1) {
		if !strings.Contains(source.String(), "func "+name[1]+"(") {
			t.Errorf("there is no test %s", name[1])
		}
	}
}
