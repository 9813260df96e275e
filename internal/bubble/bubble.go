// Package bubble is for tests of what is decided when: a door before nodes without a network, in a bubble with a clock
// of its own (testing/synctest). Times are exact, and a minute takes no time.
package bubble

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/auth"
	"executionbackup/internal/calls"
	"executionbackup/internal/catchup"
	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/evidence"
	"executionbackup/internal/fleet"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/memory"
	"executionbackup/internal/node"
	"executionbackup/internal/proxy"
	"executionbackup/internal/quorum"
	"executionbackup/internal/state"
	"executionbackup/internal/verdict"
)

// Hash is that of block n.
func Hash(n int) common.Hash { return common.BytesToHash([]byte{byte(n >> 8), byte(n)}) }

// PayloadCall is a newPayload with block n, in a version whose block hash nobody can check.
func PayloadCall(n int) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":"engine_newPayloadV99","params":[`+
		`{"blockHash":%q,"parentHash":%q,"blockNumber":"0x%x"}]}`, Hash(n).Hex(), Hash(n-1).Hex(), n)
}

// PayloadAt is PayloadCall with the timestamp of a slot that began at a time, in whole seconds.
func PayloadAt(n int, slot time.Time) []byte {
	timestamp := fmt.Appendf(nil, `"timestamp":"0x%x","blockNumber"`, slot.Unix())
	return bytes.Replace(PayloadCall(n), []byte(`"blockNumber"`), timestamp, 1)
}

// ForgedCall is a call with another content under the hash of block n.
func ForgedCall(n int) []byte {
	return bytes.Replace(PayloadCall(n), []byte(`"blockNumber"`), []byte(`"forged":"0x1","blockNumber"`), 1)
}

// ForkchoiceCall is a forkchoiceUpdated that makes block n the head.
func ForkchoiceCall(n int) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":"engine_forkchoiceUpdatedV3","params":[`+
		`{"headBlockHash":%q,"safeBlockHash":%q,"finalizedBlockHash":%q},null]}`,
		Hash(n).Hex(), Hash(0).Hex(), Hash(0).Hex())
}

// BuildCall is a forkchoiceUpdated that makes block n the head and asks for a payload on it, for a slot in 12 s.
func BuildCall(n int) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":"engine_forkchoiceUpdatedV1","params":[`+
		`{"headBlockHash":%q,"safeBlockHash":%q,"finalizedBlockHash":%q},`+
		`{"timestamp":"0x%x","prevRandao":%q,"suggestedFeeRecipient":"0x%040x"}]}`,
		Hash(n).Hex(), Hash(0).Hex(), Hash(0).Hex(), time.Now().Unix()+12, Hash(0).Hex(), 1)
}

// Latest is what eth_getBlockByNumber answers where block n is the latest, as far as anybody reads it.
func Latest(n int) string { return fmt.Sprintf(`{"hash":%q,"number":"0x%x"}`, Hash(n).Hex(), n) }

