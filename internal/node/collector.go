package node

import "io"

// collector is what http.Request.Write writes to: it collects a header, and the body behind it if that is small. A large
// body it sends, as a whole and with its header. http.Request.Write by itself would copy a body through a buffer, 32 KiB
// at a time with a system call for each.
type collector struct{ *connection }

// maxCollected is the size of bodies up to which they are copied behind their header, in bytes.
const maxCollected = 16 << 10

func (c collector) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), nil
}

// WriteByte keeps http.Request.Write from making a buffer of its own, and WriteString from making copies.
func (c collector) WriteByte(b byte) error {
	c.out = append(c.out, b)
	return nil
}

func (c collector) WriteString(s string) (int, error) {
	c.out = append(c.out, s...)
	return len(s), nil
}

// ReadFrom is what http.Request.Write comes to call for a body. Ours are at hand as a whole: that a body can write itself shows it.
func (c collector) ReadFrom(r io.Reader) (int64, error) {
	var to io.Writer = struct{ io.Writer }{c}
	limited, ok := r.(*io.LimitedReader) // to the Content-Length
	if !ok {
		return io.Copy(to, r)
	}
	body, ok := limited.R.(io.WriterTo)
	if !ok {
		return io.Copy(to, r)
	}
	if limited.N > maxCollected {
		to = c.connection
	}
	n, err := body.WriteTo(to)
	limited.N -= n
	return n, err
}
