package wire

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/rawjson"
)

var (
	errTooLarge = errors.New("answer is larger than allowed")
	errNotGzip  = errors.New("answer is not the gzip that it claims to be")
	errTaker    = errors.New("whoever asked takes no more")
)

// maxRefusal is how much is read of a refusal's words, in bytes.
const maxRefusal = 512

// refusal puts a 401 or 403 in the node's own words. Only one for the token's sake asks about what the token is made
// of.
func refusal(resp *http.Response) *Failure {
	words, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // as far as they come
	said := strings.TrimSpace(strings.ToValidUTF8(string(words), ""))
	quoted := ""
	if said != "" {
		quoted = fmt.Sprintf(": %q", said)
	}
	said = strings.ToLower(said)
	if resp.StatusCode == http.StatusUnauthorized || strings.Contains(said, "token") || strings.Contains(said, "jwt") {
		const asks = "it refuses our token (HTTP %d)%s: is the secret the node's own, and the clock right?"
		return &Failure{Kind: Unauthorized, Reason: fmt.Sprintf(asks, resp.StatusCode, quoted)}
	}
	return &Failure{Kind: Unauthorized, Reason: fmt.Sprintf("it refuses us (HTTP %d)%s", resp.StatusCode, quoted)}
}

// receive reads an answer. An error that is no *Failure is the connection's, or one of the three above.
func (a *attempt) receive(resp *http.Response) (jsonrpc.Reply, error) {
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		return jsonrpc.Reply{}, refusal(resp)
	}
	plain := resp.StatusCode == http.StatusOK && resp.Header.Get("Content-Encoding") == ""
	if a.Take != nil && plain && !short(resp.ContentLength) {
		return a.stream(resp)
	}
	answer, err := a.readAnswer(resp)
	if err != nil {
		return jsonrpc.Reply{}, err
	}
	return a.parse(answer, resp.StatusCode)
}

// parse reads a whole answer. With an HTTP error no result comes: a JSON-RPC error may, some clients send it so.
func (a *attempt) parse(answer []byte, status int) (jsonrpc.Reply, error) {
	reply, err := jsonrpc.ParseReply(answer, a.Fields...)
	switch {
	case err != nil && status == http.StatusOK:
		return jsonrpc.Reply{}, MalformedAnswer(err)
	case err != nil, status >= http.StatusMultipleChoices && reply.Err == nil:
		return jsonrpc.Reply{}, &Failure{Kind: Malformed, Reason: fmt.Sprintf("HTTP %d instead of an answer", status)}
	case !reply.Answers(a.ID):
		return jsonrpc.Reply{}, a.toAnother()
	}
	return reply, nil
}

// toAnother returns the failure of a call that got the answer to another one, and lets go of the connections: a node
// that mixes up answers may give the next call this one's.
func (a *attempt) toAnother() *Failure {
	a.client.Disconnect()
	return MalformedAnswer(errOtherCall)
}

var errOtherCall = errors.New("it has another call's id")

// streamFrom is how large an answer must be to be streamed, in bytes. So much is read before that is decided: the
// failures of most nodes, and all that comes before the result, fit into it.
const streamFrom = 64 << 10

// short reports whether an answer is known to be too small to be streamed; a size of -1 is not known.
func short(size int64) bool { return 0 <= size && size <= streamFrom }

// pieces are the free buffers through which answers stream. One holds what one read brings.
var pieces = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// stream lets the taker read the result while it comes in, if the answer is long and begins as it should. Else it reads
// the whole.
func (a *attempt) stream(resp *http.Response) (jsonrpc.Reply, error) {
	body := &share{Reader: resp.Body, of: a.client.answers}
	defer body.release()
	buffer := pieces.Get().(*[256 << 10]byte)
	defer pieces.Put(buffer)
	n := 0
	for n < streamFrom {
		m, err := body.Read(buffer[n:])
		n += m
		switch {
		case int64(n) > a.Limit:
			return jsonrpc.Reply{}, errTooLarge
		case err == io.EOF:
			return a.parse(bytes.Clone(buffer[:n]), resp.StatusCode)
		case err != nil:
			return jsonrpc.Reply{}, err
		}
	}
	opening, ok := jsonrpc.OpenReply(buffer[:n])
	if !ok {
		answer, err := readBounded(io.MultiReader(bytes.NewReader(buffer[:n]), body), nil, resp.ContentLength, a.Limit)
		if err != nil {
			return jsonrpc.Reply{}, err
		}
		return a.parse(answer, resp.StatusCode)
	}
	if opening.ID != nil && !(&jsonrpc.Reply{ID: opening.ID}).Answers(a.ID) {
		return jsonrpc.Reply{}, a.toAnother()
	}
	a.opened = true
	rest := io.LimitReader(body, a.Limit+1-int64(n))
	r := &result{of: a, opening: opening, buffer: buffer[:], piece: buffer[opening.At:n], from: rest, came: int64(n)}
	if a.Whole {
		r.head = bytes.Clone(buffer[:opening.At]) // WriteTo uses the buffer
	}
	switch err := a.Take(r); {
	case r.err != nil && r.err != io.EOF:
		return jsonrpc.Reply{}, r.err
	case err != nil, r.err == nil:
		return jsonrpc.Reply{}, errTaker
	}
	return jsonrpc.Reply{}, nil
}

