package app_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/rpc"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// Under load, in every mode, with callers that hang up, batches, WebSocket and a node that is killed: every span ends
// and has its parent, no node is told of another call's span, and nobody is told of one in a call that is ours.
func TestTracesUnderLoad(t *testing.T) {
	for _, mode := range config.Modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "60000")
			collector, m, nodes := traced(t, func(c *config.Config) { c.Mode, c.Grace = mode, 10*time.Millisecond })
			var calling sync.WaitGroup
			for i := range 4 {
				cl := enginetest.NewCL(t, m.CL.URL, m.Secret)
				trace := fmt.Sprintf("%032x", i+1)
				cl.Header = http.Header{"Traceparent": {"00-" + trace + "-" + clSpan + "-01"}}
				calling.Go(func() { burden(t, cl, i) })
			}
			calling.Go(func() {
				nodes[1].Close()
				nodes[1].Reopen()
			})
			calling.Wait()
			var spans map[string]apptest.Span
			apptest.Until(t, "each span's parent has come, and each that a node was told of", func() bool {
				spans = byID(collector)
				for _, s := range spans {
					if _, is := spans[s.Parent]; !is && s.Parent != "" && s.Parent != clSpan {
						return false
					}
				}
				for _, n := range nodes {
					for _, c := range n.Calls() {
						if _, is := spans[told(c)]; !is && told(c) != "" {
							return false
						}
					}
				}
				return true
			})
			for _, s := range spans {
				parent, is := spans[s.Parent]
				if s.Ended.Before(s.Begun) || is && (parent.Trace != s.Trace || parent.Begun.After(s.Begun)) {
					t.Errorf("%+v isn't a part of %+v", s, parent)
				}
			}
			count := 0
			for i, n := range nodes {
				for _, c := range n.Calls() {
					if told(c) == "" {
						continue
					}
					count++
					part := spans[told(c)]
					if want := fmt.Sprintf("%s n%d", c.Method, i+1); part.Name != want {
						t.Errorf("%s belongs to %q, want a span %q", c.Method, part.Name, want)
					}
					block := spans[part.Parent].Has["executionbackup.block_hash"]
					if c.BlockHash != "" && block != "" && block != c.BlockHash {
						t.Errorf("%s of %s belongs to a call of %s", c.Method, c.BlockHash, block)
					}
				}
				for _, probe := range n.CallsOf("eth_syncing") {
					if told(probe) != "" {
						t.Error("a probe belongs to a call")
					}
				}
			}
			if count < 100 {
				t.Errorf("nodes were told of %d spans only", count)
			}
		})
	}
}

// told is the span that a node was told of with a call; "" where it was told of none.
func told(c enginetest.Call) string {
	parts := strings.Split(c.Header.Get("Traceparent"), "-")
	return parts[min(2, len(parts)-1)]
}

// byID are the spans that a collector has got.
func byID(c *apptest.Collector) map[string]apptest.Span {
	spans := make(map[string]apptest.Span)
	for _, s := range c.Spans() {
		spans[s.ID] = s
	}
	return spans
}

// burden makes calls of all kinds. What is answered is other tests' business.
func burden(t *testing.T, cl *enginetest.CL, seed int) {
	chain := enginetest.Chain(4, 20, func(p *enginetest.Payload) { p.ExtraData = []byte{byte(seed)} })
	client, err := rpc.DialOptions(t.Context(), "ws"+strings.TrimPrefix(cl.URL, "http"),
		rpc.WithHTTPAuth(func(h http.Header) error {
			h.Set("Authorization", "Bearer "+enginetest.Token(cl.Secret, time.Now()))
			return nil
		}))
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	for i, p := range chain {
		cl.NewPayload(t.Context(), p)
		built, _ := cl.ForkchoiceUpdated(t.Context(), p, p.Attributes())
		if built.PayloadID != "" {
			cl.Call(t.Context(), "engine_getPayloadV4", built.PayloadID)
		}
		hurried, hangUp := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Microsecond)
		cl.NewPayload(hurried, p)
		cl.Call(hurried, "eth_chainId")
		hangUp()
		cl.Post(t.Context(), []byte(`[{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]},`+
			`{"jsonrpc":"2.0","id":2,"method":"engine_getBlobsV1","params":[[]]},{"id":3},7,`+
			`{"jsonrpc":"2.0","id":4,"method":"engine_\ud800","params":[]}]`))
		client.CallContext(t.Context(), new(any), "eth_chainId")
		client.CallContext(t.Context(), new(any), "eth_sendRawTransaction", "0x02")
	}
}
