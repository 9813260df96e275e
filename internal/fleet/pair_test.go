package fleet_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/bubble"
	"executionbackup/internal/engine"
	"executionbackup/internal/state"
)

// shared is a store that another instance would share, if anybody ran it.
func shared(t *testing.T) *state.Shared {
	t.Helper()
	s, err := state.OpenShared(state.SharedOptions{
		URL: "redis://127.0.0.1:1", Run: "us", Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// inPair runs a test with one instance of a pair before three nodes; the test plays the other.
func inPair(t *testing.T, test func(b *bubble.Bubble)) {
	synctest.Test(t, func(t *testing.T) {
		forgetful := &bubble.Fake{Status: func(_ string, n int) string {
			if n < 4 {
				return "VALID"
			}
			return "SYNCING"
		}}
		b := bubble.New(t, []*bubble.Fake{{}, {}, forgetful}, bubble.Options{Shared: shared(t)})
		b.Run(func() { test(b) })
	})
}

// hears has an instance hear when the CL made its last call to another one, and who has proved itself there.
func hears(b *bubble.Bubble, run string, call, forkchoice time.Time, proved map[string]int64) {
	text, _ := json.Marshal(map[string]any{
		"call": call.UnixMilli(), "forkchoice": forkchoice.UnixMilli(), "proved": proved,
	})
	b.Fleet.Heard(map[string][]byte{run: text})
	b.Fleet.ReviewPair()
}

// speaks has the CL call an instance.
func speaks(b *bubble.Bubble) {
	b.Fleet.Spoke(engine.NewPayload)
	b.Fleet.Spoke(engine.ForkchoiceUpdated)
	b.Fleet.ReviewPair()
}

// A hundred switches from one instance to the other and back raise no alarm: not where the last call to one came in the
// very moment of the first to the other, as far as clocks tell, and not where the other was restarted and has the CL
// again at once. Where the CL's calls go to both, it is there with the first of them.
func TestSwitchIsNoSplit(t *testing.T) {
	inPair(t, func(b *bubble.Bubble) {
		slot := b.Fleet.Slot()
		for i := range 100 {
			now := time.Now()
			hears(b, "other", now, now, nil)
			speaks(b)
			now = time.Now().Add(50 * time.Millisecond) // as we take the store's clock
			hears(b, "other", now, now, nil)
			time.Sleep(3 * slot)
			speaks(b)
			time.Sleep(slot / 2)
			if i%2 == 0 { // we, too, may be left again
				now = time.Now()
				hears(b, "other", now, now, nil)
			}
			time.Sleep(3 * slot)
		}
		if b.Fleet.IsSplit() {
			t.Error("switches are alarmed")
		}
		for i := range 100 { // the other is killed, restarted, and has the CL again
			now := time.Now()
			hears(b, fmt.Sprint("other", i), now, now, nil)
			time.Sleep(slot / 3)
			speaks(b)
			time.Sleep(slot / 3)
			now = time.Now()
			hears(b, fmt.Sprint("other", i+1), now, now, nil)
			if b.Fleet.IsSplit() {
				t.Fatalf("kill %d is alarmed", i)
			}
			time.Sleep(3 * slot)
		}
		now := time.Now()
		hears(b, "two", now, now, nil)
		time.Sleep(slot / 3)
		speaks(b)
		time.Sleep(slot / 3)
		now = time.Now()
		hears(b, "two", now, now, nil)
		if !b.Fleet.IsSplit() {
			t.Error("nobody says that the CL's calls go to both")
		}
		time.Sleep(2*slot + time.Second)
		b.Fleet.ReviewPair()
		if b.Fleet.IsSplit() {
			t.Error("the alarm doesn't end")
		}
		speaks(b)
		time.Sleep(slot / 3)
		now = time.Now()
		hears(b, "two", now, now, nil)
		time.Sleep(slot / 3)
		speaks(b)
		if !b.Fleet.IsSplit() {
			t.Error("nobody says that the CL has come back to us at once")
		}
	})
}

// An instance is passive without a forkchoice for two slots, and after the other's newer one; a note that comes again,
// or is of the future, takes nothing from it for long. It is active with the CL's first one.
func TestPassive(t *testing.T) {
	inPair(t, func(b *bubble.Bubble) {
		slot := b.Fleet.Slot()
		want := func(what string, passive bool) {
			t.Helper()
			if b.Fleet.Passive() != passive {
				t.Errorf("%s: passive is %t", what, !passive)
			}
		}
		want("at the start", true)
		b.Fleet.Spoke(engine.NewPayload)
		want("after a newPayload", true)
		speaks(b)
		want("after a forkchoiceUpdated", false)
		time.Sleep(2 * slot)
		want("two slots later", false)
		time.Sleep(time.Millisecond)
		want("after more than two slots", true)
		speaks(b)
		ahead := time.Now().Add(time.Hour)
		time.Sleep(time.Second)
		hears(b, "other", ahead, ahead, nil)
		want("after the other's", true)
		time.Sleep(time.Second)
		speaks(b)
		hears(b, "other", ahead, ahead, nil)
		want("after the CL's return", false)
	})
}

// What has proved itself to another instance has here, too, unless our probes have seen a break since, or anybody has.
func TestTrustOfTheOther(t *testing.T) {
	inPair(t, func(b *bubble.Bubble) {
		const node = "http://n1:8551"
		want := func(what string, qualified bool) {
			t.Helper()
			if b.Fleet.Memory.Qualified(node) != qualified {
				t.Errorf("%s: it has proved itself: %t", what, !qualified)
			}
		}
		proved := func(at time.Time) { hears(b, "other", at, at, map[string]int64{node: at.UnixMilli()}) }
		broke := func(at time.Time) {
			value := fmt.Appendf(nil, `{"qualified":false,"since":%d}`, at.UnixMilli())
			b.Fleet.Read(state.Records{"trust/" + node: {Rank: uint64(at.UnixMilli()), Value: value}})
		}
		proved(time.Now().Add(-time.Minute))
		want("proved before we watched it", false)
		time.Sleep(time.Minute)
		before := time.Now()
		time.Sleep(time.Minute)
		proved(time.Now())
		want("proved while we watched it", true)
		broke(time.Now())
		want("broke at the other", false)
		proved(before)
		want("a note from before that", false)
		time.Sleep(time.Second)
		proved(time.Now())
		want("proved again", true)
		time.Sleep(time.Second)
		last := time.Now()
		b.Fleet.Pool.Node(node).Broke()
		proved(last.Add(-time.Millisecond))
		want("broke here since", false)
		time.Sleep(time.Second)
		speaks(b)
		proved(last) // the CL isn't there any more
		want("while we are active", false)
		b.Follow(1, 2)
		want("proved here", true)
		broke(last)
		want("a break at the other before that", true)
	})
}

// Late ids of a build reach an instance that has read it before, and records without a head leave the one that was
// read.
func TestReadBuilds(t *testing.T) {
	inPair(t, func(b *bubble.Bubble) {
		build := func(ids, winner string) state.Records {
			text := fmt.Sprintf(`{"begun":%q,"head":%q,"digest":%q,"ids":{%s},"winner":%q}`,
				time.Now().Format(time.RFC3339Nano), bubble.Hash(1).Hex(), bubble.Hash(2).Hex(), ids, winner)
			return state.Records{"build/0x01": {Rank: 1, Value: []byte(text)}}
		}
		b.Fleet.Read(build(`"http://n1:8551":"0x0a"`, ""))
		b.Fleet.Read(build(`"http://n1:8551":"0x0a","http://n2:8551":"0x0b"`, "http://n2:8551"))
		got, _ := b.Fleet.Controller.Builds.Find("0x01")
		if got.IDs["http://n2:8551"] != "0x0b" || got.Winner != "http://n2:8551" {
			t.Errorf("the build is %+v", got)
		}
		text := fmt.Appendf(nil, `{"newest":1,"head":%q}`, bubble.Hash(9).Hex())
		b.Fleet.Read(state.Records{"chain": {Rank: 1, Value: text}})
		b.Fleet.Read(build(`"http://n1:8551":"0x0a"`, ""))
		if got := b.Fleet.Controller.Chain.State().Head; got != bubble.Hash(9) {
			t.Errorf("the head of the other is %s", got)
		}
	})
}

// An objection may be read after the blocks that it covers: it covers them all the same.
func TestBlocksBeforeObjections(t *testing.T) {
	inPair(t, func(b *bubble.Bubble) {
		const node = "http://n3:8551"
		b.Follow(1, 2)
		read := func(key string, rank uint64, text string) {
			b.Fleet.Read(state.Records{key: {Rank: rank, Value: []byte(text)}})
		}
		mark := fmt.Sprintf(`"marks":[{"node":%q,"block":%q,"number":1}]`, node, bubble.Hash(3).Hex())
		for n := 5; n >= 3; n-- {
			parent := bubble.Hash(n - 1).Hex()
			if n == 3 {
				parent = bubble.Hash(0).Hex()
			}
			read("block/"+bubble.Hash(n).Hex(), 1, fmt.Sprintf(
				`{"parent":%q,"timestamp":%d,"proof":3,%s}`, parent, n, mark))
		}
		read("objection/"+bubble.Hash(3).Hex()+"/"+node, 2, `{"number":1,"reason":"bad"}`)
		if status, _ := b.Send(bubble.PayloadCall(6)); status != "SYNCING" {
			t.Errorf("a block under the objection is %s", status)
		}
	})
}

// Whatever stands in the store, well sealed: it can make a dispute or end one, and no more. VALID is what a node says
// to this very call, INVALID what two do.
func TestWhatWasReadIsNotSaid(t *testing.T) {
	heard := make(map[string]int)
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex // guards said
			said := make(map[string][]string)
			var fakes []*bubble.Fake
			for i := range 3 {
				status := func(_ string, n int) string {
					words := []string{"VALID", "VALID", "SYNCING", "INVALID"}
					return words[rand.New(rand.NewPCG(seed, uint64(100*n+i))).IntN(len(words))]
				}
				fakes = append(fakes, &bubble.Fake{Status: status, Arrived: func(_ string, n int) (func(), bool) {
					mu.Lock()
					defer mu.Unlock()
					said[fmt.Sprint(n)] = append(said[fmt.Sprint(n)], status("", n))
					return func() {}, false
				}})
			}
			b := bubble.New(t, fakes, bubble.Options{Shared: shared(t)})
			b.Run(func() {
				for n := 1; n <= 12; n++ {
					b.Fleet.Read(arbitrary(r))
					now := time.Now().Add(time.Duration(r.IntN(60)-30) * time.Second)
					proved := fmt.Sprintf("http://n%d:8551", 1+r.IntN(3))
					hears(b, "other", now, now, map[string]int64{proved: now.UnixMilli()})
					for _, body := range [][]byte{bubble.PayloadCall(n), bubble.ForkchoiceCall(n)} {
						status, _ := b.Send(body)
						heard[status]++
						mu.Lock()
						words := said[fmt.Sprint(n)]
						isOther := func(s string) bool { return s != "INVALID" }
						objectors := len(slices.DeleteFunc(slices.Clone(words), isOther))
						if status == "VALID" && !slices.Contains(words, "VALID") {
							t.Fatalf("seed %d: block %d is VALID, and the nodes said %v", seed, n, words)
						}
						if status == "INVALID" && objectors < 2 && !underInvalid(said, n) {
							t.Fatalf("seed %d: block %d is INVALID, and the nodes said %v", seed, n, said)
						}
						mu.Unlock()
						time.Sleep(2 * time.Second)
					}
				}
			})
		})
	}
	for _, status := range []string{"VALID", "SYNCING"} {
		if heard[status] < 100 {
			t.Errorf("the CL has heard %v", heard)
		}
	}
}

