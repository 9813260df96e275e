package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"executionbackup/internal/auth"
	"executionbackup/internal/overview"
)

func parseURL(t testing.TB, text string) auth.URL {
	t.Helper()
	u, err := auth.ParseURL(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// receiver answers with each of the handlers in turn, and with the last one from then on.
func receiver(t *testing.T, answers ...http.HandlerFunc) (url string, tries *atomic.Int32) {
	tries = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i := int(tries.Add(1))
		answers[min(i, len(answers))-1](w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, tries
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code); io.WriteString(w, body) }
}

func hang(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body) // else the server doesn't see that the client goes
	<-r.Context().Done()
}

func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// someNews are a message as it may be.
func someNews() *Message {
	begun := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	b := newBook("http://eb:7000")
	dead := func(node string) overview.Alert { return alert("Dead", node, 0) }
	b.see(begun, []overview.Alert{dead("a"), dead(`ü"<b>`)})
	b.sent(b.next(begun))
	b.see(begun.Add(quiet), []overview.Alert{dead("b")})
	return b.next(begun.Add(quiet))
}

// A message is what Alertmanager would send; testdata/message.json is read with its own type in release/recipes.
func TestMessage(t *testing.T) {
	got, err := json.MarshalIndent(someNews(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/message.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(got, '\n'), want) {
		t.Errorf("got %s", got)
	}
}

// A message is POSTed as JSON.
func TestSend(t *testing.T) {
	var got Message
	url, tries := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		about := []string{r.Method, r.URL.String(), r.Header.Get("Content-Type"), r.UserAgent(), user, password}
		want := []string{"POST", "/hook?key=1", "application/json", "executionbackup/1.2.3", "u", "p"}
		if !reflect.DeepEqual(about, want) {
			t.Errorf("got %q, want %q", about, want)
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	to := parseURL(t, strings.Replace(url, "http://", "http://u:p@", 1)+"/hook?key=1")
	m := someNews()
	if err := newSender("1.2.3").Send(t.Context(), to, m); err != nil || tries.Load() != 1 {
		t.Fatalf("%d tries: %v", tries.Load(), err)
	}
	if !reflect.DeepEqual(&got, m) {
		t.Errorf("got %+v, want %+v", got, m)
	}
}

// What helps is tried again, with pauses; what doesn't is not. What the receiver says is told.
func TestTries(t *testing.T) {
	const pause = time.Millisecond
	ok := status(200, "")
	for _, test := range []struct {
		name    string
		answers []http.HandlerFunc
		tries   int32
		err     string
	}{
		{"fails twice", []http.HandlerFunc{status(500, ""), status(503, ""), ok}, 3, ""},
		{"fails", []http.HandlerFunc{status(502, " bad\n\x1b[31mgateway\u202e ")}, 3, "HTTP 502: bad [31mgateway"},
		{"too many", []http.HandlerFunc{status(429, ""), ok}, 2, ""},
		{"refuses", []http.HandlerFunc{status(400, "no such field"), ok}, 1, "HTTP 400: no such field"},
		{"not found", []http.HandlerFunc{status(404, ""), ok}, 1, "HTTP 404"},
		{"hangs", []http.HandlerFunc{hang, hang, ok}, 3, ""},
		{"hangs on", []http.HandlerFunc{hang}, 3, "no answer within 100ms"},
		{"hangs up", []http.HandlerFunc{hangUp, ok}, 2, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url, tries := receiver(t, test.answers...)
			s := newSender("")
			s.timeout = 100 * time.Millisecond
			err := s.Send(t.Context(), parseURL(t, url), someNews(), pause, pause)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.err || tries.Load() != test.tries {
				t.Errorf("%d tries: %q, want %d: %q", tries.Load(), got, test.tries, test.err)
			}
		})
	}
	t.Run("isn't there", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		to := parseURL(t, "http://"+l.Addr().String()+"/hunter2")
		err = newSender("").Send(t.Context(), to, someNews(), pause)
		if got := fmt.Sprint(err); !strings.HasPrefix(got, "dial tcp") || strings.Contains(got, "hunter2") {
			t.Errorf("got %v", err)
		}
	})
}

