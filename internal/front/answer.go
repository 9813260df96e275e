package front

import (
	"net/http"
	"time"
)

// answer is an http.ResponseWriter that gives up on a reader who has stopped reading, and only on such a one: however
// long an answer takes to come, and however large it is, it goes out as long as it moves. It belongs to one goroutine
// at a time: the request's, or whoever writes for it.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController // of the ResponseWriter
	front   *Front
	begun   bool // something has been written
}

// WriteHeader begins the answer.
func (a *answer) WriteHeader(status int) {
	a.begin()
	a.ResponseWriter.WriteHeader(status)
}

// begin notes that the answer begins. While we drain it is the last one on its connection.
func (a *answer) begin() {
	if !a.begun && a.front.draining.Load() {
		a.Header().Set("Connection", "close") // over HTTP/2 a GOAWAY
	}
	a.begun = true
}

// Write sends a part of the answer. The reader has stallTime for each writeStep of it.
func (a *answer) Write(b []byte) (written int, err error) {
	a.begin()
	for {
		a.control.SetWriteDeadline(time.Now().Add(stallTime))
		n, err := a.ResponseWriter.Write(b[:min(len(b), writeStep)])
		written += n
		if b = b[n:]; err != nil || len(b) == 0 {
			return written, err
		}
	}
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
