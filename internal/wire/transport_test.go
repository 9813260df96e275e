package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A body of any size arrives as it is, over TCP and TLS, also while another call still hangs with its own.
func TestBodies(t *testing.T) {
	hold := make(chan struct{})
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			io.ReadFull(r.Body, make([]byte, 1000)) // and no more: the rest is still to be sent
			<-hold
		}
		body, _ := io.ReadAll(r.Body) // all of it: the server closes it when the answer begins
		w.Write(body)
	})
	for _, start := range []func(http.Handler) *httptest.Server{httptest.NewServer, httptest.NewTLSServer} {
		server := start(echo)
		defer server.Close()
		transport := new(transport)
		if server.TLS != nil {
			transport.tls = server.Client().Transport.(*http.Transport).TLSClientConfig
		}
		post := func(path string, body []byte) ([]byte, error) {
			req, err := http.NewRequest(http.MethodPost, server.URL+path, io.NopCloser(bytes.NewReader(body)))
			if err != nil {
				return nil, err
			}
			req.ContentLength = int64(len(body))
			resp, err := transport.RoundTrip(req)
			if err != nil {
				return nil, err
			}
			defer resp.Body.Close()
			return io.ReadAll(resp.Body)
		}
		var hung sync.WaitGroup
		held := []byte(strings.Repeat("held", 2<<20))
		hung.Go(func() {
			if got, err := post("/hang", held); err != nil || !bytes.Equal(got, held[1000:]) {
				t.Errorf("%s: the call that hung: got %d bytes, %v", server.URL, len(got), err)
			}
		})
		for _, size := range []int{0, 1, 1000, maxCollected, maxCollected + 1, 64<<10 + 1, 3 << 20} {
			body := bytes.Repeat([]byte{byte(size), 'x', 'y'}, size/3+1)[:size]
			if got, err := post("/", body); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s: %d bytes: got %d, %v", server.URL, size, len(got), err)
			}
		}
		hold <- struct{}{}
		hung.Wait()
		transport.close()
	}
}

// wired is a node that serves its connections as a test says, each in a goroutine.
type wired struct {
	net.Listener
	mu       sync.Mutex
	accepted int
}

