//go:build e2e

package hostile

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"executionbackup/internal/enginetest"
)

// spaces is a reader of so many spaces.
type spaces int64

func (s *spaces) Read(p []byte) (int, error) {
	if *s == 0 {
		return 0, io.EOF
	}
	n := min(len(p), int(*s), len(space))
	copy(p, space[:n])
	*s -= spaces(n)
	return n, nil
}

var space = bytes.Repeat([]byte(" "), 64<<10)

// post sends a call with as many spaces behind it as make it so large, and returns HTTP's status and what came.
func (d *daemon) post(ctx context.Context, call string, size int64) (int, string, error) {
	rest := spaces(size - int64(len(call)))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, io.MultiReader(strings.NewReader(call), &rest))
	if err != nil {
		return 0, "", err
	}
	req.ContentLength = size
	req.Header.Set("Authorization", "Bearer "+enginetest.Token(secret, time.Now()))
	resp, err := d.HTTP.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	return resp.StatusCode, string(body), err
}

const (
	largest = 128 << 20
	ethCall = `{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[]}`
)

// The largest body is answered, a byte more is refused. Of a hundred of the largest at once only those are taken that
// there is room for, and verdicts go on.
func TestLargestBodies(t *testing.T) {
	n := startNode(t)
	d := start(t, []string{n.url, startNode(t).url})
	for _, c := range []struct {
		size   int64
		status int
		want   string
	}{
		{largest, 200, `"result":"0x"`},
		{largest + 1, 413, "request body too large"},
		{largest, 200, `"result":"0x"`},
	} {
		status, body, err := d.post(t.Context(), ethCall, c.size)
		if err != nil || status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%d bytes: HTTP %d %s, %v; want %d %s", c.size, status, body, err, c.status, c.want)
		}
	}
	one := d.level()

	var callers sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[int]int{}
	for range 100 {
		callers.Go(func() {
			status, body, err := d.post(t.Context(), ethCall, largest)
			mu.Lock()
			defer mu.Unlock()
			outcomes[status]++ // 0: hung up on while it still sent
			if err == nil && status != 200 && (status != 503 || !strings.Contains(body, "too many bytes of requests")) {
				t.Errorf("HTTP %d %s", status, body)
			}
		})
	}
	times := []time.Duration{}
	for _, p := range enginetest.Chain(4, 30, enginetest.Pad(100<<10)) {
		times = append(times, d.verdict(p))
	}
	callers.Wait()
	t.Logf("of 100 bodies of 128 MiB at once: %v by HTTP status (0: cut off while sending); median verdict %v",
		outcomes, median(times))
	many := d.level()
	t.Logf("after one at a time: %v; after all: %v", one, many)
	if outcomes[200] == 0 || outcomes[503] == 0 {
		t.Error("either all or none were taken")
	}
	if many.peak > 1500<<20 {
		t.Errorf("the process had %d MB", many.peak>>20)
	}
	if used := d.Metric(t, "executionbackup_request_bytes_in_flight"); used != 0 {
		t.Errorf("%v bytes are left in flight", used)
	}
}

// endless answers with white space for ever.
func endless(w http.ResponseWriter, r *http.Request) {
	for err := error(nil); err == nil && r.Context().Err() == nil; {
		_, err = w.Write(space)
	}
}

// perSecond answers with a byte a second.
func perSecond(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for r.Context().Err() == nil {
		w.Write(space[:1])
		w.(http.Flusher).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
		}
	}
}

// bomb answers with a gigabyte in a megabyte.
func bomb(t *testing.T) http.HandlerFunc {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	for range 1 << 30 / len(space) {
		if _, err := z.Write(space); err != nil {
			t.Fatal(err)
		}
	}
	z.Close()
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(packed.Bytes())
	}
}

// longError answers with an error of ten megabytes.
func longError(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"`+strings.Repeat("x", 10<<20)+`"}}`)
}

// Whatever one node answers with, verdicts come: two wait for it the three graces that the other of two gets, and a
// second for a busy machine, and then it is a laggard. eth_ calls end, and memory is bounded.
func TestHostileAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
	}{{"endless", endless}, {"a byte a second", perSecond}, {"a gzip bomb", bomb(t)},
		{"an error of ten megabytes", longError}, // timely, and so waited for each time
	} {
		t.Run(c.name, func(t *testing.T) {
			good, bad := startNode(t), startNode(t)
			d := start(t, []string{good.url, bad.url})
			bad.set("newPayload", 0, c.answer)
			bad.set("forkchoiceUpdated", 0, c.answer)
			bad.set("eth_call", 0, c.answer)
			times := []time.Duration{}
			for _, p := range enginetest.Chain(4, 10, nil) {
				times = append(times, d.verdict(p))
			}
			var callers sync.WaitGroup
			ends := make(chan string, 32)
			for range cap(ends) {
				callers.Go(func() {
					_, err := d.Call(t.Context(), "eth_call", "0x")
					ends <- fmt.Sprint(err)
				})
			}
			callers.Wait()
			close(ends)
			outcomes := map[string]int{}
			for end := range ends {
				outcomes[end[:min(len(end), 60)]]++
			}
			now := d.level()
			t.Logf("median verdict %v, longest %v; 32 eth_calls: %v; %v",
				median(times), times[len(times)-1], outcomes, now)
			if median(times) > time.Second || times[len(times)-1] > 3*time.Second {
				t.Errorf("verdicts took %v", times)
			}
			var blocks, nodes json.RawMessage
			d.Get(t, "/blocks", &blocks)
			d.Get(t, "/nodes", &nodes)
			if shown := len(blocks) + len(nodes); shown > 64<<10 {
				t.Errorf("/blocks and /nodes have %d bytes", shown)
			}
			if now.peak > 3<<30 {
				t.Errorf("the process had %d MB", now.peak>>20)
			}
		})
	}
}