// underInvalid reports whether INVALIDs to a block and its ancestors together are two nodes'.
func underInvalid(said map[string][]string, n int) bool {
	objections := 0
	for ; n > 0; n-- {
		for _, word := range said[fmt.Sprint(n)] {
			if word == "INVALID" {
				objections++
			}
		}
	}
	return objections >= 2
}

// arbitrary are records of all kinds, with whatever in them.
func arbitrary(r *rand.Rand) state.Records {
	records := make(state.Records)
	hash := func() string { return bubble.Hash(r.IntN(14)).Hex() }
	node := func() string { return fmt.Sprintf("http://n%d:8551", 1+r.IntN(4)) }
	yes := func() bool { return r.IntN(2) == 0 }
	put := func(key, format string, arguments ...any) {
		records[key] = state.Record{Rank: r.Uint64N(1 << 40), Value: fmt.Appendf(nil, format, arguments...)}
	}
	for range r.IntN(8) {
		switch r.IntN(8) {
		case 0, 1:
			put("objection/"+hash()+"/"+node(),
				`{"number":%d,"ended":%t,"reason":"x","provisional":%t,"seconded":%t,"accepted":[%q]}`,
				1+r.IntN(3), yes(), r.IntN(4) == 0, r.IntN(4) == 0, node())
		case 2, 3:
			put("block/"+hash(),
				`{"parent":%q,"timestamp":%d,"proof":%d,"digest":%q,"marks":[{"node":%q,"block":%q,"number":%d}]}`,
				hash(), r.IntN(20), r.IntN(5), hash(), node(), hash(), 1+r.IntN(3))
		case 4:
			put("trust/"+node(),
				`{"qualified":%t,"since":%d}`, yes(), time.Now().UnixMilli()+int64(r.IntN(20000))-10000)
		case 5:
			put("valid/"+hash(), `{"number":%d}`, r.IntN(14))
		case 6:
			put("chain", `{"newest":%d,"head":%q,"finalized":%q}`, r.IntN(20), hash(), hash())
		case 7:
			put([]string{"build/0x01", "said", "drained/" + node(), "x", ""}[r.IntN(5)],
				"%s", []string{"true", "{}", "[]", strings.Repeat("[", 99), "null"}[r.IntN(5)])
		}
	}
	return records
}

