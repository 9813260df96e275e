package lists_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/engine"
)

const ms = time.Millisecond

// pool is a node that answers engine calls after some time.
type pool struct {
	after  time.Duration
	result string // of every method that isn't in methods
	// methods has other results by the method's name without "engine_".
	methods map[string]string
	syncing bool
	asked   atomic.Int32 // when the first call came, in milliseconds after the CL's
}

func (p *pool) fake(i int, begun *time.Time) *bubble.Fake {
	p.asked.Store(-1)
	return &bubble.Fake{
		Delay: func(method string, _ int) time.Duration {
			if !isRead(method) {
				return time.Duration(i) * ms // so that n1 is the primary
			}
			p.asked.CompareAndSwap(-1, int32(time.Since(*begun)/ms))
			return p.after
		},
		Answer: func(method string) (string, bool) {
			if method == "eth_syncing" && p.syncing {
				return `{"currentBlock":"0x0"}`, true
			}
			if result, ok := p.methods[strings.TrimPrefix(method, "engine_")]; ok {
				return result, true
			}
			return p.result, isRead(method) && p.result != ""
		},
	}
}

// isRead reports whether a method is one of those that one node can answer and others can add to.
func isRead(method string) bool {
	switch engine.ParseMethod(method).Family {
	case engine.GetBlobs, engine.HasBlobs, engine.GetPayloadBodies, engine.GetInclusionList:
		return true
	}
	return false
}

