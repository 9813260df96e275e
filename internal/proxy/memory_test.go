package proxy

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

// bulk is an execution client that keeps nothing of what it is sent, or that never answers.
type bulk struct{ hangs bool }

func (b bulk) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	const answer = `{"jsonrpc":"2.0","id":1,"result":{"status":"VALID","latestValidHash":null,"validationError":null}}`
	return &http.Response{StatusCode: 200, ContentLength: int64(len(answer)), Body: io.NopCloser(strings.NewReader(answer)), Header: http.Header{}}, nil
}

// Twenty payloads of 10 MB in quick succession, while one node of three hangs: the peak of the heap stays below the
// bounds of the kept payloads and of the lanes, plus 100 MB.
func BenchmarkMemoryWithHungNode(b *testing.B) {
	const size, count, bound = 10 << 20, 20, 128<<20 + 128<<20 + 100<<20
	filler := `"extra":"` + strings.Repeat("ab", size/2) + `",`
	for b.Loop() {
		p := newProxy(b, []bulk{{}, {}, {hangs: true}})
		p.settings.Store(&Settings{Rules: p.settings.Load().Rules, Grace: time.Millisecond})
		runtime.GC()
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		var peak uint64
		for i := 1; i <= count; i++ {
			head, tail, _ := bytes.Cut(payloadCall(i), []byte(`"blockNumber"`))
			tail = append([]byte(`"blockNumber"`), tail...)
			r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(bytes.NewReader(head), strings.NewReader(filler), bytes.NewReader(tail)))
			r.ContentLength = int64(len(head) + len(filler) + len(tail))
			answer := httptest.NewRecorder()
			p.ServeHTTP(answer, r)
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
		p.cancel()
		p.stragglers.Wait()
	}
}
