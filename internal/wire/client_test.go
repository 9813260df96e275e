package wire

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
)

// newTestClient returns a client of a node. It is closed at the end of the test.
func newTestClient(t *testing.T, node *wired) *Client {
	c := New(Options{URL: &url.URL{Scheme: "http", Host: node.Addr().String()}})
	t.Cleanup(c.Close)
	return c
}

// answering is a node that answers every call with the same.
func answering(t *testing.T, status, body string) *wired {
	return newWired(t, func(_ int, c net.Conn, requests *bufio.Reader) {
		for request(requests) {
			fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
		}
	})
}

// An answer has to have its call's id, and one that has another ends the connection: what comes next may be this
// call's. A result that comes with an HTTP error is none.
func TestWhatAnswersACall(t *testing.T) {
	t.Parallel()
	const ok = "200 OK"
	long := `"` + strings.Repeat("x", 2*streamFrom) + `"`
	const malformed = "malformed answer: it has another call's id"
	for _, test := range []struct{ id, status, answer, want string }{
		{`1`, ok, `{"jsonrpc":"2.0","id":1,"result":1}`, ""},
		{`1`, ok, `{"result":1, "id" : 1 }`, ""},
		{`"a\/b"`, ok, `{"jsonrpc":"2.0","id":"a/b","result":1}`, ""},
		{`1`, ok, `{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"x"}}`, ""},
		{`1`, ok, `{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"x"}}`, ""},
		{`1`, ok, `{"jsonrpc":"2.0","error":{"code":-1,"message":"x"}}`, ""},
		{`1`, ok, `{"jsonrpc":"2.0","id":2,"error":{"code":-1,"message":"x"}}`, malformed},
		{`1`, ok, `{"jsonrpc":"2.0","id":2,"result":1}`, malformed},
		{`1`, ok, `{"jsonrpc":"2.0","id":"1","result":1}`, malformed},
		{`"1"`, ok, `{"jsonrpc":"2.0","id":1,"result":1}`, malformed},
		{`1`, ok, `{"jsonrpc":"2.0","id":null,"result":1}`, malformed},
		{`1`, ok, `{"jsonrpc":"2.0","result":1}`, malformed},
		{`1`, ok, `{"jsonrpc":"2.0","id":1,"result":` + long + `}`, ""},
		{`1`, ok, `{"jsonrpc":"2.0","result":` + long + `,"id":1}`, ""},
		{`1`, ok, `{"jsonrpc":"2.0","id":2,"result":` + long + `}`, malformed},
		{`1`, ok, `{"jsonrpc":"2.0","result":` + long + `,"id":2}`, malformed},
		{`1`, ok, `{"jsonrpc":"2.0","result":` + long + `}`, malformed},
		{`1`, "503 Service Unavailable", `{"jsonrpc":"2.0","id":1,"result":1}`, "HTTP 503 instead of an answer"},
		{`1`, "400 Bad Request", `{"jsonrpc":"2.0","id":1,"result":` + long + `}`, "HTTP 400 instead of an answer"},
		{`1`, "400 Bad Request", `{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"x"}}`, ""},
		{`1`, "500 Internal Server Error", `{"jsonrpc":"2.0","id":2,"error":{"code":-1,"message":"x"}}`, malformed},
		{`1`, "401 Unauthorized", "stale token",
			`it refuses our token (HTTP 401): "stale token": is the secret the node's own, and the clock right?`},
		{`1`, "401 Unauthorized", "",
			`it refuses our token (HTTP 401): is the secret the node's own, and the clock right?`},
		{`1`, "403 Forbidden", "invalid host specified\n", `it refuses us (HTTP 403): "invalid host specified"`},
		{`1`, "403 Forbidden", "", `it refuses us (HTTP 403)`},
		{`1`, "403 Forbidden", "JWT expired",
			`it refuses our token (HTTP 403): "JWT expired": is the secret the node's own, and the clock right?`},
	} {
		for _, streamed := range []bool{false, true} {
			server := answering(t, test.status, test.answer)
			c := newTestClient(t, server)
			call := []byte(`{"jsonrpc":"2.0","method":"eth_x","params":[{"id":7}],"id":` + test.id + `}`)
			make := func() *Failure {
				r := Request{Body: call}
				if streamed {
					r.Take = func(result io.Reader) error {
						_, err := io.Copy(io.Discard, result)
						return err
					}
				}
				_, _, failure := c.Do(t.Context(), r)
				return failure
			}
			got := ""
			if failure := make(); failure != nil {
				got = failure.Reason
			}
			if got != test.want {
				t.Errorf("%s, %.80s, streamed %t: got %q, want %q", test.status, test.answer, streamed, got, test.want)
			}
			make()
			again := server.connections() > 1
			if again != (test.want == malformed) && !strings.Contains(test.want, "refuses") {
				t.Errorf("%s, %.80s, streamed %t: another connection: %t", test.status, test.answer, streamed, again)
			}
		}
	}
}

// An answer may be as large as its request says, whole or streamed.
func TestLimit(t *testing.T) {
	t.Parallel()
	for _, result := range []string{`1`, `"` + strings.Repeat("x", 2*streamFrom) + `"`} {
		answer := `{"jsonrpc":"2.0","id":1,"result":` + result + `}`
		c := newTestClient(t, answering(t, "200 OK", answer))
		for _, take := range []func(io.Reader) error{nil, func(r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		}} {
			for less, want := range []string{"", "answer is larger than allowed"} {
				call := []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_x"}`)
				_, _, failure := c.Do(t.Context(), Request{Body: call, Limit: int64(len(answer) - less), Take: take})
				got := ""
				if failure != nil {
					got = failure.Reason
				}
				if got != want {
					t.Errorf("%d bytes, streamed %t, %d too many: got %q, want %q",
						len(answer), take != nil, less, got, want)
				}
			}
		}
	}
}

// Whoever answers another call has perhaps done so on all connections.
func TestOtherAnswersEndAllConnections(t *testing.T) {
	t.Parallel()
	answers := make(chan string)
	server := newWired(t, func(_ int, c net.Conn, requests *bufio.Reader) {
		for request(requests) {
			body := <-answers
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})
	c := newTestClient(t, server)
	call := func(ctx context.Context) *Failure {
		_, _, failure := c.Do(ctx, Request{Body: []byte(`{"jsonrpc":"2.0","id":5,"method":"eth_x"}`)})
		return failure
	}
	done := make(chan *Failure)
	for range 2 {
		go func() { done <- call(t.Context()) }()
	}
	for range 2 {
		answers <- `{"jsonrpc":"2.0","id":5,"result":1}`
	}
	for range 2 {
		if failure := <-done; failure != nil {
			t.Error(failure)
		}
	}
	go func() { done <- call(t.Context()) }()
	answers <- `{"jsonrpc":"2.0","id":6,"result":1}`
	if failure := <-done; failure == nil {
		t.Error("another call's answer is taken")
	}
	if idle := len(c.tcp.idle); idle > 0 {
		t.Errorf("%d connections are kept", idle)
	}
}
