package rawjson

import (
	"encoding/json"
	"errors"
	"strings"
)

// EachMember walks the object at b[i] and returns the index behind it. For each member it calls value with the name
// (what stands between its quotes, still escaped) and with where the member's value begins; value skips or walks that
// and returns where it ends. An error of value's ends the walk.
func EachMember(b []byte, i int, value func(name []byte, at int) (end int, err error)) (int, error) {
	if i >= len(b) || b[i] != '{' {
		return 0, ErrSyntax
	}
	i = SkipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	for {
		at := skipKey(b, i)
		if at < 0 {
			return 0, ErrSyntax
		}
		end, err := value(b[i+1:skipString(b, i)-1], at)
		if err != nil {
			return 0, err
		}
		next, more := separator(b, end, '}')
		if !more {
			if next < 0 {
				return 0, ErrSyntax
			}
			return next, nil
		}
		i = next
	}
}

// EachElement is EachMember for the array at b[i]: value gets the element's index, and where the element begins.
func EachElement(b []byte, i int, value func(n, at int) (end int, err error)) (int, error) {
	if i >= len(b) || b[i] != '[' {
		return 0, ErrSyntax
	}
	i = SkipSpace(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1, nil
	}
	for n := 0; ; n++ {
		end, err := value(n, i)
		if err != nil {
			return 0, err
		}
		next, more := separator(b, end, ']')
		if !more {
			if next < 0 {
				return 0, ErrSyntax
			}
			return next, nil
		}
		i = next
	}
}

// separator looks behind a value that ended at i: at a comma it returns where the next item starts and true, at the
// closing bracket the index behind it and false, else -1.
func separator(b []byte, i int, closing byte) (next int, more bool) {
	if i = SkipSpace(b, i); i >= len(b) {
		return -1, false
	}
	switch b[i] {
	case ',':
		return SkipSpace(b, i+1), true
	case closing:
		return i + 1, false
	}
	return -1, false
}

// Value returns the bytes of the value at b[at] and where it ends.
func Value(b []byte, at int) ([]byte, int, error) {
	end := SkipValue(b, at)
	if end < 0 {
		return nil, 0, ErrSyntax
	}
	return b[at:end], end, nil
}

// AtEnd returns an error unless nothing but white space stands at and behind b[i].
func AtEnd(b []byte, i int) error {
	if SkipSpace(b, i) != len(b) {
		return ErrSyntax
	}
	return nil
}

// Lookup returns the index in names of a member's name, or -1. A name that a reader which folds case would take for
// one of them is an *AmbiguousError.
func Lookup(name []byte, names []string) (int, error) {
	if isPlain(name) {
		for i, want := range names {
			if len(name) == len(want) && asciiFold(name, want) {
				if string(name) != want {
					return -1, &AmbiguousError{want}
				}
				return i, nil
			}
		}
		return -1, nil
	}
	// Escapes, and letters such as U+017F and U+212A that fold to ASCII: rare enough for the slow way.
	decoded := unquote(name)
	for i, want := range names {
		if strings.EqualFold(decoded, want) {
			if decoded != want {
				return -1, &AmbiguousError{want}
			}
			return i, nil
		}
	}
	return -1, nil
}