// However many blocks come, no more is left behind than of the last of them: of what is shared, and of what is held for
// that.
func TestManyBlocks(t *testing.T) {
	const blocks = 700 // 8,000, a day of them, leave as much
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		s, err := state.OpenShared(state.SharedOptions{URL: "redis://127.0.0.1:1", Run: "us", Metrics: registry})
		if err != nil {
			t.Fatal(err)
		}
		b := bubble.New(t, []*bubble.Fake{{}, {}, {}}, bubble.Options{Shared: s})
		b.Run(func() {
			most := 0.0
			for n := 1; n <= blocks; n++ {
				b.Send(bubble.PayloadCall(n))
				call := string(bubble.ForkchoiceCall(n))
				final := fmt.Sprintf(`"finalizedBlockHash":%q`, bubble.Hash(max(0, n-64)).Hex())
				none := fmt.Sprintf(`"finalizedBlockHash":%q`, bubble.Hash(0).Hex())
				b.Send([]byte(strings.Replace(call, none, final, 1)))
				begun := time.Now().Format(time.RFC3339Nano)
				build := fmt.Sprintf(`{"begun":%q,"ids":{"http://n1:8551":"0x0a"}}`, begun)
				b.Fleet.Read(state.Records{
					fmt.Sprintf("build/0x%x", n):          {Rank: 1, Value: []byte(build)},
					"valid/" + bubble.Hash(n+20000).Hex(): {Rank: 1, Value: fmt.Appendf(nil, `{"number":%d}`, n)},
				})
				time.Sleep(b.Fleet.Slot())
				if n%50 == 0 || n > blocks-10 {
					b.Fleet.SaveAll()
					most = max(most, gauge(t, registry, "executionbackup_shared_state_records"))
				}
			}
			if most > 300 || most < 64 || b.Fleet.Sent() > 300 {
				t.Errorf("%v records are held at most, and %d are remembered", most, b.Fleet.Sent())
			}
		})
	})
}

