package app_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// What a consensus client says that its calls belong to (W3C Trace Context).
const (
	clTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	clSpan   = "00f067aa0ba902b7"
	clParent = "00-" + clTrace + "-" + clSpan + "-01"
)

// traced runs an ExecutionBackup whose spans go to a collector, before nodes n1 and n2, with n1 as the primary.
func traced(t *testing.T, change func(*config.Config)) (*apptest.Collector, *multiplexer, []*enginetest.Node) {
	t.Helper()
	collector := apptest.NewCollector(t)
	collector.Listen(t)
	nodes := []*enginetest.Node{enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})}
	m := startLed(t, apptest.Fakes(nodes...), change)
	m.Header = http.Header{"Traceparent": {clParent}}
	return collector, m, nodes
}

// want compares a span's attributes. An empty one must be missing.
func wantAttributes(t *testing.T, s apptest.Span, want map[string]string) {
	t.Helper()
	for key, value := range want {
		if got := s.Has["executionbackup."+key]; got != value {
			t.Errorf("%s: %s is %q, want %q", s.Name, key, got, value)
		}
	}
}

// A call's span belongs to the consensus client's, and says what was decided. Each node's is under it, and the node is
// told so; and so is the wait for the others.
func TestTraces(t *testing.T) {
	collector, m, nodes := traced(t, nil)
	const slow = 100 * time.Millisecond
	nodes[1].Script(enginetest.Rule{Method: "engine_newPayload", Delay: slow})
	payload := enginetest.Chain(4, 1, nil)[0]
	if got, err := m.NewPayload(t.Context(), payload); err != nil || got.Status != "VALID" {
		t.Fatalf("got %+v, %v", got, err)
	}
	call := collector.Wait(t, "the call's", func(s apptest.Span) bool { return s.Name == "engine_newPayloadV4" })
	if call.Service != "executionbackup" || call.Trace != clTrace || call.Parent != clSpan {
		t.Errorf("the call's span is %+v, want it under the consensus client's", call)
	}
	wantAttributes(t, call, map[string]string{
		"block_hash": payload.Hash(), "number": "1", "verdict": "VALID", "disputed": "false", "rule": "",
	})
	for i, name := range []string{"n1", "n2"} {
		span := collector.Under(t, call, "engine_newPayloadV4 "+name)
		wantAttributes(t, span, map[string]string{"node": name, "status": "VALID"})
		told := nodes[i].CallsOf("engine_newPayloadV4")[0].Header["Traceparent"]
		if want := "00-" + clTrace + "-" + span.ID + "-01"; len(told) != 1 || told[0] != want {
			t.Errorf("%s was told that the call belongs to %q, want %q", name, told, want)
		}
	}
	wait := collector.Under(t, call, "wait for the others")
	wantAttributes(t, wait, map[string]string{"missing": ""})
	if took := wait.Ended.Sub(wait.Begun); took < slow/2 || wait.Ended.After(call.Ended) {
		t.Errorf("the wait took %v and ended %v before the call, want about %v", took, call.Ended.Sub(wait.Ended), slow)
	}
}

// What goes to nodes for whom nobody waits is a part of the call, too.
func TestTracesOfTransactions(t *testing.T) {
	for _, mode := range []config.Mode{config.Active, config.Shadow} {
		t.Run(string(mode), func(t *testing.T) {
			collector, m, nodes := traced(t, func(c *config.Config) { c.Mode = mode })
			for _, n := range nodes {
				n.Script(enginetest.Rule{Method: "eth_sendRawTransaction", Result: `"0xhash"`})
			}
			if _, err := m.Call(t.Context(), "eth_sendRawTransaction", "0x02"); err != nil {
				t.Fatal(err)
			}
			call := collector.Wait(t, "the call's", func(s apptest.Span) bool { return s.Parent == clSpan })
			for i, name := range []string{"n1", "n2"} {
				span := collector.Under(t, call, "eth_sendRawTransaction "+name)
				told := nodes[i].CallsOf("eth_sendRawTransaction")[0].Header.Get("Traceparent")
				if want := "00-" + clTrace + "-" + span.ID + "-01"; told != want {
					t.Errorf("%s was told that the call belongs to %q, want %q", name, told, want)
				}
			}
		})
	}
}

