package wire

import "io"

// requestWriter is what http.Request.Write writes to: it collects a header, and the body behind it if that is small. A
// large body it sends, as a whole and with its header. http.Request.Write by itself would copy a body through a buffer,
// 32 KiB at a time with a system call for each.
type requestWriter struct{ *connection }

// maxCollected is the size of bodies up to which they are copied behind their header, in bytes.
const maxCollected = 16 << 10

// Write collects a part of the request.
func (w requestWriter) Write(p []byte) (int, error) {
	w.out = append(w.out, p...)
	return len(p), nil
}

// WriteByte collects a byte. That it is there keeps http.Request.Write from making a buffer of its own.
func (w requestWriter) WriteByte(b byte) error {
	w.out = append(w.out, b)
	return nil
}

// WriteString collects a part of the request. That it is there keeps http.Request.Write from making copies.
func (w requestWriter) WriteString(s string) (int, error) {
	w.out = append(w.out, s...)
	return len(s), nil
}

// ReadFrom is what http.Request.Write comes to call for a body. Our bodies are in memory as a whole, which shows in
// that they can write themselves.
func (w requestWriter) ReadFrom(r io.Reader) (int64, error) {
	var to io.Writer = struct{ io.Writer }{w}
	limited, ok := r.(*io.LimitedReader) // to the Content-Length
	if !ok {
		return io.Copy(to, r)
	}
	body, ok := limited.R.(io.WriterTo)
	if !ok {
		return io.Copy(to, r)
	}
	if limited.N > maxCollected {
		to = w.connection
	}
	n, err := body.WriteTo(to)
	limited.N -= n
	return n, err
}
