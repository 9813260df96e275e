package front

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// pipes is a listener without a network, for a clock of its own (testing/synctest).
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial is a net.Dialer's DialContext.
func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- server
	return client, nil
}

// inBubble serves next behind the limits, on a clock of its own.
func inBubble(t *testing.T, maxConnections int, next http.HandlerFunc, test func(t *testing.T, p pipes)) {
	synctest.Test(t, func(t *testing.T) {
		p := pipes{make(chan net.Conn), make(chan struct{})}
		f := New(Options{
			MaxConnections: maxConnections, MaxBody: 1 << 20, MaxInFlight: 4 << 20,
			Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		})
		server := f.Server(f.Listen(p), f.Handler(next))
		served := make(chan error, 1)
		go func() { served <- server.Run() }()
		test(t, p)
		server.Close()
		<-served
		time.Sleep(time.Second) // half of one is net/http's, for connections that end with an answer
	})
}

// readAll is a handler that reads a request and answers with its size.
func readAll(w http.ResponseWriter, r *http.Request) {
	if n, err := io.Copy(io.Discard, r.Body); err == nil {
		fmt.Fprint(w, n)
	}
}

const post = "POST / HTTP/1.1\r\nHost: x\r\n"

// Who sends slowly, or nothing, is cut off after a time that doesn't depend on how much comes.
func TestSlowRequests(t *testing.T) {
	for _, c := range []struct {
		name        string
		begin, drip string // drip is sent once a second
		first       bool   // a whole request comes before
		want        time.Duration
	}{
		{name: "nothing", want: headerTime},
		{name: "half a line", begin: "POST /", want: headerTime},
		{name: "header lines", begin: post, drip: "a: b\r\n", want: headerTime},
		{name: "a byte of a header at a time", begin: post + "a: ", drip: "b", want: headerTime},
		{name: "HTTP/2's preface", begin: "PRI * HTTP/2.0\r\n\r\n", want: headerTime},
		{name: "nothing after a call", first: true, want: idleTime},
		{name: "a header after a call", first: true, begin: post, drip: "a: b\r\n", want: headerTime},
		{name: "a body", begin: post + "Content-Length: 1000000\r\n\r\n", drip: " ", want: bodyTime},
		{name: "no body", begin: post + "Content-Length: 1000000\r\n\r\n", want: bodyTime},
		{name: "a chunked body", begin: post + "Transfer-Encoding: chunked\r\n\r\n",
			drip: "1\r\n \r\n", want: bodyTime},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, 10, readAll, func(t *testing.T, p pipes) {
				conn, _ := p.dial(t.Context(), "", "")
				defer conn.Close()
				if c.first {
					go io.WriteString(conn, post+"Content-Length: 2\r\n\r\nhi")
					resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err != nil || resp.StatusCode != 200 {
						t.Fatalf("%v, %v", resp, err)
					}
					io.ReadAll(resp.Body)
				}
				begun := time.Now()
				var sending sync.WaitGroup
				sending.Go(func() {
					_, err := io.WriteString(conn, c.begin)
					for err == nil && c.drip != "" {
						time.Sleep(time.Second)
						_, err = io.WriteString(conn, c.drip)
					}
				})
				answer, _ := io.ReadAll(conn)
				// An answer gets half a second to arrive before the connection ends.
				unsaid := c.want == bodyTime && !strings.HasPrefix(string(answer), "HTTP/1.1 408 ")
				if got := time.Since(begun); got < c.want || got > c.want+time.Second || unsaid {
					t.Errorf("cut off after %v, want %v: %s", got, c.want, answer)
				}
				conn.Close()
				sending.Wait()
			})
		})
	}
}