// Each node's part says how it failed, which is no failure of the call.
func TestTracesOfFailures(t *testing.T) {
	collector, m, nodes := traced(t, func(c *config.Config) { c.Grace = 10 * time.Millisecond })
	chain := enginetest.Chain(4, 4, nil)
	for i, c := range []struct {
		want string
		rule enginetest.Rule
	}{
		{"JSON-RPC error -32603", enginetest.Rule{Error: &enginetest.RPCError{Code: -32603, Message: "hunter2"}}},
		{"malformed", enginetest.Rule{Result: `{"status":7}`}},
		{"malformed", enginetest.Rule{Reply: &enginetest.Reply{Body: "hunter2"}}},
		{"unauthorized", enginetest.Rule{Reply: &enginetest.Reply{Status: http.StatusUnauthorized}}},
	} {
		c.rule.Method, c.rule.BlockHash = "engine_newPayload", chain[i].Hash()
		nodes[1].Script(c.rule)
		if got, err := m.NewPayload(t.Context(), chain[i]); err != nil || got.Status != "VALID" {
			t.Fatalf("%s: got %+v, %v", c.want, got, err)
		}
		call := collector.Wait(t, c.want, func(s apptest.Span) bool {
			return s.Parent == clSpan && s.Has["executionbackup.block_hash"] == chain[i].Hash()
		})
		part := collector.Under(t, call, "engine_newPayloadV4 n2")
		wantAttributes(t, part, map[string]string{"node": "n2", "status": ""})
		if part.Failure != c.want || call.Failure != "" {
			t.Errorf("n2's part failed with %q, the call with %q, want %q and none", part.Failure, call.Failure, c.want)
		}
	}
}

// A call that its caller gave up is no failure of the node's.
func TestTracesOfCallsGivenUp(t *testing.T) {
	collector, m, nodes := traced(t, nil)
	nodes[0].Script(enginetest.Rule{Method: "eth_call", Hang: true})
	ctx, hangUp := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer hangUp()
	if _, err := m.Call(ctx, "eth_call"); err == nil {
		t.Fatal("got an answer")
	}
	part := collector.Wait(t, "the node's part", func(s apptest.Span) bool { return s.Name == "eth_call n1" })
	wantAttributes(t, part, map[string]string{"outcome": "stopped"})
	if part.Failure != "" {
		t.Errorf("the node's part failed: %s", part.Failure)
	}
}

// What we ask nodes for the sake of a call is a part of it, and neither who was asked nor how it went is the call's.
func TestTracesOfQuestions(t *testing.T) {
	collector, m, nodes := traced(t, nil)
	head := enginetest.Genesis(4)
	gone := &enginetest.Reply{Status: http.StatusBadGateway}
	for _, n := range nodes {
		offer(n, head, "0x1", nil)
		n.Script(enginetest.Rule{Method: "eth_getBlockByNumber", Reply: gone})
	}
	const unknown = "0x0000000000000001" // of no build that we know
	if _, err := m.Call(t.Context(), "engine_getPayloadV4", unknown); err != nil {
		t.Fatal(err)
	}
	call := collector.Wait(t, "the proposal's", func(s apptest.Span) bool { return s.Name == "engine_getPayloadV4" })
	wantAttributes(t, call, map[string]string{"node": ""})
	if call.Failure != "" {
		t.Errorf("the call failed: %s", call.Failure)
	}
	for _, name := range []string{"n1", "n2"} {
		if q := collector.Under(t, call, "eth_getBlockByNumber "+name); q.Failure == "" {
			t.Errorf("the question to %s didn't fail", name)
		}
	}
}

