package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
)

// These tests run in a bubble with a clock of its own (testing/synctest): times are exact, and a minute takes no time.

// fake is an execution client without a network.
type fake struct {
	mu    sync.Mutex
	calls []string // newPayload and forkchoiceUpdated in order of arrival: "P3", "F3"

	// These say how it answers; nil means at once, with VALID. They must not be changed while it is called.
	delay    func(method string, number int) time.Duration
	status   func(method string, number int) string
	contents func(call []byte) string // as status, by the whole call
	refuse   func() bool
	reset    func() bool // the connection breaks under newPayload
	// answer, where it isn't nil and returns true, has the whole result of a method.
	answer func(method string) (result string, ok bool)
	// fail has the JSON-RPC error of a method, or "".
	fail func(method string) string
	// arrived is told of each newPayload and forkchoiceUpdated ("P3", "F3"), and done when it has been answered or given
	// up. A refused call has not arrived.
	arrived func(call string, number int) (done func(), refused bool)
}

var errReset = errors.New("connection reset by peer")

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

const forever = 24 * time.Hour

// received reads a request as an execution client does.
func received(r *http.Request) (call jsonrpc.Request, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return call, err
	}
	return call, jsonrpc.ParseRequest(body, &call)
}

// RoundTrip answers as an execution client would, after its delay or never.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	call, err := received(r)
	if err != nil {
		return nil, err
	}
	if f.refuse != nil && f.refuse() {
		return nil, errRefused
	}
	m := engine.ParseMethod(string(call.Method))
	number := 0
	kind := ""
	switch m.Family {
	case engine.NewPayload:
		p, _, _ := engine.ParsePayload(&call)
		kind, number = "P", int(p.Number)
	case engine.ForkchoiceUpdated:
		c, _, _ := engine.ParseForkchoice(&call)
		kind, number = "F", int(c.Head.Big().Int64())
	}
	if kind != "" {
		if f.arrived != nil {
			done, refused := f.arrived(fmt.Sprint(kind, number), number)
			if refused {
				return nil, errRefused
			}
			defer done()
		}
		f.note(kind, number)
	}
	if f.delay != nil {
		if d := f.delay(string(call.Method), number); d > 0 {
			select {
			case <-time.After(d):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}
	}
	if kind == "P" && f.reset != nil && f.reset() {
		return nil, errReset
	}
	result := "false" // eth_syncing
	if m.Family == engine.NewPayload || m.Family == engine.ForkchoiceUpdated {
		status := "VALID"
		if f.status != nil {
			status = f.status(string(call.Method), number)
		}
		if f.contents != nil {
			status = f.contents(call.Raw)
		}
		latest := "null"
		if status == "VALID" {
			latest = `"` + hash(number).Hex() + `"`
		}
		result = fmt.Sprintf(`{"status":%q,"latestValidHash":%s,"validationError":null}`, status, latest)
		if m.Family == engine.ForkchoiceUpdated {
			result = `{"payloadStatus":` + result + `,"payloadId":null}`
		}
	} else if string(call.Method) != "eth_syncing" {
		result = `null`
	}
	if f.answer != nil {
		if own, ok := f.answer(string(call.Method)); ok {
			result = own
		}
	}
	answer := `{"jsonrpc":"2.0","id":1,"result":` + result + `}`
	if f.fail != nil {
		if e := f.fail(string(call.Method)); e != "" {
			answer = `{"jsonrpc":"2.0","id":1,"error":` + e + `}`
		}
	}
	return &http.Response{StatusCode: 200, ContentLength: int64(len(answer)), Body: io.NopCloser(strings.NewReader(answer)), Header: http.Header{}}, nil
}

func (f *fake) note(kind string, number int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprint(kind, number))
}

func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.calls...)
}

func hash(n int) common.Hash { return common.BytesToHash([]byte{byte(n >> 8), byte(n)}) }

func payloadCall(n int) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":"engine_newPayloadV99","params":[{"blockHash":%q,"parentHash":%q,"blockNumber":"0x%x"}]}`,
		hash(n).Hex(), hash(n-1).Hex(), n)
}

func forkchoiceCall(n int) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":"engine_forkchoiceUpdatedV3","params":[{"headBlockHash":%q,"safeBlockHash":%q,"finalizedBlockHash":%q},null]}`,
		hash(n).Hex(), hash(0).Hex(), hash(0).Hex())
}

