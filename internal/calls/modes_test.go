package calls_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/bubble"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/evidence"
	"executionbackup/internal/fleet"
)

// inMode lets n1 answer alone.
func inMode(mode config.Mode) func(*fleet.Settings) {
	return func(s *fleet.Settings) { s.Mode, s.ShadowNode = mode, "n1" }
}

// inShadow is bubble.In in shadow mode, with evidence.
func inShadow(
	t *testing.T, fakes []*bubble.Fake, test func(t *testing.T, b *bubble.Bubble), kept func([]evidence.Case)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		e := evidence.Open(dir, "test", prometheus.NewRegistry(), log)
		b := bubble.New(t, fakes, bubble.Options{Settings: inMode(config.Shadow), Evidence: e})
		b.Run(func() { test(t, b) })
		ctx, over := bubble.WithTimeout(0)
		defer over()
		e.Run(ctx)
	})
	entries, err := evidence.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var cases []evidence.Case
	for _, entry := range entries {
		f, err := evidence.ReadFile(filepath.Join(dir, entry.File))
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, f.Case)
	}
	kept(cases)
}

// decisions are what was counted in shadow mode: "VALID SYNCING" is what the CL would have heard, and what it did hear.
func decisions(b *bubble.Bubble) string {
	families, err := b.Metrics.Gather()
	if err != nil {
		panic(err)
	}
	var list []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if n := m.GetCounter().GetValue(); f.GetName() == "executionbackup_shadow_decisions_total" && n > 0 {
				list = append(list, fmt.Sprintf("%s %s: %v", m.GetLabel()[1].GetValue(), m.GetLabel()[0].GetValue(), n))
			}
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// In shadow mode the CL hears what one node says, when that says it, whatever the others do. What it would have heard
// is counted, shown, and kept where it differs.
func TestShadow(t *testing.T) {
	says := func(status string, after time.Duration) *bubble.Fake { return bubble.Speaker(3, status, after) }
	for _, c := range []struct {
		name     string
		fakes    []*bubble.Fake
		heard    string
		after    time.Duration
		counted  string // of block 3 and a forkchoiceUpdated on it
		kept     string // kind, verdict, what it did hear
		verdicts string // of block 3 in the history: what it would have heard, and did
	}{
		{"all agree", []*bubble.Fake{says("VALID", 20*ms), says("VALID", 30*ms), says("VALID", 40*ms)},
			"VALID", 20 * ms, "VALID VALID: 2", "", "VALID VALID"},
		{"the others hang", []*bubble.Fake{says("VALID", 20*ms), says("VALID", bubble.Forever),
			says("VALID", bubble.Forever)}, "VALID", 20 * ms, "VALID VALID: 2", "", "VALID VALID"},
		{"the others are quicker", []*bubble.Fake{says("VALID", time.Second), says("VALID", 0), says("VALID", 0)},
			"VALID", time.Second, "VALID VALID: 2", "", "VALID VALID"},
		{"a dispute", []*bubble.Fake{says("VALID", 20*ms), says("VALID", 0), says("INVALID", 0)},
			"VALID", 20 * ms, "SYNCING VALID: 2", "dispute SYNCING VALID", "SYNCING VALID"},
		{"it objects", []*bubble.Fake{says("INVALID", 20*ms), says("VALID", 0), says("VALID", 0)},
			"INVALID", 20 * ms, "SYNCING INVALID: 2", "dispute SYNCING INVALID", "SYNCING INVALID"},
		{"it is behind", []*bubble.Fake{says("SYNCING", 20*ms), says("VALID", 0), says("VALID", 0)},
			"SYNCING", 20 * ms, "VALID SYNCING: 2", "shadow VALID SYNCING", "VALID SYNCING"},
		{"it alone calls a bad block VALID", []*bubble.Fake{says("VALID", 20*ms), says("INVALID", 0),
			says("INVALID", 0)},
			"VALID", 20 * ms, "INVALID VALID: 2", "shadow INVALID VALID", "INVALID VALID"},
		{"it hangs", []*bubble.Fake{says("VALID", bubble.Forever), says("VALID", 0), says("VALID", 0)},
			"SYNCING", 5500 * ms, "VALID SYNCING: 2", "shadow VALID SYNCING", "VALID SYNCING"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inShadow(t, c.fakes, func(t *testing.T, b *bubble.Bubble) {
				b.Follow(1, 2)
				before := decisions(b)
				if want := "VALID VALID: 4"; before != want {
					t.Fatalf("before it all counted %s, want %s", before, want)
				}
				for i, body := range [][]byte{bubble.PayloadCall(3), bubble.ForkchoiceCall(3)} {
					after := c.after
					if after > time.Second && i == 1 {
						after += 2 * time.Second // a forkchoiceUpdated has more time
					}
					if got, took := b.Send(body); got != c.heard || took != after {
						t.Errorf("call %d: the CL hears %s after %v, want %s after %v", i, got, took, c.heard, after)
					}
				}
				time.Sleep(time.Minute) // the bubble's clock: all has been decided
				synctest.Wait()
				got := decisions(b)
				if got = strings.Replace(got, "VALID VALID: 6", "VALID VALID: 2", 1); c.counted != "VALID VALID: 2" {
					got = strings.Replace(got, ", VALID VALID: 4", "", 1)
				}
				if got != c.counted {
					t.Errorf("counted %s, want %s", got, c.counted)
				}
				records := b.Fleet.History.Records()
				if r := records[len(records)-1]; r.Verdict+" "+r.Did != c.verdicts {
					t.Errorf("the history has %s %s, want %s", r.Verdict, r.Did, c.verdicts)
				}
			}, func(cases []evidence.Case) {
				got := ""
				for _, kept := range cases {
					got += fmt.Sprintf("%s %s %s", kept.Kind, kept.Verdict, kept.Did)
				}
				if got != c.kept {
					t.Errorf("kept %q, want %q", got, c.kept)
				}
			})
		})
	}
}

