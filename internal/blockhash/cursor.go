package blockhash

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"math/big"
)

// A cursor reads JSON values of the few forms that a newPayload call is made of: arrays, objects, null, and strings
// that hold hexadecimal digits. Anything else is an error, valid JSON or not; so there is no second reading of what it
// accepts.
//
// The first error sticks: afterwards every method does nothing and returns a zero value.
type cursor struct {
	ctx  context.Context // ends the work between two elements
	rest []byte          // what has not been read yet
	buf  []byte          // lent out by data
	err  error
}

// fail records why the call cannot be read.
func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// named reads a part of the call whose name goes in front of its error. A name comes from the call and may be of any
// length.
func (c *cursor) named(name string, read func()) {
	if c.err != nil {
		return
	}
	if read(); c.err != nil {
		c.err = fmt.Errorf("%.40s: %w", name, c.err)
	}
}

// next skips white space and reports whether the text goes on with token, which it then skips, too.
func (c *cursor) next(token string) bool {
	if c.err != nil {
		return false
	}
	c.rest = bytes.TrimLeft(c.rest, " \t\r\n")
	rest, ok := bytes.CutPrefix(c.rest, []byte(token))
	c.rest = rest
	return ok
}

// expect skips a token that must come now.
func (c *cursor) expect(token string) {
	if !c.next(token) {
		c.fail("want %q, have %.10q", token, c.rest)
	}
}

// elements calls element for each element of a sequence, whose end is skipped.
func (c *cursor) elements(end string, element func()) {
	if c.next(end) {
		return
	}
	for {
		if c.ctx.Err() != nil {
			c.fail("abandoned: %w", context.Cause(c.ctx))
			return
		}
		element()
		if c.err != nil || !c.next(",") {
			break
		}
	}
	c.expect(end)
}

// array calls element for each element of an array.
func (c *cursor) array(element func()) {
	c.expect("[")
	c.elements("]", element)
}

// object calls member for each member of an object. Names are compared byte for byte, escapes are not resolved.
func (c *cursor) object(member func(name string)) {
	c.expect("{")
	c.elements("}", func() {
		name := string(c.text())
		c.expect(":")
		c.named(name, func() { member(name) })
	})
}

// end checks that nothing follows.
func (c *cursor) end() {
	if c.next(""); len(c.rest) > 0 {
		c.fail("want the end, have %.10q", c.rest)
	}
}

// text returns what stands between the quotes of a string. An escape stays as it is; no name or number has one.
func (c *cursor) text() []byte {
	c.expect(`"`)
	text, rest, ok := bytes.Cut(c.rest, []byte{'"'})
	if !ok {
		c.fail("a string has no end")
	}
	if c.err != nil {
		return nil
	}
	c.rest = rest
	return text
}

// digits returns the digits of a string that begins with 0x.
func (c *cursor) digits() []byte {
	digits, ok := bytes.CutPrefix(c.text(), []byte("0x"))
	if !ok {
		c.fail("want a string that begins with 0x")
	}
	return digits
}

// data returns the bytes of a DATA value. They are good until the next value is read.
func (c *cursor) data() []byte {
	var err error
	if c.buf, err = hex.AppendDecode(c.buf[:0], c.digits()); err != nil {
		c.fail("%w", err)
	}
	if c.err != nil {
		return nil
	}
	return c.buf
}

// fixed reads a DATA value that has exactly the length of dst.
func (c *cursor) fixed(dst []byte) {
	data := c.data()
	if len(data) != len(dst) {
		c.fail("%d bytes instead of %d", len(data), len(dst))
	}
	copy(dst, data)
}

// quantity reads a QUANTITY value of at most that many bits: digits without leading zeros.
func (c *cursor) quantity(bits int) *big.Int {
	digits := c.digits()
	if len(digits) == 0 || len(digits)*4 > bits || len(digits) > 1 && digits[0] == '0' {
		c.fail("not a quantity of %d bits", bits)
		return new(big.Int)
	}
	if len(digits)%2 == 1 {
		digits = append([]byte{'0'}, digits...)
	}
	value, err := hex.AppendDecode(nil, digits)
	if err != nil {
		c.fail("%w", err)
	}
	return new(big.Int).SetBytes(value)
}

// uint64 reads a QUANTITY value of at most 64 bits.
func (c *cursor) uint64() uint64 {
	return c.quantity(64).Uint64()
}