// A reader who stops is cut off, and then the handler isn't held up any more. One who goes on, however slowly, is not.
func TestSlowReaders(t *testing.T) {
	const size = 16 * writeStep
	for _, c := range []struct {
		name  string
		pause time.Duration // between a writeStep and the next
		cut   bool
	}{
		{"who stops", time.Hour, true},
		{"who goes on", stallTime - time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var written chan error // of the bubble
			inBubble(t, 10, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				_, err := w.Write(make([]byte, size))
				written <- err
			}, func(t *testing.T, p pipes) {
				written = make(chan error, 1)
				conn, _ := p.dial(t.Context(), "", "")
				begun := time.Now()
				var reading sync.WaitGroup
				defer reading.Wait()
				defer conn.Close()
				reading.Go(func() {
					io.WriteString(conn, post+"Content-Length: 2\r\n\r\nhi")
					for buffer := make([]byte, writeStep/2); ; {
						if _, err := io.ReadFull(conn, buffer); err != nil {
							return
						}
						time.Sleep(c.pause / 2)
					}
				})
				err := <-written
				took := time.Since(begun)
				if c.cut && (err == nil || took > stallTime+time.Second) ||
					!c.cut && (err != nil || took < 2*time.Minute) {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}

// Nothing but a node's own timeout, which an operator may set to minutes, bounds how long a call is worked on.
func TestSlowCalls(t *testing.T) {
	const long = 10 * time.Minute
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			inBubble(t, 10, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				select {
				case <-time.After(long):
					fmt.Fprint(w, r.Proto)
				case <-r.Context().Done():
				}
			}, func(t *testing.T, p pipes) {
				transport := &http.Transport{DialContext: p.dial, Protocols: new(http.Protocols)}
				transport.Protocols.SetHTTP1(protocol == "HTTP/1.1")
				transport.Protocols.SetUnencryptedHTTP2(protocol != "HTTP/1.1")
				defer transport.CloseIdleConnections()
				begun := time.Now()
				resp, err := (&http.Client{Transport: transport}).Post("http://x/", "application/json",
					strings.NewReader("hi"))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				if took := time.Since(begun); err != nil || string(got) != protocol || took != long {
					t.Errorf("%q, %v after %v", got, err, took)
				}
			})
		})
	}
}

// At the limit a new connection takes the place of the one that is missed least.
func TestConnections(t *testing.T) {
	var release chan struct{} // of the bubble
	inBubble(t, 3, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && string(body) == "wait" {
			<-release
		}
		fmt.Fprint(w, len(body))
	}, func(t *testing.T, p pipes) {
		release = make(chan struct{})
		open := func() net.Conn {
			conn, _ := p.dial(t.Context(), "", "")
			t.Cleanup(func() { conn.Close() })
			synctest.Wait() // until it is among the open ones
			return conn
		}
		call := func(conn net.Conn, body string) {
			io.WriteString(conn, post+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body))
			synctest.Wait() // until the handler has it
		}
		answered := func(conn net.Conn) {
			t.Helper()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
		}
		isClosed := func(conn net.Conn) bool {
			conn.SetReadDeadline(time.Now().Add(time.Second))
			_, err := conn.Read(make([]byte, 1))
			conn.SetReadDeadline(time.Time{})
			return errors.Is(err, io.EOF)
		}

		// The first call is being answered, a second connection has had a call, and a third dribbles.
		busy, used := open(), open()
		call(busy, "wait")
		call(used, "hi")
		answered(used)
		dribbles := open()
		io.WriteString(dribbles, "POST / HT")
		for i, c := range []struct{ opened, closed net.Conn }{{opened: open(), closed: dribbles}, {opened: open()}} {
			if c.closed != nil && !isClosed(c.closed) {
				t.Errorf("connection %d took no place", i)
			}
		}
		if isClosed(used) || isClosed(busy) {
			t.Error("a connection with calls had to go before one without")
		}
		close(release)
		answered(busy)
		call(used, "hi")
		answered(used)

		// Whoever has had no call for longer goes first; one whose body isn't all there yet is no exception.
		slow := open()
		go io.WriteString(slow, post+"Content-Length: 100\r\n\r\nhi")
		synctest.Wait()
		if isClosed(slow) {
			t.Error("a connection with a call had to go before one without")
		}
		call(used, "hi")
		answered(used)
		call(busy, "hi")
		answered(busy)
		open()
		if !isClosed(slow) {
			t.Error("whoever dribbles stays")
		}
	})
}

// Where calls are being answered on all connections, a new one is refused.
func TestNoConnectionToSpare(t *testing.T) {
	var release chan struct{} // of the bubble
	inBubble(t, 1, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-release
	}, func(t *testing.T, p pipes) {
		release = make(chan struct{})
		busy, _ := p.dial(t.Context(), "", "")
		defer busy.Close()
		io.WriteString(busy, post+"Content-Length: 2\r\n\r\nhi")
		synctest.Wait()
		second, _ := p.dial(t.Context(), "", "")
		if _, err := second.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
		close(release)
		if resp, err := http.ReadResponse(bufio.NewReader(busy), nil); err != nil || resp.StatusCode != 200 {
			t.Errorf("%v, %v", resp, err)
		}
	})
}

