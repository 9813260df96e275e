package proxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/fleet"
)

// bulk is an execution client that keeps nothing of what it is sent, and knows no block's body; or that never answers.
type bulk struct{ hangs bool }

func (b bulk) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	start := make([]byte, 1<<10)
	n, _ := io.ReadFull(r.Body, start)
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	result := `{"status":"VALID","latestValidHash":null,"validationError":null}`
	if bytes.Contains(start[:n], []byte("getPayloadBodies")) {
		result = "[null" + strings.Repeat(",null", many-1) + "]"
	}
	return bubble.Answer([]byte(`{"jsonrpc":"2.0","id":1,"result":` + result + `}`)), nil
}

// many is how many payloads are sent.
const many = 20

// Twenty payloads of 10 MB in quick succession, while one node of three hangs: the peak of the heap stays below the
// bounds of the kept payloads and of the lanes, plus 100 MB.
func BenchmarkMemoryWithHungNode(b *testing.B) {
	const size, bound = 10 << 20, 128<<20 + 128<<20 + 100<<20
	filler := `"extra":"` + strings.Repeat("ab", size/2) + `",`
	for b.Loop() {
		door := bubble.New(b, []bulk{{}, {}, {hangs: true}}, bubble.Options{Settings: func(s *fleet.Settings) {
			s.Times.Grace, s.BuildGrace = time.Millisecond, 0
		}})
		runtime.GC()
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		var peak uint64
		for i := 1; i <= many; i++ {
			head, tail, _ := bytes.Cut(bubble.PayloadCall(i), []byte(`"blockNumber"`))
			tail = append([]byte(`"blockNumber"`), tail...)
			body := io.MultiReader(bytes.NewReader(head), strings.NewReader(filler), bytes.NewReader(tail))
			r := httptest.NewRequest(http.MethodPost, "/", body)
			r.ContentLength = int64(len(head) + len(filler) + len(tail))
			answer := httptest.NewRecorder()
			door.ServeHTTP(answer, r)
			if !strings.Contains(answer.Body.String(), "VALID") {
				b.Fatalf("payload %d: %s", i, answer.Body)
			}
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapInuse)
		}
		if peak > before.HeapInuse+bound {
			b.Fatalf("the heap grew by %d MB", (peak-before.HeapInuse)>>20)
		}
		b.ReportMetric(float64(peak-before.HeapInuse)/(1<<20), "peak-MB")
		hungUp, hangUp := context.WithCancel(b.Context())
		hangUp()
		door.Calls.Drain(hungUp)
	}
}

// What is kept of a payload is that payload, and not the body around it.
func TestBodiesAreNotKept(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	b := bubble.New(t, []bulk{{}, {}}, bubble.Options{})
	space := bytes.Repeat([]byte(" "), 4<<20)
	before := heap()
	for i := 1; i <= many; i++ {
		call := bytes.Replace(bubble.PayloadCall(i), []byte(`"blockNumber"`),
			[]byte(`"transactions":[],"blockNumber"`), 1)
		body := append(bytes.Clone(space), call...)
		if i%2 == 0 {
			body = fmt.Appendf(nil, "[%s,%s7]", call, space)
		}
		if answer := b.Post(t.Context(), body); !strings.Contains(string(answer), `"VALID"`) {
			t.Fatalf("got %s", answer)
		}
	}
	kept := keptOf(t, b)
	b.Calls.Drain(t.Context())
	if grown := int64(heap()) - int64(before); grown > 20<<20 {
		t.Errorf("%d MB are kept of %d small payloads", grown>>20, many)
	}
	if kept != many {
		t.Errorf("%d payloads are kept", kept)
	}
	runtime.KeepAlive(b)
}

// keptOf returns how many of the payloads are kept: so many have bodies, of which the nodes know none.
func keptOf(t *testing.T, b *bubble.Bubble) (kept int) {
	var hashes []string
	for i := 1; i <= many; i++ {
		hashes = append(hashes, bubble.Hash(i).Hex())
	}
	params, _ := json.Marshal([][]string{hashes})
	answer := b.Post(t.Context(), fmt.Appendf(nil,
		`{"jsonrpc":"2.0","id":1,"method":"engine_getPayloadBodiesByHashV1","params":%s}`, params))
	var a struct{ Result []*struct{} }
	if err := json.Unmarshal(answer, &a); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	for _, body := range a.Result {
		if body != nil {
			kept++
		}
	}
	return kept
}
