package rawjson

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrSyntax says that something is not JSON, or that more than white space follows it.
var ErrSyntax = errors.New("invalid JSON")

// AmbiguousError says that an object names a judged member twice, or in another case.
type AmbiguousError struct{ Name string }

// Error says which member it is.
func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("member %q is duplicated or spelled in another case", e.Name)
}

// maxDepth is how deep arrays and objects may nest, as in encoding/json.
const maxDepth = 10000

// SkipSpace returns the index of the first byte at or after i that isn't white space, or len(b).
func SkipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipString returns the index behind the string whose opening quote is b[i], or -1. It judges nothing inside.
func skipString(b []byte, i int) int {
	for j := i + 1; j < len(b); j++ {
		n := bytes.IndexByte(b[j:], '"')
		if n < 0 {
			return -1
		}
		j += n
		// The quote ends the string unless an odd number of backslashes stands before it.
		slashes := 0
		for b[j-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return j + 1
		}
	}
	return -1
}

// skipScalar returns the index behind the number, true, false or null at b[i], or -1.
func skipScalar(b []byte, i int) int {
	switch b[i] {
	case 't':
		return skipWord(b, i, "true")
	case 'f':
		return skipWord(b, i, "false")
	case 'n':
		return skipWord(b, i, "null")
	}
	return skipNumber(b, i)
}

// skipWord returns the index behind the word if it stands at b[i], or -1.
func skipWord(b []byte, i int, word string) int {
	if end := i + len(word); end <= len(b) && string(b[i:end]) == word {
		return end
	}
	return -1
}

// skipNumber returns the index behind the number at b[i], or -1.
func skipNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	integer := i
	i = skipDigits(b, i)
	if i == integer || b[integer] == '0' && i > integer+1 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		fraction := i + 1
		if i = skipDigits(b, fraction); i == fraction {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		exponent := i
		if i = skipDigits(b, exponent); i == exponent {
			return -1
		}
	}
	return i
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	return i
}

// SkipValue returns the index behind the JSON value that starts at b[i], or -1 where there is none. The structure is
// checked (brackets, commas, colons, scalars); what strings contain is not. It does not recurse, so that no nesting
// can exhaust the stack.
func SkipValue(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	}
	return skipScalar(b, i)
}

// skipNested is SkipValue for an object or an array. It is apart because it needs more of the stack.
func skipNested(b []byte, i int) int {
	var nest nesting
	for 0 <= i && i < len(b) {
		switch b[i] {
		case '"':
			i = skipString(b, i)
		case '{', '[':
			var empty bool
			if i, empty = nest.enter(b, i); !empty {
				continue
			}
		default:
			i = skipScalar(b, i)
		}
		if i < 0 {
			return -1
		}
		if i = nest.leave(b, i); nest.depth == 0 {
			return i
		}
	}
	return -1
}

func closing(object bool) byte {
	if object {
		return '}'
	}
	return ']'
}

// skipKey returns the index of the value behind the member name at b[i], or -1.
func skipKey(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	if i = skipString(b, i); i < 0 {
		return -1
	}
	if i = SkipSpace(b, i); i >= len(b) || b[i] != ':' {
		return -1
	}
	return SkipSpace(b, i+1)
}

// nesting remembers, bit by bit, which of the open brackets are objects. It is small, because calls to nodes are made
// by goroutines of their own, whose stacks begin small: 64 levels are more than any client sends.
type nesting struct {
	depth int
	outer uint64   // a bit for each of the outermost 64: 1 for an object
	inner []uint64 // the same for those within, 64 in each
}

// enter opens the bracket at b[i] and returns the index of the first value in it, or where it is empty that of its end;
// -1 where neither is there.
func (n *nesting) enter(b []byte, i int) (next int, empty bool) {
	object := b[i] == '{'
	if !n.push(object) {
		return -1, false
	}
	if i = SkipSpace(b, i+1); i < len(b) && b[i] == closing(object) {
		return i, true
	}
	if object {
		return skipKey(b, i), false
	}
	return i, false
}

// leave closes the brackets that end behind a value, which ended at i. It returns the index of the value that comes
// next, or where the outermost bracket has been closed the index behind that; -1 where the bracket goes on in no way
// that it can.
func (n *nesting) leave(b []byte, i int) int {
	for n.depth > 0 {
		if i = SkipSpace(b, i); i >= len(b) {
			return -1
		}
		if b[i] == ',' {
			if i = SkipSpace(b, i+1); n.object() {
				return skipKey(b, i)
			}
			return i
		}
		if b[i] != closing(n.object()) {
			return -1
		}
		n.depth--
		i++
	}
	return i
}

// push opens a bracket, and reports whether the nesting may be that deep.
func (n *nesting) push(object bool) bool {
	if n.depth == maxDepth {
		return false
	}
	if n.depth%64 == 0 && n.depth/64 > len(n.inner) {
		n.inner = append(n.inner, 0)
	}
	word, bit := n.word(n.depth), uint64(1)<<(n.depth%64)
	if object {
		*word |= bit
	} else {
		*word &^= bit
	}
	n.depth++
	return true
}

// object reports whether the innermost open bracket is an object's.
func (n *nesting) object() bool {
	d := n.depth - 1
	return *n.word(d)&(1<<(d%64)) != 0
}

// word returns where the bit of a level is.
func (n *nesting) word(level int) *uint64 {
	if level < 64 {
		return &n.outer
	}
	return &n.inner[level/64-1]
}