// Bytes of requests in flight: calls that are no engine_ calls have half of the room.
func TestInFlight(t *testing.T) {
	const mib = 1 << 20 // the largest body; there is room for four, and two of others
	pad := func(head string) string { return head + strings.Repeat(" ", mib-len(head)) }
	eth, engine := pad(`{"jsonrpc":"2.0","id":1,"method":"eth_x",`), pad(`{"jsonrpc":"2.0","method" : "engine_x",`)
	late := pad(`{"jsonrpc":"2.0","params":"` + strings.Repeat("x", sniffed) + `","method":"engine_x"`)
	var release chan struct{} // of the bubble
	inBubble(t, 10, func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); err == nil {
			<-release
			fmt.Fprint(w, n)
		}
	}, func(t *testing.T, p pipes) {
		release = make(chan struct{})
		transport := &http.Transport{DialContext: p.dial}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		send := func(body string, chunked bool) <-chan string {
			answer := make(chan string, 1)
			go func() {
				var reader io.Reader = strings.NewReader(body)
				if chunked {
					reader = io.MultiReader(reader)
				}
				resp, err := client.Post("http://x/", "application/json", reader)
				if err != nil {
					answer <- err.Error()
					return
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				answer <- fmt.Sprint(resp.StatusCode, " ", string(text), err)
			}()
			synctest.Wait()
			return answer
		}
		want := func(what string, answer <-chan string, want string) {
			t.Helper()
			select {
			case got := <-answer:
				if !strings.HasPrefix(got, want) {
					t.Errorf("%s: got %s, want %s", what, got, want)
				}
			default:
				t.Errorf("%s: no answer, want %s", what, want)
			}
		}
		const refused = "503 too many bytes of requests are being answered ("
		fits := []<-chan string{send(eth, false), send(late, true)}
		want("a third eth_ call", send(eth, false), refused)
		want("a chunked one", send(eth, true), refused)
		fits = append(fits, send(engine, false), send("["+engine[1:], true))
		want("a fifth call", send(engine, false), refused)
		close(release)
		synctest.Wait()
		for _, answer := range fits {
			want("what fits", answer, fmt.Sprint("200 ", mib))
		}
		for range 3 {
			want("afterwards", send(eth, true), fmt.Sprint("200 ", mib))
		}
	})
}

// Calls that are no engine_ calls are worked on so many at a time. The others wait, one who hangs up no longer, and
// engine_ calls don't.
func TestOthersTakeTurns(t *testing.T) {
	var release chan struct{} // of the bubble
	var working atomic.Int32
	inBubble(t, 200, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && strings.Contains(string(body), "eth_") {
			working.Add(1)
			<-release
			working.Add(-1)
		}
	}, func(t *testing.T, p pipes) {
		release = make(chan struct{})
		transport := &http.Transport{DialContext: p.dial}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		var callers sync.WaitGroup
		call := func(ctx context.Context, method string) {
			req, _ := http.NewRequestWithContext(ctx, "POST", "http://x/", strings.NewReader(`{"method":"`+method+`"}`))
			resp, err := client.Do(req)
			if err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			}
			resp.Body.Close()
		}
		ctx, hangUp := context.WithCancel(t.Context())
		for range maxOthers {
			callers.Go(func() { call(t.Context(), "eth_x") })
		}
		synctest.Wait()
		for range 10 {
			callers.Go(func() { call(ctx, "eth_x") })
		}
		synctest.Wait()
		hangUp()
		for range 20 {
			callers.Go(func() { call(t.Context(), "eth_x") })
		}
		synctest.Wait()
		call(t.Context(), "engine_x")
		for round, want := range []int32{maxOthers, 20, 0} {
			if got := working.Load(); got != want {
				t.Errorf("round %d: %d are worked on, want %d", round, got, want)
			}
			for range working.Load() {
				release <- struct{}{}
			}
			synctest.Wait()
		}
		callers.Wait()
	})
}
