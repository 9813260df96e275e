package app_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// What is no call is refused as JSON-RPC has it, with HTTP 200.
func TestMalformedCalls(t *testing.T) {
	t.Parallel()
	n := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n), nil)
	for _, test := range []struct{ body, want string }{
		{``, `"id":null,"error":{"code":-32700,`},
		{`{`, `"id":null,"error":{"code":-32700,`},
		{`nul`, `"id":null,"error":{"code":-32700,`},
		{`{"jsonrpc":"2.0","id":1,"method":"eth_test"} x`, `"error":{"code":-32700,`},
		{`{"jsonrpc":"2.0","id":1,"method":"eth_test",}`, `"error":{"code":-32700,`},
		{`{"jsonrpc":"2.0","id":01,"method":"eth_test"}`, `"error":{"code":-32700,`},
		{`{"jsonrpc":"2.0","id":"\q","method":"eth_test"}`, `"id":null,"error":{"code":-32700,`},
		{`{"jsonrpc":"2.0","id":1,"method":"eth_test","params":[1}`, `"error":{"code":-32700,`},
		{strings.Repeat(`[`, 20000), `"error":{"code":-32700,`},
		{`7`, `"id":null,"error":{"code":-32600,`},
		{`"eth_test"`, `"id":null,"error":{"code":-32600,`},
		{`null`, `"id":null,"error":{"code":-32600,`},
		{`{}`, `"id":null,"error":{"code":-32600,`},
		{`{"jsonrpc":"2.0","id":1}`, `"id":1,"error":{"code":-32600,`},
		{`{"jsonrpc":"2.0","id":"a","method":7}`, `"id":"a","error":{"code":-32600,`},
		{`{"jsonrpc":"2.0","id":1,"method":""}`, `"id":1,"error":{"code":-32600,`},
		{`{"jsonrpc":"1.0","id":1,"method":"eth_test"}`, `"id":1,"error":{"code":-32600,`},
		{`{"id":1,"method":"eth_test"}`, `"id":1,"error":{"code":-32600,`},
	} {
		status, header, got, err := m.Post(t.Context(), []byte(test.body))
		if err != nil || status != http.StatusOK || header.Get("Content-Type") != "application/json" {
			t.Errorf("%.80s: HTTP %d, %v, %v", test.body, status, header, err)
		}
		want := `{"jsonrpc":"2.0",`
		if !strings.HasPrefix(string(got), want) || !strings.Contains(string(got), test.want) {
			t.Errorf("%.80s: got %s, want %s", test.body, got, test.want)
		}
	}
	if calls := n.CallsOf("eth_test"); len(calls) > 0 {
		t.Errorf("the node got %s", calls[0].Body)
	}
}

// HTTP's own errors are for what HTTP is asked: too much, elsewhere, in another way.
func TestHTTPErrors(t *testing.T) {
	t.Parallel()
	m := start(t, apptest.Fakes(enginetest.New(t, enginetest.Client{})), func(c *config.Config) { c.MaxBody = 1 << 10 })
	call := `{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[%s]}`
	token := "Bearer " + enginetest.Token(m.Secret, time.Now())
	for _, test := range []struct {
		method, path string
		body         io.Reader
		want         int
	}{
		{"POST", "/", strings.NewReader(fmt.Sprintf(call, "")), 200},
		{"POST", "", strings.NewReader(fmt.Sprintf(call, "")), 200},
		{"POST", "/", strings.NewReader(fmt.Sprintf(call, strings.Repeat(" ", 1<<10-len(call)+2))), 200},
		{"POST", "/", strings.NewReader(fmt.Sprintf(call, strings.Repeat(" ", 1<<10-len(call)+3))), 413},
		// chunked
		{"POST", "/", struct{ io.Reader }{strings.NewReader(fmt.Sprintf(call, strings.Repeat(" ", 1<<10)))}, 413},
		{"POST", "/engine/v1/payloads", nil, 404},
		{"POST", "/engine/v2/forkchoice", nil, 404},
		{"GET", "/engine/v1/capabilities", nil, 404},
		{"POST", "/x", nil, 404},
		{"GET", "/favicon.ico", nil, 404},
		{"PUT", "/", nil, 405},
		{"DELETE", "/", nil, 405},
		{"POST", "/metrics", nil, 405},
		{"GET", "/add_nodes", nil, 405},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, m.URL+test.path, test.body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", token)
		resp, err := m.HTTP.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != test.want {
			t.Errorf("%s %s: got %d, want %d", test.method, test.path, resp.StatusCode, test.want)
		}
	}
}

