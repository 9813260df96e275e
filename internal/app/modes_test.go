package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// While modes change under load each call is answered by one rule, that of the mode in which it came. The rules can be
// told apart by their last byte: a fake ends what it writes with a newline, which passes through where one node alone
// answers. It runs alone: others would find the machine busy.
func TestModesUnderLoad(t *testing.T) {
	m := startLed(t, apptest.Fakes(three(t)...), func(c *config.Config) {
		c.ShadowNode, c.ReplayBytes, c.LogLevel = "n2", 1<<20, slog.LevelInfo
	})
	const callers, changes = 8, 200
	l := &load{m: m, chain: enginetest.Chain(4, 64, nil), answered: make(chan config.Mode), done: make(chan struct{})}
	m.hears(t, "VALID", "engine_newPayload", l.chain[0])
	var all sync.WaitGroup
	stop := sync.OnceFunc(func() { close(l.done); all.Wait() })
	defer stop()
	for i := range callers {
		all.Go(func() { l.call(t, i) })
	}
	seen := make(map[config.Mode]int)
	for range changes {
		l.change(t)
		for range 2 * callers { // at least half of these came since the change
			seen[<-l.answered]++
		}
	}
	stop()
	for _, mode := range config.Modes() {
		if seen[mode] < changes {
			t.Errorf("%d calls came and were answered in mode %s, want more", seen[mode], mode)
		}
	}
	if got := m.chooseMode(t, "active"); got.Status != http.StatusOK {
		t.Fatalf("%+v", got)
	}
	for _, p := range l.chain { // what mode off has kept from nodes, they get now
		m.hears(t, "VALID", "engine_newPayload", p)
	}
	m.hears(t, "VALID", "engine_forkchoiceUpdated", l.chain[len(l.chain)-1])
	m.awaitAlive(t, "n1", "n2", "n3")
}

// chooseMode posts a mode.
func (m *multiplexer) chooseMode(t testing.TB, mode config.Mode) apptest.Answer {
	t.Helper()
	return m.REST(t, "POST", "/mode", fmt.Sprintf(`{"mode":%q}`, mode), "Content-Type", "application/json")
}

// load is callers that call while the mode changes. epoch is even while it stands, and odd while it changes.
type load struct {
	m        *multiplexer
	chain    []enginetest.Payload
	epoch    atomic.Int64
	answered chan config.Mode // the mode in which a call came and was answered; "" where that changed
	done     chan struct{}    // closed when the callers shall end
}

// modeOf is the mode that stands in an even epoch.
func modeOf(epoch int64) config.Mode {
	modes := config.Modes()
	return modes[epoch/2%int64(len(modes))]
}

// change goes on to the next mode.
func (l *load) change(t *testing.T) {
	t.Helper()
	next := l.epoch.Add(1) + 1
	if got := l.m.chooseMode(t, modeOf(next)); got.Status != http.StatusOK {
		t.Fatalf("mode %s: %+v", modeOf(next), got)
	}
	l.epoch.Store(next)
}

// call calls until the load is done.
func (l *load) call(t *testing.T, caller int) {
	none := "0x" + strings.Repeat("0", 64)
	for i := caller; ; i++ {
		block := l.chain[i%len(l.chain)]
		calls := []struct {
			method string
			params []any
		}{
			{"engine_newPayloadV4", block.Params()},
			{"engine_forkchoiceUpdatedV3", []any{map[string]any{
				"headBlockHash": block.Hash(), "safeBlockHash": none, "finalizedBlockHash": none,
			}, nil}},
			{"eth_chainId", []any{}},
			{"eth_getBlockByNumber", []any{"latest", false}},
		}
		c := calls[i%len(calls)]
		id := fmt.Sprintf(`"%d of %d"`, i, caller)
		begun := l.epoch.Load()
		wrong, alone := l.ask(t, id, c.method, c.params)
		mode := config.Mode("")
		if l.epoch.Load() == begun && begun%2 == 0 {
			mode = modeOf(begun)
		}
		if wrong == "" && mode != "" && alone != (mode != config.Active) {
			wrong = fmt.Sprintf("is one node's: %v", alone)
		}
		if wrong != "" {
			t.Errorf("in mode %q the answer to %s %s", mode, c.method, wrong)
		}
		select {
		case <-l.done:
			return
		case l.answered <- mode:
		default: // nobody waits for it
		}
	}
}

// ask makes a call. wrong says why the answer is none; alone whether it came from one node as it stood.
func (l *load) ask(t *testing.T, id, method string, params []any) (wrong string, alone bool) {
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": json.RawMessage(id), "method": method, "params": params,
	})
	if err != nil {
		return err.Error(), false
	}
	status, _, raw, err := l.m.Post(t.Context(), body)
	var answer struct {
		ID     json.RawMessage
		Result json.RawMessage
	}
	if err == nil {
		err = json.Unmarshal(raw, &answer)
	}
	if err != nil || status != http.StatusOK || string(answer.ID) != id ||
		answer.Result == nil || string(answer.Result) == "null" || bytes.Contains(answer.Result, []byte("INVALID")) {
		return fmt.Sprintf("is HTTP %d %s, %v; the id was %s", status, raw, err, id), false
	}
	return "", bytes.HasSuffix(raw, []byte("\n"))
}

// After mode off, nodes that got nothing meanwhile aren't asked what they can't know, not even by the first call.
func TestReadAfterOff(t *testing.T) {
	t.Parallel()
	m := startLed(t, apptest.Fakes(three(t)...), func(c *config.Config) { c.ShadowNode = "n2" })
	chain := enginetest.Chain(4, 3, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	m.hears(t, "VALID", "engine_forkchoiceUpdated", chain[0])
	m.chooseMode(t, config.Off)
	for _, p := range chain[1:] {
		m.hears(t, "VALID", "engine_newPayload", p)
		m.hears(t, "VALID", "engine_forkchoiceUpdated", p)
	}
	m.chooseMode(t, config.Active)
	if got := m.call(t, "eth_getBlockByNumber", "latest", false); !strings.Contains(got, chain[2].Hash()) {
		t.Errorf("the latest block is %s, want %s", got, chain[2].Hash())
	}
}
