package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/budget"
)

// The times that HTTP takes. None of them bounds how long a call is worked on: the nodes' timeouts do.
const (
	headerTime = 10 * time.Second // for a request's header
	bodyTime   = time.Minute      // for all of a request: 128 MiB at 18 Mbit/s, and CLs give up after 8 s
	idleTime   = 2 * time.Minute  // without a call, as go-ethereum's
	stallTime  = 30 * time.Second // for the next writeStep of an answer: its reader hangs, or has gone
	writeStep  = 1 << 20          // bytes
	restTime   = time.Minute      // for an answer of the REST API: a profile takes 30 s by default

	maxHeader = 32 << 10 // bytes; a CL's has 500

	// maxOthers is how many requests that call no engine_ methods are worked on at a time, as many as a node's connections
	// are kept; the others wait. With more of them a node's processors, and ours, would turn to verdicts less often.
	maxOthers = 64
)

// limits stand between authentication and the proxy: how many bytes of requests are in memory, and how long an answer
// may stall. All requests share one budget, of which calls that are no engine_ calls may use half: whoever asks us for
// much keeps no CL from its verdict.
type limits struct {
	maxBody int64
	all     *budget.Budget
	others  *budget.Budget
	slots   chan struct{} // for requests of others
	refused *prometheus.CounterVec
	log     *slog.Logger
}

func newLimits(maxBody, maxInFlight int64, r prometheus.Registerer, log *slog.Logger) *limits {
	l := &limits{maxBody: maxBody, all: budget.New(maxInFlight), others: budget.New(maxInFlight / 2), slots: make(chan struct{}, maxOthers), log: log}
	l.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "executionbackup_requests_refused_total",
		Help: "Requests refused because --max-in-flight was reached, by what they called: engine or other.",
	}, []string{"calls"})
	for _, calls := range []string{"engine", "other"} {
		l.refused.WithLabelValues(calls)
	}
	r.MustRegister(l.refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "executionbackup_request_bytes_in_flight",
		Help: "Bytes of requests that are being answered.",
	}, func() float64 { return float64(l.all.Used()) }))
	return l
}

// handler lets requests through to next while there is room for them.
func (l *limits) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection := connectionOf(r.Context())
		connection.verify()
		answer := &answer{ResponseWriter: w, control: http.NewResponseController(w)}
		answer.control.SetWriteDeadline(time.Time{}) // Write sets it
		if r.ContentLength == 0 || r.ContentLength > l.maxBody {
			next.ServeHTTP(answer, r) // refuses it without reading it
			return
		}
		body := l.meter(r.Body)
		body.size, body.connection, body.gone = r.ContentLength, connection, r.Context().Done()
		defer body.release()
		r.Body = body
		body.refused = !body.failed && !body.take(max(r.ContentLength, 0))
		if !body.failed && !body.refused {
			next.ServeHTTP(answer, r)
		}
		switch {
		case answer.begun:
		case body.refused:
			l.refuse(answer, body)
		case body.failed:
			http.Error(answer, "the request's body didn't come in time", http.StatusRequestTimeout)
		}
	})
}

// refuse answers a request that there is no room for.
func (l *limits) refuse(w http.ResponseWriter, b *meteredBody) {
	calls := "other"
	if b.engine {
		calls = "engine"
	}
	l.refused.WithLabelValues(calls).Inc()
	l.log.Debug("request refused", "calls", calls, "bytes_in_flight", l.all.Used())
	w.Header().Set("Retry-After", "1")
	http.Error(w, fmt.Sprintf("too many bytes of requests are being answered (%d, and --max-in-flight is %d): try again later", l.all.Used(), l.all.Max()),
		http.StatusServiceUnavailable)
}

// meteredBody is a request's body that takes from the budget what it brings.
type meteredBody struct {
	io.Reader
	io.Closer
	limits  *limits
	size    int64 // -1 where it doesn't say
	engine  bool  // it calls engine_ methods, as far as its beginning shows
	taken   int64
	read    int64
	refused bool
	failed  bool // it ended before its end

	connection *connection
	whole      bool // all of it has been read
	gone       <-chan struct{}
	slot       bool // it has one
}

// sniffed is how much of a body is looked at for its method. CLs write it before the parameters.
const sniffed = 512

// meter looks at the beginning of a body. A batch is what its first call is. Until that has come, no memory is made
// ready for a body, whatever its length is said to be.
func (l *limits) meter(body io.ReadCloser) *meteredBody {
	start := make([]byte, 0, sniffed)
	var err error
	for err == nil && len(start) < sniffed && !methodKnown(start) {
		var n int
		n, err = body.Read(start[len(start):sniffed])
		start = start[:len(start)+n]
	}
	return &meteredBody{Reader: io.MultiReader(bytes.NewReader(start), body), Closer: body, limits: l,
		engine: strings.HasPrefix(method(start), "engine_"), failed: err != nil && err != io.EOF}
}

// method returns what follows "method" and a colon in the beginning of a request, up to the end of what there is.
func method(start []byte) string {
	_, rest, _ := bytes.Cut(start, []byte(`"method"`))
	rest = bytes.TrimLeft(rest, " \t\r\n:")
	word, ok := bytes.CutPrefix(rest, []byte(`"`))
	if !ok {
		return ""
	}
	return string(word)
}

func methodKnown(start []byte) bool { return len(method(start)) >= len("engine_") }

var (
	errNoRoom = errors.New("no room for the request")
	errGone   = errors.New("the caller has gone")
)

// take takes n bytes more from the budget, and reports whether there was room.
func (b *meteredBody) take(n int64) bool {
	l := b.limits
	if !b.engine && !l.others.Take(n) {
		return false
	}
	if !l.all.Take(n) {
		if !b.engine {
			l.others.Give(n)
		}
		return false
	}
	b.taken += n
	return true
}

// release gives back what was taken: the request has been answered.
func (b *meteredBody) release() {
	if b.whole {
		b.connection.answering(-1)
	}
	if b.slot {
		<-b.limits.slots
	}
	b.limits.all.Give(b.taken)
	if !b.engine {
		b.limits.others.Give(b.taken)
	}
}

// Read reads on. A body that doesn't say how long it is takes twice as much whenever it needs more, as its reader does.
func (b *meteredBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += int64(n)
	if b.read > b.taken && !b.take(max(b.read, min(2*b.taken, b.limits.maxBody))-b.taken) {
		b.refused = true
		return 0, errNoRoom
	}
	b.failed = b.failed || err != nil && err != io.EOF
	if !b.whole && (b.read == b.size || err == io.EOF) {
		b.whole = true
		b.connection.answering(+1)
		if !b.turn() {
			return 0, errGone
		}
	}
	return n, err
}

// turn waits for a slot, where one is needed, and reports whether the caller has waited as long. Whoever still sends
// takes none.
func (b *meteredBody) turn() bool {
	if b.engine {
		return true
	}
	select {
	case b.limits.slots <- struct{}{}:
		b.slot = true
	case <-b.gone:
	}
	return b.slot
}

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