// CLs may speak HTTP/2 without TLS.
func TestCleartextHTTP2(t *testing.T) {
	t.Parallel()
	m := start(t, apptest.Fakes(three(t)...), nil)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	m.HTTP = &http.Client{Transport: transport}
	resp, err := m.HTTP.Get(m.URL + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Errorf("got %s", resp.Proto)
	}
	for _, p := range enginetest.Chain(4, 2, enginetest.Pad(1<<18)) {
		m.hears(t, "VALID", "engine_newPayload", p)
		m.hears(t, "VALID", "engine_forkchoiceUpdated", p)
	}
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.String()
}

// What becomes of n2's VALID on its way to us, where n1 says SYNCING: does it count, and what is n2 afterwards?
func TestAnswersOnTheWire(t *testing.T) {
	const valid = `{"jsonrpc":"2.0","id":1,"result":{"status":"VALID","latestValidHash":null,"validationError":null}}`
	gzipped := http.Header{"Content-Encoding": {"gzip"}}
	for _, test := range []struct {
		name   string
		rule   enginetest.Rule
		counts bool
		dead   string // n2 is, for this reason
	}{
		{"as it should be", enginetest.Rule{Reply: &enginetest.Reply{Body: valid}}, true, ""},
		{"byte by byte", enginetest.Rule{Fault: enginetest.Drip}, true, ""},
		{"gzip", enginetest.Rule{Reply: &enginetest.Reply{Header: gzipped, Body: zipped(valid)}}, true, ""},
		{"after a reset", enginetest.Rule{Fault: enginetest.Reset, Times: 1}, true, ""},
		{"after a hang-up", enginetest.Rule{Fault: enginetest.Hangup, Times: 1}, true, ""},
		{"after half of it", enginetest.Rule{Fault: enginetest.ResetMidway, Times: 1}, true, ""},

		{"two resets", enginetest.Rule{Fault: enginetest.Reset}, false, "connection broke twice"},
		{"two hang-ups", enginetest.Rule{Fault: enginetest.Hangup}, false, "connection broke twice"},
		{"half of it, twice", enginetest.Rule{Fault: enginetest.Truncated}, false, "connection broke twice"},
		{"401", enginetest.Rule{Reply: &enginetest.Reply{Status: 401, Body: valid}}, false,
			"it refuses our token (HTTP 401)"},
		{"403", enginetest.Rule{Reply: &enginetest.Reply{Status: 403, Body: valid}}, false, "it refuses us (HTTP 403)"},

		{"HTML with HTTP 400",
			enginetest.Rule{Reply: &enginetest.Reply{Status: 400, Body: "<html>bad request</html>"}}, false, ""},
		{"HTML with HTTP 500",
			enginetest.Rule{Reply: &enginetest.Reply{Status: 500, Body: "<html>oops</html>"}}, false, ""},
		{"HTML with HTTP 200", enginetest.Rule{Reply: &enginetest.Reply{Body: "<html>hello</html>"}}, false, ""},
		{"a result with HTTP 500", enginetest.Rule{Reply: &enginetest.Reply{Status: 500, Body: valid}}, false, ""},
		{"another call's",
			enginetest.Rule{Reply: &enginetest.Reply{Body: strings.Replace(valid, "1", "2", 1)}}, false, ""},
		{"204", enginetest.Rule{Reply: &enginetest.Reply{Status: 204}}, false, ""},
		{"nothing", enginetest.Rule{Reply: &enginetest.Reply{}}, false, ""},
		{"a redirect", enginetest.Rule{Reply: &enginetest.Reply{
			Status: 307, Header: http.Header{"Location": {"/elsewhere"}},
		}}, false, ""},
		{"a batch", enginetest.Rule{Reply: &enginetest.Reply{Body: "[" + valid + "]"}}, false, ""},
		{"two answers", enginetest.Rule{Reply: &enginetest.Reply{Body: valid + valid}}, false, ""},
		{"a result and an error", enginetest.Rule{Reply: &enginetest.Reply{
			Body: valid[:len(valid)-1] + `,"error":{"code":1,"message":"x"}}`,
		}}, false, ""},
		{"half of it, in full", enginetest.Rule{Reply: &enginetest.Reply{Body: valid[:len(valid)-2]}}, false, ""},
		{"half of a gzip",
			enginetest.Rule{Reply: &enginetest.Reply{Header: gzipped, Body: zipped(valid)[:40]}}, false, ""},
		{"no gzip", enginetest.Rule{Reply: &enginetest.Reply{Header: gzipped, Body: valid}}, false, ""},
		{"another status", enginetest.Rule{Result: `{"status":"valid","latestValidHash":null}`}, false, ""},
		{"a short hash", enginetest.Rule{Result: `{"status":"VALID","latestValidHash":"0x12"}`}, false, ""},
		{"a number", enginetest.Rule{Result: `7`}, false, ""},
		{"no result", enginetest.Rule{Result: `null`}, false, ""},

		{"endless", enginetest.Rule{Fault: enginetest.Endless}, false, ""},
		{"a flood", enginetest.Rule{Fault: enginetest.Flood}, false, ""},
		{"never", enginetest.Rule{Hang: true}, false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n1, n2 := enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})
			configured := apptest.Fakes(n1, n2)
			if f := test.rule.Fault; f == enginetest.Endless || f == enginetest.Flood || test.rule.Hang {
				configured[1].Timeout = 300 * time.Millisecond
			}
			m := start(t, configured, nil)
			n1.Script(enginetest.Rule{Method: "engine_newPayload", Status: "SYNCING"})
			test.rule.Method = "engine_newPayload"
			n2.Script(test.rule)
			want := "SYNCING"
			if test.counts {
				want = "VALID"
			}
			m.hears(t, want, "engine_newPayload", enginetest.Chain(4, 1, nil)[0])
			if test.dead != "" {
				m.Log.Wait(t, `msg="node is dead"`, "node=n2", test.dead)
			} else if lines := m.Log.Lines("node is dead"); len(lines) > 0 {
				t.Errorf("logged: %s", lines)
			}
			for _, c := range n2.Calls() {
				if c.Path != "/" || c.Header.Get("Accept-Encoding") != "" ||
					c.Header.Get("Content-Type") != "application/json" {
					t.Errorf("n2 got %s on %q with header %v", c.Method, c.Path, c.Header)
				}
			}
		})
	}
}

