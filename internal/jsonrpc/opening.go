package jsonrpc

import (
	"bytes"
	"errors"
)

// Opening is the beginning of a reply that still comes in, up to its result.
type Opening struct {
	At   int    // where the result begins
	ID   []byte // nil where it hasn't come yet; Close may find it
	seen [4][]byte
}

// OpenReply looks for the result in the beginning of a reply. ok is false where it doesn't begin there, isn't an
// object, an array or a string, or follows something that only the whole reply can show to be right.
func OpenReply(b []byte) (o Opening, ok bool) {
	_, err := eachMember(b, skipSpace(b, 0), func(name []byte, at int) (int, error) {
		i, err := lookup(name, replyMembers)
		if err != nil {
			return 0, err
		}
		if i == 2 {
			o.At = at
			return 0, errOpened
		}
		v, end, err := value(b, at)
		if err == nil && i >= 0 {
			err = store(name, v, replyMembers, o.seen[:])
		}
		return end, err
	})
	if err != errOpened || o.At >= len(b) || !IsNull(o.seen[3]) {
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
	i := skipSpace(tail, 0)
	if i < len(tail) && tail[i] == '}' {
		return atEnd(tail, i+1)
	}
	if i >= len(tail) || tail[i] != ',' {
		return ErrSyntax
	}
	object := append([]byte{'{'}, tail[i+1:]...)
	if n := skipSpace(object, 1); n < len(object) && object[n] == '}' {
		return ErrSyntax // a comma before the bracket
	}
	end, err := eachMember(object, 0, func(name []byte, at int) (int, error) {
		v, end, err := value(object, at)
		if err != nil {
			return 0, err
		}
		return end, store(name, v, replyMembers, o.seen[:])
	})
	switch {
	case err != nil:
		return err
	case !IsNull(o.seen[3]):
		return errBoth
	case o.ID == nil:
		o.ID = o.seen[1]
	}
	return atEnd(object, end)
}
