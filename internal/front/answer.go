package front

import (
	"net/http"
	"time"
)

// answer is an http.ResponseWriter that gives up on a reader who has stopped reading, and only on such a one: however
// long an answer takes to come, and however large it is, it goes out as long as it moves.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (a *answer) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (written int, err error) {
	a.begun = true
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
