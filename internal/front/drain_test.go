package front

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ending is a Front in a bubble that is about to end. A request's body says how long its answer takes; those to
// /rest/ are no calls.
type ending struct {
	*Front
	pipes
	server *Server
	served chan error
}

func end(t *testing.T, test func(t *testing.T, e ending)) {
	synctest.Test(t, func(t *testing.T) {
		e := ending{
			Front: New(Options{MaxConnections: 10, MaxBody: 1 << 20, MaxInFlight: 4 << 20,
				Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)}),
			pipes: pipes{make(chan net.Conn), make(chan struct{})}, served: make(chan error, 1),
		}
		answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			takes, err := time.ParseDuration(string(body))
			select {
			case <-time.After(takes):
				fmt.Fprint(w, err)
			case <-r.Context().Done():
			}
		})
		mux := http.NewServeMux()
		mux.Handle("/", e.Handler(answer))
		mux.Handle("/rest/", answer)
		e.server = e.Server(e.Listen(e.pipes), mux)
		go func() { e.served <- e.server.Run() }()
		test(t, e)
		e.server.Close()
		<-e.served
		time.Sleep(time.Second) // half of one is net/http's, for connections that end with an answer
	})
}

// open opens a connection, and returns when it has been accepted.
func (e ending) open(t *testing.T) net.Conn {
	conn, _ := e.dial(t.Context(), "", "")
	t.Cleanup(func() { conn.Close() })
	synctest.Wait()
	return conn
}

// send sends a request, of whose body so many bytes more are to come, and returns when it has been read.
func (e ending) send(t *testing.T, conn net.Conn, path, body string, more int) {
	t.Helper()
	const request = "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
	_, err := fmt.Fprintf(conn, request, path, len(body)+more, body)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// answered reads an answer, and reports whether it is the last one on its connection.
func answered(t *testing.T, conn net.Conn) (last bool) {
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Error(err)
		return false
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "<nil>" {
		t.Errorf("got %s, %v", body, err)
	}
	return resp.Close
}

// quietAfter is how long it takes until no call is in flight, or an hour.
func (e ending) quietAfter() time.Duration {
	begun := time.Now()
	for !e.Quiet() && time.Since(begun) < time.Hour {
		time.Sleep(time.Millisecond) // the bubble's clock
		synctest.Wait()
	}
	return time.Since(begun)
}

// A call is in flight from its header on until its answer has been written; and it may be under way on a connection
// that has come or has had an answer, for a while.
func TestQuiet(t *testing.T) {
	end(t, func(t *testing.T, e ending) {
		want := func(what string, want time.Duration) {
			t.Helper()
			if got := e.quietAfter(); got != want {
				t.Errorf("%s: quiet after %v, want %v", what, got, want)
			}
		}
		want("nobody", 0)
		kept := e.open(t)
		want("a connection", firstCall)
		e.send(t, kept, "/", "", 2)
		if e.Quiet() {
			t.Error("a call's header has come, and it is quiet")
		}
		io.WriteString(kept, "5s")
		go answered(t, kept)
		want("a call", 5*time.Second+nextCall)

		rest := e.open(t)
		e.send(t, rest, "/rest/", "1h", 0)
		want("a request that is no call", 0)
		e.send(t, kept, "/", "0s", 0)
		answered(t, kept)
		want("an answer", nextCall)
		e.open(t).Close()
		synctest.Wait()
		want("a connection that has gone", 0)
	})
}

// While we drain, an answer is the last one on its connection, also if its call came before; an answer of the REST API
// need not be.
func TestLastAnswers(t *testing.T) {
	end(t, func(t *testing.T, e ending) {
		before, after, rest := e.open(t), e.open(t), e.open(t)
		e.send(t, after, "/", "0s", 0)
		if answered(t, after) {
			t.Error("closed before the end")
		}
		e.send(t, before, "/", "1s", 0)
		e.Drain()
		e.send(t, after, "/", "0s", 0)
		e.send(t, rest, "/rest/", "0s", 0)
		for _, c := range []struct {
			conn net.Conn
			last bool
		}{{before, true}, {after, true}, {rest, false}} {
			if got := answered(t, c.conn); got != c.last {
				t.Errorf("the connection is closed: %v, want %v", got, c.last)
			}
		}
	})
}

// A shutdown waits for who is being answered, and for nobody else.
func TestShutdown(t *testing.T) {
	end(t, func(t *testing.T, e ending) {
		transport := &http.Transport{DialContext: e.dial, Protocols: new(http.Protocols)}
		transport.Protocols.SetUnencryptedHTTP2(true)
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Post("http://x/", "", strings.NewReader("0s"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		silent, idle, busy := e.open(t), e.open(t), e.open(t)
		e.send(t, idle, "/", "0s", 0)
		answered(t, idle)
		e.send(t, busy, "/rest/", "300ms", 0)
		go answered(t, busy)

		begun := time.Now()
		if err := e.server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		// It looks seldom; see net/http.
		if took := time.Since(begun); took < 300*time.Millisecond || took > 900*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		for _, conn := range []net.Conn{silent, idle} {
			if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("a connection isn't closed: %v", err)
			}
		}
	})
}