// Call reads a call as the door does.
func Call(t testing.TB, body []byte) *engine.Call {
	t.Helper()
	var r jsonrpc.Request
	if err := jsonrpc.ParseRequest(body, &r); err != nil {
		t.Fatal(err)
	}
	c, err := enginejson.ReadCall(&r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// WithTimeout returns a context that ends after a while.
func WithTimeout(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// Options are what a test changes of the defaults; nil funcs mean that nothing is changed.
type Options struct {
	Settings func(*fleet.Settings)
	Log      *slog.Logger // nil: nothing is logged, or all with -v
	Backup   int          // which of the fakes is a backup, from 1; 0 for none
	// ExcludeMissed shuts out nodes that missed a fork.
	ExcludeMissed bool
	// Blocks is how many are remembered, ReplayBytes how many bytes of payloads are kept; 0: as many as usual.
	Blocks      int
	ReplayBytes int64
	Evidence    *evidence.Log // nil: none is kept
	State       *state.File   // where what outlives it is kept; nil: nowhere
	Hung        bool          // the disk of State hangs: nothing is ever written there
	Shared      *state.Shared // nil: there is no other instance
}

// ReplayBytes is how many bytes of payloads are kept for nodes that come back.
const ReplayBytes = 128 << 20

// Bubble is a door before fakes, and what is behind it.
type Bubble struct {
	*proxy.Proxy
	Fleet   *fleet.Fleet
	Calls   *calls.Router
	Metrics *prometheus.Registry // all that is counted
	// Bench and CatchUp stand in the place of the router's where the test is OnBench; nil elsewhere.
	Bench   *verdict.Bench
	CatchUp *catchup.CatchUp

	t     testing.TB
	saves bool // what outlives it
}

// In runs a test with the fakes behind a door; all of it has ended when In returns.
func In[T http.RoundTripper](t *testing.T, fakes []T, test func(t *testing.T, b *Bubble)) {
	synctest.Test(t, func(t *testing.T) {
		b := New(t, fakes, Options{})
		b.Run(func() { test(t, b) })
	})
}

// OnBench is In for tests that look into the bench where calls are judged, and into what is kept for nodes that come
// back: up to so many bytes of payloads. Send and Follow ask the bench, without a door. What it counts isn't in
// Metrics.
func OnBench[T http.RoundTripper](t *testing.T, fakes []T, replayBytes int64, test func(t *testing.T, b *Bubble)) {
	synctest.Test(t, func(t *testing.T) {
		b := New(t, fakes, Options{})
		registry := prometheus.NewRegistry()
		b.CatchUp = catchup.New(b.Fleet, replayBytes, registry)
		b.Bench = verdict.New(b.Fleet, b.CatchUp, registry)
		b.Fleet.Pool.Tell(node.Events{Returned: b.CatchUp.Returned, Removed: b.CatchUp.Forget})
		b.Run(func() { test(t, b) })
	})
}

// New returns a door before fakes that nobody watches yet.
func New[T http.RoundTripper](t testing.TB, fakes []T, o Options) *Bubble {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
		if testing.Verbose() {
			o.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
	}
	threshold, err := quorum.ParseRatio("0.6")
	if err != nil {
		t.Fatal(err)
	}
	var specs []config.Node
	transports := make(map[string]http.RoundTripper)
	for i, f := range fakes {
		specs = append(specs, Spec(t, i+1))
		specs[i].Backup = o.Backup == i+1
		transports[specs[i].Name] = f
	}
	registry := prometheus.NewRegistry()
	pool := node.NewPool(specs, node.Options{
		Memory: memory.New(cmp.Or(o.Blocks, memory.DefaultBlocks)), Metrics: node.NewMetrics(registry), Log: o.Log,
		ExcludeMissed: func() bool { return o.ExcludeMissed },
		Transport:     func(c config.Node) http.RoundTripper { return transports[c.Name] },
	})
	settings := fleet.Settings{
		Rules: quorum.Rules{Threshold: threshold, MinValid: 1}, Times: fleet.Times{Grace: Grace, LateGrace: LateGrace},
		BuildGrace: 300 * time.Millisecond,
	}
	if o.Settings != nil {
		o.Settings(&settings)
	}
	f := fleet.New(fleet.Options{
		Pool: pool, Settings: settings, Evidence: o.Evidence, State: o.State, Shared: o.Shared,
		Metrics: registry, Log: o.Log,
	})
	x := calls.New(calls.Options{Fleet: f, ReplayBytes: cmp.Or(o.ReplayBytes, ReplayBytes), Metrics: registry})
	door := proxy.New(proxy.Options{Calls: x, Session: f.Controller, MaxBody: 128 << 20, Metrics: registry})
	return &Bubble{
		Proxy: door, Fleet: f, Calls: x, Metrics: registry, t: t, saves: o.State != nil && !o.Hung,
	}
}

// Run does something while the nodes are watched.
func (b *Bubble) Run(do func()) {
	stop := b.Start()
	do()
	stop()
}

// Start watches the nodes until stop is called, which waits for the calls under way.
func (b *Bubble) Start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { b.Fleet.Pool.Run(ctx) })
	stopSaving := func(time.Duration) bool { return true }
	if b.saves {
		stopSaving = b.Fleet.StartSaving()
	}
	<-b.Fleet.Pool.Ready()
	return func() {
		b.Calls.Drain(ctx)
		stopSaving(time.Minute)
		cancel()
		watching.Wait()
	}
}

// Spec is the specification of the i-th fake, from 1.
func Spec(t testing.TB, i int) config.Node {
	t.Helper()
	secret, err := auth.ParseSecret(strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	u := &url.URL{Scheme: "http", Host: fmt.Sprintf("n%d:8551", i)}
	return config.Node{URL: u, Name: fmt.Sprintf("n%d", i), Secret: secret, Timeout: 7500 * time.Millisecond}
}

// Post returns the answer to a body.
func (b *Bubble) Post(ctx context.Context, body []byte) []byte {
	w := httptest.NewRecorder()
	b.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", "/", bytes.NewReader(body)))
	return w.Body.Bytes()
}

// Change changes the settings.
func (b *Bubble) Change(change func(*fleet.Settings)) {
	settings := *b.Fleet.Settings()
	change(&settings)
	b.Fleet.Reload(settings)
}

// Threshold sets --fcu-invalid-threshold.
func (b *Bubble) Threshold(text string) {
	b.t.Helper()
	threshold, err := quorum.ParseRatio(text)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Change(func(s *fleet.Settings) { s.Rules.Threshold = threshold })
}

// Send makes a call and returns the status that the CL hears, and when.
func (b *Bubble) Send(body []byte) (status string, took time.Duration) {
	b.t.Helper()
	begun := time.Now()
	if b.Bench != nil {
		a := b.Bench.Judge(b.t.Context(), b.Fleet.Controller, Call(b.t, body), verdict.Mode{})()
		took = time.Since(begun)
		if a.Err != nil {
			b.t.Fatal(a.Err)
		}
		return a.Word(), took
	}
	answer := b.Post(b.t.Context(), body)
	took = time.Since(begun)
	return statusIn(b.t, answer), took
}

// statusIn is the status in an answer to a newPayload or a forkchoiceUpdated.
func statusIn(t testing.TB, answer []byte) string {
	t.Helper()
	var a struct {
		Result struct {
			Status        string
			PayloadStatus struct{ Status string }
		}
		Error json.RawMessage
	}
	if err := json.Unmarshal(answer, &a); err != nil || a.Error != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	return a.Result.Status + a.Result.PayloadStatus.Status
}

// Slot is what the CL saw of one block.
type Slot struct {
	NewPayload, Forkchoice string
	Took, ForkchoiceTook   time.Duration
}

// Follow plays a CL for n blocks, one every two seconds: newPayload, then forkchoiceUpdated.
func (b *Bubble) Follow(first, n int) (slots []Slot) {
	b.t.Helper()
	for i := first; i < first+n; i++ {
		next := time.Now().Add(2 * time.Second)
		var s Slot
		s.NewPayload, s.Took = b.Send(PayloadCall(i))
		s.Forkchoice, s.ForkchoiceTook = b.Send(ForkchoiceCall(i))
		slots = append(slots, s)
		time.Sleep(time.Until(next)) // the bubble's clock
	}
	return slots
}