// What has a gap is filled by the others, as soon as that can be and no later than the limit.
func TestGapsAreFilled(t *testing.T) {
	const (
		two   = `[["0x01","0x02"]]`
		a, b  = `{"blob":"a","proof":"p"}`, `{"blob":"b","proof":"q"}`
		none  = "[null,null]"
		hasA  = "[" + a + ",null]"
		hasB  = "[null," + b + "]"
		whole = "[" + a + "," + b + "]"
		gone  = "no execution node is available"
		full  = `{"transactions":["0x01"]}`
		empty = `[{"transactions":[],"withdrawals":[]}]`
	)
	without := func(parts string, after time.Duration) *pool {
		return &pool{after: after, methods: map[string]string{"getBlobsV2": "null", "getBlobsV3": parts}}
	}
	for _, c := range []struct {
		name           string
		method, params string
		nodes          []*pool
		want           string
		took           time.Duration
		asked          []int32 // when each node was, in milliseconds; -1: not at all
	}{
		{"the primary has all", "getBlobsV1", two, []*pool{{after: 20 * ms, result: whole}, {result: none}},
			whole, 20 * ms, []int32{0, -1}},
		{"the primary is slow", "getBlobsV1", two,
			[]*pool{{after: 200 * ms, result: whole}, {after: 30 * ms, result: whole}},
			whole, 80 * ms, []int32{0, 50}},
		{"the primary hangs", "getBlobsV3", two, []*pool{{after: bubble.Forever}, {after: 30 * ms, result: whole}},
			whole, 80 * ms, []int32{0, 50}},
		{"the primary has a gap", "getBlobsV3", two,
			[]*pool{{after: 10 * ms, result: hasA}, {after: 30 * ms, result: hasB}},
			whole, 40 * ms, []int32{0, 10}},
		{"the primary has nothing", "getBlobsV3", two,
			[]*pool{{after: 10 * ms, result: "null"}, {after: 30 * ms, result: whole}},
			whole, 40 * ms, []int32{0, 10}},
		{"the primary's answer is malformed", "getBlobsV3", two,
			[]*pool{{after: 10 * ms, result: "[null]"}, {after: 30 * ms, result: whole}},
			whole, 40 * ms, []int32{0, 10}},
		{"three nodes", "getBlobsV1", two,
			[]*pool{{result: none}, {after: 30 * ms, result: hasB}, {after: 20 * ms, result: hasA}},
			whole, 30 * ms, []int32{0, 0, 0}},
		{"a slow hit beats fast misses", "getBlobsV1", two,
			[]*pool{{result: none}, {result: none}, {after: 600 * ms, result: whole}},
			whole, 600 * ms, nil},
		{"what there is, at the limit", "getBlobsV1", two,
			[]*pool{{result: none}, {result: hasB}, {after: bubble.Forever}},
			hasB, 850 * ms, nil},
		{"what there is, when all have answered", "getBlobsV1", two,
			[]*pool{{result: none}, {after: 10 * ms, result: hasB}, {after: 20 * ms, result: none}},
			hasB, 20 * ms, nil},
		{"all hang", "getBlobsV1", two, []*pool{{after: bubble.Forever}, {after: bubble.Forever}},
			gone, 7550 * ms, nil},
		{"all take longer than the pace", "getBlobsV1", two,
			[]*pool{{after: 3 * time.Second, result: hasA}, {after: 4 * time.Second, result: whole}},
			hasA, 3 * time.Second, nil},
		{"all take longer than the pace, hasBlobs", "hasBlobs", two,
			[]*pool{{after: bubble.Forever}, {after: 4 * time.Second, result: "[true,false]"}},
			"[true,false]", 4050 * ms, nil},
		{"all say null", "getBlobsV3", two, []*pool{{result: "null"}, {after: 10 * ms, result: "null"}},
			"null", 10 * ms, nil},
		{"nobody waits for a node that syncs", "getBlobsV3", two,
			[]*pool{{result: hasA}, {result: none}, {after: 100 * ms, result: hasB, syncing: true}},
			hasA, 0, nil},
		{"but its answer counts", "getBlobsV3", two,
			[]*pool{{result: hasA}, {after: 20 * ms, result: none}, {after: 10 * ms, result: hasB, syncing: true}},
			whole, 10 * ms, nil},
		{"unless all do", "getBlobsV3", two,
			[]*pool{{result: none, syncing: true}, {after: 100 * ms, result: hasB, syncing: true}},
			hasB, 100 * ms, nil},
		{"a version of the future", "getBlobsV9", `[["0x01","0x02"],7]`,
			[]*pool{{result: "[7,null]"}, {after: 10 * ms, result: "[null,[8]]"}},
			"[7,[8]]", 10 * ms, nil},
		{"an answer of the future", "getBlobsV9", two, []*pool{{after: 10 * ms, result: `{"x":1}`}, {result: "null"}},
			`{"x":1}`, 10 * ms, []int32{0, -1}},
		{"params of the future", "getBlobsV9", `[{}]`, []*pool{{after: 10 * ms, result: hasA}, {result: hasB}},
			hasA, 10 * ms, []int32{0, -1}},

		{"V2: the primary has all", "getBlobsV2", two, []*pool{{after: 10 * ms, result: whole}, {result: whole}},
			whole, 10 * ms, []int32{0, -1}},
		{"V2: another has all", "getBlobsV2", two, []*pool{without(none, 10*ms), {after: 30 * ms, result: whole}},
			whole, 40 * ms, []int32{0, 10}},
		{"V2: none has all", "getBlobsV2", two, []*pool{without(hasA, 10*ms), without(hasB, 30*ms)},
			whole, 70 * ms, nil},
		{"V2: not even together", "getBlobsV2", two, []*pool{without(hasA, 10*ms), without(none, 30*ms)},
			"null", 70 * ms, nil},
		{"V2: one hangs", "getBlobsV2", two, []*pool{without(hasA, 10*ms), {after: bubble.Forever}},
			"null", 850 * ms, nil},
		{"V2: with one that hangs", "getBlobsV2", two,
			[]*pool{without(hasA, 10*ms), without(hasB, 10*ms), {after: bubble.Forever}},
			whole, 30 * ms, nil},
		{"V2: parts that are none", "getBlobsV2", two, []*pool{without("[7,7]", 10*ms), without("[7,7]", 30*ms)},
			gone, 70 * ms, nil},
		{"V2: one blob has no parts", "getBlobsV2", `[["0x01"]]`, []*pool{without("[7]", 10*ms), without("[7]", 10*ms)},
			"null", 20 * ms, nil},

		{"V4: cells", "getBlobsV4", `[["0x01"],"0x03000000000000000000000000000000"]`, []*pool{
			{result: `[{"blob_cells":["a",null],"proofs":["p",null]}]`},
			{after: 10 * ms, result: `[{"blob_cells":[null,"b"],"proofs":[null,"q"]}]`}},
			`[{"blob_cells":["a","b"],"proofs":["p","q"]}]`, 10 * ms, nil},
		{"V4: no bit array", "getBlobsV4", `[["0x01"],7]`,
			[]*pool{{after: 10 * ms, result: "[null]"}, {result: "[null]"}},
			"[null]", 10 * ms, []int32{0, -1}},

		{"hasBlobs", "hasBlobs", two,
			[]*pool{{after: 10 * ms, result: "[true,false]"}, {after: 10 * ms, result: "[false,true]"}},
			"[true,true]", 20 * ms, []int32{0, 10}},

		{"bodies by hash", "getPayloadBodiesByHashV1", two,
			[]*pool{{after: 10 * ms, result: "[null," + full + "]"}, {after: 10 * ms, result: "[" + full + ",null]"}},
			"[" + full + "," + full + "]", 20 * ms, []int32{0, 10}},
		{"bodies by hash, whole", "getPayloadBodiesByHashV1", two,
			[]*pool{{after: 10 * ms, result: "[" + full + ", " + full + "]"}, {result: `[null,null]`}},
			"[" + full + ", " + full + "]", 10 * ms, []int32{0, -1}},
		{"bodies by range", "getPayloadBodiesByRangeV1", `["0x1","0x3"]`,
			[]*pool{{after: 10 * ms, result: `[null]`}, {after: 10 * ms, result: "[" + full + ",null," + full + "]"}},
			"[" + full + ",null," + full + "]", 20 * ms, []int32{0, 10}},
		{"bodies by range, whole", "getPayloadBodiesByRangeV1", `["0x1","0x2"]`,
			[]*pool{{after: 10 * ms, result: "[" + full + "," + full + "]"}, {result: "[" + full + "," + full + "]"}},
			"[" + full + "," + full + "]", 10 * ms, []int32{0, -1}},
		{"bodies by range, params of the future", "getPayloadBodiesByRangeV9", `[{}]`,
			[]*pool{{after: 10 * ms, result: `7`}, {result: `[]`}},
			`7`, 10 * ms, []int32{0, -1}},
		{"bodies: one is slow", "getPayloadBodiesByHashV1", two,
			[]*pool{{result: "[null," + full + "]"}, {after: 5 * time.Second, result: "[" + full + ",null]"}},
			"[" + full + "," + full + "]", 5 * time.Second, nil},
		{"bodies: one without transactions", "getPayloadBodiesByHashV1", `[["0x01"]]`,
			[]*pool{
				{after: 10 * ms, result: empty}, {after: 30 * ms, result: empty},
				{after: 20 * ms, result: "[" + full + "]"}},
			"[" + full + "]", 30 * ms, []int32{0, 10, 10}},
		{"bodies: an empty block", "getPayloadBodiesByHashV1", `[["0x01"]]`,
			[]*pool{{after: 10 * ms, result: empty}, {after: 30 * ms, result: empty}},
			empty, 40 * ms, nil},

		{"the longest inclusion list", "getInclusionListV1", `[]`,
			[]*pool{{after: 10 * ms, result: `["0x01aa"]`},
				{after: 500 * ms, result: `["0x01aa","0x02bb"]`}, {result: `[]`}},
			`["0x01aa","0x02bb"]`, 500 * ms, []int32{0, 0, 0}},
		{"one inclusion list hangs", "getInclusionListV1", `[]`,
			[]*pool{{after: bubble.Forever}, {result: `["0x01aa"]`}, {result: `[]`}},
			`["0x01aa"]`, 900 * ms, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var begun time.Time
			var fakes []*bubble.Fake
			for i, n := range c.nodes {
				fakes = append(fakes, n.fake(i, &begun))
			}
			bubble.In(t, fakes, func(t *testing.T, b *bubble.Bubble) {
				begun = time.Now()
				got, took := b.Get(c.method, c.params)
				if got != c.want || took != c.took {
					t.Errorf("%s after %v, want %s after %v", got, took, c.want, c.took)
				}
				for i, want := range c.asked {
					if at := c.nodes[i].asked.Load(); at != want {
						t.Errorf("n%d was asked at %d ms, want %d", i+1, at, want)
					}
				}
				for _, n := range b.Fleet.Pool.Nodes() {
					if s := n.Status(); !s.Reachable() {
						t.Errorf("%s is dead: %s", n.Name(), s.Reason)
					}
				}
			})
		})
	}
}