// A dispute, and a payload whose content isn't its block's.
func TestTracesOfDisputes(t *testing.T) {
	collector, m, nodes := traced(t, nil)
	chain := enginetest.Chain(4, 2, nil)
	for _, n := range nodes { // so that they may object
		n.Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: chain[0].Hash()})
	}
	if got, err := m.NewPayload(t.Context(), chain[0]); err != nil || got.Status != "VALID" {
		t.Fatalf("got %+v, %v", got, err)
	}
	nodes[1].Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: chain[1].Hash(), Status: "INVALID"})
	if got, err := m.NewPayload(t.Context(), chain[1]); err != nil || got.Status != "SYNCING" {
		t.Fatalf("got %+v, %v", got, err)
	}
	disputed := collector.Wait(t, "the disputed call's", func(s apptest.Span) bool {
		return s.Name == "engine_newPayloadV4" && s.Has["executionbackup.number"] == "2"
	})
	wantAttributes(t, disputed, map[string]string{"verdict": "SYNCING", "disputed": "true", "rule": "halt"})
	wantAttributes(t, collector.Under(t, disputed, "engine_newPayloadV4 n2"), map[string]string{"status": "INVALID"})
	wantAttributes(t, collector.Under(t, disputed, "hash check"), map[string]string{"outcome": "match"})
}

// A proposal: what each node built, the check of the best, and what the other says to it.
func TestTracesOfProposals(t *testing.T) {
	collector, m, _ := traced(t, nil)
	head := enginetest.Chain(4, 1, nil)[0]
	if got, err := m.NewPayload(t.Context(), head); err != nil || got.Status != "VALID" {
		t.Fatalf("got %+v, %v", got, err)
	}
	built, err := m.ForkchoiceUpdated(t.Context(), head, head.Attributes())
	if err != nil || built.PayloadID == "" {
		t.Fatalf("got %+v, %v", built, err)
	}
	if _, err := m.Call(t.Context(), "engine_getPayloadV4", built.PayloadID); err != nil {
		t.Fatal(err)
	}
	call := collector.Wait(t, "the proposal's", func(s apptest.Span) bool { return s.Name == "engine_getPayloadV4" })
	proposed := call.Has["executionbackup.proposed"]
	other := map[string]string{"n1": "n2", "n2": "n1"}[proposed]
	if other == "" || call.Has["executionbackup.value"] == "" {
		t.Errorf("the call's span has %v", call.Has)
	}
	for _, name := range []string{"n1", "n2"} {
		collector.Under(t, call, "engine_getPayloadV4 "+name)
	}
	check := collector.Under(t, call, "cross-check")
	wantAttributes(t, check, map[string]string{"node": proposed, "outcome": "passed", "disputed": "false"})
	wantAttributes(t, collector.Under(t, check, "hash check"), map[string]string{"outcome": "match"})
	collector.Under(t, check, "engine_newPayloadV4 "+other)
}

// What is proposed is told whoever chose it: one node alone, in modes shadow and off, or where there is but one.
func TestTracesOfOneNodesProposals(t *testing.T) {
	for _, c := range []struct {
		mode  config.Mode
		nodes int
	}{{config.Shadow, 2}, {config.Off, 2}, {config.Active, 1}} {
		t.Run(fmt.Sprint(c.mode, c.nodes), func(t *testing.T) {
			collector := apptest.NewCollector(t)
			collector.Listen(t)
			m := startLed(t, apptest.Fakes(builders(t, c.nodes)...), func(o *config.Config) { o.Mode = c.mode })
			built := m.build(t, enginetest.Genesis(4))
			if _, err := m.Call(t.Context(), "engine_getPayloadV4", built.PayloadID); err != nil {
				t.Fatal(err)
			}
			isCall := func(s apptest.Span) bool { return s.Name == "engine_getPayloadV4" }
			call := collector.Wait(t, "the call's", isCall)
			if call.Has["executionbackup.value"] == "" || call.Has["executionbackup.block_hash"] == "" {
				t.Errorf("the call's span has %v", call.Has)
			}
			wantAttributes(t, call, map[string]string{"proposed": "n1"})
		})
	}
}

// A caller that has gone hears no verdict, and its span says what its call was about.
func TestTracesOfCallersThatHaveGone(t *testing.T) {
	collector, m, nodes := traced(t, nil)
	for _, n := range nodes {
		n.Script(enginetest.Rule{Method: "engine_newPayload", Hang: true})
	}
	payload := enginetest.Chain(4, 1, nil)[0]
	ctx, hangUp := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer hangUp()
	if _, err := m.NewPayload(ctx, payload); err == nil {
		t.Fatal("got an answer")
	}
	call := collector.Wait(t, "the call's", func(s apptest.Span) bool { return s.Parent == clSpan })
	wantAttributes(t, call, map[string]string{"block_hash": payload.Hash(), "number": "1", "verdict": ""})
}

