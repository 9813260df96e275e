package proxy

import (
	"net/http"
	"strconv"

	"executionbackup/internal/jsonrpc"
)

// outlet is where the answer to a call goes that is alone in its request. Part of it may go while the rest still comes in.
// A nil outlet is that of a call whose answer is collected: an entry of a batch, say.
type outlet struct {
	w     http.ResponseWriter
	id    []byte // the caller's
	begun bool   // a part of the answer has gone, or all
	err   error  // why no more goes: the caller has gone
}

// begin sends what comes before the result. It is no good with a notification.
func (o *outlet) begin() {
	o.begun = true
	o.w.Header().Set("Content-Type", "application/json")
	head := append([]byte(`{"jsonrpc":"2.0","id":`), o.id...)
	o.Write(append(head, `,"result":`...))
}

// Write sends a part of the result.
func (o *outlet) Write(b []byte) (int, error) {
	if o.err == nil {
		_, o.err = o.w.Write(b)
	}
	return len(b), o.err
}

// end sends what comes behind the result.
func (o *outlet) end() { o.Write([]byte{'}'}) }

// abort breaks the caller's connection: what it has got must not look complete.
func (o *outlet) abort() { panic(http.ErrAbortHandler) }

// send sends a whole reply, without a copy of it where it is large. Without an error, the reply's memory can be used for
// something else.
func (o *outlet) send(reply jsonrpc.Reply) error {
	if o.id == nil {
		return nil
	}
	o.begun = true
	const large = 64 << 10 // bytes
	o.w.Header().Set("Content-Type", "application/json")
	if len(reply.Result) < large {
		o.Write(jsonrpc.AppendReply(nil, o.id, reply))
		return o.err
	}
	around := jsonrpc.AppendReply(nil, o.id, jsonrpc.Reply{})
	head, tail := around[:len(around)-1], around[len(around)-1:]
	o.w.Header().Set("Content-Length", strconv.Itoa(len(around)+len(reply.Result)))
	for _, part := range [][]byte{head, reply.Result, tail} {
		o.Write(part)
	}
	return o.err
}
