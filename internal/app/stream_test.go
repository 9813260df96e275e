package app_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/jsonrpc"
)

// staged puts a server before a node that answers calls of one method itself, as it likes, and passes on the others.
func staged(
	t testing.TB, n *enginetest.Node, method string, answer func(w http.ResponseWriter, r *http.Request),
) (address string) {
	target, err := url.Parse(n.URL)
	if err != nil {
		t.Fatal(err)
	}
	others := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if strings.Contains(string(body), `"method":"`+method) {
			answer(w, r)
			return
		}
		others.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// led is three nodes before which we run; n1 is the primary, and answers one method itself.
func led(
	t *testing.T, method string, answer func(w http.ResponseWriter, r *http.Request),
) (*multiplexer, []*enginetest.Node) {
	nodes := three(t)
	configured := apptest.Fakes(nodes...)
	configured[0].URL = staged(t, nodes[0], method, answer)
	return startLed(t, configured, nil), nodes
}

// open posts a call and returns the answer's body as it comes in.
func (m *multiplexer) open(t testing.TB, body string) io.Reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", m.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+enginetest.Token(m.Secret, time.Now()))
	resp, err := m.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("HTTP %d, %v", resp.StatusCode, resp.Header)
	}
	return resp.Body
}

// logs is the result of a large eth_getLogs.
var logs = `[` +
	strings.Repeat(`{"address":"0xaa", "topics":["\"]\\", {}],"data":"`+strings.Repeat("ab", 500)+`"},`, 2000) +
	`{"last":[]}]`

// A large answer is the node's own result under the caller's id, however it comes.
func TestLargeAnswers(t *testing.T) {
	t.Parallel()
	const method = "eth_getLogs"
	whole := `{"jsonrpc":"2.0","id":7,"result":` + logs + "}\n"
	zip := func(text string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		io.WriteString(z, text)
		z.Close()
		return b.Bytes()
	}
	var answer func(w http.ResponseWriter, r *http.Request)
	m, nodes := led(t, method, func(w http.ResponseWriter, r *http.Request) { answer(w, r) })
	nodes[1].Script(enginetest.Rule{Method: method, Result: `"n2"`})
	// own gives an answer the id of its call.
	own := func(r *http.Request, s string) string {
		body, _ := io.ReadAll(r.Body)
		return strings.ReplaceAll(s, `"id":7`, `"id":`+string(jsonrpc.CallID(body)))
	}
	text := func(s string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			s := own(r, s)
			w.Header().Set("Content-Length", fmt.Sprint(len(s)))
			io.WriteString(w, s)
		}
	}
	answer = text(whole)
	got := m.say(t, `[{"jsonrpc":"2.0","id":1,"method":"eth_getLogs"},{"jsonrpc":"2.0","method":"eth_getLogs"},`+
		`{"jsonrpc":"2.0","id":2,"method":"eth_getLogs"}]`)
	want := `[{"jsonrpc":"2.0","id":1,"result":` + logs + `},{"jsonrpc":"2.0","id":2,"result":` + logs + `}]`
	if got != want {
		t.Errorf("batch: got %d bytes, want %d", len(got), len(want))
	}
	if got := m.say(t, `{"jsonrpc":"2.0","method":"eth_getLogs"}`); got != "" {
		t.Errorf("notification: got %d bytes", len(got))
	}
	const page = "<html>"
	for _, test := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request)
		want   string // the result; "broken" for a connection that breaks
	}{
		{"at once", text(whole), logs},
		{"chunked", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, own(r, whole)) }, logs},
		{"gzip", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(zip(own(r, whole)))
		}, logs},
		{"other order", text(`{"result": ` + logs + ` , "x":[],"error":null,"id":7,"jsonrpc":"2.0" }`), logs},
		{"a string", text(`{"id":7,"result":"` + strings.Repeat("ab", 1<<20) + `"}`),
			`"` + strings.Repeat("ab", 1<<20) + `"`},
		{"much before it", text(`{"id":7,"x":"` + strings.Repeat("a", 1<<20) + `","result":` + logs + `}`), logs},
		{"a page", text(page + strings.Repeat(page, 1<<16)), `"n2"`},
		{"a second id before", text(`{"id":7,"id":7,"result":` + logs + `}`), `"n2"`},
		{"HTTP 500", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			io.WriteString(w, page+strings.Repeat(page, 1<<16))
		}, `"n2"`},
		{"a second result", text(`{"id":7,"result":` + logs + `,"result":[]}`), "broken"},
		{"an error too", text(`{"id":7,"result":` + logs + `,"error":{"code":1,"message":"x"}}`), "broken"},
		{"Result too", text(`{"id":7,"result":` + logs + `,"Result":[]}`), "broken"},
		{"not JSON at its end", text(`{"id":7,"result":` + logs[:len(logs)-1] + `,]}`), "broken"},
		{"no end", text(`{"id":7,"result":` + logs), "broken"},
		{"something behind", text(`{"id":7,"result":` + logs + `} x`), "broken"},
		{"another id", text(`{"id":8,"result":` + logs + `}`), `"n2"`},
		{"another id behind", text(`{"result":` + logs + `,"id":8}`), "broken"},
		{"half of it", func(w http.ResponseWriter, r *http.Request) {
			whole := own(r, whole)
			w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
			io.WriteString(w, whole[:len(whole)/2])
			panic(http.ErrAbortHandler)
		}, "broken"},
		{"half of it, chunked", func(w http.ResponseWriter, r *http.Request) {
			whole := own(r, whole)
			io.WriteString(w, whole[:len(whole)/2])
			panic(http.ErrAbortHandler)
		}, "broken"},
		{"a little of it", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
			io.WriteString(w, whole[:1000])
			panic(http.ErrAbortHandler)
		}, `"n2"`},
	} {
		answer = test.answer
		for _, id := range []string{`7`, `"a\"b"`} {
			got, err := io.ReadAll(m.open(t, `{"jsonrpc":"2.0","id":`+id+`,"method":"eth_getLogs","params":[{}]}`))
			if test.want == "broken" {
				if err == nil {
					t.Errorf("%s: complete, %d bytes", test.name, len(got))
				}
				continue
			}
			want := `{"jsonrpc":"2.0","id":` + id + `,"result":` + test.want + `}`
			if err != nil || string(got) != want {
				t.Errorf("%s: got %d bytes, %.100s, %v; want %d", test.name, len(got), got, err, len(want))
			}
			if test.want == `"n2"` {
				break
			}
		}
		if n := m.Node(t, "n1"); n.State != "alive" {
			t.Errorf("%s: n1 is %s: %s", test.name, n.State, n.Reason)
		}
	}
}