// A node that alone answers and is behind for hours gives one piece of evidence, and what begins after that another.
func TestShadowEvidenceOfANodeBehind(t *testing.T) {
	var behind atomic.Bool
	n1 := &bubble.Fake{Status: func(_ string, n int) string {
		if behind.Load() {
			return "SYNCING"
		}
		return "VALID"
	}}
	inShadow(t, []*bubble.Fake{n1, {}, {}}, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 2)
		behind.Store(true)
		b.Follow(3, 20)
		behind.Store(false)
		b.Follow(23, 2)
		behind.Store(true)
		b.Follow(25, 20)
	}, func(cases []evidence.Case) {
		var numbers []uint64
		for _, kept := range cases {
			numbers = append(numbers, kept.Number)
		}
		slices.Sort(numbers)
		if !slices.Equal(numbers, []uint64{3, 25}) {
			t.Errorf("kept are blocks %d, want 3 and 25", numbers)
		}
	})
}

// Where the node that alone answers can't be reached, the CL hears SYNCING, and INVALID to what is no block; to reads,
// an error that names it.
func TestShadowNodeIsDead(t *testing.T) {
	for _, mode := range []config.Mode{config.Shadow, config.Off} {
		n1 := &bubble.Fake{Refuse: func() bool { return true }}
		synctest.Test(t, func(t *testing.T) {
			b := bubble.New(t, []*bubble.Fake{n1, {}, {}}, bubble.Options{Settings: inMode(mode)})
			b.Run(func() {
				if got, _ := b.Send(bubble.PayloadCall(1)); got != "SYNCING" {
					t.Errorf("%s: to a payload the CL hears %s", mode, got)
				}
				block := enginetest.Chain(4, 1, nil)[0]
				block.StateRoot[0]++
				if got, _ := b.Send(newPayload(t, block)); got != "INVALID" {
					t.Errorf("%s: to what is no block the CL hears %s", mode, got)
				}
				const unavailable = "no execution node is available"
				if got, _ := b.Get("getBlobsV1", `[["0x01"]]`); !strings.Contains(got, unavailable) {
					t.Errorf("%s: to a read it hears %s", mode, got)
				}
			})
		})
	}
}

// An objection that was heard in shadow mode counts from the moment on that the mode is active.
func TestObjectionHeardInShadow(t *testing.T) {
	objector := &bubble.Fake{Status: func(_ string, n int) string {
		if n == 3 {
			return "INVALID"
		}
		return map[bool]string{true: "SYNCING", false: "VALID"}[n > 3]
	}}
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, []*bubble.Fake{{}, {}, objector}, bubble.Options{Settings: inMode(config.Shadow)})
		b.Run(func() {
			b.Follow(1, 4)
			if err := b.Fleet.SetMode(config.Active); err != nil {
				t.Fatal(err)
			}
			if got, _ := b.Send(bubble.PayloadCall(5)); got != "SYNCING" {
				t.Errorf("on top of the block the CL hears %s, want SYNCING", got)
			}
		})
	})
}

