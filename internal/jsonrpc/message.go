package jsonrpc

import (
	"bytes"
	"encoding/json"
	"errors"

	"executionbackup/internal/engine"
	"executionbackup/internal/rawjson"
)

// Request is one call as it stands in a body. All of it is slices of that body; nothing is decoded but a method's name
// that has escapes.
type Request struct {
	Raw    []byte // the whole object
	ID     []byte // nil in a notification
	Method []byte
	Params []byte // nil where there are none

	args    [maxArgs][]byte
	members [maxMembers]member // those of the first parameter, if it is an object
	count   int                // how many members it has; -1 where it isn't an object
}

const (
	maxArgs    = 6  // newPayloadV6 has five parameters
	maxMembers = 24 // ExecutionPayloadV4 has nineteen members
)

// member is one of the first parameter's: the name between its quotes, and the raw value.
type member struct{ name, value []byte }

// Arg returns the raw i-th parameter of an array of parameters, or nil.
func (r *Request) Arg(i int) []byte {
	if i < len(r.args) {
		return r.args[i]
	}
	return nil
}

// ArgMembers is rawjson.Members for the first parameter, without a second scan of it. Where that isn't an object, all
// values are nil.
func (r *Request) ArgMembers(names []string, values [][]byte) error {
	clear(values)
	if r.count < 0 {
		return nil
	}
	if r.count > maxMembers {
		return rawjson.Members(r.args[0], names, values)
	}
	for _, m := range r.members[:r.count] {
		if err := rawjson.Store(m.name, m.value, names, values); err != nil {
			return err
		}
	}
	return nil
}

// envelope are the members of a request, in the order of the constants.
var envelope = []string{"jsonrpc", "id", "method", "params"}

const (
	inVersion = iota
	inID
	inMethod
	inParams
)

// ParseRequest scans one call. The error is rawjson.ErrSyntax where b isn't JSON (code -32700), anything else where it
// is no request (code -32600). The id is set where the object as a whole could be read.
func ParseRequest(b []byte, r *Request) error {
	start := rawjson.SkipSpace(b, 0)
	if start < len(b) && b[start] != '{' {
		if end := rawjson.SkipValue(b, start); end < 0 || rawjson.AtEnd(b, end) != nil {
			return rawjson.ErrSyntax
		}
		return errNotRequest
	}
	*r = Request{count: -1}
	var found [4][]byte
	end, err := r.scanEnvelope(b, start, &found)
	if err != nil {
		return err
	}
	if err := rawjson.AtEnd(b, end); err != nil {
		return err
	}
	r.Raw, r.ID, r.Params = b[start:end], found[inID], found[inParams]
	if r.ID != nil && !json.Valid(r.ID) {
		r.ID = nil
		return rawjson.ErrSyntax
	}
	if version, ok := rawjson.Text(found[inVersion]); !ok || string(version) != "2.0" {
		return errVersion
	}
	if len(found[inMethod]) > maxMethod {
		return errMethod
	}
	r.Method, _ = rawjson.Text(found[inMethod])
	if len(r.Method) == 0 {
		return errMethod
	}
	return nil
}

// scanEnvelope walks the object at b[start], puts its members where found has room for them, and returns where it ends.
func (r *Request) scanEnvelope(b []byte, start int, found *[4][]byte) (end int, err error) {
	return rawjson.EachMember(b, start, func(name []byte, at int) (end int, err error) {
		i, invalid := rawjson.Lookup(name, envelope)
		if i == inParams && found[i] == nil && at < len(b) && b[at] == '[' {
			end, err = r.scanParams(b, at)
		} else {
			_, end, err = rawjson.Value(b, at)
		}
		switch {
		case err != nil:
			return 0, err
		case invalid != nil:
			return 0, invalid
		case i >= 0 && found[i] != nil:
			return 0, &rawjson.AmbiguousError{Name: envelope[i]}
		case i >= 0:
			found[i] = b[at:end]
		}
		return end, nil
	})
}

var (
	errNotRequest = errors.New("a request is an object")
	errVersion    = errors.New(`a request has "jsonrpc": "2.0"`)
	errMethod     = errors.New("a request has a method, a string of 1 to 4096 bytes")
)

// maxMethod bounds a method in JSON, in bytes: it is shown in errors and logs. Clients have bounds of their own, below
// it.
const maxMethod = 4096 + len(`""`)

// scanParams walks the array at b[at] and keeps its first elements and the members of the very first.
func (r *Request) scanParams(b []byte, at int) (int, error) {
	return rawjson.EachElement(b, at, func(n, at int) (end int, err error) {
		if n == 0 && at < len(b) && b[at] == '{' {
			end, err = r.scanFirst(b, at)
		} else {
			_, end, err = rawjson.Value(b, at)
		}
		if err == nil && n < len(r.args) {
			r.args[n] = b[at:end]
		}
		return end, err
	})
}