// Where nothing is traced, what the consensus client says goes to the nodes as it is; but not what somebody else says,
// or what can't be read.
func TestTraceparentPassesThrough(t *testing.T) {
	node := enginetest.New(t, enginetest.Client{})
	m := start(t, apptest.Fakes(node, enginetest.New(t, enginetest.Client{})), nil)
	chain := enginetest.Chain(4, 4, nil)
	for i, c := range []struct {
		name   string
		header []string
		want   string
	}{
		{"none", nil, ""},
		{"one", []string{clParent}, clParent},
		{"no hexadecimal digits", []string{"00-" + clTrace + "-zzf067aa0ba902b7-01"}, ""},
		{"two", []string{clParent, clParent}, ""},
	} {
		m.Header = http.Header{"Traceparent": c.header}
		if _, err := m.NewPayload(t.Context(), chain[i]); err != nil {
			t.Fatal(err)
		}
		got := node.CallsOf("engine_newPayloadV4")[i].Header["Traceparent"]
		if len(got) > 1 || len(got) == 1 && got[0] != c.want || len(got) == 0 && c.want != "" {
			t.Errorf("%s: the node is told %q, want %q", c.name, got, c.want)
		}
	}
}

// A receiver that hangs, or is gone, costs the calls nothing: spans are dropped and counted, which the log says once.
// When it is back, it gets those that come then.
func TestTracesNobodyTakes(t *testing.T) {
	const calls, room = 200, 20
	body := []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}`)
	slowest := func(m *multiplexer) (most time.Duration) {
		t.Helper()
		for range calls {
			begun := time.Now()
			if status, _, answer, err := m.Post(t.Context(), body); err != nil || status != http.StatusOK {
				t.Fatalf("got %d %s, %v", status, answer, err)
			}
			most = max(most, time.Since(begun))
		}
		return most
	}
	run := func(t *testing.T, room int, instead http.HandlerFunc) (*apptest.Collector, *multiplexer) {
		collector := apptest.NewCollector(t)
		collector.Instead = instead
		collector.Listen(t)
		t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", strconv.Itoa(room))
		m := start(t, apptest.Fakes(enginetest.New(t, enginetest.Client{})), nil)
		if most := slowest(m); most > 5*time.Second {
			t.Errorf("a call took %v", most)
		}
		return collector, m
	}
	t.Run("it hangs", func(t *testing.T) {
		let, asked := make(chan struct{}), make(chan struct{}, calls)
		_, m := run(t, room, func(_ http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			<-let
		})
		defer close(let)
		<-asked
		const spans = 2 * calls // one for the node's, each
		if got := m.Metric(t, `executionbackup_trace_spans_total{outcome="dropped"}`); got != spans-room {
			t.Errorf("%v spans dropped, want all %d but the %d that wait", got, spans, room)
		}
		begun := time.Now()
		m.Stop()
		if took := time.Since(begun); took > 2*time.Second { // calls for our successor wait as long
			t.Errorf("the end took %v: it waits for the receiver", took)
		}
	})
	t.Run("it refuses, and is back", func(t *testing.T) {
		var back atomic.Bool
		collector, m := run(t, 4*calls, func(w http.ResponseWriter, _ *http.Request) {
			if !back.Load() {
				http.Error(w, "token hunter2 is no good", http.StatusForbidden)
			}
		})
		m.Log.Wait(t, "traces are dropped: the receiver doesn't take them", "it answers 403 Forbidden")
		back.Store(true)
		if _, _, _, err := m.Post(t.Context(), body); err != nil {
			t.Fatal(err)
		}
		m.Log.Wait(t, "traces are taken again")
		if lines := m.Log.Lines("traces are dropped"); len(lines) != 1 {
			t.Errorf("the log says %d times that spans are dropped, want once", len(lines))
		}
		if strings.Contains(m.Log.String(), "hunter2") || strings.Contains(m.Log.String(), collector.URL+"/v1") {
			t.Error("the log has the receiver's words, or its whole URL")
		}
		if got := m.Metric(t, `executionbackup_trace_spans_total{outcome="sent"}`); got == 0 {
			t.Error("no span is counted as sent")
		}
	})
}