// In mode off no other node hears of a payload. When it ends, these are fed before they are heard again, so that the CL
// goes on hearing VALID.
func TestOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		models := threeHonest()
		b := bubble.New(t, models, bubble.Options{Settings: func(s *fleet.Settings) { s.ShadowNode = "n1" }})
		b.Run(func() {
			chain := enginetest.Chain(4, 12, nil)
			follow := func(blocks []enginetest.Payload) { followBlocks(t, b, blocks) }
			follow(chain[:3])
			if err := b.Fleet.SetMode(config.Off); err != nil {
				t.Fatal(err)
			}
			follow(chain[3:8])
			for i, m := range models {
				if want := chain[map[bool]int{true: 7, false: 2}[i == 0]].BlockHash; m.Head() != want {
					t.Errorf("n%d is at %s, want %s", i+1, m.Head(), want)
				}
			}
			if err := b.Fleet.SetMode(config.Active); err != nil {
				t.Fatal(err)
			}
			follow(chain[8:])
			for i, m := range models {
				if m.Head() != models[0].Head() {
					t.Errorf("n%d is at %v, n1 at %v", i+1, m.Head(), models[0].Head())
				}
			}
			if got := b.Fleet.Pool.AliveVoters(); got != 3 {
				t.Errorf("%d voters are alive, want 3", got)
			}
		})
	})
}

// A node with #shadow never votes, builds nothing and is no judge, and what it says is counted.
func TestTriedNode(t *testing.T) {
	tried := bubble.Speaker(2, "INVALID", 0)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		e := evidence.Open(dir, "test", prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
		b := bubble.New(t, []*bubble.Fake{{}, {}, tried}, bubble.Options{Evidence: e})
		b.Run(func() {
			specs := []config.Node{bubble.Spec(t, 1), bubble.Spec(t, 2), bubble.Spec(t, 3)}
			specs[2].DoNotUse, specs[2].Shadow = true, true
			b.Fleet.Pool.Reload(specs)
			for _, slot := range b.Follow(1, 3) {
				if slot.NewPayload != "VALID" || slot.Forkchoice != "VALID" {
					t.Errorf("the CL hears %+v", slot)
				}
			}
			synctest.Wait()
			for _, c := range []struct {
				status string
				want   float64
			}{{"VALID", 2}, {"INVALID", 4}} {
				if got := b.Counted("executionbackup_shadow_votes_total", "status", c.status); got != c.want {
					t.Errorf("%v votes %s are counted, want %v", got, c.status, c.want)
				}
			}
			if f := b.Fleet.Pool.Nodes()[2].Track.Figures(time.Now()); f.Won != 2 || f.Lost != 4 {
				t.Errorf("it agreed %d times, and not %d times", f.Won, f.Lost)
			}
			if disputes := b.Fleet.History.Disputes(); len(disputes) > 0 {
				t.Errorf("it made a dispute: %+v", disputes[0].Record)
			}
		})
		ctx, over := bubble.WithTimeout(0)
		defer over()
		e.Run(ctx)
	})
	entries, err := evidence.List(dir)
	if err != nil || len(entries) != 1 || entries[0].Kind != evidence.Tried || entries[0].Number != 2 {
		t.Errorf("kept is %+v, %v", entries, err)
	}
}

// offers is a client that builds a payload worth so many wei on block 1, and how often it is asked for it.
func offers(t *testing.T, wei string) (f *bubble.Fake, asked *atomic.Int64, forkchoice []byte) {
	t.Helper()
	head := enginetest.Payload{Version: 4}
	head.BlockHash, head.Number = bubble.Hash(1), 1
	attributes := head.Attributes()
	built := head.Child(func(p *enginetest.Payload) { p.FeeRecipient = attributes.SuggestedFeeRecipient })
	raw, err := json.Marshal(attributes)
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int64)
	f = &bubble.Fake{Answer: func(method string) (string, bool) {
		switch {
		case strings.HasPrefix(method, "engine_forkchoiceUpdated"):
			return fmt.Sprintf(`{"payloadStatus":{"status":"VALID","latestValidHash":%q,"validationError":null},`+
				`"payloadId":"0x01"}`, bubble.Hash(1).Hex()), true
		case strings.HasPrefix(method, "engine_getPayload"):
			asked.Add(1)
			if wei == "" {
				return "", true
			}
			return built.Envelope(4, wei), true
		}
		return "", false
	}}
	return f, asked, []byte(strings.Replace(string(bubble.ForkchoiceCall(1)), ",null]", ","+string(raw)+"]", 1))
}