// A CL that hangs up doesn't take its call back, and counts as answered: what it sends next comes after that call.
func TestCLHangsUp(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	payload := enginetest.Chain(4, 1, nil)[0]
	var release []func()
	for _, n := range nodes {
		release = append(release, n.Script(enginetest.Rule{Method: "engine_newPayload", Hang: true}))
	}
	ctx, hangUp := context.WithCancel(t.Context())
	gone := later(func() error {
		_, err := m.NewPayload(ctx, payload)
		return err
	})
	for _, n := range nodes {
		n.Wait("engine_newPayload", 1)
	}
	hangUp()
	if err := <-gone; err == nil {
		t.Fatal("the CL has its answer")
	}
	apptest.Until(t, "the hang-up is noticed", func() bool {
		return m.Metric(t, "executionbackup_requests_in_flight") == 0
	})
	answered := later(func() enginetest.Status { return m.forkchoice(t, payload) })
	apptest.Until(t, "the forkchoiceUpdated is here", func() bool {
		return m.Metric(t, "executionbackup_requests_in_flight") == 1
	})
	for _, done := range release {
		done()
	}
	if got := <-answered; got.Status != "VALID" {
		t.Errorf("got %+v", got)
	}
	for i, n := range nodes {
		first, second := n.WaitEnded("engine_newPayload", 1)[0], n.WaitEnded("engine_forkchoiceUpdated", 1)[0]
		if first.Gone || first.Ended > second.Arrived {
			t.Errorf("n%d: the newPayload was given up or overtaken: %+v, %+v", i+1, first, second)
		}
	}
}
