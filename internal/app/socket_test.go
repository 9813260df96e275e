package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/rpc"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// overSocket is geth's own client, over a WebSocket connection.
func (m *multiplexer) overSocket(t testing.TB) *rpc.Client {
	t.Helper()
	c, err := rpc.DialOptions(t.Context(), "ws"+strings.TrimPrefix(m.CL.URL, "http"),
		rpc.WithHTTPAuth(node.NewJWTAuth([32]byte(m.Secret))), rpc.WithWebsocketMessageSizeLimit(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// socket is a WebSocket connection on which a test writes messages as it likes.
type socket struct{ *websocket.Conn }

// socket opens one.
func (m *multiplexer) socket(t testing.TB) socket {
	t.Helper()
	token := http.Header{"Authorization": {"Bearer " + enginetest.Token(m.Secret, time.Now())}}
	c, _, err := websocket.Dial(t.Context(), m.CL.URL, &websocket.DialOptions{HTTPClient: m.HTTP, HTTPHeader: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(-1)
	return socket{c}
}

// send sends a message.
func (s socket) send(t testing.TB, message string) {
	t.Helper()
	if err := s.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
}

// receive returns the next message.
func (s socket) receive(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), apptest.Patience)
	defer cancel()
	kind, message, err := s.Read(ctx)
	if err != nil || kind != websocket.MessageText {
		t.Fatalf("%v, %v", kind, err)
	}
	return string(message)
}

// ended returns with which code we close it.
func (s socket) ended(t testing.TB) websocket.StatusCode {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), apptest.Patience)
	defer cancel()
	_, message, err := s.Read(ctx)
	if err == nil {
		t.Fatalf("got %s", message)
	}
	return websocket.CloseStatus(err)
}

// asCalled is a call in geth's words.
func asCalled(p enginetest.Payload) (method string, params []any) {
	return fmt.Sprintf("engine_newPayloadV%d", p.Version), p.Params()
}

// geth's own client has over WebSocket what it has over HTTP: calls, batches, errors. There are no subscriptions.
func TestSocket(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	c := m.overSocket(t)
	chain := enginetest.Chain(4, 3, nil)
	var status enginetest.Status
	method, params := asCalled(chain[0])
	if err := c.Call(&status, method, params...); err != nil || status.Status != "VALID" {
		t.Errorf("newPayload: %+v, %v", status, err)
	}
	if got := m.Metric(t, "executionbackup_websockets"); got != 1 {
		t.Errorf("%v sockets are counted", got)
	}
	if got := m.Metric(t, "executionbackup_requests_in_flight"); got != 0 {
		t.Errorf("%v requests are in flight", got)
	}
	var batch []rpc.BatchElem
	for _, p := range chain[1:] {
		method, params := asCalled(p)
		batch = append(batch, rpc.BatchElem{Method: method, Args: params, Result: new(enginetest.Status)})
	}
	batch = append(batch, rpc.BatchElem{Method: "debug_traceBlock"})
	if err := c.BatchCall(batch); err != nil {
		t.Fatal(err)
	}
	for _, b := range batch[:2] {
		if s := b.Result.(*enginetest.Status); b.Error != nil || s.Status != "VALID" {
			t.Errorf("in a batch: %+v, %v", s, b.Error)
		}
	}
	code := func(err error) int {
		var failure rpc.Error
		if !errors.As(err, &failure) {
			t.Fatalf("no JSON-RPC error: %v", err)
		}
		return failure.ErrorCode()
	}
	if got := code(batch[2].Error); got != -32601 {
		t.Errorf("a namespace that isn't allowed: %d", got)
	}
	if _, err := c.EthSubscribe(t.Context(), make(chan json.RawMessage), "newHeads"); code(err) != -32601 {
		t.Errorf("eth_subscribe: %v", err)
	}
	for _, method := range []string{"eth_subscribe", "eth_unsubscribe"} {
		if got := m.call(t, method, "newHeads"); !strings.HasPrefix(got, "error -32601") {
			t.Errorf("%s over HTTP: %s", method, got)
		}
		for _, n := range nodes {
			if len(n.CallsOf(method)) > 0 {
				t.Errorf("%s reached a node", method)
			}
		}
	}
	c.Close()
	apptest.Until(t, "it isn't counted any more", func() bool { return m.Metric(t, "executionbackup_websockets") == 0 })
}

// A handshake needs what a POST needs, and no browser's comes through. Who doesn't ask for one gets the page.
func TestSocketHandshakes(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	token := func(secret []byte, age time.Duration) string {
		return "Bearer " + enginetest.Token(secret, time.Now().Add(-age))
	}
	good := token(m.Secret, 0)
	for _, c := range []struct {
		name   string
		header []string // names and values in turn, in place of those of a good one
		method string   // GET
		path   string   // /
		want   int
		says   string
	}{
		{name: "good", want: 101},
		{name: "no token", header: []string{"Authorization", ""}, want: 401, says: "Authorization header is missing"},
		{name: "another's token", header: []string{"Authorization", token(nodes[0].Secret, 0)}, want: 401,
			says: "another secret"},
		{name: "an old token", header: []string{"Authorization", token(m.Secret, 2*time.Minute)}, want: 401,
			says: "iat"},
		{name: "no bearer", header: []string{"Authorization", "Basic eDp5"}, want: 401, says: "bearer"},
		{name: "a browser", header: []string{"Origin", m.CL.URL}, want: 403, says: "Origin"},
		{name: "a browser without a token", header: []string{"Origin", "null", "Authorization", ""}, want: 403},
		{name: "no upgrade", header: []string{"Upgrade", "", "Authorization", ""}, want: 200, says: "<html"},
		{name: "another upgrade", header: []string{"Upgrade", "h2c"}, want: 200, says: "<html"},
		{name: "several upgrades", header: []string{"Upgrade", "h2c, WebSocket"}, want: 101},
		{name: "no connection", header: []string{"Connection", "keep-alive"}, want: 426, says: "Upgrade"},
		{name: "no connection, no token", header: []string{"Connection", "keep-alive", "Authorization", ""}, want: 401},
		{name: "another version", header: []string{"Sec-WebSocket-Version", "8"}, want: 400, says: "13"},
		{name: "no key", header: []string{"Sec-WebSocket-Key", ""}, want: 400, says: "Sec-WebSocket-Key"},
		{name: "a short key", header: []string{"Sec-WebSocket-Key", "AAAA"}, want: 400},
		{name: "compression", header: []string{"Sec-WebSocket-Extensions", "permessage-deflate"}, want: 101},
		{name: "another path", path: "/metrics", want: 200},
		{name: "no path", path: "/engine/v1", want: 404},
		{name: "POST", method: "POST", want: 200, says: "-32700"},
		{name: "HEAD", method: "HEAD", want: 200},
	} {
		refused := m.Metric(t, "executionbackup_jwt_refused_total")
		header := append([]string{
			"Authorization", good, "Connection", "Upgrade", "Upgrade", "websocket",
			"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==",
		}, c.header...)
		got, err := m.handshake(t, c.method, c.path, header)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got.Status != c.want || !strings.Contains(got.Body, c.says) {
			t.Errorf("%s: HTTP %d %.100s, want %d %s", c.name, got.Status, got.Body, c.want, c.says)
		}
		if got.Header.Get("Sec-WebSocket-Extensions") != "" {
			t.Errorf("%s: %v", c.name, got.Header)
		}
		want := 0.0
		if c.want == 401 {
			want = 1
		}
		if more := m.Metric(t, "executionbackup_jwt_refused_total") - refused; more != want {
			t.Errorf("%s: %v tokens are counted as refused", c.name, more)
		}
	}
	m.Log.Wait(t, `msg="token refused"`)
}

// handshake makes a request with headers, of which a later value replaces an earlier one, and an empty one is not sent.
func (m *multiplexer) handshake(t testing.TB, method, path string, header []string) (apptest.Answer, error) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel() // breaks what has become a WebSocket connection
	req, err := http.NewRequestWithContext(ctx, method, m.CL.URL+path, nil)
	if err != nil {
		return apptest.Answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			req.Header.Del(header[i])
		}
	}
	resp, err := m.HTTP.Do(req)
	if err != nil {
		return apptest.Answer{}, err
	}
	defer resp.Body.Close()
	answer := apptest.Answer{Status: resp.StatusCode, Header: resp.Header}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return answer, nil
	}
	body, err := io.ReadAll(resp.Body)
	answer.Body = string(body)
	return answer, err
}