// In shadow mode the CL proposes what one node has built; a payload that would have been worth 1 % more is evidence.
// Nobody is asked twice, and the node that answers isn't shown what others have built.
func TestProposalInShadow(t *testing.T) {
	for _, c := range []struct {
		own, other, best string
		counted          string
		kept             bool
	}{
		{"0x64", "0x64", "n1", "payload payload: 1", false},
		{"0x3e8", "0x3f1", "n2", "payload payload: 1", false}, // 1000, 1009
		{"0x3e8", "0x3f2", "n2", "better_payload payload: 1", true},
		{"0x64", "0x1", "n1", "payload payload: 1", false},
	} {
		n1, asked1, forkchoice := offers(t, c.own)
		n2, asked2, _ := offers(t, c.other)
		var shown atomic.Int64
		n1.Arrived = func(call string, _ int) (func(), bool) {
			if strings.HasPrefix(call, "P") {
				shown.Add(1)
			}
			return func() {}, false
		}
		inShadow(t, []*bubble.Fake{n1, n2}, func(t *testing.T, b *bubble.Bubble) {
			b.Change(func(s *fleet.Settings) { s.CrossCheck = 200 * ms })
			b.Post(t.Context(), forkchoice)
			time.Sleep(time.Second) // the bubble's clock: it is decided what it would have heard
			got := string(b.Post(t.Context(), []byte(getPayloadCall)))
			if own, _ := n1.Answer("engine_getPayloadV4"); !strings.Contains(got, own) {
				t.Errorf("%+v: the CL gets %.100s", c, got)
			}
			time.Sleep(10 * time.Second)                  // the bubble's clock
			if asked1.Load() != 2 || asked2.Load() != 1 { // once by this test
				t.Errorf("%+v: n1 was asked %d times, n2 %d times", c, asked1.Load()-1, asked2.Load())
			}
			if got := decisions(b); got != "VALID VALID: 1, "+c.counted && got != c.counted+", VALID VALID: 1" {
				t.Errorf("%+v: counted %s", c, got)
			}
			if shown.Load() != 0 {
				t.Errorf("%+v: n1 was shown n2's payload", c)
			}
			p := b.Fleet.Proposals.List()[0]
			if p.Did != "n1" || p.Node != c.best {
				t.Errorf("%+v: the history has %+v", c, p)
			}
		}, func(cases []evidence.Case) {
			if c.kept != (len(cases) == 1) || c.kept && (cases[0].Kind != evidence.Shadow || cases[0].Builder != "n2") {
				t.Errorf("%+v: kept %+v", c, cases)
			}
		})
	}
}

// threeHonest are clients that agree.
func threeHonest() (models []*model) {
	for range 3 {
		models = append(models, &model{Honest: &enginetest.Honest{Fork: 4}})
	}
	return models
}

// followBlocks plays a CL that makes each block the head, one every two seconds, and hears VALID.
func followBlocks(t *testing.T, b *bubble.Bubble, blocks []enginetest.Payload) {
	t.Helper()
	for _, block := range blocks {
		for _, body := range [][]byte{newPayload(t, block), makeHead(t, block)} {
			if got, _ := b.Send(body); got != "VALID" {
				t.Errorf("block %d: the CL hears %s", block.Number, got)
			}
		}
		time.Sleep(2 * time.Second) // the bubble's clock
	}
}

// newPayload is a call with a block.
func newPayload(t *testing.T, block enginetest.Payload) []byte {
	return call(t, fmt.Sprint("engine_newPayloadV", block.Version), block.Params()...)
}

// makeHead is a call that makes a block the head.
func makeHead(t *testing.T, block enginetest.Payload) []byte {
	return call(t, "engine_forkchoiceUpdatedV3", map[string]string{
		"headBlockHash": block.Hash(), "safeBlockHash": block.Hash(), "finalizedBlockHash": enginetest.GenesisHash,
	}, nil)
}

func call(t *testing.T, method string, params ...any) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

const getPayloadCall = `{"jsonrpc":"2.0","id":1,"method":"engine_getPayloadV4","params":["0x01"]}`
