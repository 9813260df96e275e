package bubble

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/jsonrpc"
)

// Fake is an execution client without a network.
type Fake struct {
	mu    sync.Mutex
	calls []string // newPayload and forkchoiceUpdated in order of arrival: "P3", "F3"

	// These say how it answers; nil means at once, with VALID. They must not be changed while it is called.
	Delay    func(method string, number int) time.Duration
	Status   func(method string, number int) string
	Contents func(call []byte) string // as status, by the whole call
	Refuse   func() bool
	Reset    func() bool // the connection breaks under newPayload
	// Answer, where it isn't nil and returns true, has the whole result of a method.
	Answer func(method string) (result string, ok bool)
	// Fail has the JSON-RPC error of a method, or "".
	Fail func(method string) string
	// Arrived is told of each newPayload and forkchoiceUpdated ("P3", "F3"), and done when it has been answered or
	// given up. A refused call has not arrived.
	Arrived func(call string, number int) (done func(), refused bool)
}

// ErrReset is how a connection breaks under a call.
var ErrReset = errors.New("connection reset by peer")

// ErrRefused is what whoever calls a node hears that doesn't run.
var ErrRefused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

const (
	Good      = 20 * time.Millisecond // what a good node takes over a payload
	Grace     = 500 * time.Millisecond
	LateGrace = 50 * time.Millisecond // the same where it is late in the slot
	Forever   = 24 * time.Hour
)

// Healthy is a fake that takes Good over a payload.
func Healthy() *Fake {
	return &Fake{Delay: func(method string, _ int) time.Duration {
		if strings.HasPrefix(method, "engine_newPayload") {
			return Good
		}
		return 0
	}}
}

// Speaker is a fake that says one thing from a block on, after a while, and VALID at once before that.
func Speaker(from int, status string, after time.Duration) *Fake {
	return &Fake{
		Status: func(_ string, n int) string {
			if n < from {
				return "VALID"
			}
			return status
		},
		Delay: func(method string, n int) time.Duration {
			if n < from || !strings.HasPrefix(method, "engine_") {
				return 0
			}
			return after
		},
	}
}

// Received reads a request as an execution client does.
func Received(r *http.Request) (call jsonrpc.Request, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return call, err
	}
	return call, jsonrpc.ParseRequest(body, &call)
}

// RoundTrip answers as an execution client would, after its delay or never.
func (f *Fake) RoundTrip(r *http.Request) (*http.Response, error) {
	call, err := Received(r)
	if err != nil {
		return nil, err
	}
	if f.Refuse != nil && f.Refuse() {
		return nil, ErrRefused
	}
	words, _ := enginejson.ReadCall(&call)
	m := words.Method
	number := 0
	kind := ""
	switch m.Family {
	case engine.NewPayload:
		kind, number = "P", int(words.Payload.Number)
	case engine.ForkchoiceUpdated:
		kind, number = "F", int(words.Block.Big().Int64())
	}
	if kind != "" {
		if f.Arrived != nil {
			done, refused := f.Arrived(fmt.Sprint(kind, number), number)
			if refused {
				return nil, ErrRefused
			}
			defer done()
		}
		f.note(kind, number)
	}
	if f.Delay != nil {
		if d := f.Delay(string(call.Method), number); d > 0 {
			select {
			case <-time.After(d):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}
	}
	if kind == "P" && f.Reset != nil && f.Reset() {
		return nil, ErrReset
	}
	result := "false" // eth_syncing
	if m.Family == engine.NewPayload || m.Family == engine.ForkchoiceUpdated {
		status := "VALID"
		if f.Status != nil {
			status = f.Status(string(call.Method), number)
		}
		if f.Contents != nil {
			status = f.Contents(call.Raw)
		}
		latest := "null"
		if status == "VALID" {
			latest = `"` + Hash(number).Hex() + `"`
		}
		result = fmt.Sprintf(`{"status":%q,"latestValidHash":%s,"validationError":null}`, status, latest)
		if m.Family == engine.ForkchoiceUpdated {
			result = `{"payloadStatus":` + result + `,"payloadId":null}`
		}
	} else if string(call.Method) != "eth_syncing" {
		result = `null`
	}
	if f.Answer != nil {
		if own, ok := f.Answer(string(call.Method)); ok {
			result = own
		}
	}
	answer := `{"jsonrpc":"2.0","id":1,"result":` + result + `}`
	if f.Fail != nil {
		if e := f.Fail(string(call.Method)); e != "" {
			answer = `{"jsonrpc":"2.0","id":1,"error":` + e + `}`
		}
	}
	return Answer([]byte(answer)), nil
}

// Answer is an HTTP response with this body.
func Answer(body []byte) *http.Response {
	return &http.Response{
		StatusCode: 200, ContentLength: int64(len(body)), Header: http.Header{},
		Body: io.NopCloser(bytes.NewReader(body)),
	}
}

func (f *Fake) note(kind string, number int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprint(kind, number))
}

// Forget forgets the calls that have come.
func (f *Fake) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = nil
}

// Seen returns the newPayloads and forkchoiceUpdateds that have come: "P3", "F3".
func (f *Fake) Seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.calls...)
}