// result is a result that streams. It ends with io.EOF if all of the answer was as it should be. It belongs to the
// goroutine that makes the call.
type result struct {
	of      *attempt
	opening jsonrpc.Opening
	scanner rawjson.Scanner
	head    []byte // what came before it, and is still to be read, where all is
	tail    []byte // what has come behind the result
	after   []byte // likewise, what is still to be read where all is
	buffer  []byte
	piece   []byte // of the buffer: what had come at the beginning and has not been read
	from    io.Reader
	came    int64 // how many bytes of the answer have come
	err     error // how it ended
}

// Read reads what belongs to the result, and judges each piece before it returns it.
func (r *result) Read(p []byte) (int, error) {
	if len(r.head) > 0 {
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	for r.err == nil {
		n := copy(p, r.piece)
		r.piece = r.piece[n:]
		if n == 0 {
			n, r.err = r.from.Read(p)
			r.came += int64(n)
		}
		own, err := r.judge(p[:n])
		switch {
		case err != nil:
			r.err = err
		case r.err == io.EOF && r.came > r.of.Limit:
			r.err = errTooLarge
		case r.err == io.EOF:
			r.err = r.end()
		}
		if err == nil && own > 0 {
			return own, nil
		}
	}
	if n := copy(p, r.after); n > 0 {
		r.after = r.after[n:]
		return n, nil
	}
	return 0, r.err
}

// WriteTo is for whoever passes the result on: it saves the buffer.
func (r *result) WriteTo(w io.Writer) (written int64, err error) {
	for {
		n, err := r.Read(r.buffer)
		if err == io.EOF {
			return written, nil
		}
		if err == nil {
			_, err = w.Write(r.buffer[:n])
		}
		if err != nil {
			return written, err
		}
		written += int64(n)
	}
}

// maxTail bounds what may come behind a result, in bytes: white space and a few members.
const maxTail = streamFrom

// judge returns how many bytes of a piece belong to the result, and keeps those behind it.
func (r *result) judge(piece []byte) (int, error) {
	n, err := r.scanner.Scan(piece)
	if err != nil {
		return 0, MalformedAnswer(err)
	}
	if r.tail = append(r.tail, piece[n:]...); len(r.tail) > maxTail {
		return 0, MalformedAnswer(rawjson.ErrSyntax)
	}
	return n, nil
}

// end judges the answer's end. If it is as it should be it returns io.EOF.
func (r *result) end() error {
	if !r.scanner.Done() {
		return MalformedAnswer(rawjson.ErrSyntax)
	}
	if err := r.opening.Close(r.tail); err != nil {
		return MalformedAnswer(err)
	}
	if !(&jsonrpc.Reply{ID: r.opening.ID}).Answers(r.of.ID) {
		return r.of.toAnother()
	}
	if r.of.Whole {
		r.after = r.tail
	}
	return io.EOF
}

// readAnswer reads the whole answer.
func (a *attempt) readAnswer(resp *http.Response) ([]byte, error) {
	body := &share{Reader: resp.Body, of: a.client.answers}
	defer body.release()
	var memory []byte
	if a.Into != nil {
		memory = *a.Into
	}
	answer, err := readBounded(body, memory, resp.ContentLength, a.Limit)
	if a.Into != nil && cap(answer) > cap(memory) {
		*a.Into = answer
	}
	if err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
		return answer, err
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(answer)) // some send it unasked
	if err != nil {
		return nil, errNotGzip
	}
	body.Reader = unzipped
	answer, err = readBounded(body, nil, -1, a.Limit)
	if err != nil && err != errTooLarge && err != errNoRoom {
		return nil, errNotGzip
	}
	return answer, err
}

// readBounded reads to the end, or to the limit, into memory as long as that has room. size is what the node says of
// it, or -1.
func readBounded(r io.Reader, memory []byte, size, limit int64) ([]byte, error) {
	var full [][]byte // what has come before b, if the node doesn't say how much will come
	came := int64(0)
	b := memory[:0]
	if need := room(0, size); cap(b) < need {
		b = make([]byte, 0, need)
	}
	for came <= limit {
		if len(b) == cap(b) {
			full, b = grow(full, b, size)
		}
		n, err := r.Read(b[len(b):cap(b)])
		b, came = b[:len(b)+n], came+int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if came > limit {
		return nil, errTooLarge
	}
	if full != nil {
		return bytes.Join(append(full, b), nil), nil
	}
	return b, nil
}

// grow makes room behind what has come: by a copy of it, where the node says how much will come, or else beside it, so
// that all is copied once.
func grow(full [][]byte, b []byte, size int64) ([][]byte, []byte) {
	const most = 1 << 20
	if int64(len(b)) < size {
		return full, append(make([]byte, 0, room(len(b), size)), b...)
	}
	return append(full, b), make([]byte, 0, min(2*cap(b), most))
}

// maxBelieved is how much memory is made ready for an answer because a node says so, in bytes.
const maxBelieved = 8 << 20

// room is how much memory, in bytes, an answer should have of which so much has come, where the node says that it will
// be of some size, or -1. The node is believed as far as what comes bears it out; if it is right, little is copied.
func room(came int, size int64) int {
	if int64(came) >= size {
		return 4 << 10
	}
	believed := maxBelieved
	if came > 0 {
		believed = 8 * came
	}
	return min(believed, int(size)) + bytes.MinRead // the end is seen without another growth
}
