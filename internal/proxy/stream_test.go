package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/health"
)

// trickle is an execution client with a large answer that comes in two halves, the second after a pause.
type trickle struct {
	fake
	pause time.Duration
}

const half = 512 << 10 // bytes

func (t *trickle) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(string(body), "eth_getLogs") {
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		return t.fake.RoundTrip(r)
	}
	httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
	in, out := io.Pipe()
	go func() {
		io.WriteString(out, `{"jsonrpc":"2.0","id":1,"result":"`+strings.Repeat("a", half))
		select {
		case <-time.After(t.pause):
			io.WriteString(out, strings.Repeat("b", half)+`"}`)
			out.Close()
		case <-r.Context().Done():
			out.CloseWithError(r.Context().Err())
		}
	}()
	return &http.Response{StatusCode: 200, ContentLength: -1, Body: in, Header: http.Header{}}, nil
}

// slow is a caller that takes its time over every piece of an answer.
type slow struct {
	*httptest.ResponseRecorder
	pause time.Duration
}

func (s slow) Write(b []byte) (int, error) {
	time.Sleep(s.pause) // the bubble's clock
	return s.ResponseRecorder.Write(b)
}

// In mid-answer a node has its timeout for each piece, and a caller all the time that it wants. What doesn't end breaks
// the caller's connection.
func TestPatienceInMidAnswer(t *testing.T) {
	const timeout = 7500 * time.Millisecond // of the nodes of newProxy
	call := []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_getLogs"}`)
	want := `{"jsonrpc":"2.0","id":1,"result":"` + strings.Repeat("a", half) + strings.Repeat("b", half) + `"}`
	for _, test := range []struct {
		name         string
		node, caller time.Duration
		breaks       bool
	}{
		{"a slow caller", 0, time.Minute, false},
		{"a pause", timeout - time.Second, 0, false},
		{"a silent node", timeout + time.Second, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubbled(t, []*trickle{{pause: test.node}, {pause: test.node}}, func(t *testing.T, p *Proxy) {
				w := slow{httptest.NewRecorder(), test.caller}
				broke := func() (broke bool) {
					defer func() { broke = recover() == http.ErrAbortHandler }()
					p.answerCall(t.Context(), call, &outlet{w: w})
					return false
				}()
				if broke != test.breaks {
					t.Errorf("broke %t, want %t", broke, test.breaks)
				}
				if got := w.Body.String(); !test.breaks && got != want {
					t.Errorf("got %d bytes, want %d", len(got), len(want))
				}
				for _, n := range p.pool.Nodes() {
					if s := n.Status(); s.State != health.Alive {
						t.Errorf("%s is %s: %s", n.Name(), s.State, s.Reason)
					}
				}
			})
		})
	}
}

// A list of a length that the call leaves open must not take many times its own size in memory.
func TestRelayedListIsBounded(t *testing.T) {
	r := &relay{out: &outlet{w: httptest.NewRecorder()}, shape: shape{size: 1 << 40, short: true, read: readAny, join: takeNext}}
	if _, err := io.WriteString(r, "[null"+strings.Repeat(",null", 2*maxEntries)+"]"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.list(); err != errTooMany || len(r.entries) != maxEntries {
		t.Errorf("%d entries, %v", len(r.entries), err)
	}
}