// Nobody else is asked for what we have ourselves.
func TestKeptPayloadsFillGaps(t *testing.T) {
	var begun time.Time
	for answer, want := range map[string]string{
		`[null]`: `[{"transactions":["0x02"],"withdrawals":null}]`,
		// as it came
		`[{"transactions":["0x02"],"withdrawals":null }]`: `[{"transactions":["0x02"],"withdrawals":null }]`,
	} {
		primary, other := &pool{after: 10 * ms, result: answer}, &pool{after: 10 * ms, result: "[null]"}
		bubble.In(t, []*bubble.Fake{primary.fake(0, &begun), other.fake(1, &begun)},
			func(t *testing.T, b *bubble.Bubble) {
				call := string(bubble.PayloadCall(1))
				b.Send([]byte(strings.Replace(call, `"blockHash"`, `"transactions":["0x02"],"blockHash"`, 1)))
				begun = time.Now()
				got, took := b.Get("getPayloadBodiesByHashV1", `[["`+bubble.Hash(1).Hex()+`"]]`)
				if got != want || took != 10*ms {
					t.Errorf("%s after %v, want %s", got, took, want)
				}
				if at := other.asked.Load(); at >= 0 {
					t.Errorf("n2 was asked at %d ms", at)
				}
			})
	}
}

// A node that becomes a laggard while its bodies are waited for is waited for no longer.
func TestGapsDoNotWaitForLaggards(t *testing.T) {
	hung := time.Date(2000, 1, 1, 0, 0, 5, 0, time.UTC) // five seconds after the bubble's clock begins
	hanging := &bubble.Fake{Delay: func(method string, _ int) time.Duration {
		if !time.Now().Before(hung) {
			return bubble.Forever
		}
		return ms
	}}
	primary := &bubble.Fake{Answer: func(method string) (string, bool) {
		return "[null]", strings.HasPrefix(method, "engine_getPayloadBodies")
	}}
	bubble.In(t, []*bubble.Fake{primary, hanging}, func(t *testing.T, b *bubble.Bubble) {
		time.Sleep(time.Until(hung))                               // the bubble's clock
		for _, most := range []time.Duration{4 * time.Second, 0} { // until a probe has failed; then it is known
			if got, took := b.Get("getPayloadBodiesByHashV1", `[["0x01"]]`); got != "[null]" || took > most {
				t.Errorf("%s after %v, want at most %v", got, took, most)
			}
		}
	})
}