// gauge is what a gauge says.
func gauge(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

// The silence ends with a call to us or to the other instance, as far as we hear of it; it goes on when that one is
// gone, and is nothing that an old note ends.
func TestSilence(t *testing.T) {
	inPair(t, func(b *bubble.Bubble) {
		want := func(what string, seconds float64) {
			t.Helper()
			if got := b.Value("executionbackup_silence_seconds"); got != seconds {
				t.Errorf("%s: got %v, want %v", what, got, seconds)
			}
		}
		start := b.Value("executionbackup_silence_seconds")
		time.Sleep(time.Minute)
		want("nobody has spoken", start+60)
		b.Fleet.Spoke(engine.NewPayload)
		want("a call to us", 0)
		time.Sleep(time.Minute)
		hears(b, "other", time.Now().Add(-10*time.Second), time.Now().Add(-10*time.Second), nil)
		want("a call to the other, ten seconds ago", 10)
		hears(b, "older", time.Now().Add(-time.Hour), time.Now().Add(-time.Hour), nil)
		want("an old note", 10)
		b.Fleet.Heard(nil)
		time.Sleep(time.Minute)
		want("the other is gone", 70)
		b.Fleet.Spoke(engine.ForkchoiceUpdated)
		want("a forkchoice to us", 0)
	})
}

// Without another instance our own calls end it.
func TestSilenceAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, []*bubble.Fake{{}}, bubble.Options{})
		b.Run(func() {
			time.Sleep(time.Minute)
			if got := b.Value("executionbackup_silence_seconds"); got < 60 {
				t.Errorf("after a minute: got %v", got)
			}
			b.Fleet.Spoke(engine.NewPayload)
			if got := b.Value("executionbackup_silence_seconds"); got != 0 {
				t.Errorf("after a call: got %v", got)
			}
		})
	})
}