func newWired(t *testing.T, serve func(number int, c net.Conn, requests *bufio.Reader)) *wired {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wired{Listener: l}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.mu.Lock()
			w.accepted++
			number := w.accepted
			w.mu.Unlock()
			t.Cleanup(func() { c.Close() })
			serving.Go(func() {
				defer c.Close()
				serve(number, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { l.Close() })
	return w
}

func (w *wired) connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.accepted
}

// request reads one, and reports whether there is one.
func request(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

// post makes a call and reads its answer.
func (w *wired) post(ctx context.Context, via *transport, body string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+w.Addr().String(), strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := via.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(read), err
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"

// What a node writes instead of its first answer: what the caller gets, and whether the connection is used again.
func TestResponses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 70<<10)
	for _, test := range []struct {
		name, first string
		hangUp      bool
		answer      string
		err         string
		kept        bool
	}{
		{name: "one of a known length", first: fine, answer: "fine", kept: true},
		{name: "an empty one", first: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", kept: true},
		{name: "chunks", first: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n",
			answer: "fine", kept: true},
		{name: "chunks and a trailer",
			first:  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n4\r\nfine\r\n0\r\nX: y\r\n\r\n",
			answer: "fine", kept: true},
		{name: "a long one", first: "HTTP/1.1 200 OK\r\nContent-Length: 71680\r\n\r\n" + long,
			answer: long, kept: true},
		{name: "others before it",
			first:  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + fine,
			answer: "fine", kept: true},
		{name: "HTTP/1.0", first: "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nfine", answer: "fine"},
		{name: "goodbye", first: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfine",
			answer: "fine"},
		{name: "up to the end", first: "HTTP/1.1 200 OK\r\n\r\nfine", hangUp: true, answer: "fine"},
		{name: "more than one", first: fine + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong", answer: "fine"},
		{name: "more than its length", first: fine + "!", answer: "fine"},
		{name: "nothing", hangUp: true, err: "unexpected EOF"},
		{name: "half a header", first: "HTTP/1.1 200 OK\r\nContent-", hangUp: true, err: "unexpected EOF"},
		{name: "half a body", first: "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfine", hangUp: true, answer: "fine",
			err: "unexpected EOF"},
		{name: "half a chunk", first: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nfine", hangUp: true,
			answer: "fine", err: "unexpected EOF"},
		{name: "another protocol", first: "SSH-2.0-OpenSSH_10.0\r\n",
			err: `malformed answer: malformed HTTP response "SSH-2.0-OpenSSH_10.0"`},
		{name: "a wrong length", first: "HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\n",
			err: `malformed answer: bad Content-Length "-7"`},
		{name: "a wrong chunk", first: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfine\r\n",
			err: "malformed answer: invalid byte in chunk length"},
		{name: "a long header", first: "HTTP/1.1 200 OK\r\nX: " + long + "\r\n\r\n",
			err: "malformed answer: headers exceeded 64 KiB"},
		{name: "no end of others", first: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 6),
			err: "malformed answer: too many responses of 1xx"},
		{name: "another protocol from now on", first: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
			hangUp: true, err: "unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			node := newWired(t, func(number int, c net.Conn, requests *bufio.Reader) {
				for calls := 1; request(requests); calls++ {
					if number > 1 || calls > 1 {
						io.WriteString(c, fine)
						continue
					}
					io.WriteString(c, test.first)
					if test.hangUp {
						return
					}
				}
			})
			via := new(transport)
			defer via.close()
			_, answer, err := node.post(t.Context(), via, "first")
			if answer != test.answer || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
				t.Errorf("got %.100q, %v; want %.100q, %s", answer, err, test.answer, test.err)
			}
			if _, answer, err := node.post(t.Context(), via, "second"); answer != "fine" || err != nil {
				t.Errorf("the second call: %q, %v", answer, err)
			}
			if kept := node.connections() == 1; kept != test.kept {
				t.Errorf("the connection is kept: %v", kept)
			}
		})
	}
}

// Connections that nobody needed for long are let go of, as are those of before closeIdle, and all after close.
func TestOldConnections(t *testing.T) {
	t.Parallel()
	arrived, together := make(chan struct{}), make(chan struct{})
	node := newWired(t, func(_ int, c net.Conn, requests *bufio.Reader) {
		for request(requests) {
			arrived <- struct{}{}
			<-together
			io.WriteString(c, fine)
		}
	})
	via := new(transport)
	burst := func(n int) {
		var calls sync.WaitGroup
		for range n {
			calls.Go(func() {
				if _, answer, err := node.post(t.Context(), via, "x"); answer != "fine" || err != nil {
					t.Errorf("%q, %v", answer, err)
				}
			})
		}
		for range n {
			<-arrived
		}
		for range n {
			together <- struct{}{}
		}
		calls.Wait()
	}
	idle := func(want, connections int) {
		t.Helper()
		if len(via.idle) != want || node.connections() != connections {
			t.Errorf("%d idle of %d, want %d of %d", len(via.idle), node.connections(), want, connections)
		}
	}
	burst(3)
	idle(3, 3)
	burst(2)
	idle(3, 3)
	for _, c := range via.idle[:2] {
		c.used = c.used.Add(-idleTime)
	}
	burst(1)
	idle(1, 3)
	via.idle[0].used = via.idle[0].used.Add(-idleTime)
	burst(1)
	idle(1, 4)
	burst(maxIdle + 2)
	idle(maxIdle, maxIdle+5)

	via.closeIdle()
	idle(0, maxIdle+5)
	var call sync.WaitGroup
	call.Go(func() { node.post(t.Context(), via, "x") })
	<-arrived
	via.closeIdle() // while the call is on its way
	together <- struct{}{}
	call.Wait()
	idle(0, maxIdle+6)
	burst(1)
	idle(1, maxIdle+7)
	via.close()
	burst(1)
	idle(0, maxIdle+8)
}

