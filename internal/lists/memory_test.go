package lists_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/engine"
)

// stock is an execution client that has some of the blobs of 1.. that it is asked for. It makes its answers as they are
// read, and keeps nothing.
type stock struct {
	has   func(blob int) bool
	whole bool          // getBlobsV2 is answered, not only V3
	probe time.Duration // that a probe takes: the fastest is the primary
	weigh func()
}

const (
	manyBlobs = 128
	blobSize  = 2*131072 + len(`{"blob":"0x","proofs":[]}`)
)

var aBlob = `{"blob":"0x` + strings.Repeat("ab", 131072) + `","proofs":[]}`

func (s stock) RoundTrip(r *http.Request) (*http.Response, error) {
	call, err := bubble.Received(r)
	if err != nil {
		return nil, err
	}
	parts := []io.Reader{strings.NewReader(`{"jsonrpc":"2.0","id":1,"result":`)}
	switch m := engine.ParseMethod(string(call.Method)); {
	case m.Family != engine.GetBlobs:
		time.Sleep(s.probe)                               // the bubble's clock
		parts = append(parts, strings.NewReader("false")) // eth_syncing
	case m.Version == 2 && !s.whole:
		parts = append(parts, strings.NewReader("null"))
	default:
		for i := range manyBlobs {
			separator, blob := ",", "null"
			if i == 0 {
				separator = "["
			}
			if s.has(i) {
				blob = aBlob
			}
			parts = append(parts, strings.NewReader(separator), strings.NewReader(blob))
			if i%16 == 15 {
				parts = append(parts, weighed{strings.NewReader(" "), s.weigh})
			}
		}
		parts = append(parts, strings.NewReader("]"))
	}
	parts = append(parts, strings.NewReader("}"))
	return &http.Response{
		StatusCode: 200, ContentLength: -1, Body: io.NopCloser(io.MultiReader(parts...)), Header: http.Header{},
	}, nil
}

// weighed weighs the heap at the end of what it reads.
type weighed struct {
	io.Reader
	weigh func()
}

func (w weighed) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	if err == io.EOF {
		w.weigh()
	}
	return n, err
}

// drain is a CL that keeps nothing.
type drain struct {
	*httptest.ResponseRecorder
	weigh  func()
	bytes  int
	writes int
	start  string
}

func (d *drain) Write(b []byte) (int, error) {
	if d.writes++; d.writes%8 == 0 {
		d.weigh()
	}
	if d.start == "" {
		d.start = string(b[:min(len(b), 64)])
	}
	d.bytes += len(b)
	return len(b), nil
}

// A request for 128 blobs, 34 MB of JSON, never has more than two copies of the answer in memory: be it the primary's,
// or put together from two nodes that have half of it each. Not even where the nodes don't say how long their answers
// are.
func TestMemoryOfBlobs(t *testing.T) {
	none := func(int) bool { return false }
	all := func(int) bool { return true }
	even, odd := func(i int) bool { return i%2 == 0 }, func(i int) bool { return i%2 == 1 }
	hash := `"` + strings.Repeat("0", 64) + `"`
	for _, test := range []struct {
		name, method string
		nodes        []stock
	}{
		{"all from the primary", "engine_getBlobsV3", []stock{{has: all}, {has: none}}},
		{"all from the primary, V2", "engine_getBlobsV2", []stock{{has: all, whole: true}, {has: none}}},
		{"all from another", "engine_getBlobsV3", []stock{{has: none}, {has: all}}},
		{"all from another, V2", "engine_getBlobsV2", []stock{{has: none}, {has: all, whole: true}}},
		{"half of them from each", "engine_getBlobsV3", []stock{{has: even}, {has: odd}}},
		{"half of them from each, V2", "engine_getBlobsV2", []stock{{has: even}, {has: odd}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var mu sync.Mutex
			var least, most uint64
			weigh := func() {
				mu.Lock()
				defer mu.Unlock()
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
			for i := range test.nodes {
				test.nodes[i].weigh, test.nodes[i].probe = weigh, time.Duration(i)*time.Millisecond
			}
			bubble.In(t, test.nodes, func(t *testing.T, b *bubble.Bubble) { // weighing takes no time
				for range 3 { // what is kept for another use outlives a collection
					most = 0
					weigh()
				}
				least, most = most, 0
				hashes := strings.TrimSuffix(strings.Repeat(hash+",", manyBlobs), ",")
				call := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":[[%s]]}`, test.method, hashes)
				cl := &drain{ResponseRecorder: httptest.NewRecorder(), weigh: weigh}
				b.ServeHTTP(cl, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(call)))
				if cl.bytes < manyBlobs*blobSize {
					t.Fatalf("got %d bytes: %s", cl.bytes, cl.start)
				}
				copies := float64(most-least) / (manyBlobs * float64(blobSize))
				t.Logf("%d MB of answer, %.2f copies", cl.bytes>>20, copies)
				if copies > 2.1 {
					t.Errorf("%.2f copies of the answer were in memory at once", copies)
				}
			})
		})
	}
}
