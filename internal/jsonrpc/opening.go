package jsonrpc

import (
	"bytes"
	"errors"

	"executionbackup/internal/rawjson"
)

// Opening is the beginning of a reply that still comes in, up to its result.
type Opening struct {
	At   int       // where the result begins
	ID   []byte    // nil where it hasn't come yet; Close may find it
	seen [4][]byte // which of replyMembers have come, and up to the result their values
}

// OpenReply looks for the result in the beginning of a reply. ok is false where it doesn't begin there, isn't an
// object, an array or a string, or follows something that only the whole reply can show to be right.
func OpenReply(b []byte) (o Opening, ok bool) {
	_, err := rawjson.EachMember(b, rawjson.SkipSpace(b, 0), func(name []byte, at int) (int, error) {
		i, err := rawjson.Lookup(name, replyMembers)
		if err != nil {
			return 0, err
		}
		if i == 2 {
			o.At = at
			return 0, errOpened
		}
		v, end, err := rawjson.Value(b, at)
		if err == nil && i >= 0 {
			err = rawjson.Store(name, v, replyMembers, o.seen[:])
		}
		return end, err
	})
	if err != errOpened || o.At >= len(b) || !rawjson.IsNull(o.seen[3]) {
		return o, false
	}
	o.ID = bytes.Clone(o.seen[1])
	for i, v := range o.seen { // from here on it matters only that they were there, and b may be used for more
		if v != nil || i == 2 {
			o.seen[i] = []byte("null")
		}
	}
	return o, bytes.IndexByte([]byte(`{["`), b[o.At]) >= 0
}

var errOpened = errors.New("the result begins") // ends the walk

// Close judges what comes behind the result, to the reply's end.
func (o *Opening) Close(tail []byte) error {
	i := rawjson.SkipSpace(tail, 0)
	if i < len(tail) && tail[i] == '}' {
		return rawjson.AtEnd(tail, i+1)
	}
	if i >= len(tail) || tail[i] != ',' {
		return rawjson.ErrSyntax
	}
	object := append([]byte{'{'}, tail[i+1:]...)
	if n := rawjson.SkipSpace(object, 1); n < len(object) && object[n] == '}' {
		return rawjson.ErrSyntax // a comma before the bracket
	}
	end, err := rawjson.EachMember(object, 0, func(name []byte, at int) (int, error) {
		v, end, err := rawjson.Value(object, at)
		if err != nil {
			return 0, err
		}
		return end, rawjson.Store(name, v, replyMembers, o.seen[:])
	})
	switch {
	case err != nil:
		return err
	case !rawjson.IsNull(o.seen[3]):
		return errBoth
	case o.ID == nil:
		o.ID = o.seen[1]
	}
	return rawjson.AtEnd(object, end)
}
