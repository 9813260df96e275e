package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/apptest"
	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/webhook"
)

// receiver takes alerts, as whatever takes Alertmanager's does. While it hangs it answers nothing.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex // guards what follows
	hung   bool
	tries  int
	alerts []webhook.Alert
}

func newReceiver(t *testing.T) *receiver {
	r := new(receiver)
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	r.mu.Lock()
	r.tries++
	hung := r.hung
	r.mu.Unlock()
	if hung {
		<-req.Context().Done()
		return
	}
	var m webhook.Message
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil || m.Version != "4" || req.URL.Path != "/services/hunter2" {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alerts = append(r.alerts, m.Alerts...)
}

// named are the alerts of a name that have come.
func (r *receiver) named(name string) (list []webhook.Alert) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.alerts {
		if a.Labels["alertname"] == "ExecutionBackup"+name {
			list = append(list, a)
		}
	}
	return list
}

// use has a configuration tell the receiver.
func (r *receiver) use(t testing.TB) func(*config.Config) {
	t.Helper()
	u, err := auth.ParseURL(r.URL + "/services/hunter2")
	if err != nil {
		t.Fatal(err)
	}
	return func(c *config.Config) { c.Webhook = u }
}

// A dispute is told about a second after it began, and once. Nobody sees the URL.
func TestWebhook(t *testing.T) {
	t.Parallel()
	r, nodes := newReceiver(t), three(t)
	m := startLed(t, apptest.Fakes(nodes...), r.use(t))
	m.prove(t, nodes...)
	chain := enginetest.Chain(4, 3, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: chain[1].Hash(), Status: "INVALID"})
	begun := time.Now()
	m.hears(t, "SYNCING", "engine_newPayload", chain[1])
	apptest.Within(t, 10*time.Second, "the dispute is told", func() bool { return len(r.named("Dispute")) > 0 })
	t.Logf("told after %v", time.Since(begun))
	a := r.named("Dispute")[0]
	for _, want := range []string{
		fmt.Sprintf("Dispute: n3 calls block %d INVALID, the consensus client hears SYNCING, since ", chain[1].Number),
		"Validators don't attest to the block", "executionbackup nodes drain n3",
	} {
		if !strings.Contains(a.Annotations["description"], want) {
			t.Errorf("%s\nlacks %q", a.Annotations["description"], want)
		}
	}
	if a.Status != webhook.Firing || a.Labels["severity"] != "critical" || a.StartsAt.Before(begun.Add(-time.Second)) ||
		!a.EndsAt.IsZero() || !strings.HasPrefix(a.GeneratorURL, "http://127.0.0.1:") {
		t.Errorf("got %+v", a)
	}
	apptest.Until(t, "it is counted", func() bool {
		return m.Metric(t, `executionbackup_webhook_messages_total{outcome="sent"}`) >= 1
	})
	if n := len(r.named("Dispute")); n != 1 {
		t.Errorf("the dispute was told %d times", n)
	}
	for _, path := range []string{"/config", "/status", "/metrics?format=prometheus"} {
		if got := m.REST(t, "GET", path, "").Body; strings.Contains(got, "hunter2") {
			t.Errorf("%s: %s", path, got)
		}
	}
	if got := m.REST(t, "GET", "/config", "").Body; !strings.Contains(got, r.URL+"/…") {
		t.Errorf("/config: %s", got)
	}
	if lines := m.Log.Lines("hunter2"); len(lines) > 0 {
		t.Errorf("logged: %s", lines)
	}
	m.Log.Wait(t, "webhook told", "alert=ExecutionBackupDispute", "to="+r.URL+"/…")
}

// A payload for the wrong fee recipient that is proposed all the same is told.
func TestWebhookTellsOfProposals(t *testing.T) {
	t.Parallel()
	r, nodes := newReceiver(t), builders(t, 2)
	m := startLed(t, apptest.Fakes(nodes...), r.use(t))
	head := enginetest.Chain(4, 1, nil)[0]
	id := m.build(t, head).PayloadID
	for _, n := range nodes {
		offer(n, head, "0x1", func(p *enginetest.Payload) { p.FeeRecipient = common.Address{1} })
	}
	m.call(t, "engine_getPayloadV4", id)
	apptest.Within(t, 10*time.Second, "the proposal is told", func() bool { return len(r.named("PoorProposal")) > 0 })
	a := r.named("PoorProposal")[0]
	if said := a.Annotations["description"]; a.Labels["outcome"] != "wrong_fee_recipient" ||
		!strings.Contains(said, "n1: taken, though: wrong fee recipient 0x01") {
		t.Errorf("got %+v", a)
	}
}

// A reload names a receiver, and takes it away.
func TestWebhookReload(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	n := enginetest.New(t, enginetest.Client{Syncing: true})
	m := start(t, apptest.Fakes(n), nil)
	with := *m.Config
	r.use(t)(&with)
	if got := m.Reload(&with); !slices.Equal(got.Changed, []string{"webhook_url: (not set) → " + r.URL + "/…"}) {
		t.Errorf("got %+v", got)
	}
	if got := m.Reload(m.Config); !slices.Equal(got.Changed, []string{"webhook_url: " + r.URL + "/… → (not set)"}) {
		t.Errorf("got %+v", got)
	}
}

// While the receiver hangs, which it may for ten seconds in each try, no call waits for it, and the end isn't held up
// for more than a second.
func TestHungWebhook(t *testing.T) {
	t.Parallel()
	r, nodes := newReceiver(t), three(t)
	r.hung = true
	m := startLed(t, apptest.Fakes(nodes...), r.use(t))
	m.prove(t, nodes...)
	chain := enginetest.Chain(4, 200, nil)
	times := func(blocks []enginetest.Payload) (median, most time.Duration) {
		var took []time.Duration
		for _, p := range blocks {
			begun := time.Now()
			m.newPayload(t, p)
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		return took[len(took)/2], took[len(took)-1]
	}
	before, _ := times(chain[:100])
	bad := chain[100]
	nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: bad.Hash(), Status: "INVALID"})
	m.hears(t, "SYNCING", "engine_newPayload", bad)
	apptest.Until(t, "a message hangs", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.tries > 0 })
	side := enginetest.Chain(4, 100, func(p *enginetest.Payload) { p.ExtraData = []byte("side") })
	after, most := times(side)
	t.Logf("median %v, with a receiver that hangs %v", before, after) // beside other tests: of no use for a limit
	if most > 5*time.Second {
		t.Errorf("a call took %v", most)
	}
	begun := time.Now()
	m.Stop()
	if took := time.Since(begun); took > 8*time.Second {
		t.Errorf("the end took %v", took)
	}
}