// The end of a context ends a call wherever it is: while the request is written, before the answer and in the midst of
// it.
func TestCancelledCalls(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("x", 16<<20) // more than the system takes for a node that doesn't read
	for _, test := range []struct {
		name, body string
		serve      func(c net.Conn, requests *bufio.Reader)
	}{
		{"in the request", huge, func(_ net.Conn, requests *bufio.Reader) { http.ReadRequest(requests) }},
		{"before the answer", "x", func(_ net.Conn, requests *bufio.Reader) { request(requests) }},
		{"in the answer", "x", func(c net.Conn, requests *bufio.Reader) {
			request(requests)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfine")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			reached := make(chan struct{})
			node := newWired(t, func(number int, c net.Conn, requests *bufio.Reader) {
				if number == 1 {
					test.serve(c, requests)
					close(reached)
					<-t.Context().Done() // it keeps the connection
					return
				}
				for request(requests) {
					io.WriteString(c, fine)
				}
			})
			via := new(transport)
			defer via.close()
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-reached
				cancel()
			}()
			if _, _, err := node.post(ctx, via, test.body); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			_, answer, err := node.post(t.Context(), via, "x")
			if answer != "fine" || err != nil || node.connections() != 2 {
				t.Errorf("the next call: %q, %v, over connection %d", answer, err, node.connections())
			}
		})
	}
}

// A connection that the end of a context was to break is not used again, though all of the answer had come.
func TestCancelledTooLate(t *testing.T) {
	t.Parallel()
	node := newWired(t, func(_ int, c net.Conn, requests *bufio.Reader) {
		for request(requests) {
			io.WriteString(c, fine)
		}
	})
	via := new(transport)
	defer via.close()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+node.Addr().String(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := via.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	io.ReadAll(resp.Body) // with an error or without: what has come already can be read
	if len(via.idle) > 0 {
		t.Error("the connection is kept")
	}
}

// A node may refuse a large call before it has read it, and hang up.
func TestEarlyRefusal(t *testing.T) {
	t.Parallel()
	node := newWired(t, func(_ int, c net.Conn, requests *bufio.Reader) {
		http.ReadRequest(requests)
		io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
		c.(*net.TCPConn).CloseWrite()
	})
	status, answer, err := node.post(t.Context(), new(transport), strings.Repeat("x", 16<<20))
	if status != http.StatusUnauthorized || answer != "no" || err != nil {
		t.Errorf("got %d, %q, %v", status, answer, err)
	}
}

// What goes wrong before there is a connection says nothing about what a node does with a call.
func TestNoConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler()) // with a certificate that nobody knows
	defer server.Close()
	closed := newWired(t, nil)
	closed.Close()
	silent := newWired(t, func(_ int, _ net.Conn, requests *bufio.Reader) { io.Copy(io.Discard, requests) })
	impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for _, test := range []struct {
		ctx       context.Context
		url, want string
	}{
		{t.Context(), server.URL, "no connection: x509: certificate signed by unknown authority"},
		{t.Context(), "http://" + closed.Addr().String(), "no connection: connection refused"},
		{impatient, "https://" + silent.Addr().String(), "no connection in time"},
	} {
		req, err := http.NewRequestWithContext(test.ctx, http.MethodPost, test.url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		_, err = new(transport).RoundTrip(req)
		if err == nil {
			t.Fatalf("%s: connected", test.url)
		}
		if f, broke := classify(test.ctx, err); f.Kind != Unreachable || f.Reason != test.want || broke {
			t.Errorf("%s: %s, %s, broke %v; want %s", test.url, f.Kind, f.Reason, broke, test.want)
		}
	}
}

// The end of TLS is an end, too.
func TestEndOfTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "fine")
	}))
	defer server.Close()
	broke := 0
	via := &transport{tls: server.Client().Transport.(*http.Transport).TLSClientConfig, broke: func() { broke++ }}
	call := func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := via.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
		return err
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	server.CloseClientConnections() // waits until they are closed
	if err := call(); err != nil || broke != 1 {
		t.Errorf("%v, %d breaks", err, broke)
	}
}