// scanFirst walks the object at b[at], the first parameter, and keeps its members.
func (r *Request) scanFirst(b []byte, at int) (int, error) {
	r.count = 0
	return rawjson.EachMember(b, at, func(name []byte, at int) (int, error) {
		v, end, err := rawjson.Value(b, at)
		if r.count < maxMembers {
			r.members[r.count] = member{name, v}
		}
		r.count++
		return end, err
	})
}

// Reply is a node's answer to one call: a result or an error, raw.
type Reply struct {
	Result []byte
	Err    *engine.Error
	ID     []byte // as the node wrote it; nil where it wrote none
	Whole  []byte // all that the node wrote
}

// Answers reports whether a reply is the one to the call with an id: it has the same, or is an error to what the node
// could not read. Strings may differ in their escapes.
func (r *Reply) Answers(id []byte) bool {
	return r.Err != nil && rawjson.IsNull(r.ID) || sameID(r.ID, id)
}

// sameID reports whether two raw ids are the same.
func sameID(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	s, ok := rawjson.Text(a)
	t, also := rawjson.Text(b)
	return ok && also && bytes.Equal(s, t)
}

// CallID returns the id of a call, which must be one that ParseRequest took; nil where it has none. It scans the call
// up to its id.
func CallID(call []byte) (id []byte) {
	rawjson.EachMember(call, rawjson.SkipSpace(call, 0), func(name []byte, at int) (int, error) {
		v, end, err := rawjson.Value(call, at)
		if i, _ := rawjson.Lookup(name, envelope); err == nil && i == inID {
			id, err = v, errFound
		}
		return end, err
	})
	return id
}

var errFound = errors.New("found") // ends the walk

var replyMembers = []string{"jsonrpc", "id", "result", "error"}
var errorMembers = []string{"code", "message", "data"}

// ParseReply scans a node's answer, and looks for fields in its result, as rawjson.Read does. Result is a slice of b.
// Anything but one object with either a result or an error object is an error: it counts as no answer.
func ParseReply(b []byte, fields ...rawjson.Field) (Reply, error) {
	var found [3][]byte
	err := rawjson.Read(b,
		rawjson.Field{Name: "jsonrpc"},
		rawjson.Field{Name: "id", Value: &found[0]},
		rawjson.Field{Name: "result", Value: &found[1], Members: fields},
		rawjson.Field{Name: "error", Value: &found[2]},
	)
	if err != nil {
		return Reply{}, err
	}
	id, result, failure := found[0], found[1], found[2]
	if rawjson.IsNull(failure) {
		if result == nil {
			return Reply{}, errors.New("neither a result nor an error")
		}
		return Reply{Result: result, ID: id, Whole: b}, nil
	}
	if !rawjson.IsNull(result) {
		return Reply{}, errBoth
	}
	var members [3][]byte
	if err := rawjson.Members(failure, errorMembers, members[:]); err != nil {
		return Reply{}, err
	}
	e := new(engine.Error)
	if err := json.Unmarshal(failure, e); err != nil {
		return Reply{}, errors.New("malformed error object")
	}
	e.Raw = failure
	return Reply{Err: e, ID: id, Whole: b}, nil
}

var errBoth = errors.New("both a result and an error")

// NewCall returns the bytes of a call of our own, with id 1.
func NewCall(method string, params []byte) []byte {
	b := make([]byte, 0, len(params)+len(method)+64)
	b = append(b, `{"jsonrpc":"2.0","id":1,"method":`...)
	b = append(b, rawjson.Quote(method)...)
	b = append(b, `,"params":`...)
	if params == nil {
		params = []byte("[]")
	}
	return append(append(b, params...), '}')
}

// AppendReply appends the answer to a call under the caller's own id, byte for byte.
func AppendReply(dst, id []byte, r Reply) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	if id == nil {
		id = []byte("null")
	}
	dst = append(dst, id...)
	if r.Err != nil {
		dst = append(dst, `,"error":`...)
		return append(append(dst, errorObject(r.Err)...), '}')
	}
	dst = append(dst, `,"result":`...)
	return append(append(dst, r.Result...), '}')
}

// errorObject returns a node's own error object as it came, else an encoding.
func errorObject(e *engine.Error) []byte {
	if e.Raw != nil {
		return e.Raw
	}
	b, err := json.Marshal(e)
	if err != nil { // data that isn't JSON
		b, _ = json.Marshal(&engine.Error{Code: e.Code, Message: e.Message})
	}
	return b
}