func withTimeout(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// bubble is a proxy before fakes.
type bubble struct {
	*Proxy
	t testing.TB
}

// inBubble runs a test with the fakes behind a proxy; all of it has ended when inBubble returns.
func inBubble(t *testing.T, fakes []*fake, test func(t *testing.T, b *bubble)) {
	bubbled(t, fakes, func(t *testing.T, p *Proxy) { test(t, &bubble{p, t}) })
}

// bubbled is inBubble with other fakes.
func bubbled[T http.RoundTripper](t *testing.T, fakes []T, test func(t *testing.T, p *Proxy)) {
	synctest.Test(t, func(t *testing.T) {
		p := newProxy(t, fakes)
		running(p, func() { test(t, p) })
	})
}

// running does something while the nodes of a proxy are watched.
func running(p *Proxy, do func()) {
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { p.pool.Run(ctx) })
	<-p.pool.Ready()
	do()
	p.Drain(ctx)
	stop()
	watching.Wait()
}

// fakeSpec is the specification of the i-th fake, from 1.
func fakeSpec(t testing.TB, i int) config.Node {
	t.Helper()
	secret, err := auth.ParseSecret(strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	u := &url.URL{Scheme: "http", Host: fmt.Sprintf("n%d:8551", i)}
	return config.Node{URL: u, Name: fmt.Sprintf("n%d", i), Secret: secret, Timeout: 7500 * time.Millisecond}
}

func newProxy[T http.RoundTripper](t testing.TB, fakes []T) *Proxy {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return newLoggingProxy(t, fakes, log)
}

func newLoggingProxy[T http.RoundTripper](t testing.TB, fakes []T, log *slog.Logger) *Proxy {
	t.Helper()
	threshold, err := quorum.ParseRatio("0.6")
	if err != nil {
		t.Fatal(err)
	}
	var specs []config.Node
	for i := range fakes {
		specs = append(specs, fakeSpec(t, i+1))
	}
	memory := quorum.NewMemory(quorum.DefaultBlocks)
	registry := prometheus.NewRegistry()
	pool := node.NewPool(specs, node.Options{Memory: memory, Metrics: node.NewMetrics(registry), Log: log,
		Transport: func(c config.Node) http.RoundTripper {
			for i, f := range fakes {
				if specs[i].Name == c.Name {
					return f
				}
			}
			return nil
		}})
	settings := Settings{Rules: quorum.Rules{Threshold: threshold, MinValid: 1}, Grace: 500 * time.Millisecond, BuildGrace: 300 * time.Millisecond}
	return New(pool, memory, settings, 128<<20, 128<<20, NewMetrics(registry), log)
}

// answerBody returns the answer to a body.
func (p *Proxy) answerBody(ctx context.Context, body []byte) []byte {
	w := httptest.NewRecorder()
	if jsonrpc.IsArray(body) {
		return p.answerBatch(ctx, body)
	}
	p.answerCall(ctx, body, &outlet{w: w})
	return w.Body.Bytes()
}

// threshold sets --fcu-invalid-threshold.
func (b *bubble) threshold(text string) {
	b.t.Helper()
	settings := *b.settings.Load()
	var err error
	if settings.Rules.Threshold, err = quorum.ParseRatio(text); err != nil {
		b.t.Fatal(err)
	}
	b.Reload(settings)
}

// send makes a call and returns the status that the CL hears, and when.
func (b *bubble) send(body []byte) (status string, took time.Duration) {
	b.t.Helper()
	begun := time.Now()
	answer := b.answerBody(b.t.Context(), body)
	took = time.Since(begun)
	var a struct {
		Result struct {
			Status        string
			PayloadStatus struct{ Status string }
		}
		Error json.RawMessage
	}
	if err := json.Unmarshal(answer, &a); err != nil || a.Error != nil {
		b.t.Fatalf("%s: %v", answer, err)
	}
	return a.Result.Status + a.Result.PayloadStatus.Status, took
}

// slot is what the CL saw of one block.
type slot struct {
	newPayload, forkchoice string
	took, forkchoiceTook   time.Duration
}

// follow plays a CL for n blocks, one every two seconds: newPayload, then forkchoiceUpdated.
func (b *bubble) follow(first, n int) (slots []slot) {
	b.t.Helper()
	for i := first; i < first+n; i++ {
		next := time.Now().Add(2 * time.Second)
		var s slot
		s.newPayload, s.took = b.send(payloadCall(i))
		s.forkchoice, s.forkchoiceTook = b.send(forkchoiceCall(i))
		slots = append(slots, s)
		time.Sleep(time.Until(next)) // the bubble's clock
	}
	return slots
}