// Who redirects isn't followed: what is meant for one goes to nobody else.
func TestRedirect(t *testing.T) {
	elsewhere, tries := receiver(t, status(200, ""))
	for _, code := range []int{301, 302, 303, 307, 308} {
		url, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, code) })
		err := newSender("").Send(t.Context(), parseURL(t, url), someNews(), 0)
		if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("HTTP %d (redirects are not followed)", code)) {
			t.Errorf("%d: %v", code, err)
		}
	}
	if n := tries.Load(); n != 0 {
		t.Errorf("%d messages went elsewhere", n)
	}
}

// However much a receiver answers, little of it is read, and not for long.
func TestHostileAnswers(t *testing.T) {
	chunk := bytes.Repeat([]byte("x"), 1<<16)
	flood := func(code int, most int64) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			for n := int64(0); n < most; n += int64(len(chunk)) {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
	}
	drip := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(400)
		for r.Context().Err() == nil {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			select {
			case <-time.After(10 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
	}
	raw := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			io.WriteString(c, answer)
			for strings.HasSuffix(answer, "…") {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"1 GB": flood(500, 1<<30), "1 GB of success": flood(200, 1<<30), "endless": flood(400, 1<<60), "drips": drip,
		"no HTTP": raw("220 mail.example ESMTP\r\n"), "endless head": raw("HTTP/1.1 200 OK\r\nX: …"),
		"endless line": raw("HTTP/1.1 …"), "odd status": raw("HTTP/1.1 999 X\r\n\r\n"),
		"half an answer": raw("HTTP/1.1 500 X\r\nContent-Length: 100\r\n\r\nhalf"),
		"long name":      raw("HTTP/1.1 200 OK\r\n" + strings.Repeat("x", 5<<20) + "\r\n\r\n"),
		"long status":    raw("HTTP/1.1 " + strings.Repeat("x", 8<<10) + "\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := receiver(t, answer)
			s := newSender("")
			s.timeout = 500 * time.Millisecond
			begun := time.Now()
			err := s.Send(t.Context(), parseURL(t, url), someNews())
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			if (err == nil) != (name == "1 GB of success") || err != nil && len(err.Error()) > 1200 {
				t.Errorf("got %.200v", err)
			}
		})
	}
}

// A receiver may repeat our URL, in whatever way: nothing of it is told but the host.
func TestHidden(t *testing.T) {
	const secrets = "/services/T0AB/B-1c_2d%2F/hunter%32?token=s3cr%C3%A9t-value&k=x1y2z3#frag1"
	url, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(404)
		fmt.Fprintf(w, "no %s, %s, %s; %q, key %s HUNTER2 %s", r.URL, r.URL.Path, r.RequestURI, r.URL.Query(),
			r.URL.Query().Get("token"), r.Header.Get("Authorization"))
		io.WriteString(w, " "+strings.ReplaceAll(r.URL.RawQuery, "-", "&#45;"))
	})
	to := parseURL(t, strings.Replace(url, "http://", "http://user1:pass%20word1@", 1)+secrets)
	err := newSender("").Send(t.Context(), to, someNews())
	if err == nil || !strings.HasPrefix(err.Error(), "HTTP 404: no ") {
		t.Fatal(err)
	}
	for _, secret := range []string{
		"T0AB", "1c_2d", "hunter", "s3cr", "value", "x1y2z3", "user1", "word1", "dXNlcjE6cGFzcyB3b3JkMQ",
	} {
		if strings.Contains(strings.ToLower(err.Error()), strings.ToLower(secret)) {
			t.Errorf("%v has %s", err, secret)
		}
	}
	for _, blanks := range []int{4075, 4082, 4090} { // what is read ends in the middle of a secret
		url, _ := receiver(t, status(400, "no"+strings.Repeat(" ", blanks)+"/services/T0AB/hunter2"))
		err := newSender("").Send(t.Context(), parseURL(t, url+"/services/T0AB/hunter2"), someNews())
		if fmt.Sprint(err) != "HTTP 400: no" {
			t.Errorf("cut after %d blanks: %v", blanks, err)
		}
	}
	const host = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" // who wrote a secret in its place
	if err := newSender("").Send(t.Context(), parseURL(t, "http://"+host), someNews()); err == nil ||
		strings.Contains(err.Error(), host) {
		t.Errorf("a secret as host: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newSender("").Send(ctx, to, someNews(), time.Hour); err == nil || strings.Contains(err.Error(), "T0AB") {
		t.Errorf("given up: %v", err)
	}
}
