package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	interval   = 250 * time.Millisecond // between two looks for changes
	keepalive  = 15 * time.Second       // between two signs of life: longer silence is a lost connection to the page
	writeLimit = 5 * time.Second        // a client that takes longer to read is dropped
	lastWord   = time.Second            // the same, when we stop
	maxClients = 32
)

// events streams what the page shows (text/event-stream): a snapshot, and then changes. A change has the same shape,
// and only what is new in it. Each client is compared with what it was sent last, so that a slow one skips what it
// missed.
func (d *Dashboard) events(w http.ResponseWriter, r *http.Request) {
	if d.clients.Add(1) > maxClients {
		d.clients.Add(-1)
		http.Error(w, "too many dashboards are open", http.StatusServiceUnavailable)
		return
	}
	defer d.clients.Add(-1)
	stream := newStream(w)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for sent := (view{}); ; {
		now := d.look()
		if err := stream.send(now, sent); err != nil {
			return
		}
		sent = now
		select {
		case <-ticker.C:
		case <-d.closed:
			stream.limit = lastWord
			stream.write("event: stopping\ndata: {}\n\n")
			return
		case <-r.Context().Done():
			return
		}
	}
}

// stream is a client's end of the events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration // for a write
	started bool
	last    time.Time // when something was sent
}

func newStream(w http.ResponseWriter) *stream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would wait for more
	return &stream{w: w, control: http.NewResponseController(w), limit: writeLimit}
}

// send writes what now has and sent hasn't, or a sign of life when it is time for one.
func (s *stream) send(now, sent view) error {
	change, any := now.since(sent)
	event := "change"
	if !s.started {
		event, s.started = "snapshot", true
	}
	switch {
	case any:
		data, err := json.Marshal(change) // one line: the format ends data at a line break
		if err != nil {
			return err
		}
		return s.write("event: %s\ndata: %s\n\n", event, data)
	case time.Since(s.last) >= keepalive:
		return s.write("event: alive\ndata: {}\n\n")
	}
	return nil
}

// write sends an event. It may take its own time, whatever the server's limit for an answer is.
func (s *stream) write(format string, args ...any) error {
	s.last = time.Now()
	if err := s.control.SetWriteDeadline(s.last.Add(s.limit)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	return s.control.Flush()
}