// halves answers with the first half, and with the second when told so.
func halves(text string, second <-chan struct{}) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, text[:len(text)/2])
		http.NewResponseController(w).Flush()
		select {
		case <-second:
			io.WriteString(w, text[len(text)/2:])
		case <-r.Context().Done():
		}
	}
}

// The caller has the first half of an answer while the node still works on the second.
func TestAnswersStream(t *testing.T) {
	t.Parallel()
	const blob = 1 << 14
	blobs := func(first, n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"blob":"0x%s","proofs":["0x%d"]}`, strings.Repeat("ab", blob), first+i))
		}
		return strings.Join(list, ",")
	}
	hashes := func(n int) string {
		return `[[` + strings.TrimSuffix(strings.Repeat(`"`+enginetest.GenesisHash+`",`, n), ",") + `]]`
	}
	body := `{"transactions":["0x` + strings.Repeat("ab", blob) + `"],"withdrawals":[]}`
	for _, test := range []struct{ method, params, result string }{
		{"eth_getLogs", `[{}]`, logs},
		{"engine_getBlobsV1", hashes(8), `[` + blobs(0, 8) + `]`},
		{"engine_getBlobsV2", hashes(8), `[` + blobs(0, 8) + `]`},
		{"engine_getPayloadBodiesByHashV1", hashes(8), `[` + strings.Repeat(body+",", 7) + body + `]`},
		// no later block
		{"engine_getPayloadBodiesByRangeV1", `["0x1","0x9"]`, `[` + strings.Repeat(body+",", 7) + body + `]`},
	} {
		t.Run(test.method, func(t *testing.T) {
			t.Parallel()
			second := make(chan struct{})
			m, nodes := led(t, test.method, halves(`{"jsonrpc":"2.0","id":1,"result":`+test.result+`}`, second))
			for _, n := range nodes[1:] { // what they say makes no difference
				fails(n, test.method, -32000, "x")
			}
			answer := m.open(t, `{"jsonrpc":"2.0","id":1,"method":"`+test.method+`","params":`+test.params+`}`)
			first := make([]byte, len(test.result)/4)
			if _, err := io.ReadFull(answer, first); err != nil {
				t.Fatal(err)
			}
			close(second)
			rest, err := io.ReadAll(answer)
			want := `{"jsonrpc":"2.0","id":1,"result":` + test.result + `}`
			if err != nil || string(first)+string(rest) != want {
				t.Errorf("got %d bytes, %v, want %d", len(first)+len(rest), err, len(want))
			}
		})
	}
}

// What the primary's list lacks, or breaks off before, comes from the others, behind what the CL has already. Where
// nobody has it, the CL's connection breaks, unless null is an answer.
func TestBlobsStreamFromSeveral(t *testing.T) {
	t.Parallel()
	const size = 8
	entry := func(i int) string {
		return fmt.Sprintf(`{"blob":"0x%s%d","proofs":["0x%d"]}`, strings.Repeat("ab", 1<<14), i, i)
	}
	list := func(missing ...int) string {
		var entries []string
		for i := range size {
			e := entry(i)
			for _, m := range missing {
				if i == m {
					e = `null`
				}
			}
			entries = append(entries, e)
		}
		return `[` + strings.Join(entries, ",") + `]`
	}
	whole := list()
	reply := func(result string) string { return `{"jsonrpc":"2.0","id":1,"result":` + result + `}` }
	params := `[[` + strings.TrimSuffix(strings.Repeat(`"`+enginetest.GenesisHash+`",`, size), ",") + `]]`
	breaks := func(at int) func(w http.ResponseWriter, _ *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, reply(whole)[:at])
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	says := func(result string) func(w http.ResponseWriter, _ *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, reply(result)) }
	}
	late := list(size - 1)
	for _, test := range []struct {
		name, method string
		n1           func(http.ResponseWriter, *http.Request)
		n2, n3       string
		want         string // "" for a connection that breaks
	}{
		{"whole", "engine_getBlobsV1", says(whole), list(0, 1), list(2), whole},
		{"gap", "engine_getBlobsV1", says(late), whole, list(0, 1), whole},
		{"gap in all", "engine_getBlobsV3", says(late), late, list(0, size-1), late},
		{"two gaps, from two", "engine_getBlobsV3", says(list(5, 6)), list(1, 5), list(2, 6), whole},
		{"break", "engine_getBlobsV1", breaks(len(whole) / 2), whole, list(0), whole},
		{"break, and a gap", "engine_getBlobsV3", breaks(len(whole) / 2), late, late, late},
		{"break, V2", "engine_getBlobsV2", breaks(len(whole) / 2), `null`, whole, whole},
		{"break, and nobody else", "engine_getBlobsV2", breaks(len(whole) / 2), `null`, `null`, ""},
		{"gap in V2", "engine_getBlobsV2", says(late), `null`, `null`, ""},
		{"too many", "engine_getBlobsV1", says(whole[:len(whole)-1] + `,` + entry(9) + `]`), whole, `null`, whole},
		{"too few", "engine_getBlobsV1", says(`[` + entry(0) + `,` + entry(1) + `]`), whole, `null`, whole},
		{"malformed entry", "engine_getBlobsV1", says(whole[:len(whole)-1] + `7]`), whole, `null`, whole},
	} {
		t.Run(test.name, func(t *testing.T) { // one after the other, so that a busy machine keeps getBlobs' limit
			m, nodes := led(t, test.method, test.n1)
			nodes[1].Script(enginetest.Rule{Method: test.method, Result: test.n2})
			nodes[2].Script(enginetest.Rule{Method: test.method, Result: test.n3})
			got, err := io.ReadAll(m.open(t, `{"jsonrpc":"2.0","id":1,"method":"`+test.method+`","params":`+params+`}`))
			if test.want == "" {
				// Before the first blob has gone there is still a right answer.
				if !errors.Is(err, io.ErrUnexpectedEOF) && string(got) != reply(`null`) {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
			} else if err != nil || string(got) != reply(test.want) {
				t.Errorf("got %d bytes, %v, want %d", len(got), err, len(reply(test.want)))
			}
		})
	}
}

// A CL that goes away in mid-answer is no failure of the node's.
func TestCallerGoesInMidAnswer(t *testing.T) {
	t.Parallel()
	second := make(chan struct{})
	given := make(chan struct{})
	m, _ := led(t, "eth_getLogs", func(w http.ResponseWriter, r *http.Request) {
		defer close(given)
		halves(`{"jsonrpc":"2.0","id":1,"result":`+logs+`}`, second)(w, r)
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", m.URL,
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"eth_getLogs"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+enginetest.Token(m.Secret, time.Now()))
	resp, err := m.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-given // the node's call is given up
	apptest.Until(t, "the hang-up is noticed", func() bool {
		return m.Metric(t, "executionbackup_requests_in_flight") == 0
	})
	if n := m.Node(t, "n1"); n.State != "alive" || n.LastError != "" {
		t.Errorf("n1 is %+v", n)
	}
}
