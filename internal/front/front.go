// Package front stands before all that is served: how many connections may be open, how large headers and bodies may
// be, how many bytes of requests may be in memory, and how long HTTP may take.
package front

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
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

	// maxOthers is how many requests that call no engine_ methods are worked on at a time, as many as a node's
	// connections are kept; the others wait. With more of them a node's processors, and ours, would turn to verdicts
	// less often.
	maxOthers = 64
)

// Front bounds what callers can take of us. All requests share one budget of bytes, of which calls that are no engine_
// calls may use half: whoever asks us for much keeps no CL from its verdict. Safe for concurrent use.
type Front struct {
	Options
	all     *budget.Budget // bytes of all requests
	others  *budget.Budget // bytes of those that call no engine_ methods
	slots   chan struct{}  // taken by those that call no engine_ methods, while they are worked on
	refused *prometheus.CounterVec

	calls    *Listener // that calls come over
	sockets  sockets
	draining atomic.Bool
}

// Options are what a Front needs.
type Options struct {
	MaxConnections int         // open at a time, of one listener
	MaxBody        int64       // bytes of one request
	MaxInFlight    int64       // bytes of all requests that are being answered
	TLS            *tls.Config // with its certificate; nil = none, and cleartext
	Metrics        prometheus.Registerer
	Log            *slog.Logger
}

// New returns a Front, whose metrics are registered.
func New(o Options) *Front {
	f := &Front{Options: o, all: budget.New(o.MaxInFlight), others: budget.New(o.MaxInFlight / 2)}
	f.slots = make(chan struct{}, maxOthers)
	f.sockets.open = make(map[*socket]struct{})
	f.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "executionbackup_requests_refused_total",
		Help: "Requests refused because --max-in-flight was reached, by what they called: engine or other.",
	}, []string{"calls"})
	for _, calls := range []string{"engine", "other"} {
		f.refused.WithLabelValues(calls)
	}
	o.Metrics.MustRegister(f.refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "executionbackup_request_bytes_in_flight",
		Help: "Bytes of requests that are being answered.",
	}, func() float64 { return float64(f.all.Used()) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "executionbackup_websockets",
		Help: "WebSocket connections of consensus clients that are open.",
	}, func() float64 { return float64(f.sockets.count()) }))
	return f
}

// Listen bounds the connections of l, which are those that calls come over: Quiet and the metrics speak of them. To be
// called once.
func (f *Front) Listen(l net.Listener) *Listener {
	f.calls = newListener(l, f.MaxConnections)
	f.Metrics.MustRegister(f.calls.evicted, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "executionbackup_connections",
		Help: "Connections that are open.",
	}, func() float64 { return float64(f.calls.count()) }))
	return f.calls
}

// ListenAdmin bounds the connections of l, over which no calls come.
func (f *Front) ListenAdmin(l net.Listener) *Listener { return newListener(l, f.MaxConnections) }

// Server is an http.Server for one Listener.
type Server struct {
	http.Server
	front    *Front
	listener *Listener
}

// Server returns a server of handler that bounds headers and times. Its Shutdown waits for no connection without a
// request.
func (f *Front) Server(l *Listener, handler http.Handler) *Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(f.TLS != nil)
	protocols.SetUnencryptedHTTP2(f.TLS == nil)
	s := &Server{front: f, listener: l, Server: http.Server{
		Handler:           handler,
		Protocols:         protocols,
		TLSConfig:         f.TLS.Clone(),
		ConnContext:       withConnection,
		ConnState:         noteState,
		HTTP2:             &http.HTTP2Config{WriteByteTimeout: stallTime},
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       bodyTime,
		WriteTimeout:      restTime, // Handler has that of calls
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(complaints{f.Log}, "", 0),
	}}
	s.RegisterOnShutdown(l.closeIdle)
	return s
}

// complaints are what net/http writes down. That a handler panicked is our fault; all else is that of whoever calls.
type complaints struct{ log *slog.Logger }

func (c complaints) Write(complaint []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.Contains(complaint, []byte("panic serving")) {
		level = slog.LevelError
	}
	c.log.Log(context.Background(), level, strings.TrimSpace(string(complaint)))
	return len(complaint), nil
}

// Run serves until the listener is closed, or fails, which is an error.
func (s *Server) Run() error {
	var err error
	if s.TLSConfig != nil {
		err = s.ServeTLS(s.listener, "", "") // TLSConfig has the certificate
	} else {
		err = s.Serve(s.listener)
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Handler lets requests through to next while there is room for them, and gives up on readers who hang. Only verified
// calls are to come to it, and from a Server of this package.
func (f *Front) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection := connectionOf(r.Context())
		connection.begin()
		defer connection.end()
		answer := &answer{ResponseWriter: w, control: http.NewResponseController(w), front: f}
		answer.control.SetWriteDeadline(time.Time{}) // Write sets it
		if r.ContentLength == 0 || r.ContentLength > f.MaxBody {
			next.ServeHTTP(answer, r) // refuses it without reading it
			return
		}
		body := f.meter(r, connection)
		defer body.release()
		r.Body = body
		body.refused = !body.failed && !body.take(max(r.ContentLength, 0))
		if !body.failed && !body.refused {
			next.ServeHTTP(answer, r)
		}
		switch {
		case answer.begun:
		case body.refused:
			f.refuse(answer, body)
		case body.failed:
			http.Error(answer, "the request's body didn't come in time", http.StatusRequestTimeout)
		}
	})
}

// refuse answers a request that there is no room for.
func (f *Front) refuse(w http.ResponseWriter, b *meteredBody) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, f.noRoom(b.engine), http.StatusServiceUnavailable)
}

// noRoom counts a request that there is no room for, and says so.
func (f *Front) noRoom(engine bool) (why string) {
	calls := "other"
	if engine {
		calls = "engine"
	}
	f.refused.WithLabelValues(calls).Inc()
	f.Log.Debug("request refused", "calls", calls, "bytes_in_flight", f.all.Used())
	const text = "too many bytes of requests are being answered (%d, and --max-in-flight is %d): try again later"
	return fmt.Sprintf(text, f.all.Used(), f.all.Max())
}