// asciiFold compares two ASCII names of equal length without regard to case.
func asciiFold(name []byte, want string) bool {
	for i, c := range name {
		if d := want[i]; c != d && (c|0x20 != d|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// unquote decodes what stands between the quotes of a JSON string; what is malformed in it stays as it is.
func unquote(inner []byte) string {
	quoted := make([]byte, 0, len(inner)+2)
	quoted = append(append(append(quoted, '"'), inner...), '"')
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return string(inner)
	}
	return s
}

// Members reads the object b: values[i] becomes the raw value of its member names[i], or nil where it has none. Other
// members are passed over. It returns ErrSyntax where b is not one JSON object, and an *AmbiguousError where one of
// names stands in it twice or in another case.
func Members(b []byte, names []string, values [][]byte) error {
	clear(values)
	end, err := EachMember(b, SkipSpace(b, 0), func(name []byte, at int) (int, error) {
		v, end, err := Value(b, at)
		if err != nil {
			return 0, err
		}
		return end, Store(name, v, names, values)
	})
	if err != nil {
		return err
	}
	return AtEnd(b, end)
}

// Store makes v the value of the member that its name is among names. Any other name is passed over; a name that comes
// for the second time, or in another case, is an *AmbiguousError.
func Store(name, v []byte, names []string, values [][]byte) error {
	i, err := Lookup(name, names)
	if err != nil || i < 0 {
		return err
	}
	if values[i] != nil {
		return &AmbiguousError{names[i]}
	}
	values[i] = v
	return nil
}

// Field is a member that Read looks for in an object, and what it looks for in that.
type Field struct {
	Name     string
	Value    *[]byte   // becomes its raw value; stays as it is where the object hasn't one
	Members  []Field   // of it, if it is an object
	Elements *[][]byte // becomes its elements, if it is an array
}

// Read reads the object b in one pass: each field where it stands, of at most 64 in one object. Other members are
// passed over. It returns ErrSyntax where b is not one JSON object, and an *AmbiguousError where a field stands in its
// object twice or in another case.
func Read(b []byte, fields ...Field) error {
	end, err := readFields(b, SkipSpace(b, 0), fields)
	if err != nil {
		return err
	}
	return AtEnd(b, end)
}

func readFields(b []byte, at int, fields []Field) (int, error) {
	var room [12]string // on the stack
	names := room[:0]
	for i := range fields {
		names = append(names, fields[i].Name)
	}
	var seen uint64
	return EachMember(b, at, func(name []byte, at int) (int, error) {
		i, err := Lookup(name, names)
		if err != nil {
			return 0, err
		}
		if i < 0 {
			_, end, err := Value(b, at)
			return end, err
		}
		if seen>>i&1 == 1 {
			return 0, &AmbiguousError{names[i]}
		}
		seen |= 1 << i
		return fields[i].read(b, at)
	})
}

func (f *Field) read(b []byte, at int) (end int, err error) {
	switch {
	case f.Members != nil && at < len(b) && b[at] == '{':
		end, err = readFields(b, at, f.Members)
	case f.Elements != nil && at < len(b) && b[at] == '[':
		*f.Elements, end, err = elements(b, at)
	default:
		_, end, err = Value(b, at)
	}
	if err == nil && f.Value != nil {
		*f.Value = b[at:end]
	}
	return end, err
}

// maxElements is how many elements an array may have: far above a block's transactions. Their slices take more memory
// than small elements do in JSON.
const maxElements = 1 << 20

// Elements returns the raw elements of the array b.
func Elements(b []byte) ([][]byte, error) {
	list, end, err := elements(b, SkipSpace(b, 0))
	if err != nil {
		return nil, err
	}
	return list, AtEnd(b, end)
}

// elements returns those of the array at b[at], and where it ends.
func elements(b []byte, at int) (list [][]byte, end int, err error) {
	list = [][]byte{}
	end, err = EachElement(b, at, func(n, at int) (int, error) {
		if n == maxElements {
			return 0, errTooMany
		}
		v, end, err := Value(b, at)
		list = append(list, v)
		return end, err
	})
	return list, end, err
}

var errTooMany = errors.New("too many elements")

// String decodes a raw JSON string. Anything else gives "" and false.
func String(raw []byte) (string, bool) {
	b, ok := Text(raw)
	return string(b), ok
}

// Text is String without a copy where the string has no escapes: then what it returns is a slice of raw.
func Text(raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	if inner := raw[1 : len(raw)-1]; isPlain(inner) {
		return inner, true
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return nil, false
	}
	return []byte(s), true
}

// isPlain reports whether a string's inside stands for itself: printable ASCII without quotes and escapes.
func isPlain(inner []byte) bool {
	for _, c := range inner {
		if c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return true
}

// IsNull reports whether a raw value is absent or null.
func IsNull(raw []byte) bool { return len(raw) == 0 || string(raw) == "null" }

// IsArray reports whether b begins as an array: as a batch.
func IsArray(b []byte) bool {
	i := SkipSpace(b, 0)
	return i < len(b) && b[i] == '['
}
