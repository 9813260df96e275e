// Package webhook tells a receiver of alerts, in the form in which Alertmanager tells its webhooks, so that whatever
// takes that takes ours. What an alert is, package overview knows.
//
//	Message    what is sent                               message.go
//	book       what fires, what was told, what is next    book.go
//	sender     one message, up to three tries             send.go
//	Webhook    looks once a second, and sends             webhook.go
//
// Nobody waits for a receiver: a call doesn't know of it, and while a message is being sent the look goes on.
package webhook

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/auth"
	"executionbackup/internal/fleet"
	"executionbackup/internal/overview"
)

const (
	look = time.Second
	// lastWord bounds what is said at our end.
	lastWord = time.Second
)

// Options are what a Webhook is made of.
type Options struct {
	URL     func() auth.URL                      // who is told; zero: nobody. It is asked at every look
	Alerts  func(now time.Time) []overview.Alert // what there is now
	Page    string                               // the URL of ours
	Version string
	Metrics prometheus.Registerer
	Log     *slog.Logger
}

// Webhook tells a receiver of each alert once, when it fires and when it is resolved.
type Webhook struct {
	Options
	sender   *sender
	messages *prometheus.CounterVec
	failing  atomic.Bool // the last message failed; written by the goroutine of Run alone
}

// New returns a Webhook, which Run runs.
func New(o Options) *Webhook {
	messages := fleet.Outcomes(o.Metrics, "webhook_messages_total",
		"Messages to --webhook-url, by outcome: sent, or failed after all tries.", "outcome", "sent", "failed")
	return &Webhook{Options: o, sender: newSender(o.Version), messages: messages}
}

// run is what there is to do for one receiver. The goroutine of Run alone uses it.
type run struct {
	*Webhook
	to   auth.URL
	book *book

	sending *Message   // nil: none
	giveUp  func()     // ends that soon
	done    chan error // what became of it
}

// errGivenUp is why a message didn't arrive that nobody waits for any more.
var errGivenUp = errors.New("given up at our end")

func newRun(w *Webhook, to auth.URL) *run {
	w.failing.Store(false)
	return &run{Webhook: w, to: to, book: newBook(w.Page)}
}

// Failing reports whether the receiver couldn't be told the last time. Safe for concurrent use.
func (w *Webhook) Failing() bool { return w.failing.Load() }

// Run looks and sends until ctx ends, and waits for what it has begun. What is then still to be told is tried once
// more, for lastWord. What was told is forgotten: after a restart what still fires is told again, and so it is to
// another receiver.
func (w *Webhook) Run(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	r := newRun(w, w.URL())
	for {
		select {
		case <-tick.C:
			if to := w.URL(); to != r.to {
				r.leave()
				r = newRun(w, to)
			}
			r.look()
		case err := <-r.done:
			r.ended(err)
		case <-ctx.Done():
			r.end()
			return
		}
		r.sendNext()
	}
}

func (r *run) look() {
	if !r.to.IsZero() {
		now := time.Now()
		r.book.see(now, r.Alerts(now))
	}
}

// sendNext begins to send what is next, if anything, unless something is being sent.
func (r *run) sendNext() {
	if r.sending != nil {
		return
	}
	m := r.book.next(time.Now())
	if m == nil {
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	r.sending, r.giveUp, r.done = m, func() { cancel(errGivenUp) }, done
	go func() { done <- r.sender.Send(ctx, r.to, m, pauses...) }()
}

// ended notes what became of the message that was being sent.
func (r *run) ended(err error) {
	m := r.sending
	r.giveUp()
	r.sending, r.giveUp, r.done = nil, nil, nil
	r.note(m, err)
}

// note notes what became of a message. Of a receiver that can't be told, one line is enough.
func (r *run) note(m *Message, err error) {
	about := []any{"to", r.to, "alert", m.GroupLabels["alertname"], "status", m.Status, "alerts", len(m.Alerts)}
	if err == nil {
		r.book.sent(m)
		r.messages.WithLabelValues("sent").Inc()
		r.Log.Info("webhook told", about...)
	} else {
		r.book.fail(m, time.Now())
		r.messages.WithLabelValues("failed").Inc()
		level := slog.LevelWarn
		if r.Failing() {
			level = slog.LevelDebug
		}
		r.Log.Log(context.Background(), level, "the webhook can't be told, and will be tried again",
			append(about, "error", err)...)
	}
	r.failing.Store(err != nil)
}

// leave gives up what is being sent: somebody else is to be told.
func (r *run) leave() {
	if r.sending != nil {
		r.giveUp()
		<-r.done
	}
}

// end says the last word: what is being sent has a moment to get there, and what is left is tried once.
func (r *run) end() {
	ctx, cancel := context.WithTimeoutCause(context.Background(), lastWord, errGivenUp)
	defer cancel()
	if r.sending != nil {
		stop := context.AfterFunc(ctx, r.giveUp)
		r.ended(<-r.done)
		stop()
	}
	for m := r.book.next(time.Now()); m != nil && !r.Failing(); m = r.book.next(time.Now()) {
		r.note(m, r.sender.Send(ctx, r.to, m))
	}
}
