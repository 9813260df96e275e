package rawjson

import "bytes"

// Scanner checks one JSON value that comes in pieces, as strictly as the rest of the package does one that is there.
// The zero Scanner stands before the value.
type Scanner struct {
	nest    []bool // for each open bracket, whether it is an object's
	expect  expectation
	escaped bool   // in a string: an odd number of backslashes stands at the end of the last piece
	scalar  []byte // what has come of a number, true, false or null
}

// expectation is what a Scanner stands before, or in the middle of.
type expectation uint8

const (
	aValue    expectation = iota
	aFirst                // element of an array, or the array's end
	aFirstKey             // of an object, or the object's end
	aKey
	theKey // the rest of a key
	aColon
	theString // the rest of a string
	theScalar // the rest of a number, true, false or null, if there is more
	aComma    // or the bracket's end
	theEnd    // nothing: the value is complete
)

// maxScalar bounds numbers, in bytes.
const maxScalar = 1 << 10

// Done reports whether the value is complete. A number alone never is: more of it could come.
func (s *Scanner) Done() bool { return s.expect == theEnd }

// Scan takes the next piece in and returns how many of its bytes belong to the value: all, unless it ends there.
func (s *Scanner) Scan(b []byte) (int, error) {
	for i := 0; i < len(b); {
		switch s.expect {
		case theEnd:
			return i, nil
		case theKey, theString:
			i = s.string(b, i)
			continue
		case theScalar:
			var err error
			if i, err = s.rest(b, i); err != nil {
				return 0, err
			}
			continue
		}
		c := b[i]
		if c == ' ' || c == '\n' || c == '\r' || c == '\t' {
			i++
			continue
		}
		if !s.step(c) {
			return 0, ErrSyntax
		}
		i++
	}
	return len(b), nil
}

// step takes in a byte outside of strings, scalars and white space, and reports whether it may stand there.
func (s *Scanner) step(c byte) bool {
	switch s.expect {
	case aFirstKey, aKey:
		if c == '}' && s.expect == aFirstKey {
			return s.close(true)
		}
		s.expect = theKey
		return c == '"'
	case aColon:
		s.expect = aValue
		return c == ':'
	case aComma:
		if c != ',' {
			return (c == '}' || c == ']') && s.close(c == '}')
		}
		if s.expect = aValue; s.nest[len(s.nest)-1] {
			s.expect = aKey
		}
		return true
	}
	if c == ']' && s.expect == aFirst {
		return s.close(false)
	}
	switch c {
	case '"':
		s.expect = theString
	case '{':
		s.nest, s.expect = append(s.nest, true), aFirstKey
	case '[':
		s.nest, s.expect = append(s.nest, false), aFirst
	default:
		s.scalar, s.expect = append(s.scalar[:0], c), theScalar
	}
	return len(s.nest) <= maxDepth
}

// close ends the innermost bracket, and reports whether that is of the kind.
func (s *Scanner) close(object bool) bool {
	last := len(s.nest) - 1
	if s.nest[last] != object {
		return false
	}
	s.nest = s.nest[:last]
	s.endValue()
	return true
}

// endValue notes the end of a value.
func (s *Scanner) endValue() {
	if s.expect = aComma; len(s.nest) == 0 {
		s.expect = theEnd
	}
}

// string goes on in a string at b[i] and returns the index behind what of it is there.
func (s *Scanner) string(b []byte, i int) int {
	for {
		n := bytes.IndexByte(b[i:], '"')
		quote := i + n
		if n < 0 {
			quote = len(b)
		}
		s.escaped = s.odd(b, i, quote)
		if n < 0 {
			return len(b)
		}
		i = quote + 1
		if s.escaped {
			s.escaped = false
			continue
		}
		if s.expect == theKey {
			s.expect = aColon
		} else {
			s.endValue()
		}
		return i
	}
}

// odd reports whether an odd number of backslashes stands before b[end], with those before the piece.
func (s *Scanner) odd(b []byte, from, end int) bool {
	i := end
	for i > from && b[i-1] == '\\' {
		i--
	}
	odd := (end-i)%2 == 1
	if i == from {
		return odd != s.escaped
	}
	return odd
}

// rest goes on in a scalar at b[i] up to what can't belong to it.
func (s *Scanner) rest(b []byte, i int) (int, error) {
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == ',' || c == ']' || c == '}' || c == ' ' || c == '\n' || c == '\r' || c == '\t':
			if skipScalar(s.scalar, 0) != len(s.scalar) {
				return 0, ErrSyntax
			}
			s.endValue()
			return i, nil
		case len(s.scalar) == maxScalar:
			return 0, ErrSyntax
		default:
			s.scalar = append(s.scalar, c)
		}
	}
	return i, nil
}