// With --admin-addr the consensus client's port has sockets, and the page's has none.
func TestSocketBesideAdminAddr(t *testing.T) {
	t.Parallel()
	m, admin := startAdmin(t, apptest.Fakes(three(t)...))
	if got := m.REST(t, "GET", "/", "", "Upgrade", "websocket", "Connection", "Upgrade"); got.Status != 401 {
		t.Errorf("without a token: %+v", got)
	}
	got := admin.REST(t, "GET", "/", "", "Upgrade", "websocket", "Connection", "Upgrade")
	if got.Status != 200 || !strings.Contains(got.Body, "<html") {
		t.Errorf("at --admin-addr: %+v", got)
	}
	s := m.socket(t)
	s.send(t, `{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}`)
	if got := s.receive(t); !strings.Contains(got, `"result"`) {
		t.Errorf("got %s", got)
	}
}

// Over one socket calls are answered as they are done, under ids as they came, the same one twice, too. Who wants no
// answer gets none.
func TestSocketMessages(t *testing.T) {
	t.Parallel()
	n := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n), nil)
	s := m.socket(t)
	n.Script(enginetest.Rule{Method: "eth_slow", Result: `"0x5107"`})
	release := n.Script(enginetest.Rule{Method: "eth_slow", Hang: true, Result: `"0x5107"`})
	for range 2 {
		s.send(t, `{"jsonrpc":"2.0","id":1,"method":"eth_slow","params":[]}`)
	}
	n.Wait("eth_slow", 2)
	for _, c := range []struct{ message, want string }{
		{`{"jsonrpc":"2.0","id":1,"method":"web3_sha3","params":[]}`, `"id":1,`},
		{`{"jsonrpc":"2.0","id":"a\u0062","method":"eth_nothing"}`, `"id":"a\u0062",`},
		{`{"jsonrpc":"2.0","method":"eth_nothing"}`, ""},
		{"  \n[]", `"code":-32600`},
		{`[{"jsonrpc":"2.0","method":"eth_nothing"}]`, ""},
		{`{"jsonrpc":"2.0","id":7,"method":1}`, `"id":7,"error":{"code":-32600`},
		{`{`, `"id":null,"error":{"code":-32700`},
		{``, `"id":null,"error":{"code":-32700`},
		{"\xff\xfe", `"code":-32700`},
	} {
		s.send(t, c.message)
		if c.want == "" {
			continue
		}
		if got := s.receive(t); !strings.Contains(got, c.want) {
			t.Errorf("%q: got %s, want %s", c.message, got, c.want)
		}
	}
	if err := s.Write(t.Context(), websocket.MessageBinary,
		[]byte(`{"jsonrpc":"2.0","id":3,"method":"eth_chainId"}`)); err != nil {
		t.Fatal(err)
	}
	if got := s.receive(t); !strings.Contains(got, `"id":3,"result"`) {
		t.Errorf("a binary message: %s", got)
	}
	release()
	for range 2 {
		if got := s.receive(t); got != `{"jsonrpc":"2.0","id":1,"result":"0x5107"}` {
			t.Errorf("got %s", got)
		}
	}
}

// Sixty-four calls of geth's client at once are answered, each with its own answer, the last one first.
func TestSocketManyAtOnce(t *testing.T) {
	t.Parallel()
	const many = 64
	n := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(n), nil)
	c := m.overSocket(t)
	var releases []func()
	done := make(chan int, many)
	var calling sync.WaitGroup
	for i := range many {
		method := fmt.Sprintf("eth_%d", i)
		releases = append(releases, n.Script(enginetest.Rule{Method: method, Hang: true, Result: fmt.Sprint(i)}))
		calling.Go(func() {
			var got int
			if err := c.CallContext(t.Context(), &got, method); err != nil {
				t.Errorf("%s: %v", method, err)
			}
			done <- got
		})
		n.Wait(method, 1)
	}
	for i, release := range slices.Backward(releases) {
		release()
		if got := <-done; got != i {
			t.Errorf("got %d, want %d", got, i)
		}
	}
	calling.Wait()
}

// calling is a newPayload as it goes over the wire.
func calling(p enginetest.Payload) (string, error) {
	method, params := asCalled(p)
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	return string(b), err
}
