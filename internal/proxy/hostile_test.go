package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
)

// What is kept of a payload is that payload, and not the body around it.
func TestBodiesAreNotKept(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	p := newProxy(t, []bulk{{}, {}})
	space := bytes.Repeat([]byte(" "), 4<<20)
	before := heap()
	for i := 1; i <= 20; i++ {
		body := append(bytes.Clone(space), payloadCall(i)...)
		if i%2 == 0 {
			body = fmt.Appendf(nil, "[%s,%s7]", payloadCall(i), space)
		}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(body)))
		if !strings.Contains(w.Body.String(), `"VALID"`) {
			t.Fatalf("got %s", w.Body)
		}
	}
	p.stragglers.Wait()
	if grown := int64(heap()) - int64(before); grown > 20<<20 {
		t.Errorf("%d MB are kept of 20 small payloads", grown>>20)
	}
	if kept := len(p.catchUp.ring.order); kept != 20 {
		t.Errorf("%d payloads are kept", kept)
	}
	runtime.KeepAlive(p)
}

// A forkchoice state with more in it than forkchoices have is not kept with the payload that it makes the head.
func TestLongForkchoiceIsNotKept(t *testing.T) {
	r := newRing(1 << 20)
	for i, size := range []int{maxState, maxState + 1} {
		head := common.Hash{byte(i)}
		r.put(engine.Payload{Hash: head, Parent: common.Hash{9}}, engine.Method{}, nil, nil, false)
		r.follow(head, "engine_forkchoiceUpdatedV3", make([]byte, size))
		path, ok := r.bridge(common.Hash{9}, head)
		if !ok || len(path) != 1 || (len(path[0].forkchoiceState) == size) != (size == maxState) || path[0].forkchoiceMethod == "" {
			t.Errorf("%d bytes: %t, %d blocks, a state of %d bytes", size, ok, len(path), len(path[0].forkchoiceState))
		}
	}
}
