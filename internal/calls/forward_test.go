package calls_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/fleet"
	"executionbackup/internal/health"
)

const ms = time.Millisecond

// answering is a node with a result of one method, which it takes some time over.
func answering(method, result string, after time.Duration) *bubble.Fake {
	return &bubble.Fake{
		Answer: func(m string) (string, bool) { return result, m == method },
		Delay: func(m string, _ int) time.Duration {
			if m == method {
				return after
			}
			return 0
		},
	}
}

// With one node everything passes through, be it what it may.
func TestOneNodePassesThrough(t *testing.T) {
	for _, method := range []string{
		"getBlobsV1", "getBlobsV2", "getBlobsV3", "getBlobsV4", "hasBlobs", "getPayloadBodiesByHashV1",
		"getPayloadBodiesByRangeV2", "getInclusionListV1",
	} {
		n := answering("engine_"+method, `[ 1, {"a":1,"a":2} ]`, 10*ms)
		bubble.In(t, []*bubble.Fake{n}, func(t *testing.T, b *bubble.Bubble) {
			if got, took := b.Get(method, `[["0x01"],"0x03"]`); got != `[ 1, {"a":1,"a":2} ]` || took != 10*ms {
				t.Errorf("%s: %s after %v", method, got, took)
			}
		})
	}
}

// With one node nothing is cut short: CLs wait for longer than the specification's second.
func TestOneSlowNode(t *testing.T) {
	for _, method := range []string{
		"getPayloadV4", "getBlobsV1", "hasBlobs", "exchangeCapabilities", "getClientVersionV1", "getInclusionListV1",
	} {
		slow := answering("engine_"+method, `["it"]`, 7*time.Second)
		bubble.In(t, []*bubble.Fake{slow}, func(t *testing.T, b *bubble.Bubble) {
			if got, took := b.Get(method, `["0x01"]`); got != `["it"]` || took != 7*time.Second {
				t.Errorf("%s: got %s after %v", method, got, took)
			}
		})
	}
}

// The Engine API's timeout is not for logs: CLs wait for those. A node that hangs with them is given up all the same.
func TestReadTimeout(t *testing.T) {
	const call = `{"jsonrpc":"2.0","id":1,"method":"eth_getLogs"}`
	for _, test := range []struct {
		n1   time.Duration
		want time.Duration
	}{
		{9 * time.Second, 9 * time.Second},
		{29 * time.Second, 29 * time.Second},
		{bubble.Forever, 39 * time.Second}, // the other one, after 30 s
	} {
		for _, body := range []string{call, "[" + call + "]"} {
			taking := func(d time.Duration, syncing string) *bubble.Fake {
				answers := map[string]string{"eth_getLogs": `"logs"`, "eth_syncing": syncing}
				return &bubble.Fake{
					Answer: func(method string) (string, bool) { return answers[method], answers[method] != "" },
					Delay: func(method string, _ int) time.Duration {
						if method == "eth_getLogs" {
							return d
						}
						return 0
					},
				}
			}
			n1, n2 := taking(test.n1, `false`), taking(9*time.Second, `{}`) // so n1 is the primary
			bubble.In(t, []*bubble.Fake{n1, n2}, func(t *testing.T, b *bubble.Bubble) {
				b.Change(func(s *fleet.Settings) { s.ReadTimeout = 30 * time.Second })
				begun := time.Now()
				answer := string(b.Post(t.Context(), []byte(body)))
				if took := time.Since(begun); took != test.want || !strings.Contains(answer, `"result":"logs"`) {
					t.Errorf("%s, n1 takes %v: got %s after %v, want %v", body, test.n1, answer, took, test.want)
				}
			})
		}
	}
}

// trickle is an execution client with a large answer that comes in two halves, the second after a pause.
type trickle struct {
	bubble.Fake
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
		return t.Fake.RoundTrip(r)
	}
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
	const timeout = 7500 * time.Millisecond // of the nodes of a bubble
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
			nodes := []*trickle{{pause: test.node}, {pause: test.node}}
			bubble.In(t, nodes, func(t *testing.T, b *bubble.Bubble) {
				w := slow{httptest.NewRecorder(), test.caller}
				broke := func() (broke bool) {
					defer func() { broke = recover() == http.ErrAbortHandler }()
					b.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/", bytes.NewReader(call)))
					return false
				}()
				if broke != test.breaks {
					t.Errorf("broke %t, want %t", broke, test.breaks)
				}
				if got := w.Body.String(); !test.breaks && got != want {
					t.Errorf("got %d bytes, want %d", len(got), len(want))
				}
				for _, n := range b.Fleet.Pool.Nodes() {
					if s := n.Status(); s.State != health.Alive {
						t.Errorf("%s is %s: %s", n.Name(), s.State, s.Reason)
					}
				}
			})
		})
	}
}
